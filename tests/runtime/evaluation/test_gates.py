"""Every gate stops what it is there to stop, and what cannot be measured does not pass."""

from __future__ import annotations

import numpy as np
import pytest
from ai_factory_runtime.base.prediction import predict
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.evaluation import gates
from ai_factory_runtime.evaluation.estimates import Estimate
from ai_factory_runtime.evaluation.explaining import Explained
from ai_factory_runtime.evaluation.latency import Latency
from ai_factory_runtime.evaluation.measured import Measured
from ai_factory_spec.usecase import Threshold
from helpers_evaluation import NOTHING, SIGNATURE, USECASE, failed, people, use_case
from sklearn.dummy import DummyClassifier

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
    results = gates.thresholds("metric:roc_auc", "roc_auc", Estimate(0.80, 0.72, 0.88), bounds)
    assert bool(failed(results)) == fails
    for result in results:
        assert f"{result.bound:g}" in result.sentence
        assert f"{result.value:.4g}" in result.sentence


def test_a_metric_that_is_not_defined_passes_no_threshold() -> None:
    results = gates.thresholds("metric:roc_auc", "roc_auc", NOTHING, Threshold(min=0.0, max=1.0))
    assert failed(results) == ["metric:roc_auc:min", "metric:roc_auc:max"]


# --- documents


@pytest.mark.parametrize("gate", [gates.model_card, gates.data_sheet])
@pytest.mark.parametrize(
    "markdown", ["", "# Card\n\n## Purpose\n\n## Limits\n\nNone.\n", "# Card\n\n## Purpose\n\nx\n"]
)
def test_a_document_without_a_section_or_with_an_empty_one_is_refused(gate, markdown: str) -> None:  # type: ignore[no-untyped-def]
    assert not gate(markdown, "<html></html>", ["Purpose", "Limits"]).passed


@pytest.mark.parametrize("gate", [gates.model_card, gates.data_sheet])
def test_a_complete_document_passes_and_a_page_cut_short_does_not(gate) -> None:  # type: ignore[no-untyped-def]
    markdown = "# Card\n\n## Purpose\n\nx\n\n## Limits\n\ny\n"
    assert gate(markdown, "<html></html>", ["Purpose", "Limits"]).passed
    assert not gate(markdown, "<html>", ["Purpose", "Limits"]).passed


# --- all together


def measured() -> Measured:
    """A model of which little is known."""
    quick = Latency(1.0, Estimate(2.0, 1.9, 2.1), 100)
    return Measured(
        metrics={"roc_auc": Estimate(0.8, 0.7, 0.9)},
        baseline={"roc_auc": Estimate(0.5, 0.5, 0.5)},
        baseline_metric="roc_auc",
        gain=Estimate(0.3, 0.2, 0.4),
        slices=(),
        groups=(),
        disparities=(),
        calibration=(),
        calibration_error=None,
        explained=Explained((), NOTHING),
        damages=(),
        latency=quick,
        latency_many=Latency(1.0, Estimate(20.0, 19.0, 21.0), 100, 1000),
    )


def test_only_what_is_asked_is_judged_and_beating_the_baseline_is_always_asked() -> None:
    assert [r.name for r in gates.judge(measured(), USECASE)] == ["beats-baseline"]


def test_everything_that_is_asked_is_judged_and_what_was_not_measured_does_not_pass() -> None:
    everything = use_case(
        people(),
        acceptance={
            "metrics": {"roc_auc": {"min": 0.99}},
            "kpi": {"min": 1.0},
            "slices": [{"column": "group", "metrics": {"roc_auc": {"min": 0.1}}}],
            "fairness": {
                "max_selection_rate_difference": 0.1,
                "min_selection_rate_ratio": 0.8,
                "max_equalized_odds_difference": 0.1,
                "max_error_difference": 0.1,
            },
            "calibration": {"max_error": 0.9},
            "explainability": {"max_share": 1.0},
            "robustness": {"max_drop": 0.2},
            "latency": {"p99_ms": 1, "p99_ms_1000_rows": 10},
        },
    )
    results = gates.judge(measured(), everything)
    assert failed(results) == [r.name for r in results[1:]] == [
        "metric:roc_auc:min", "kpi", "slice:group:roc_auc:min", "fairness:group:selection-rate",
        "fairness:group:selection-rate-ratio", "fairness:group:equalized-odds", "fairness:group:error", "calibration",
        "explainability", "robustness", "latency", "latency:1000-rows",
    ]  # fmt: skip


def test_the_one_prediction_puts_probabilities_in_the_order_of_the_contract() -> None:
    rows = to_canonical(people(50), SIGNATURE.features)
    only_yes = DummyClassifier(strategy="prior").fit(rows, np.full(50, "yes", dtype=object))
    prediction = predict(only_yes, SIGNATURE, rows)
    assert prediction.probabilities is not None
    assert prediction.probabilities[0].tolist() == [0.0, 1.0]
