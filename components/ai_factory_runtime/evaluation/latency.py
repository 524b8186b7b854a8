"""Latency: how long a prediction takes, for one row and for a thousand, as the endpoint makes it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ai_factory_runtime.base.prediction import Signature, predict
from ai_factory_runtime.data.rows import Layout, rows_of
from ai_factory_runtime.evaluation.estimates import CONFIDENCE, Estimate
from ai_factory_runtime.model_package.compiled import Compiled

MANY = 1000  # rows in one call
_CALLS = 100
_FEWEST_CALLS = 20
_REPLICATES = 1000
_QUANTILE = 0.99


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds for a call with `rows` rows, over `calls` calls after a warm-up. The 99th percentile has its interval."""

    p50_ms: float
    p99: Estimate
    calls: int
    rows: int = 1

    @property
    def p99_ms(self) -> float:
        """The 99th percentile."""
        return self.p99.value


def latency(
    estimator: Any,
    signature: Signature,
    rows: pd.DataFrame,
    *,
    compiled: Compiled | None = None,
    size: int = 1,
    calls: int = _CALLS,
    seconds: float = 0.5,
) -> Latency:
    """The time of a prediction for `size` of these rows. Stops early after `seconds`, but not before twenty calls.

    As the endpoint predicts: by the compiled model where there is one, else by the estimator. The rows are values already; a
    table made of them for the estimator counts.
    """
    given = rows_of(rows, Layout(signature.features))
    answer = compiled.predict if compiled else lambda some: predict(estimator, signature, some.frame())
    positions = np.arange(size)
    answer(given.take(positions % len(rows)))
    took: list[float] = []
    for _ in range(calls):
        some = given.take(positions % len(rows))
        start = time.perf_counter()
        answer(some)
        took.append((time.perf_counter() - start) * 1000)
        positions = positions + size
        if sum(took) > seconds * 1000 and len(took) >= _FEWEST_CALLS:
            break
    return Latency(float(np.quantile(took, 0.5)), _percentile(np.array(took)), len(took), size)


def _percentile(took: np.ndarray[Any, np.dtype[np.float64]]) -> Estimate:
    """The 99th percentile with its bootstrap interval over the calls."""
    drawn = np.random.default_rng(0).choice(took, size=(_REPLICATES, len(took)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.quantile(drawn, _QUANTILE, axis=1), [tail, 1 - tail])
    return Estimate(float(np.quantile(took, _QUANTILE)), float(low), float(high))
