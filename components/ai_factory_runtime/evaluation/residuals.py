"""Residuals: how far the truth lies from what the model itself expected of it, row by row.

A model's error rises where the rows get harder, and a well-calibrated model knows that: it expects to be wrong on a row
with probability 1 - p(predicted class). What exceeds its own expectation does not come from the rows; it says that the
relation between features and target is another one than at training (concept drift, as told apart from covariate shift
by Moreno-Torres et al., "A unifying view on dataset shift in classification", Pattern Recognition 45, 2012).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ai_factory_runtime.evaluation.estimates import Judged
from ai_factory_runtime.model_package.sketch import ResidualName, ResidualSketch

Floats = npt.NDArray[np.float64]

# The smallest shift of a mean that is called drift: two percentage points, or a tenth of a standard deviation.
EFFECT_OF_SHARES = 0.02
EFFECT_OF_NUMBERS = 0.1


@dataclass(frozen=True, slots=True)
class Residuals:
    """One kind of residual for n rows, in time order.

    bias: truth minus expectation (binary: share of the positive class; regression: target minus prediction).
    error: being wrong minus the expected share of being wrong; in a regression the absolute error. Only its rise is bad.
    """

    name: ResidualName
    values: Floats

    def summary(self) -> ResidualSketch:
        """Its rows, mean and standard deviation."""
        spread = float(self.values.std(ddof=1)) if self.values.size > 1 else 0.0
        return ResidualSketch(self.name, int(self.values.size), float(self.values.mean()), spread)


def residuals(judged: Judged) -> tuple[Residuals, ...]:
    """The kinds of residual that fit the task, for rows whose truth is known."""
    signature, prediction = judged.signature, judged.prediction
    if prediction.probabilities is None:
        difference = np.asarray(judged.truth, dtype=np.float64) - np.asarray(prediction.values, dtype=np.float64)
        return (Residuals("bias", difference), Residuals("error", np.abs(difference)))
    classes = np.array(signature.classes, dtype=object)
    truth, answered = np.asarray(judged.truth, dtype=object), np.asarray(prediction.values, dtype=object)
    given = prediction.probabilities[np.arange(len(answered)), (answered[:, None] == classes).argmax(axis=1)]
    error = Residuals("error", (answered != truth).astype(np.float64) - (1.0 - given))
    if len(classes) != 2:
        return (error,)
    positive = signature.positive if signature.positive is not None else signature.classes[1]
    expected = prediction.probabilities[:, signature.classes.index(positive)]
    return (Residuals("bias", (truth == positive).astype(np.float64) - expected), error)


def wrong_and_expected(judged: Judged) -> tuple[Floats, Floats | None]:
    """How wrong each answer was, and how wrong the model expected it to be (None for a regression)."""
    *_, error = residuals(judged)
    if judged.prediction.probabilities is None:
        return error.values, None
    wrong = (np.asarray(judged.prediction.values, dtype=object) != np.asarray(judged.truth, dtype=object)).astype(
        np.float64
    )
    return wrong, wrong - error.values
