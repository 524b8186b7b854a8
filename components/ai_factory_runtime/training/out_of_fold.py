"""Answers for rows that a model was not fitted on: what candidates are compared, calibrated and thresholded by.

A bench holds the rows and how they are divided. No held-out row is ever on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import UseCase
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ai_factory_runtime.base.errors import ProjectCodeFailed
from ai_factory_runtime.base.prediction import Prediction, Signature, predict
from ai_factory_runtime.base.processors import processors
from ai_factory_runtime.training.imbalance import class_weights, takes_weights
from ai_factory_runtime.training.split import Positions, Split, folds, parts

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OutOfFold:
    """One candidate's answers for some rows of the table, each by a model that was not fitted on it.

    `rows` are their positions, `part` numbers the parts that whatever is fitted on the answers is fitted without in turn,
    `unit` what counts as one draw, None where every row does.
    """

    rows: Positions
    truth: npt.NDArray[Any]
    prediction: Prediction
    part: Positions
    unit: Positions | None


@dataclass(frozen=True)
class Bench:
    """What candidates are fitted and tried on. `weights` (rows,) make classes weigh the same, None where they need not."""

    frame: pd.DataFrame
    target: npt.NDArray[Any]
    usecase: UseCase
    split: Split
    signature: Signature
    folds: tuple[tuple[Positions, Positions], ...]
    weights: Floats | None = None

    def pipeline(self, features: Any, model: Any) -> Pipeline:
        """Features and model, unfitted, as every candidate is fitted."""
        return Pipeline([("features", clone(features)), ("model", clone(model))])

    def fit(self, name: str, pipeline: Pipeline, rows: Positions) -> Pipeline:
        """Fit on these rows. Raises ProjectCodeFailed."""
        columns = [c.name for c in self.signature.features]
        how = {}
        if self.weights is not None and takes_weights(pipeline["model"]):
            how = {"model__sample_weight": self.weights[rows]}
        try:
            return pipeline.fit(self.frame.iloc[rows][columns], self.target[rows], **how)
        except Exception as error:
            raise failed(f"fitting {name!r}", error) from error

    def try_out(self, name: str, pipeline: Pipeline) -> OutOfFold:
        """Answers for every row that some fold judges. Raises ProjectCodeFailed."""
        answers = [self._answers(name, self.fit(name, clone(pipeline), learn), judge) for learn, judge in self.folds]
        rows = np.concatenate([judge for _, judge in self.folds])
        if len(self.folds) > 1:
            part = np.concatenate([np.full(len(judge), n) for n, (_, judge) in enumerate(self.folds)])
        else:
            part = parts(self.frame, self.usecase, self.split, rows)
        shares = [a.probabilities for a in answers if a.probabilities is not None]
        prediction = Prediction(np.concatenate([a.values for a in answers]), np.concatenate(shares) if shares else None)
        unit = self.split.unit[rows] if self.split.how == "entity" else None
        return OutOfFold(rows, self.target[rows], prediction, part, unit)

    def _answers(self, name: str, fitted: Pipeline, rows: Positions) -> Prediction:
        try:
            with processors(1):  # many threads add in no fixed order, and the last bit decides between equals
                answers = predict(fitted, self.signature, self.frame.iloc[rows])
        except Exception as error:
            raise failed(f"predicting with {name!r}", error) from error
        numbers = answers.values if answers.probabilities is None else answers.probabilities
        if not np.isfinite(numbers.astype(np.float64)).all():
            raise ProjectCodeFailed(where=f"model.py: candidate {name!r}", problem="it answers with NaN or infinity")
        return answers


def bench_of(
    frame: pd.DataFrame,
    target: npt.NDArray[Any],
    usecase: UseCase,
    split: Split,
    signature: Signature,
    *,
    weighted: bool,
) -> Bench:
    """The bench for a split table. `weighted`: the classes of the rows to learn from weigh the same in fitting."""
    weights = None
    if weighted:
        weights = np.ones(len(target))
        weights[split.development] = class_weights(target[split.development])
    return Bench(frame, target, usecase, split, signature, tuple(folds(frame, usecase, split)), weights)


def failed(doing: str, error: Exception) -> ProjectCodeFailed:
    """The error for the project's own code that failed while `doing` something."""
    text = str(error).strip()
    return ProjectCodeFailed(
        where=f"features.py or model.py: {doing}",
        problem=f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}",
    )
