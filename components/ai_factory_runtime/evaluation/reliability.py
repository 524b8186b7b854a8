"""Reliability: whether what a model says happens as often as it says.

The expected calibration error is the mean gap, over bins of similar predictions, between what was said and what was seen
(Naeini et al. 2015; for the most probable of many classes Guo et al. 2017). On few rows even a perfect model shows a gap by
chance, which is reported beside it (Bröcker & Smith 2007): a bound below it cannot be met with so few rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ai_factory_runtime.evaluation.estimates import Estimate, Judged, bootstrap
from ai_factory_runtime.evaluation.weighted_metrics import Floats, Weighted, is_positive, positive_probability, ratio

_BINS = 10
_ROWS_A_BIN = 20


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows with similar predictions: their mean prediction and what was true for them (a share, or a mean)."""

    predicted: float
    actual: float
    rows: int


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """The expected calibration error with its interval, and what a perfectly calibrated model shows on these rows by chance."""

    estimate: Estimate
    by_chance: float


def calibration(judged: Judged) -> tuple[Bin, ...]:
    """Predicted against actual in at most ten bins of as many rows, in order of prediction; equal predictions share a bin.

    Binary: the probability of the positive class. Multiclass: that of the predicted class against being right.
    Regression: the predicted value.
    """
    said, seen = _said_and_seen(judged)
    member = _members(said)
    rows = member.sum(axis=0)
    return tuple(
        Bin(float(p), float(a), int(n))
        for p, a, n in zip(said @ member / rows, seen @ member / rows, rows, strict=True)
    )


def calibration_error(judged: Judged, seed: int) -> CalibrationError | None:
    """How far the stated probabilities are from what happened; None for a regression, which states none."""
    if judged.prediction.probabilities is None:
        return None
    said, seen = _said_and_seen(judged)
    member = _members(said)
    # The mean absolute deviation of a normal variable is the square root of 2 / pi of its standard deviation.
    by_chance = float(np.sqrt(2 / np.pi * ((said * (1 - said)) @ member)).sum() / judged.rows)
    measured = bootstrap({"error": _error(said, seen, member)}, judged, seed)["error"]
    return CalibrationError(measured, by_chance)


def _error(said: Floats, seen: Floats, member: Floats) -> Weighted:
    gaps = member * (said - seen)[:, None]
    return lambda w: ratio(np.abs(w @ gaps).sum(axis=1), w.sum(axis=1))


def _said_and_seen(judged: Judged) -> tuple[Floats, Floats]:
    probabilities = judged.prediction.probabilities
    if probabilities is None:
        return judged.prediction.values.astype(np.float64), judged.truth.astype(np.float64)
    if judged.signature.positive is not None:
        return positive_probability(judged), is_positive(judged)[0]
    return probabilities.max(axis=1), (judged.truth == judged.prediction.values).astype(np.float64)


def _members(said: Floats) -> Floats:
    """(rows, bins) which bin each row is in, as 0 and 1; no bin is empty."""
    count = max(1, min(_BINS, len(said) // _ROWS_A_BIN))
    inner = np.unique(np.quantile(said, np.arange(1, count) / count))
    bins = np.searchsorted(inner, said, side="right")
    _, codes = np.unique(bins, return_inverse=True)
    return np.eye(int(codes.max()) + 1)[codes]
