"""Metrics on held-out rows, each with a 95 % confidence interval.

Every metric is a function of row weights, so one definition serves the estimate (all weights 1), the bootstrap (weights
are how often a row was drawn), groups (weights outside the group are 0) and paired differences (the same draws for both
models). The intervals are percentile bootstrap intervals (Efron & Tibshirani 1993, An Introduction to the Bootstrap,
chapter 13); where rows belong to entities, entities are drawn (Davison & Hinkley 1997, Bootstrap Methods, section 3.8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_factory_spec.metrics import METRICS, metrics_for

from ai_factory_runtime.package import Prediction, Signature

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]
Weighted = Callable[[Floats], Floats]

CONFIDENCE = 0.95
REPLICATES = 1000
_FEWEST_REPLICATES = 200
_DRAWS = 20_000_000  # bounds the time on large tables, where intervals are narrow and need fewer replicates
_CHUNK = 2_000_000  # weights held in memory at once


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % confidence interval; NaN where it is not defined (no row of a class, for example)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True, slots=True)
class Judged:
    """What is true for some rows and what a model says about them. `unit` are the entities to draw, None for single rows."""

    truth: npt.NDArray[Any]
    prediction: Prediction
    signature: Signature
    unit: Positions | None = None

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.truth)


def metric(name: str, judged: Judged, weights: Floats | None = None) -> float:
    """One metric by its scikit-learn name; NaN where it is not defined on these rows."""
    row = np.ones((1, judged.rows)) if weights is None else weights.reshape(1, -1)
    return float(weighted_metric(name, judged)(row)[0])


def estimate(name: str, judged: Judged, seed: int) -> Estimate:
    """One metric with its interval."""
    function = weighted_metric(name, judged)
    return _interval(metric(name, judged), [function(w) for w in _draws(judged, seed)])


def estimates(judged: Judged, seed: int) -> dict[str, Estimate]:
    """Every metric that fits the task, with its interval, all on the same draws."""
    functions = {m.name: weighted_metric(m.name, judged) for m in metrics_for(judged.signature.task)}
    drawn: dict[str, list[Floats]] = {name: [] for name in functions}
    for weights in _draws(judged, seed):
        for name, function in functions.items():
            drawn[name].append(function(weights))
    return {name: _interval(metric(name, judged), drawn[name]) for name in functions}


def gain(name: str, better: Judged, worse: Judged, seed: int) -> Estimate:
    """How much `better` improves on `worse` in one metric: positive is an improvement, whatever the metric's direction.

    Paired: both are judged on the same rows in every draw.
    """
    sign = 1.0 if METRICS[name].greater_is_better else -1.0
    first, second = weighted_metric(name, better), weighted_metric(name, worse)
    value = sign * (metric(name, better) - metric(name, worse)) + 0.0  # no minus zero
    return _interval(value, [sign * (first(w) - second(w)) + 0.0 for w in _draws(better, seed)])


def standard_error_of_gain(name: str, better: Judged, worse: Judged, seed: int) -> float:
    """The bootstrap standard error of the paired difference."""
    first, second = weighted_metric(name, better), weighted_metric(name, worse)
    drawn = np.concatenate([first(w) - second(w) for w in _draws(better, seed)])
    return float(np.nanstd(drawn)) if np.isfinite(drawn).any() else float("nan")


def weighted_metric(name: str, judged: Judged) -> Weighted:
    """The metric as a function of weights (draws, rows) -> (draws,)."""
    return _METRICS[name](judged)


def replicates(rows: int) -> int:
    """How often is drawn."""
    return max(_FEWEST_REPLICATES, min(REPLICATES, _DRAWS // max(rows, 1)))


def _draws(judged: Judged, seed: int) -> Iterator[Floats]:
    """Weights (draws, rows): how often each row is in a sample drawn with replacement, of rows or of whole entities."""
    random = np.random.default_rng(seed)
    codes = None if judged.unit is None else np.unique(judged.unit, return_inverse=True)[1]
    units = judged.rows if codes is None else int(codes.max()) + 1
    left, chunk = replicates(judged.rows), max(1, _CHUNK // judged.rows)
    while left > 0:
        count = min(left, chunk)
        drawn = random.integers(0, units, size=(count, units)) + units * np.arange(count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=count * units).reshape(count, units).astype(np.float64)
        yield weights if codes is None else weights[:, codes]
        left -= count


def _interval(value: float, drawn: list[Floats]) -> Estimate:
    """Percentiles of the draws in which the metric is defined; undefined where most are not."""
    values = np.concatenate(drawn)
    defined = values[np.isfinite(values)]
    if not np.isfinite(value) or len(defined) < len(values) / 2:
        return Estimate(value, float("nan"), float("nan"))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))


def _ratio(numerator: Floats, denominator: Floats, empty: float = np.nan) -> Floats:
    """Division that gives `empty` for a zero denominator."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, empty), where=denominator > 0)


def _mean(values: Floats) -> Weighted:
    return lambda w: _ratio(w @ values, w.sum(axis=1))


def _score(judged: Judged) -> Floats:
    """The probability of the positive class."""
    assert judged.prediction.probabilities is not None
    assert judged.signature.positive is not None
    return judged.prediction.probabilities[:, judged.signature.classes.index(judged.signature.positive)]


def _positive(judged: Judged) -> tuple[Floats, Floats]:
    """(is positive, is predicted positive) as 0 and 1."""
    name = judged.signature.positive
    return (judged.truth == name).astype(np.float64), (judged.prediction.values == name).astype(np.float64)


