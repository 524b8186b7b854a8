"""Group differences are fairlearn's, small groups are reported and not judged, and the gate stops an unfair model."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ai_factory_runtime.evaluation.estimates import Estimate
from ai_factory_runtime.evaluation.fairness import Disparity, disparities, groups
from ai_factory_runtime.evaluation.group_gates import fairness
from ai_factory_spec.usecase import Fairness
from helpers_evaluation import NOTHING, SIGNATURE, USECASE, biased, failed, judged, people, skilled, worse_for_b
from sklearn.metrics import roc_auc_score


def apart(frame, prediction, min_group_size: int = 1) -> dict[str, Disparity]:  # type: ignore[no-untyped-def]
    found = disparities("roc_auc", judged(frame, prediction), frame[["group"]], min_group_size=min_group_size, seed=0)
    return {d.kind: d for d in found}


@pytest.mark.parametrize("shift", [0.0, -0.3, 0.4])
def test_group_differences_agree_with_fairlearn(shift: float) -> None:
    from fairlearn import metrics as oracle

    frame = people()
    prediction = biased(frame, shift)
    found = apart(frame, prediction)
    truth, chosen = frame["outcome"] == SIGNATURE.positive, prediction.values == SIGNATURE.positive
    for kind, theirs in (
        ("selection-rate", oracle.demographic_parity_difference),
        ("selection-rate-ratio", oracle.demographic_parity_ratio),
        ("equalized-odds", oracle.equalized_odds_difference),
    ):
        expected = theirs(truth, chosen, sensitive_features=frame["group"])
        assert found[kind].estimate.value == pytest.approx(expected, abs=1e-12), kind
        assert found[kind].estimate.low <= found[kind].estimate.high
    assert prediction.probabilities is not None
    by_group = oracle.MetricFrame(
        metrics=roc_auc_score, y_true=truth, y_pred=prediction.probabilities[:, 1], sensitive_features=frame["group"]
    )
    table = groups("roc_auc", judged(frame, prediction), frame[["group"]])
    assert {g.value: g.metric for g in table} == pytest.approx(by_group.by_group.to_dict(), abs=1e-12)
    assert found["error"].estimate.value == pytest.approx(by_group.difference(), abs=1e-12)


def test_the_rates_of_a_group_agree_with_fairlearn() -> None:
    from fairlearn.metrics import MetricFrame, false_positive_rate, true_positive_rate

    frame = people()
    prediction = biased(frame, 0.2)
    rates = MetricFrame(
        metrics={"tpr": true_positive_rate, "fpr": false_positive_rate},
        y_true=frame["outcome"] == "yes",
        y_pred=prediction.values == "yes",
        sensitive_features=frame["group"],
    ).by_group
    table = groups("roc_auc", judged(frame, prediction), frame[["group"]])
    assert {g.value: g.true_positive_rate for g in table} == pytest.approx(rates["tpr"].to_dict(), abs=1e-12)
    assert {g.value: g.false_positive_rate for g in table} == pytest.approx(rates["fpr"].to_dict(), abs=1e-12)


ALL = Fairness(
    max_selection_rate_difference=0.1,
    min_selection_rate_ratio=0.8,
    max_equalized_odds_difference=0.15,
    max_error_difference=0.1,
)


def test_a_fair_model_passes_every_fairness_gate() -> None:
    frame = people(6000)
    found = apart(frame, skilled(frame), 100).values()
    assert failed(fairness(list(found), ALL, USECASE)) == []


def test_a_model_that_favours_a_group_is_refused_by_three_gates() -> None:
    frame = people(3000)
    found = apart(frame, biased(frame, -0.4), 100).values()
    results = fairness(list(found), ALL, USECASE)
    assert failed(results) == [
        "fairness:group:selection-rate", "fairness:group:selection-rate-ratio", "fairness:group:equalized-odds",
    ]  # fmt: skip
    for result in results[:3]:
        assert f"{result.value:.4g} [" in result.sentence
        assert f"{result.bound:g}" in result.sentence


def test_a_model_that_is_worse_for_a_group_is_refused() -> None:
    frame = people(3000)
    found = apart(frame, worse_for_b(frame), 100).values()
    bounds = Fairness(max_error_difference=0.1)
    assert failed(fairness(list(found), bounds, USECASE)) == ["fairness:group:error"]


def test_a_small_group_is_reported_and_not_judged_but_one_group_alone_does_not_pass() -> None:
    frame = people(300)
    bounds = Fairness(max_selection_rate_difference=0.3, min_group_size=50)
    found = apart(frame, skilled(frame), 50)["selection-rate"]
    assert found.groups == 2
    assert {g.value for g in groups("roc_auc", judged(frame, skilled(frame)), frame[["group"]])} == {"a", "b", "c"}
    assert failed(fairness([found], bounds, USECASE)) == []
    alone = fairness(list(apart(frame, skilled(frame), 150).values()), bounds, USECASE)
    assert failed(alone) == ["fairness:group:selection-rate"]
    assert "cannot be compared: 1 group of 'group' has 50" in alone[0].sentence


def test_a_column_that_is_not_there_does_not_pass() -> None:
    assert failed(fairness([], ALL, USECASE)) == [f"fairness:group:{k}" for k in (
        "selection-rate", "selection-rate-ratio", "equalized-odds", "error",
    )]  # fmt: skip


def test_a_model_that_selects_nobody_has_no_ratio_and_does_not_pass() -> None:
    frame = people(600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = apart(
            frame, biased(frame, 0.0).__class__(np.full(600, "no", dtype=object), skilled(frame).probabilities)
        )
    assert np.isnan(found["selection-rate-ratio"].estimate.value)
    assert not fairness([found["selection-rate-ratio"]], Fairness(min_selection_rate_ratio=0.1), USECASE)[0].passed


def test_a_group_without_positives_is_left_out_of_the_true_positive_rate() -> None:
    frame = people(600)
    frame.loc[frame["group"] == "c", "outcome"] = "no"
    found = apart(frame, skilled(frame))["equalized-odds"].estimate
    assert np.isfinite(found.value)
    assert np.isnan(
        [g.true_positive_rate for g in groups("roc_auc", judged(frame, skilled(frame)), frame[["group"]])][2]
    )


def test_numbers_are_grouped_by_quarter_and_missing_is_a_group() -> None:
    frame = people()
    frame.loc[:40, "age"] = np.nan
    found = groups("roc_auc", judged(frame, skilled(frame)), frame[["age"]])
    assert len(found) == 5
    assert sum(g.rows for g in found) == len(frame)
    assert (found[-1].value, found[-1].rows) == ("(missing)", 41)
    assert [float(g.value.split(" to ")[0]) for g in found[:-1]] == sorted(
        float(g.value.split(" to ")[0]) for g in found[:-1]
    )


def test_a_disparity_with_an_undefined_value_is_refused_with_the_reason() -> None:
    (result,) = fairness([Disparity("group", "error", 3, NOTHING)], Fairness(max_error_difference=0.5), USECASE)
    assert not result.passed
    assert "not defined for two of them" in result.sentence


def test_the_bound_itself_passes() -> None:
    exact = [Disparity("group", "error", 2, Estimate(0.1, 0.0, 0.2))]
    assert failed(fairness(exact, Fairness(max_error_difference=0.1), USECASE)) == []
