"""Slices: the held-out rows of each value of a column, with the metrics of the rows in it and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_spec.usecase import UseCase

from ai_factory_runtime.evaluation.estimates import Bools, Estimate, Judged, bootstrap, metric
from ai_factory_runtime.evaluation.weighted_metrics import weighted_metric

MISSING = "(missing)"
_MOST_VALUES = 20  # of a number or a time; with more its quarters are taken
_QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows of one value of a column. Metrics of a slice that is too small to judge have no interval."""

    column: str
    value: str
    rows: int
    metrics: Mapping[str, Estimate]


def measure_slices(judged: Judged, rows: pd.DataFrame, usecase: UseCase) -> tuple[Slice, ...]:
    """Every slice that `acceptance.slices` names, in order of value, with the metrics bounded there and the primary one.

    `rows` are those of `judged`. A column that is not among them (personal data that was dropped) has no slices.
    """
    found: list[Slice] = []
    for bounds in usecase.acceptance.slices:
        if bounds.column not in rows.columns:
            continue
        names = tuple(dict.fromkeys([usecase.model.primary_metric, *bounds.metrics]))
        for value, members in parts_of(rows[bounds.column]):
            part = judged.where(members)
            judges = part.rows >= bounds.min_rows
            metrics = _estimates(names, part, usecase.model.seed) if judges else _values(names, part)
            found.append(Slice(bounds.column, value, part.rows, metrics))
    return tuple(found)


def parts_of(values: pd.Series[Any]) -> list[tuple[str, Bools]]:
    """The parts that a column makes of its rows: each value's text and which rows (rows,) have it, in order of value.

    A number or a time of more than twenty values is cut into quarters. Missing is a part of its own, the last.
    """
    continuous = pd.api.types.is_float_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(values.dtype)
    if continuous and values.nunique() > _MOST_VALUES:
        codes, found = pd.factorize(pd.qcut(values, _QUARTERS, duplicates="drop"), sort=True)
        texts = [f"{_plain(i.left, 4)} to {_plain(i.right, 4)}" for i in found]
    else:
        codes, found = pd.factorize(values, sort=True)
        texts = [_plain(value) for value in found]
    parts = [(text, np.asarray(codes == code, dtype=np.bool_)) for code, text in enumerate(texts)]
    missing = np.asarray(codes == -1, dtype=np.bool_)
    return [*parts, (MISSING, missing)] if missing.any() else parts


def _plain(value: object, digits: int = 6) -> str:
    if isinstance(value, pd.Timestamp):
        return value.isoformat(timespec="seconds")
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def _estimates(names: Sequence[str], part: Judged, seed: int) -> dict[str, Estimate]:
    return bootstrap({name: weighted_metric(name, part) for name in names}, part, seed)


def _values(names: Sequence[str], part: Judged) -> dict[str, Estimate]:
    return {name: Estimate(metric(name, part), np.nan, np.nan) for name in names}