def _ranked(judged: Judged, *, descending: bool) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Weights -> (positive, negative) weight at each different score, in order of score."""
    score = -_score(judged) if descending else _score(judged)
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    positive = _positive(judged)[0][order]

    def counts(weights: Floats) -> tuple[Floats, Floats]:
        sorted_weights = weights[:, order]
        positives = np.add.reduceat(sorted_weights * positive, starts, axis=1)
        return positives, np.add.reduceat(sorted_weights, starts, axis=1) - positives

    return counts


def _roc_auc(judged: Judged) -> Weighted:
    """The probability that a positive scores above a negative, ties counting half (Mann-Whitney)."""
    counts = _ranked(judged, descending=False)

    def value(weights: Floats) -> Floats:
        positives, negatives = counts(weights)
        below = np.cumsum(negatives, axis=1) - negatives
        pairs = positives.sum(axis=1) * negatives.sum(axis=1)
        return _ratio((positives * (below + negatives / 2)).sum(axis=1), pairs)

    return value


def _average_precision(judged: Judged) -> Weighted:
    """Precision at each different score, weighted by the recall gained there."""
    counts = _ranked(judged, descending=True)

    def value(weights: Floats) -> Floats:
        positives, negatives = counts(weights)
        hits = np.cumsum(positives, axis=1)
        precision = _ratio(hits, np.cumsum(positives + negatives, axis=1), empty=0.0)
        return _ratio((positives * precision).sum(axis=1), positives.sum(axis=1))

    return value


def _precision(judged: Judged) -> Weighted:
    truth, chosen = _positive(judged)
    return lambda w: _ratio(w @ (truth * chosen), w @ chosen, empty=0.0)


def _recall(judged: Judged) -> Weighted:
    truth, chosen = _positive(judged)
    return lambda w: _ratio(w @ (truth * chosen), w @ truth)


def _f1(judged: Judged) -> Weighted:
    truth, chosen = _positive(judged)
    return lambda w: _ratio(2 * (w @ (truth * chosen)), w @ truth + w @ chosen, empty=0.0)


def _brier_score(judged: Judged) -> Weighted:
    return _mean((_score(judged) - _positive(judged)[0]) ** 2)


def _log_loss(judged: Judged) -> Weighted:
    """Minus the logarithm of the true class's probability, which is kept at least one rounding error from 0."""
    probabilities = judged.prediction.probabilities
    assert probabilities is not None
    position = {name: i for i, name in enumerate(judged.signature.classes)}
    columns = np.array([position[name] for name in judged.truth])
    smallest = float(np.finfo(np.float64).eps)
    return _mean(-np.log(np.clip(probabilities[np.arange(judged.rows), columns], smallest, 1 - smallest)))


def _accuracy(judged: Judged) -> Weighted:
    return _mean((judged.truth == judged.prediction.values).astype(np.float64))


def _per_class(judged: Judged) -> tuple[Floats, Floats]:
    """(rows, classes) indicators of the true and of the predicted class."""
    names = np.array(judged.signature.classes, dtype=object)
    return (
        (judged.truth[:, None] == names).astype(np.float64),
        (judged.prediction.values[:, None] == names).astype(np.float64),
    )


def _balanced_accuracy(judged: Judged) -> Weighted:
    """The mean recall of the classes that occur."""
    truth, chosen = _per_class(judged)
    hit = truth * chosen

    def value(weights: Floats) -> Floats:
        rows = weights @ truth
        occurs = rows > 0
        return _ratio(_ratio(weights @ hit, rows, empty=0.0).sum(axis=1), occurs.sum(axis=1).astype(np.float64))

    return value


def _f1_macro(judged: Judged) -> Weighted:
    """The mean F1 of the classes that occur or are predicted."""
    truth, chosen = _per_class(judged)
    hit = truth * chosen

    def value(weights: Floats) -> Floats:
        rows = weights @ truth + weights @ chosen
        occurs = rows > 0
        return _ratio(_ratio(2 * (weights @ hit), rows, empty=0.0).sum(axis=1), occurs.sum(axis=1).astype(np.float64))

    return value


def _error(judged: Judged) -> Floats:
    return judged.prediction.values.astype(np.float64) - judged.truth.astype(np.float64)


def _r2(judged: Judged) -> Weighted:
    """One minus the squared error relative to that of the mean."""
    truth, squared = judged.truth.astype(np.float64), _error(judged) ** 2
    centred = truth - truth.mean()  # the spread does not depend on the origin; small numbers lose fewer digits

    def value(weights: Floats) -> Floats:
        rows = weights.sum(axis=1)
        spread = weights @ centred**2 - _ratio((weights @ centred) ** 2, rows)
        return 1 - _ratio(weights @ squared, np.where(spread > 0, spread, 0.0))

    return value


def _mean_absolute_error(judged: Judged) -> Weighted:
    return _mean(np.abs(_error(judged)))


def _root_mean_squared_error(judged: Judged) -> Weighted:
    squared = _mean(_error(judged) ** 2)
    return lambda w: np.sqrt(squared(w))


_METRICS: dict[str, Callable[[Judged], Weighted]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "brier_score": _brier_score,
    "f1_macro": _f1_macro,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "log_loss": _log_loss,
    "r2": _r2,
    "mean_absolute_error": _mean_absolute_error,
    "root_mean_squared_error": _root_mean_squared_error,
}
