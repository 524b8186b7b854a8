"""Every gate stops what it is there to stop, its numbers agree with fairlearn, and what cannot be measured does not pass."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime import gates
from ai_factory_runtime.evaluation import Estimate, Judged
from ai_factory_runtime.frames import to_canonical
from ai_factory_runtime.gates import GateResult, Measured
from ai_factory_runtime.inspection import Damage, Group, Latency, calibration, damages, groups, importances, latency
from ai_factory_runtime.package import Prediction, Signature, decide, predict
from ai_factory_runtime.training import signature_of
from ai_factory_spec.usecase import Fairness, Threshold, UseCase
from helpers_runtime import usecase_document
from sklearn.dummy import DummyClassifier
from sklearn.metrics import roc_auc_score


def people(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": random.normal(size=rows), "age": random.integers(18, 90, rows).astype(float)})
    frame["group"] = random.choice(["a", "b", "c"], rows, p=[0.6, 0.35, 0.05])
    frame["outcome"] = np.where(frame["x"] + random.normal(size=rows) > 0, "yes", "no")
    return frame


def use_case(frame: pd.DataFrame, task: str = "binary", **changes: Any) -> UseCase:
    document = usecase_document(frame, task, **changes)
    document["data"]["sensitive"] = ["group"]
    return UseCase.model_validate(document)


USECASE = use_case(people())
SIGNATURE = signature_of(USECASE)


def answers(probability: np.ndarray) -> Prediction:
    table = np.column_stack([1 - probability, probability])
    return Prediction(decide(table, SIGNATURE), table)


def skilled(frame: pd.DataFrame) -> Prediction:
    return answers(1 / (1 + np.exp(-2 * frame["x"].fillna(0).to_numpy())))


def judged(frame: pd.DataFrame, prediction: Prediction) -> Judged:
    return Judged(frame["outcome"].to_numpy(dtype=object), prediction, SIGNATURE)


def blind(frame: pd.DataFrame) -> Prediction:
    return answers(np.full(len(frame), 0.5))


def failed(results: list[GateResult] | tuple[GateResult, ...]) -> list[str]:
    return [r.name for r in results if not r.passed]


# --- beats-baseline


@pytest.mark.parametrize("low", [-0.1, 0.0, float("nan")])
def test_an_improvement_whose_interval_holds_zero_does_not_beat_the_baseline(low: float) -> None:
    result = gates.beats_baseline(Estimate(0.1, low, 0.3), "roc_auc")
    assert not result.passed
    assert "does not beat the dummy baseline" in str(result)


def test_an_improvement_whose_interval_lies_above_zero_beats_the_baseline() -> None:
    assert gates.beats_baseline(Estimate(0.1, 0.001, 0.3), "roc_auc").passed


# --- thresholds


@pytest.mark.parametrize(
    ("bounds", "fails"),
    [
        (Threshold(min=0.80), False),
        (Threshold(min=0.81), True),
        (Threshold(max=0.79), True),
        (Threshold(min=0.75, confident=True), True),
        (Threshold(min=0.70, confident=True), False),
        (Threshold(max=0.85, confident=True), True),
        (Threshold(min=0.1, max=0.9), False),
    ],
)
def test_a_metric_out_of_its_bounds_is_refused_with_both_numbers(bounds: Threshold, fails: bool) -> None:
    results = gates.thresholds("roc_auc", Estimate(0.80, 0.72, 0.88), bounds)
    assert bool(failed(results)) == fails
    for result in results:
        assert f"{result.bound:g}" in result.sentence
        assert f"{result.value:.4g}" in result.sentence


def test_a_metric_that_is_not_defined_passes_no_threshold() -> None:
    nothing = Estimate(float("nan"), float("nan"), float("nan"))
    assert len(failed(gates.thresholds("roc_auc", nothing, Threshold(min=0.0, max=1.0)))) == 2


# --- fairness


def biased(frame: pd.DataFrame, shift: float) -> Prediction:
    p = skilled(frame).probabilities
    assert p is not None
    return answers(np.clip(p[:, 1] + np.where(frame["group"] == "b", shift, 0.0), 0, 1))


@pytest.mark.parametrize("shift", [0.0, -0.3, 0.4])
def test_group_differences_agree_with_fairlearn(shift: float) -> None:
    from fairlearn.metrics import MetricFrame, demographic_parity_difference

    frame = people()
    prediction = biased(frame, shift)
    found = groups("roc_auc", judged(frame, prediction), frame[["group"]])
    ours = gates.selection_rate_difference(found, USECASE)
    positive = prediction.values == SIGNATURE.positive
    truth = frame["outcome"] == SIGNATURE.positive
    theirs = demographic_parity_difference(truth, positive, sensitive_features=frame["group"])
    assert ours == pytest.approx(theirs, abs=1e-12)
    assert prediction.probabilities is not None
    by_group = MetricFrame(
        metrics=roc_auc_score, y_true=truth, y_pred=prediction.probabilities[:, 1], sensitive_features=frame["group"]
    )
    assert {g.value: g.metric for g in found} == pytest.approx(by_group.by_group.to_dict(), abs=1e-12)


def test_a_model_that_favours_a_group_is_refused_and_a_fair_one_is_not() -> None:
    frame = people(3000)
    bounds = Fairness(max_selection_rate_difference=0.1, max_error_difference=0.1)
    fair = gates.fairness(groups("roc_auc", judged(frame, skilled(frame)), frame[["group"]]), bounds, USECASE)
    assert failed(fair) == []
    unfair = gates.fairness(groups("roc_auc", judged(frame, biased(frame, -0.4)), frame[["group"]]), bounds, USECASE)
    assert failed(unfair) == ["fairness:group:selection-rate"]


def test_a_model_that_is_worse_for_a_group_is_refused() -> None:
    frame = people(3000)
    p = skilled(frame).probabilities
    assert p is not None
    noise = np.random.default_rng(0).random(3000)
    worse = answers(np.where(frame["group"] == "b", noise, p[:, 1]))
    bounds = Fairness(max_error_difference=0.1)
    found = groups("roc_auc", judged(frame, worse), frame[["group"]])
    assert failed(gates.fairness(found, bounds, USECASE)) == ["fairness:group:error"]


def test_a_small_group_is_reported_and_not_judged_but_one_group_alone_does_not_pass() -> None:
    def group(value: str, rows: int, rate: float) -> Group:
        return Group("group", value, rows, 0.9, (1 - rate, rate))

    bounds = Fairness(max_selection_rate_difference=0.1, min_group_size=30)
    found = [group("a", 100, 0.5), group("b", 100, 0.55), group("c", 3, 1.0)]
    assert failed(gates.fairness(found, bounds, USECASE)) == []
    alone = gates.fairness(found[::2], bounds, USECASE)
    assert failed(alone) == ["fairness:group:selection-rate"]
    assert "cannot be compared: 1 group of 'group' has 30" in alone[0].sentence


def test_groups_without_classes_cannot_be_compared_by_selection_rate() -> None:
    found = [Group("group", v, 100, 5.0, ()) for v in ("a", "b")]
    assert np.isnan(gates.selection_rate_difference(found, USECASE))


def test_numbers_are_grouped_by_quarter_and_missing_is_a_group() -> None:
    frame = people()
    frame.loc[:40, "age"] = np.nan
    found = groups("roc_auc", judged(frame, skilled(frame)), frame[["age"]])
    assert len(found) == 5
    assert sum(g.rows for g in found) == len(frame)
    assert {g.value: g.rows for g in found}["(missing)"] == 41


# --- robustness


def damages_of(frame: pd.DataFrame, answer: Any) -> tuple[Damage, ...]:
    rows = to_canonical(frame, SIGNATURE.features)
    truth = frame["outcome"].to_numpy(dtype=object)
    return damages("roc_auc", answer, rows, truth, SIGNATURE, baseline=blind(frame), seed=0)


def test_a_model_that_leans_on_one_feature_is_refused() -> None:
    found = damages_of(people(), skilled)
    result = gates.robustness(found, max_drop=0.5)
    assert not result.passed
    assert "'x' missing" in result.sentence
    assert result.value == pytest.approx(1.0, abs=0.01)
    assert {d.loss for d in found if d.feature != "x"} == {0.0}


def test_a_model_that_raises_on_a_damaged_row_is_refused() -> None:
    def brittle(frame: pd.DataFrame) -> Prediction:
        if frame["age"].isna().any():
            raise ValueError("no age, no answer")
        return answers(np.clip((frame["x"].fillna(0).to_numpy() + 3) / 6, 0, 1))

    result = gates.robustness(damages_of(people(), brittle), max_drop=1.0)
    assert not result.passed
    assert "it raised ValueError: no age, no answer" in result.sentence


def test_an_unseen_category_and_noise_are_tried() -> None:
    kinds = {(d.feature, d.kind) for d in damages_of(people(), skilled)}
    assert kinds == {
        ("x", "missing"), ("x", "noise"), ("age", "missing"), ("age", "noise"), ("group", "missing"), ("group", "unseen category"),
    }  # fmt: skip


def test_a_model_without_gain_passes_no_robustness_gate() -> None:
    assert not gates.robustness(damages_of(people(), blind), max_drop=1.0).passed
    assert not gates.robustness((), max_drop=1.0).passed


# --- latency


class Sleeper(DummyClassifier):
    """A model that takes its time."""

    def predict_proba(self, X: Any) -> Any:
        time.sleep(0.01)
        return super().predict_proba(X)


def test_a_slow_model_is_refused_and_a_quick_one_is_not() -> None:
    rows = to_canonical(people(50), SIGNATURE.features)
    truth = people(50)["outcome"].to_numpy(dtype=object)
    slow = latency(Sleeper().fit(rows, truth), SIGNATURE, rows, calls=30)
    assert slow.p99_ms >= 10
    assert not gates.latency(slow, p99_ms=9).passed
    assert gates.latency(slow, p99_ms=10_000).passed


def test_measuring_a_very_slow_model_ends_early() -> None:
    rows = to_canonical(people(50), SIGNATURE.features)
    model = Sleeper().fit(rows, people(50)["outcome"].to_numpy(dtype=object))
    assert latency(model, SIGNATURE, rows, calls=100_000, seconds=0.01).calls == 20


# --- model card


@pytest.mark.parametrize(
    "markdown", ["", "# Card\n\n## Purpose\n\n## Limits\n\nNone.\n", "# Card\n\n## Purpose\n\nx\n"]
)
def test_a_card_without_a_section_or_with_an_empty_one_is_refused(markdown: str) -> None:
    assert not gates.model_card(markdown, "<html></html>", ["Purpose", "Limits"]).passed


def test_a_complete_card_passes_and_a_page_cut_short_does_not() -> None:
    markdown = "# Card\n\n## Purpose\n\nx\n\n## Limits\n\ny\n"
    assert gates.model_card(markdown, "<html></html>", ["Purpose", "Limits"]).passed
    assert not gates.model_card(markdown, "<html>", ["Purpose", "Limits"]).passed


# --- all together


def test_only_what_is_asked_is_judged_and_beating_the_baseline_is_always_asked() -> None:
    measured = Measured(
        {"roc_auc": Estimate(0.8, 0.7, 0.9)}, "roc_auc", Estimate(0.3, 0.2, 0.4), (), (), Latency(1, 2, 100)
    )
    assert [r.name for r in gates.judge(measured, USECASE)] == ["beats-baseline"]
    everything = use_case(
        people(),
        acceptance={
            "metrics": {"roc_auc": {"min": 0.99}},
            "fairness": {"max_selection_rate_difference": 0.1},
            "robustness": {"max_drop": 0.2},
            "latency": {"p99_ms": 1},
        },
    )
    results = gates.judge(measured, everything)
    assert failed(results) == ["metric:roc_auc:min", "fairness:group:selection-rate", "robustness", "latency"]


# --- what the card shows


def test_shuffling_the_feature_that_matters_costs_most() -> None:
    frame = people()
    rows = to_canonical(frame, SIGNATURE.features)
    found = importances("roc_auc", skilled, rows, frame["outcome"].to_numpy(dtype=object), SIGNATURE, seed=0)
    assert found[0].feature == "x"
    assert found[0].loss > 0.2
    assert [i.loss for i in found[1:]] == [0.0, 0.0]


def test_a_wide_table_is_looked_at_where_it_tells_most() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(80, 150)), columns=[f"c{i}" for i in range(150)])
    frame["outcome"] = np.where(frame["c140"] > 0, "yes", "no")
    usecase = UseCase.model_validate(usecase_document(frame, "binary"))
    signature = signature_of(usecase)

    def answer(rows: pd.DataFrame) -> Prediction:
        return answers((rows["c140"].to_numpy() > 0) * 0.8 + 0.1)

    found = importances(
        "roc_auc",
        answer,
        to_canonical(frame, signature.features),
        frame["outcome"].to_numpy(dtype=object),
        signature,
        seed=0,
    )
    assert len(found) == 100
    assert found[0].feature == "c140"


def test_calibration_bins_hold_every_row_once() -> None:
    frame = people(95)
    bins = calibration(judged(frame, skilled(frame)))
    assert sum(b.rows for b in bins) == 95
    assert [b.predicted for b in bins] == sorted(b.predicted for b in bins)
    assert all(0 <= b.actual <= 1 for b in bins)


def test_the_one_prediction_puts_probabilities_in_the_order_of_the_contract() -> None:
    rows = to_canonical(people(50), SIGNATURE.features)
    only_yes = DummyClassifier(strategy="prior").fit(rows, np.full(50, "yes", dtype=object))
    prediction = predict(only_yes, SIGNATURE, rows)
    assert prediction.probabilities is not None
    assert prediction.probabilities[0].tolist() == [0.0, 1.0]
    assert isinstance(SIGNATURE, Signature)
