"""People with one telling number, a group and an outcome, and models of them whose faults are known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_runtime.base.gate_result import GateResult
from ai_factory_runtime.base.prediction import Prediction, decide
from ai_factory_runtime.evaluation.estimates import Estimate, Judged
from ai_factory_runtime.training.selection import signature_of
from ai_factory_spec.usecase import UseCase
from helpers_runtime import usecase_document

NOTHING = Estimate(float("nan"), float("nan"), float("nan"))


def people(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """`outcome` is "yes" with probability 1 / (1 + exp(-1.7 x)), near enough; `age` and `group` tell nothing."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": random.normal(size=rows), "age": random.integers(18, 90, rows).astype(float)})
    frame["group"] = random.choice(["a", "b", "c"], rows, p=[0.6, 0.35, 0.05])
    frame["outcome"] = np.where(frame["x"] + random.normal(size=rows) > 0, "yes", "no")
    return frame


def use_case(frame: pd.DataFrame, task: str = "binary", **changes: Any) -> UseCase:
    """The use case of such people, with `group` sensitive."""
    document = usecase_document(frame, task, **changes)
    document["data"]["sensitive"] = ["group"]
    return UseCase.model_validate(document)


USECASE = use_case(people())
SIGNATURE = signature_of(USECASE)


def answers(probability: Any) -> Prediction:
    """The prediction of these probabilities of "yes"."""
    table = np.column_stack([1 - probability, probability])
    return Prediction(decide(table, SIGNATURE), table)


def skilled(frame: pd.DataFrame) -> Prediction:
    """A good model that looks at nothing but x."""
    return answers(1 / (1 + np.exp(-1.7 * frame["x"].fillna(0).to_numpy())))


def blind(frame: pd.DataFrame) -> Prediction:
    """The model that knows nothing."""
    return answers(np.full(len(frame), 0.5))


def biased(frame: pd.DataFrame, shift: float) -> Prediction:
    """The good model with another probability for group b."""
    p = skilled(frame).probabilities
    assert p is not None
    return answers(np.clip(p[:, 1] + np.where(frame["group"] == "b", shift, 0.0), 0, 1))


def worse_for_b(frame: pd.DataFrame) -> Prediction:
    """The good model that guesses for group b."""
    p = skilled(frame).probabilities
    assert p is not None
    noise = np.random.default_rng(0).random(len(frame))
    return answers(np.where(frame["group"] == "b", noise, p[:, 1]))


def judged(frame: pd.DataFrame, prediction: Prediction) -> Judged:
    """What is true for these people and what a model says."""
    return Judged(frame["outcome"].to_numpy(dtype=object), prediction, SIGNATURE)


def failed(results: Iterable[GateResult]) -> list[str]:
    """The names of the gates that were not passed."""
    return [r.name for r in results if not r.passed]
