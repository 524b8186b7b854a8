"""Metrics agree with scikit-learn under any weights, and their intervals cover the truth as often as they say."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from ai_factory_runtime.base.prediction import Prediction, Signature, decide
from ai_factory_runtime.evaluation.estimates import Estimate, Judged, estimate, estimates, gain, metric, replicates
from ai_factory_spec.metrics import METRICS, metrics_for
from ai_factory_spec.usecase import Column
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

FEATURES = (Column(name="x", type="number"),)


def signature(task: str, classes: tuple[str, ...] = ()) -> Signature:
    target = Column(name="y", type="category", categories=classes) if classes else Column(name="y", type="number")
    positive = classes[1] if task == "binary" else None
    return Signature("t", task, FEATURES, target, classes, positive, 0.5 if positive else None)  # type: ignore[arg-type]


def judged(task: str, rows: int, seed: int, *, skill: float = 1.0, unit: Any = None) -> Judged:
    random = np.random.default_rng(seed)
    if task == "regression":
        truth = random.normal(50, 10, rows).round(2)
        return Judged(truth, Prediction(truth * skill + random.normal(0, 5, rows), None), signature(task), unit)
    classes = ("no", "yes") if task == "binary" else ("a", "b", "c", "d")
    truth = random.integers(0, len(classes), rows)
    scores = random.normal(size=(rows, len(classes))).round(1)
    scores[np.arange(rows), truth] += skill
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    kind = signature(task, classes)
    prediction = Prediction(decide(probabilities, kind), probabilities)
    return Judged(np.array(classes, dtype=object)[truth], prediction, kind, unit)


def expected(name: str, j: Judged, weights: np.ndarray) -> float:
    truth, values, w = j.truth, j.prediction.values, {"sample_weight": weights}
    p = j.prediction.probabilities
    if name in ("r2", "mean_absolute_error", "root_mean_squared_error"):
        return float(getattr(oracle, {"r2": "r2_score"}.get(name, name))(truth.astype(float), values, **w))
    if name in ("roc_auc", "average_precision"):
        return float(getattr(oracle, f"{name}_score")(truth == "yes", p[:, 1], **w))
    if name == "brier_score":
        return float(oracle.brier_score_loss(truth == "yes", p[:, 1], **w))
    if name == "log_loss":
        return float(oracle.log_loss(truth, p, labels=list(j.signature.classes), **w))
    if name in ("precision", "recall", "f1"):
        return float(getattr(oracle, f"{name}_score")(truth, values, pos_label="yes", zero_division=0, **w))
    if name == "f1_macro":
        return float(oracle.f1_score(truth, values, average="macro", zero_division=0, **w))
    with warnings.catch_warnings():
        # A class may be predicted that none of a few rows has; scikit-learn leaves it out of the mean, and says so.
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true", UserWarning)
        return float(getattr(oracle, f"{name}_score")(truth, values, **w))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@settings(max_examples=25)
@given(rows=st.integers(20, 80), seed=st.integers(0, 10_000))
def test_every_metric_agrees_with_scikit_learn_under_any_weights(task: str, rows: int, seed: int) -> None:
    j = judged(task, rows, seed)
    weights = np.random.default_rng(seed).integers(1, 5, rows).astype(float)
    for m in metrics_for(task):  # type: ignore[arg-type]
        assert metric(m.name, j, weights) == pytest.approx(expected(m.name, j, weights), abs=1e-12), m.name


def test_every_metric_of_the_schema_is_measured() -> None:
    measured = set()
    for task in ("binary", "multiclass", "regression"):
        measured |= set(estimates(judged(task, 60, 0), seed=0))
    assert measured == set(METRICS)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_an_estimate_lies_in_its_interval_and_the_seed_decides_it(task: str) -> None:
    j = judged(task, 200, 3)
    first, again = estimates(j, seed=1), estimates(j, seed=1)
    assert first == again
    for name, e in first.items():
        assert e.low <= e.value <= e.high, name
        assert e.low < e.high, name


@pytest.mark.slow
def test_intervals_cover_the_truth_about_95_times_in_100() -> None:
    truth = metric("roc_auc", judged("binary", 200_000, 0))
    covered = [
        e.low <= truth <= e.high for e in (estimate("roc_auc", judged("binary", 150, s), s) for s in range(1, 301))
    ]
    assert 0.91 <= np.mean(covered) <= 0.98


def test_a_paired_gain_is_narrower_than_two_separate_intervals() -> None:
    better = judged("regression", 300, 1)
    worse = Judged(better.truth, Prediction(better.prediction.values + 0.5, None), better.signature)
    paired = gain("mean_absolute_error", better, worse, seed=0)
    alone = estimate("mean_absolute_error", better, seed=0)
    assert paired.high - paired.low < (alone.high - alone.low) / 2
    assert gain("mean_absolute_error", worse, better, seed=0).value == -paired.value


def test_a_model_against_itself_gains_exactly_nothing() -> None:
    j = judged("binary", 100, 0)
    assert gain("roc_auc", j, j, seed=0) == Estimate(0.0, 0.0, 0.0)
    assert str(gain("brier_score", j, j, seed=0)) == "0 [0, 0]"


def test_rows_of_one_entity_count_as_one_observation() -> None:
    """Each row copied ten times: drawn as rows the interval is too narrow by far, drawn as entities it is not."""
    single = judged("regression", 80, 0)
    copies = np.repeat(np.arange(80), 10)
    prediction = Prediction(single.prediction.values[copies], None)
    truth = single.truth[copies]
    alone = estimate("mean_absolute_error", single, seed=0)
    by_row = estimate("mean_absolute_error", Judged(truth, prediction, single.signature), seed=0)
    by_entity = estimate("mean_absolute_error", Judged(truth, prediction, single.signature, copies), seed=0)
    assert by_row.high - by_row.low < 0.5 * (alone.high - alone.low)
    assert by_entity.high - by_entity.low == pytest.approx(alone.high - alone.low, rel=0.15)


def test_what_is_not_defined_is_nan_and_not_a_number_that_passes() -> None:
    j = judged("binary", 50, 0)
    only = Judged(np.full(50, "yes", dtype=object), j.prediction, j.signature)
    found = estimate("roc_auc", only, seed=0)
    assert np.isnan([found.value, found.low, found.high]).all()


def test_one_row_has_an_interval_of_itself() -> None:
    j = judged("regression", 1, 0)
    found = estimate("mean_absolute_error", j, seed=0)
    assert found.low == found.high == found.value
    assert np.isnan(metric("r2", j))


def test_large_tables_are_drawn_less_often() -> None:
    assert replicates(100) == 1000
    assert replicates(1_000_000) == 200


def test_the_threshold_decides_and_ties_go_to_the_positive_class() -> None:
    kind = signature("binary", ("no", "yes"))
    assert decide(np.array([[0.5, 0.5], [0.51, 0.49]]), kind).tolist() == ["yes", "no"]
