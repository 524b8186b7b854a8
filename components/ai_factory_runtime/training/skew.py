"""Skew: a row that is answered otherwise alone than among others, as production would meet it.

Features must be learned in `fit` and looked up in `transform`. A transformer that looks at the rows at hand (their mean,
their rank, their order) is right in training and wrong at the endpoint, where rows come one at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.pipeline import Pipeline

from ai_factory_runtime.base.errors import ProjectCodeFailed
from ai_factory_runtime.base.prediction import Signature, predict
from ai_factory_runtime.base.processors import processors
from ai_factory_runtime.model_package.package import PARITY_TOLERANCE

ROWS = 50
ALONE = 5  # rows that are asked one at a time as well


def require_no_skew(name: str, estimator: Pipeline, signature: Signature, frame: pd.DataFrame) -> None:
    """Ask up to 50 of the rows together, backwards and some of them alone; all must agree. Raises ProjectCodeFailed."""
    rows = frame[[c.name for c in signature.features]].head(ROWS).reset_index(drop=True)
    with processors(1):
        for where, numbers in (("features.py: build", _features), (f"model.py: candidate {name!r}", _answers)):
            found = _difference(numbers(estimator, signature, rows), estimator, signature, rows, numbers)
            if found:
                raise ProjectCodeFailed(
                    where=where,
                    problem=f"{found}; what a row gives must be learned in fit, not from the rows that come with it",
                )


def _difference(
    together: npt.NDArray[Any], estimator: Pipeline, signature: Signature, rows: pd.DataFrame, ask: Any
) -> str:
    """The first disagreement, in words; empty where there is none."""
    backwards = ask(estimator, signature, rows.iloc[::-1].reset_index(drop=True))[::-1]
    if not _equal(together, backwards):
        return "the same rows in another order give other numbers"
    for position in range(0, len(rows), max(1, len(rows) // ALONE)):
        if not _equal(together[[position]], ask(estimator, signature, rows.iloc[[position]])):
            return f"row {position + 1} gives other numbers alone than among {len(rows)}"
    return ""


def _features(estimator: Pipeline, _: Signature, rows: pd.DataFrame) -> npt.NDArray[Any]:
    matrix = estimator["features"].transform(rows)
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def _answers(estimator: Pipeline, signature: Signature, rows: pd.DataFrame) -> npt.NDArray[Any]:
    answers = predict(estimator, signature, rows)
    return answers.values if answers.probabilities is None else answers.probabilities


def _equal(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> bool:
    if left.shape != right.shape:
        return False
    if left.dtype == object:
        return bool((left == right).all())
    tolerance = PARITY_TOLERANCE
    return bool(
        np.allclose(left.astype(np.float64), right.astype(np.float64), rtol=tolerance, atol=tolerance, equal_nan=True)
    )
