"""The threshold: the cheapest one for the stated costs, chosen on rows not fitted on, with its reason; else 0.5."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_factory_runtime.training.deciding import (
    DEFAULT_THRESHOLD,
    break_even,
    choose_threshold,
    cost_per_row,
    count_decisions,
)
from ai_factory_spec.usecase import Costs, UseCase
from helpers_runtime import real_rows, usecase_document
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import f1_score


def use_case(**model: Any) -> UseCase:
    return UseCase.model_validate(usecase_document(real_rows("breast_cancer"), "binary", model=model))


def honest(count: int = 20_000, seed: int = 0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that happen as often as they say, and what happened."""
    random = np.random.default_rng(seed)
    score = expit(random.normal(shift, 1.5, count))
    return random.random(count) < score, score


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ({"false_positive": 1, "false_negative": 1}, 0.5),
        ({"false_positive": 1, "false_negative": 9}, 0.1),
        ({"false_positive": 4, "false_negative": 1}, 0.8),
        ({"false_positive": 10, "false_negative": 0, "true_positive": -30}, 0.25),
    ],
)
def test_with_honest_probabilities_the_chosen_threshold_is_the_break_even(
    costs: dict[str, float], expected: float
) -> None:
    assert break_even(Costs(**costs)) == pytest.approx(expected)
    threshold, choice = choose_threshold(*honest(), use_case(costs=costs), "none")
    assert threshold == pytest.approx(expected, abs=0.04)
    assert choice.name == "threshold"
    assert "smallest expected cost" in choice.reason


def test_the_expected_cost_is_the_smallest_of_all_thresholds_and_is_told_with_its_unit() -> None:
    positive, score = honest(2000)
    costs = Costs(false_positive=1, false_negative=7, unit="EUR")
    threshold, choice = choose_threshold(positive, score, use_case(costs=costs.model_dump()), "none")

    def cost(t: float) -> float:
        acted = score >= t
        return float((acted & ~positive).mean() * 1 + (~acted & positive).mean() * 7)

    grid = [cost(t) for t in np.linspace(0, 1, 2001)]
    assert cost(threshold) <= min(grid) + 1e-12
    assert f"{cost(threshold):.4g} EUR a row, {cost(0.5):.4g} at 0.5" in choice.reason


def test_a_model_whose_probabilities_are_wrong_gets_the_threshold_that_is_cheapest_for_it() -> None:
    positive, score = honest()
    halved = score / 2
    threshold, _ = choose_threshold(
        positive, halved, use_case(costs={"false_positive": 1, "false_negative": 1}), "none"
    )
    assert threshold == pytest.approx(0.25, abs=0.03)


@settings(max_examples=60)
@given(
    scores=st.lists(st.floats(0, 1), min_size=2, max_size=40),
    seed=st.integers(0, 99),
    wrongly=st.floats(0.1, 10),
    missing=st.floats(0.1, 10),
)
def test_no_other_decision_by_a_threshold_is_cheaper(
    scores: list[float], seed: int, wrongly: float, missing: float
) -> None:
    score = np.array(scores)
    positive = np.random.default_rng(seed).random(len(score)) < 0.5
    costs = Costs(false_positive=wrongly, false_negative=missing)
    counts = count_decisions(positive, score)
    total = counts.true_positive + counts.false_positive + counts.false_negative + counts.true_negative
    assert (total == len(score)).all()
    for threshold, cost in zip(counts.thresholds, cost_per_row(counts, costs), strict=True):
        acted = score >= threshold
        by_hand = ((acted & ~positive) * wrongly + (~acted & positive) * missing).mean()
        assert cost == pytest.approx(by_hand)
    ways = {tuple(score >= t) for t in [*score, 2.0]}
    assert {tuple(score >= t) for t in counts.thresholds} == ways


def test_without_costs_and_rare_classes_the_threshold_is_one_half() -> None:
    threshold, choice = choose_threshold(*honest(), use_case(), "none")
    assert threshold == DEFAULT_THRESHOLD
    assert choice.value == "0.5"


def test_for_a_rare_class_the_best_f1_is_looked_for_and_both_are_told() -> None:
    positive, score = honest(4000, shift=-3.0)
    threshold, choice = choose_threshold(positive, score, use_case(), "threshold")
    best, usual = (f1_score(positive, score >= t) for t in (threshold, 0.5))
    assert threshold < 0.45
    assert best > usual
    assert f"{best:.4g}, {usual:.4g} at 0.5" in choice.reason


@pytest.mark.parametrize(
    ("metric", "said"), [("balanced_accuracy", "balanced_accuracy"), ("recall", "f1"), ("roc_auc", "f1")]
)
def test_the_metric_of_the_use_case_chooses_where_it_can(metric: str, said: str) -> None:
    _, choice = choose_threshold(*honest(4000, shift=-3.0), use_case(metric=metric), "threshold")
    assert f"the best {said} on" in choice.reason


def test_with_a_handful_of_cases_the_costs_alone_decide() -> None:
    score = np.linspace(0, 1, 200)
    positive = np.zeros(200, dtype=bool)
    positive[-5:] = True
    costs = {"false_positive": 1, "false_negative": 9}
    threshold, choice = choose_threshold(positive, score, use_case(costs=costs), "threshold")
    assert threshold == pytest.approx(0.1)
    assert "from the costs alone" in choice.reason
    assert choose_threshold(positive, score, use_case(), "threshold")[0] == DEFAULT_THRESHOLD


def test_never_acting_is_possible_where_acting_is_never_worth_it() -> None:
    positive = np.arange(200) % 2 == 0
    score = np.where(np.arange(200) % 4 < 2, 1.0, 0.9)  # knows nothing and is sure of it
    costs = {"false_positive": 100, "false_negative": 1}
    threshold, _ = choose_threshold(positive, score, use_case(costs=costs), "none")
    assert not (score >= threshold).any()
