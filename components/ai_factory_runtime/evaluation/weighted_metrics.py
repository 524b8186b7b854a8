"""The metrics as functions of row weights: one definition for an estimate, a bootstrap draw, a group and a difference.

Weights are (draws, rows) and a metric's values are (draws,); NaN where it is not defined (no row of a class, for example).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ai_factory_runtime.evaluation.estimates import Judged

Floats = npt.NDArray[np.float64]
Weighted = Callable[[Floats], Floats]


def weighted_metric(name: str, judged: Judged) -> Weighted:
    """The metric of this scikit-learn name as a function of weights (draws, rows) -> (draws,)."""
    return _METRICS[name](judged)


def ratio(numerator: Floats, denominator: Floats, empty: float = np.nan) -> Floats:
    """Division that gives `empty` for a zero denominator."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, empty), where=denominator > 0)


def _mean(values: Floats) -> Weighted:
    return lambda w: ratio(w @ values, w.sum(axis=1))


def positive_probability(judged: Judged) -> Floats:
    """(rows,) the probability of the positive class; binary tasks only."""
    assert judged.prediction.probabilities is not None
    assert judged.signature.positive is not None
    return judged.prediction.probabilities[:, judged.signature.classes.index(judged.signature.positive)]


def is_positive(judged: Judged) -> tuple[Floats, Floats]:
    """(is positive, is predicted positive) as 0 and 1."""
    name = judged.signature.positive
    return (judged.truth == name).astype(np.float64), (judged.prediction.values == name).astype(np.float64)


def _ranked(judged: Judged, *, descending: bool) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Weights -> (positive, negative) weight at each different score, in order of score."""
    score = -positive_probability(judged) if descending else positive_probability(judged)
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    positive = is_positive(judged)[0][order]

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
        return ratio((positives * (below + negatives / 2)).sum(axis=1), pairs)

    return value


def _average_precision(judged: Judged) -> Weighted:
    """Precision at each different score, weighted by the recall gained there."""
    counts = _ranked(judged, descending=True)

    def value(weights: Floats) -> Floats:
        positives, negatives = counts(weights)
        hits = np.cumsum(positives, axis=1)
        precision = ratio(hits, np.cumsum(positives + negatives, axis=1), empty=0.0)
        return ratio((positives * precision).sum(axis=1), positives.sum(axis=1))

    return value


def _precision(judged: Judged) -> Weighted:
    truth, chosen = is_positive(judged)
    return lambda w: ratio(w @ (truth * chosen), w @ chosen, empty=0.0)


def _recall(judged: Judged) -> Weighted:
    truth, chosen = is_positive(judged)
    return lambda w: ratio(w @ (truth * chosen), w @ truth)


def _f1(judged: Judged) -> Weighted:
    truth, chosen = is_positive(judged)
    return lambda w: ratio(2 * (w @ (truth * chosen)), w @ truth + w @ chosen, empty=0.0)


def _brier_score(judged: Judged) -> Weighted:
    return _mean((positive_probability(judged) - is_positive(judged)[0]) ** 2)


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
        return ratio(ratio(weights @ hit, rows, empty=0.0).sum(axis=1), occurs.sum(axis=1).astype(np.float64))

    return value


def _f1_macro(judged: Judged) -> Weighted:
    """The mean F1 of the classes that occur or are predicted."""
    truth, chosen = _per_class(judged)
    hit = truth * chosen

    def value(weights: Floats) -> Floats:
        rows = weights @ truth + weights @ chosen
        occurs = rows > 0
        return ratio(ratio(2 * (weights @ hit), rows, empty=0.0).sum(axis=1), occurs.sum(axis=1).astype(np.float64))

    return value


def _error(judged: Judged) -> Floats:
    return judged.prediction.values.astype(np.float64) - judged.truth.astype(np.float64)


def _r2(judged: Judged) -> Weighted:
    """One minus the squared error relative to that of the mean."""
    truth, squared = judged.truth.astype(np.float64), _error(judged) ** 2
    centred = truth - truth.mean()  # the spread does not depend on the origin; small numbers lose fewer digits

    def value(weights: Floats) -> Floats:
        rows = weights.sum(axis=1)
        spread = weights @ centred**2 - ratio((weights @ centred) ** 2, rows)
        return 1 - ratio(weights @ squared, np.where(spread > 0, spread, 0.0))

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
