"""Metrics on held-out rows, each with a 95 % confidence interval.

Every metric is a function of row weights, so one definition serves the estimate (all weights 1), the bootstrap (weights
are how often a row was drawn), groups (weights outside the group are 0) and paired differences (the same draws for both
models). The intervals are percentile bootstrap intervals (Efron & Tibshirani 1993, An Introduction to the Bootstrap,
chapter 13); where rows belong to entities, entities are drawn (Davison & Hinkley 1997, Bootstrap Methods, section 3.8).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from ai_factory_spec.metrics import METRICS, metrics_for

from ai_factory_runtime.base.prediction import Prediction, Signature
from ai_factory_runtime.evaluation.weighted_metrics import Floats, Weighted, weighted_metric

Bools = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]
Key = TypeVar("Key", bound=Hashable)

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

    def where(self, chosen: Bools | Positions) -> Judged:
        """The rows for which `chosen` is true, or the rows at these positions."""
        answers = self.prediction
        probabilities = None if answers.probabilities is None else answers.probabilities[chosen]
        part = Prediction(answers.values[chosen], probabilities)
        return Judged(self.truth[chosen], part, self.signature, None if self.unit is None else self.unit[chosen])


def metric(name: str, judged: Judged, weights: Floats | None = None) -> float:
    """One metric by its scikit-learn name; NaN where it is not defined on these rows."""
    row = np.ones((1, judged.rows)) if weights is None else weights.reshape(1, -1)
    return float(weighted_metric(name, judged)(row)[0])


def estimate(name: str, judged: Judged, seed: int) -> Estimate:
    """One metric with its interval."""
    return bootstrap({name: weighted_metric(name, judged)}, judged, seed)[name]


def estimates(judged: Judged, seed: int) -> dict[str, Estimate]:
    """Every metric that fits the task, with its interval, all on the same draws."""
    fitting = metrics_for(judged.signature.task)
    return bootstrap({m.name: weighted_metric(m.name, judged) for m in fitting}, judged, seed)


def bootstrap(
    functions: Mapping[Key, Weighted], judged: Judged, seed: int, *, most: int = REPLICATES
) -> dict[Key, Estimate]:
    """Each function of the row weights with its interval, all on the same draws of these rows, `most` of them at most."""
    drawn: dict[Key, list[Floats]] = {key: [] for key in functions}
    if not functions:
        return {}
    for weights in _draws(judged, seed, most):
        for key, function in functions.items():
            drawn[key].append(function(weights))
    once = np.ones((1, judged.rows))
    return {key: _interval(float(function(once)[0]), drawn[key]) for key, function in functions.items()}


def gain(name: str, better: Judged, worse: Judged, seed: int) -> Estimate:
    """How much `better` improves on `worse` in one metric: positive is an improvement, whatever the metric's direction.

    Paired: both are judged on the same rows in every draw.
    """
    functions = weighted_metric(name, better), weighted_metric(name, worse)
    first, second = functions if METRICS[name].greater_is_better else functions[::-1]
    return paired(first, second, better, seed)


def paired(first: Weighted, second: Weighted, judged: Judged, seed: int) -> Estimate:
    """`first` minus `second`, two functions of the weights of these rows, both on the same draws."""
    once = np.ones((1, judged.rows))
    value = float(first(once)[0] - second(once)[0]) + 0.0  # no minus zero
    return _interval(value, [first(w) - second(w) + 0.0 for w in _draws(judged, seed)])


def standard_error_of_gain(name: str, better: Judged, worse: Judged, seed: int) -> float:
    """The bootstrap standard error of the paired difference."""
    first, second = weighted_metric(name, better), weighted_metric(name, worse)
    drawn = np.concatenate([first(w) - second(w) for w in _draws(better, seed)])
    return float(np.nanstd(drawn)) if np.isfinite(drawn).any() else float("nan")


def replicates(rows: int) -> int:
    """How often is drawn."""
    return max(_FEWEST_REPLICATES, min(REPLICATES, _DRAWS // max(rows, 1)))


def _draws(judged: Judged, seed: int, most: int = REPLICATES) -> Iterator[Floats]:
    """Weights (draws, rows): how often each row is in a sample drawn with replacement, of rows or of whole entities."""
    random = np.random.default_rng(seed)
    codes = None if judged.unit is None else np.unique(judged.unit, return_inverse=True)[1]
    units = judged.rows if codes is None else int(codes.max()) + 1
    left, chunk = min(most, replicates(judged.rows)), max(1, _CHUNK // judged.rows)
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
