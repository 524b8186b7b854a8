"""Accelerator: the same model, compiled to answer a few rows in microseconds; used only where its answers are equal.

The parity gate at registration compares labels (equal) and numbers (within TOLERANCE) on the held-out rows and on rows
made from them by emptying and exchanging values. Its outcome, `Acceleration`, is in the package and in the model card. The
compiled form is not stored: it is made anew from the checked model, and compared once more with the reference answers.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ai_factory_runtime.base.choices import Choice
from ai_factory_runtime.base.prediction import Prediction, Signature, predict
from ai_factory_runtime.data.rows import Layout, rows_of
from ai_factory_runtime.model_package.compiled import Compiled, Engine, compile_model
from ai_factory_runtime.model_package.package import ACCELERATOR, PARITY_TOLERANCE, ModelPackage

TOLERANCE = PARITY_TOLERANCE
COMPARED_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Acceleration:
    """What answers for a model, and why. `engine` computes the model, `features` its features.

    `largest_difference` is over all numbers compared on `rows` rows; the labels of `labels_changed` of them were others.
    """

    engine: Engine
    features: Engine
    reason: str
    rows: int = 0
    largest_difference: float = 0.0
    labels_changed: int = 0
    tolerance: float = TOLERANCE

    @property
    def compiled(self) -> bool:
        """Whether anything but scikit-learn answers."""
        return (self.engine, self.features) != ("scikit-learn", "scikit-learn")

    def choices(self) -> tuple[Choice, ...]:
        """What the model card says of it."""
        compared = f"{self.reason} on {self.rows} rows: {self.labels_changed} labels changed, the largest difference is {self.largest_difference:.2g}, {self.tolerance:g} is allowed"
        named = self.engine if self.engine == self.features else f"{self.engine}, with features by {self.features}"
        return (Choice("answers a few rows", named, compared if self.rows else self.reason),)

    def to_json(self) -> bytes:
        """As in the package."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()

    @classmethod
    def from_json(cls, body: bytes) -> Acceleration:
        """What `to_json` wrote. Raises ValueError, TypeError."""
        return cls(**json.loads(body))


UNCOMPARED = Acceleration("scikit-learn", "scikit-learn", "nothing was compared")


def examine(estimator: Any, signature: Signature, held_out: pd.DataFrame, *, seed: int = 0) -> Acceleration:
    """The parity gate: compile, compare with scikit-learn's answers to `held_out` canonical rows, and say what answers."""
    compiled = compile_model(estimator, signature)
    if isinstance(compiled, str):
        return Acceleration("scikit-learn", "scikit-learn", compiled)
    return judge(compiled, estimator, signature, held_out, seed=seed)


def judge(
    compiled: Compiled, estimator: Any, signature: Signature, held_out: pd.DataFrame, *, seed: int = 0
) -> Acceleration:
    """Compare a compiled model with its estimator on held-out rows; scikit-learn answers where they differ."""
    names = [c.name for c in signature.features]
    rows = held_out[names].iloc[np.linspace(0, len(held_out) - 1, min(len(held_out), COMPARED_ROWS)).astype(np.intp)]
    rows = pd.concat([rows, disturbed(rows, signature, seed)], ignore_index=True)
    expected = predict(estimator, signature, rows)
    try:
        found = compiled.predict_each_way(rows_of(rows, Layout(signature.features)))
    except Exception as error:  # noqa: BLE001 - any failure of the compiled form leaves the model to scikit-learn
        return Acceleration("scikit-learn", "scikit-learn", f"the compiled model fails: {type(error).__name__}")
    difference = max(largest_difference(expected, f) for f in found)
    changed = max(labels_changed(expected, f) for f in found)
    facts = (len(rows), difference if np.isfinite(difference) else float(np.finfo(np.float64).max), changed)
    if changed or not difference <= TOLERANCE:
        return Acceleration("scikit-learn", "scikit-learn", "its compiled form gives other answers", *facts)
    return Acceleration(compiled.engine, compiled.features, "equal to scikit-learn's answers", *facts)


def disturbed(rows: pd.DataFrame, signature: Signature, seed: int) -> pd.DataFrame:
    """Rows that hold to the contract and never were: a third of the values exchanged, a third of the nullable ones emptied."""
    random = np.random.default_rng(seed)
    made = rows.reset_index(drop=True).copy()
    for column in signature.features:
        values = made[column.name]
        exchanged = values.sample(frac=1.0, random_state=int(random.integers(2**31)), ignore_index=True)
        made[column.name] = values.where(random.random(len(made)) > 1 / 3, exchanged)
        if column.categories is not None:
            other = pd.Series(random.choice(list(column.categories), len(made)), dtype=values.dtype)
            made[column.name] = made[column.name].where(random.random(len(made)) > 1 / 3, other)
        if column.nullable:
            made[column.name] = made[column.name].where(random.random(len(made)) > 1 / 3)
    return made


def largest_difference(one: Prediction, other: Prediction) -> float:
    """The largest difference of two predictions' numbers: of probabilities, or relative where values are above 1."""
    if len(one.values) != len(other.values):
        return float("inf")
    if one.probabilities is not None and other.probabilities is not None:
        return float(np.max(np.abs(one.probabilities - other.probabilities), initial=0.0))
    scale = np.maximum(1.0, np.abs(one.values))
    return float(np.max(np.abs(one.values - other.values) / scale, initial=0.0))


def labels_changed(one: Prediction, other: Prediction) -> int:
    """How many rows have another class."""
    if one.probabilities is None or len(one.values) != len(other.values):
        return 0
    return int((one.values != other.values).sum())


def accepted(estimator: Any, signature: Signature, acceleration: Acceleration) -> Compiled | None:
    """The compiled form of an estimator that the parity gate let through; None where scikit-learn answers."""
    compiled = compile_model(estimator, signature) if acceleration.compiled else acceleration.reason
    return None if isinstance(compiled, str) else compiled


def compiled_for(package: ModelPackage) -> tuple[Compiled | None, Acceleration]:
    """The compiled form that may answer for a package, and what answers.

    None where the parity gate decided for scikit-learn, and where the model compiled here gives other reference answers
    than those recorded (another version of a library, another processor).
    """
    body = package.files.get(ACCELERATOR)
    if body is None:
        return None, UNCOMPARED
    recorded = Acceleration.from_json(body)
    compiled = accepted(package.estimator, package.signature, recorded)
    if compiled is None:
        reason = "it cannot be compiled here" if recorded.compiled else recorded.reason
        return None, replace(recorded, engine="scikit-learn", features="scikit-learn", reason=reason)
    rows, expected = package.reference
    found = compiled.predict_each_way(rows_of(rows, Layout(package.signature.features)))
    if any(labels_changed(expected, f) or not largest_difference(expected, f) <= TOLERANCE for f in found):
        reason = "compiled here it gives other reference answers"
        return None, replace(recorded, engine="scikit-learn", features="scikit-learn", reason=reason)
    return compiled, recorded
