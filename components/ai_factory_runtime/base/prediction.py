"""Prediction: what a model takes and gives, and the one definition of its answer for training, batch and endpoint."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.metrics import Task
from ai_factory_spec.usecase import Column

from ai_factory_runtime.base.jsontext import canonical


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives. `threshold` is the probability from which `positive` is predicted (binary only)."""

    usecase: str
    task: Task
    features: tuple[Column, ...]
    target: Column
    classes: tuple[str, ...] = ()
    positive: str | None = None
    threshold: float | None = None

    def to_json(self) -> str:
        """Canonical JSON."""
        return canonical(
            {
                "usecase": self.usecase,
                "task": self.task,
                "features": [c.model_dump(mode="json", exclude_none=True) for c in self.features],
                "target": self.target.model_dump(mode="json", exclude_none=True),
                "classes": list(self.classes),
                "positive": self.positive,
                "threshold": self.threshold,
            }
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Signature:
        """The signature that `to_json` wrote."""
        document = json.loads(text)
        return cls(
            usecase=document["usecase"],
            task=document["task"],
            features=tuple(Column.model_validate(c) for c in document["features"]),
            target=Column.model_validate(document["target"]),
            classes=tuple(document["classes"]),
            positive=document["positive"],
            threshold=document["threshold"],
        )


@dataclass(frozen=True, slots=True)
class Prediction:
    """Answers for n rows: `values` (n,) class texts or numbers; `probabilities` (n, classes), None for a regression."""

    values: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float64] | None


def predict(estimator: Any, signature: Signature, frame: pd.DataFrame) -> Prediction:
    """Answers of a fitted estimator for canonical rows: the one definition of a prediction, for training, batch and endpoint.

    Probabilities come in the signature's order of classes; a class the estimator never saw has probability 0.
    """
    rows = frame[[c.name for c in signature.features]]
    if signature.task == "regression":
        return Prediction(np.asarray(estimator.predict(rows), dtype=np.float64).reshape(len(rows)), None)
    seen = [str(c) for c in estimator.classes_]
    given = np.asarray(estimator.predict_proba(rows), dtype=np.float64)
    probabilities = np.zeros((len(rows), len(signature.classes)))
    for position, name in enumerate(seen):
        probabilities[:, signature.classes.index(name)] = given[:, position]
    return Prediction(decide(probabilities, signature), probabilities)


def decide(probabilities: npt.NDArray[np.float64], signature: Signature) -> npt.NDArray[Any]:
    """The class for each row: by the threshold for a binary task, else the most probable (the first of equals)."""
    names = np.array(signature.classes, dtype=object)
    if signature.positive is None or signature.threshold is None:
        return np.asarray(names[np.argmax(probabilities, axis=1)])
    positive = signature.classes.index(signature.positive)
    chosen = np.where(probabilities[:, positive] >= signature.threshold, positive, 1 - positive)
    return np.asarray(names[chosen])
