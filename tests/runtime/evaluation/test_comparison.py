"""Champion against challenger: the verdict follows the paired interval; McNemar's test is the exact one, and has its say."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from ai_factory_runtime.base.prediction import Prediction, Signature, decide
from ai_factory_runtime.evaluation.comparison import compare, mcnemar
from ai_factory_runtime.evaluation.estimates import Judged
from ai_factory_runtime.training.selection import signature_of
from ai_factory_spec.usecase import Costs, UseCase
from helpers_evaluation import SIGNATURE, answers, people, skilled
from helpers_runtime import real_rows, usecase_document


def numbers(noise: float, seed: int, rows: int = 300) -> Judged:
    random = np.random.default_rng(seed)
    truth = np.random.default_rng(0).normal(50, 10, rows)
    usecase = UseCase.model_validate(usecase_document(real_rows("diabetes"), "regression"))
    return Judged(truth, Prediction(truth + random.normal(0, noise, rows), None), signature_of(usecase))


def classes(right: float, seed: int, rows: int = 400, sure: float = 0.8) -> Judged:
    """A model that is right on this share of the rows, and says so with probability `sure`."""
    truth = np.where(np.random.default_rng(0).random(rows) < 0.5, "yes", "no").astype(object)
    correct = np.random.default_rng(seed).random(rows) < right
    p = np.where(correct == (truth == "yes"), sure, 1 - sure)
    return Judged(truth, answers(p), SIGNATURE)


@pytest.mark.parametrize(
    ("challenger", "champion", "verdict"),
    [((4, 1), (8, 2), "promote"), ((8, 1), (4, 2), "keep"), ((5, 1), (5, 3), "undecided"), ((5, 1), (5, 1), "keep")],
)
def test_the_verdict_follows_the_interval_of_the_paired_difference(
    challenger: Any, champion: Any, verdict: str
) -> None:
    found = compare(numbers(*challenger), numbers(*champion), metric="mean_absolute_error", version=3, seed=0)
    assert found.verdict == verdict, found.reason
    assert "version 3" in found.reason
    assert "on the same 300 rows" in found.reason
    assert (found.champion, found.rows, found.mcnemar) == (3, 300, None)
    assert found.gain is not None


@pytest.mark.parametrize(
    ("challenger", "champion", "verdict"),
    [((0.9, 1), (0.7, 2), "promote"), ((0.7, 1), (0.9, 2), "keep"), ((0.8, 1), (0.8, 2), "undecided")],
)
def test_classes_are_told_apart_by_mcnemar_too(challenger: Any, champion: Any, verdict: str) -> None:
    found = compare(classes(*challenger), classes(*champion), metric="accuracy", version=1, seed=0)
    assert found.verdict == verdict, found.reason
    assert found.mcnemar is not None
    assert (found.mcnemar.p_value < 0.05) == (verdict != "undecided")
    assert f"it alone is right on {found.mcnemar.only_challenger}, version 1 alone on" in found.reason
    assert "McNemar p = " in found.reason


def test_mcnemar_counts_the_rows_on_which_the_models_differ_and_is_the_exact_test() -> None:
    ours, theirs = classes(0.9, 1), classes(0.8, 2)
    found = mcnemar(ours, theirs)
    assert found is not None
    first = int(sum((ours.prediction.values == ours.truth) & (theirs.prediction.values != theirs.truth)))
    second = int(sum((ours.prediction.values != ours.truth) & (theirs.prediction.values == theirs.truth)))
    assert (found.only_challenger, found.only_champion) == (first, second)
    tosses = np.random.default_rng(0).binomial(first + second, 0.5, 400_000)
    extreme = np.abs(tosses - (first + second) / 2) >= abs(first - second) / 2
    assert found.p_value == pytest.approx(extreme.mean(), abs=0.002)


def test_two_models_with_the_same_answers_have_nothing_between_them() -> None:
    found = mcnemar(classes(0.8, 1), classes(0.8, 1))
    assert found is not None
    assert (found.only_challenger, found.only_champion, found.p_value) == (0, 0, 1.0)


def test_rows_of_entities_are_not_independent_and_are_not_given_to_mcnemar() -> None:
    rows = classes(0.9, 1)
    grouped = Judged(rows.truth, rows.prediction, rows.signature, np.arange(rows.rows) // 4)
    assert mcnemar(grouped, classes(0.7, 2)) is None


def test_an_improvement_that_mcnemar_contradicts_is_undecided_where_right_answers_are_asked() -> None:
    """Modest and often wrong beats sure and rarely wrong in log loss, and must not be promoted on that alone."""
    challenger, champion = classes(0.75, 1, sure=0.75), classes(0.85, 2, sure=0.9999)
    found = compare(challenger, champion, metric="log_loss", version=2, seed=0)
    assert found.gain is not None
    assert found.gain.low > 0
    assert found.verdict == "undecided"
    assert "which contradicts the improvement" in found.reason
    recall = compare(challenger, champion, metric="brier_score", version=2, seed=0)
    assert recall.verdict != "promote"


def test_more_wrong_answers_are_no_objection_to_a_better_recall() -> None:
    champion = classes(0.85, 2)
    eager = Judged(champion.truth, answers(np.full(champion.rows, 0.9)), SIGNATURE)
    found = compare(eager, champion, metric="recall", version=2, seed=0)
    assert found.verdict == "promote"
    assert found.mcnemar is not None
    assert found.mcnemar.only_challenger < found.mcnemar.only_champion


MISSING_IS_DEAR = Costs(false_positive=1, false_negative=10, unit="EUR")


def deciding_at(threshold: float) -> Judged:
    """The same good model, its probabilities untouched, with a threshold of its own."""
    frame = people()
    table = skilled(frame).probabilities
    assert table is not None
    signature: Signature = dataclasses.replace(SIGNATURE, threshold=threshold)
    return Judged(frame["outcome"].to_numpy(dtype=object), Prediction(decide(table, signature), table), signature)


def test_a_cheaper_threshold_alone_is_promoted_by_the_costs_and_not_without_them() -> None:
    usual, cheap = deciding_at(0.5), deciding_at(0.1)
    assert compare(cheap, usual, metric="roc_auc", version=3, seed=0).verdict == "keep"
    found = compare(cheap, usual, metric="roc_auc", version=3, seed=0, costs=MISSING_IS_DEAR)
    assert found.verdict == "promote", found.reason
    assert found.gain is not None
    assert (found.gain.low, found.gain.high) == (0, 0)
    assert found.saving is not None
    assert found.saving.low > 0
    assert f"the new model costs less: {found.saving.value:.4g} EUR saved a row, 95 % interval [" in found.reason
    wrong = [sum(m.prediction.values[m.truth == t] != t) for m in (usual, cheap) for t in ("no", "yes")]
    by_hand = ((wrong[0] - wrong[2]) * 1 + (wrong[1] - wrong[3]) * 10) / usual.rows
    assert found.saving.value == pytest.approx(by_hand)


def test_a_costlier_threshold_is_not_promoted() -> None:
    found = compare(deciding_at(0.5), deciding_at(0.1), metric="roc_auc", version=3, seed=0, costs=MISSING_IS_DEAR)
    assert found.verdict == "keep", found.reason
    assert "costs more" in found.reason
    same = compare(deciding_at(0.1), deciding_at(0.1), metric="roc_auc", version=3, seed=0, costs=MISSING_IS_DEAR)
    assert same.verdict == "keep"


def test_a_better_metric_that_costs_more_is_for_a_person_to_decide() -> None:
    """More right answers, and dearer mistakes."""
    found = compare(deciding_at(0.5), deciding_at(0.1), metric="accuracy", version=3, seed=0, costs=MISSING_IS_DEAR)
    assert found.gain is not None
    assert found.gain.low > 0
    assert found.verdict == "undecided", found.reason
    back = compare(deciding_at(0.1), deciding_at(0.5), metric="accuracy", version=3, seed=0, costs=MISSING_IS_DEAR)
    assert back.verdict == "undecided", back.reason


@pytest.mark.slow
def test_two_equally_good_models_are_rarely_told_apart() -> None:
    verdicts = [
        compare(
            numbers(5, 2 * s, 150), numbers(5, 2 * s + 1, 150), metric="mean_absolute_error", version=1, seed=s
        ).verdict
        for s in range(1, 201)
    ]
    assert verdicts.count("promote") / len(verdicts) <= 0.06
