"""Calibrated: a fitted classifier whose probabilities go through fitted curves; plain arrays, so that it is stored without pickle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin

Floats = npt.NDArray[np.float64]
Method = Literal["sigmoid", "isotonic"]


_ALMOST = 1e-6  # how close to 0 and 1 the log-odds look


class Calibrated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A fitted classifier whose probabilities go through fitted curves.

    `curves` are arrays: for `sigmoid` (slope, intercept) on the log-odds, for `isotonic` two rows, the probabilities said
    and those meant, joined by lines. With one curve it belongs to the second class. Plain arrays, so that the model can be
    stored without pickle and one row is calibrated in microseconds.
    """

    def __init__(self, estimator: Any, method: Method, curves: Sequence[Floats]) -> None:
        self.estimator = estimator
        self.method = method
        self.curves = curves

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classifier's classes, in its order."""
        return np.asarray(self.estimator.classes_)

    def fit(self, X: Any, y: Any, **how: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Fit the classifier; the curves stay as they are."""
        self.estimator.fit(X, y, **how)
        return self

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803
        """(rows, classes): calibrated probabilities."""
        return self.calibrate(self.estimator.predict_proba(X))

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """The most probable class of each row."""
        return np.asarray(self.classes_[np.argmax(self.predict_proba(X), axis=1)])

    def calibrate(self, probabilities: Floats) -> Floats:
        """The calibrated form of what the classifier itself says, (rows, classes), in its order of classes."""
        return apply_curves(self.method, self.curves, np.asarray(probabilities, dtype=np.float64))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self.estimator, "classes_")


def apply_curves(method: Method, curves: Sequence[Floats], probabilities: Floats) -> Floats:
    """Calibrated probabilities (rows, classes); rows whose curves all say 0 keep what they had."""
    bend = _sigmoid if method == "sigmoid" else _isotonic
    if len(curves) == 1:
        second = bend(curves[0], probabilities[:, 1])
        return np.column_stack([1 - second, second])
    bent = np.column_stack([bend(curve, probabilities[:, column]) for column, curve in enumerate(curves)])
    total = bent.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(bent, total, out=probabilities.copy(), where=total > 0))


def mirrored(method: Method, curve: Floats) -> Floats:
    """The curve of the other class of two: what it gives for p is 1 minus what `curve` gives for 1 - p."""
    return np.array([curve[0], -curve[1]]) if method == "sigmoid" else 1 - curve[:, ::-1]


def _sigmoid(curve: Floats, said: Floats) -> Floats:
    return np.asarray(expit(curve[0] * log_odds(said) + curve[1]))


def _isotonic(curve: Floats, said: Floats) -> Floats:
    return np.asarray(np.interp(said, curve[0], curve[1]))


def log_odds(said: Floats) -> Floats:
    """Log-odds of probabilities, which are kept a little from 0 and 1."""
    return np.asarray(logit(np.clip(said, _ALMOST, 1 - _ALMOST)))
