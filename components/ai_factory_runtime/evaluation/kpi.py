"""The business number that a project's own function `kpi` in model.py computes from held-out rows and predictions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import UseCase

from ai_factory_runtime.base.errors import ProjectCodeFailed
from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.base.project_code import call
from ai_factory_runtime.evaluation.estimates import Estimate, Judged, Positions, bootstrap
from ai_factory_runtime.evaluation.weighted_metrics import Floats

KpiFunction = Callable[[UseCase, pd.DataFrame, npt.NDArray[Any], Prediction], float]
_REPLICATES = 200  # the function is the scientist's, and may be slow
_WHERE = "model.py: kpi"


@dataclass(frozen=True, slots=True)
class Kpi:
    """The KPI that the model reaches on the held-out rows, with its interval, and what the dummy baseline reaches."""

    estimate: Estimate
    baseline: float


def measure_kpi(function: KpiFunction, usecase: UseCase, rows: pd.DataFrame, judged: Judged, blind: Judged) -> Kpi:
    """Call the function on the held-out rows and on bootstrap samples of them.

    It gets the use case, canonical rows (n, columns; index 0..n-1), the truth (n,) and the predictions for them, and returns
    a number. Raises ProjectCodeFailed where it raises, or returns on all rows what is no finite number.
    """

    everything = np.arange(judged.rows)
    reached = _value(function, usecase, rows, judged, everything)
    if not math.isfinite(reached):
        raise ProjectCodeFailed(where=_WHERE, problem=f"it returned {reached}, not a finite number")

    def weighted(weights: Floats) -> Floats:
        samples = (np.repeat(everything, w.astype(np.int64)) for w in weights)
        return np.array([_value(function, usecase, rows, judged, sample) for sample in samples])

    estimate = bootstrap({"kpi": weighted}, judged, usecase.model.seed, most=_REPLICATES)["kpi"]
    return Kpi(estimate, _value(function, usecase, rows, blind, everything))


def _value(function: KpiFunction, usecase: UseCase, rows: pd.DataFrame, judged: Judged, positions: Positions) -> float:
    """The KPI of the rows at these positions; NaN where the function returns NaN."""
    part = judged.where(positions)
    given = rows.iloc[positions].reset_index(drop=True)
    found = call(_WHERE, function, usecase, given, part.truth, part.prediction)
    try:
        return float(found)
    except (TypeError, ValueError) as error:
        raise ProjectCodeFailed(where=_WHERE, problem=f"it returned {found!r}, not a number") from error
