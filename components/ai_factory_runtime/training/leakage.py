"""Leakage: what would make a model look better than it is. Found before training, so that nobody gets used to the number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_spec.usecase import Column, UseCase

from ai_factory_runtime.base.leak import DROP_COLUMN, Leak
from ai_factory_runtime.data.twins import chance_of_twins, twins
from ai_factory_runtime.training.hindsight import features_from_the_future, features_in_hindsight, not_yet_known
from ai_factory_runtime.training.split import Split
from ai_factory_runtime.training.telling import FEWEST_ROWS, ROWS_LOOKED_AT, almost_perfect, answers_of

__all__ = [
    "Leak",
    "almost_perfect_features",
    "find_leaks",
    "future_rows",
    "ids_as_features",
    "shared_entities",
    "shared_rows",
]

SHARED_ROWS = 0.05  # the share of held-out rows that may also be among the rows learned from
_DENSE = 0.5  # rows set aside leave gaps in a row number
_DROP_TWINS = "Remove the copies in data.py (`rows.drop_duplicates()`)."
_SPLIT_BY_ENTITY = "The split was changed: all rows of an entity must be on one side."
_SPLIT_BY_TIME = "The split was changed: rows to learn from must be older than the held-out rows."


def find_leaks(frame: pd.DataFrame, usecase: UseCase, split: Split) -> tuple[Leak, ...]:
    """All leaks in canonical rows, except by features that acceptance.allowed_leakage lists."""
    allowed = set(usecase.acceptance.allowed_leakage)
    judged = [c for c in usecase.data.features if c.name not in allowed]
    leaks: list[Leak] = []
    leaks += ids_as_features(frame, judged, usecase.data.id)
    for look in (almost_perfect_features, features_in_hindsight, not_yet_known, features_from_the_future):
        known = {leak.column for leak in leaks}
        leaks += look(frame, [c for c in judged if c.name not in known], usecase)
    leaks += shared_rows(frame, usecase, split)
    leaks += shared_entities(usecase, split)
    leaks += future_rows(frame, usecase, split)
    return tuple(leaks)


def almost_perfect_features(frame: pd.DataFrame, features: Sequence[Column], usecase: UseCase) -> list[Leak]:
    """Features that alone predict the target almost perfectly on rows they were not fitted on."""
    if len(frame) < FEWEST_ROWS:
        return []
    rows = np.random.default_rng(usecase.model.seed).permutation(len(frame))[:ROWS_LOOKED_AT]
    answers = answers_of(frame[usecase.data.target].iloc[rows], usecase)
    target = usecase.data.target
    looked_at = (frame[column.name].iloc[rows] for column in features)
    return [
        Leak("target-equivalent", name, f"alone predicts the target {target!r} almost perfectly ({score})", DROP_COLUMN)
        for name, score in almost_perfect(looked_at, answers, usecase)
    ]


def ids_as_features(frame: pd.DataFrame, features: Sequence[Column], id_column: str | None) -> list[Leak]:
    """Features that number the rows or repeat the id: they can be memorised and mean nothing for a new row."""
    if len(frame) < FEWEST_ROWS:
        return []
    leaks = []
    for column in features:
        values = frame[column.name]
        if id_column is not None and id_column in frame.columns and _equal(values, frame[id_column]):
            leaks.append(Leak("id", column.name, f"equals the id column {id_column!r}", DROP_COLUMN))
        elif column.type == "category" and values.notna().all() and values.is_unique:
            leaks.append(Leak("id", column.name, "is different in every row, like an id", DROP_COLUMN))
        elif column.type == "integer" and _is_counter(values):
            leaks.append(Leak("id", column.name, "numbers the rows one by one, like an id", DROP_COLUMN))
    return leaks


def shared_rows(frame: pd.DataFrame, usecase: UseCase, split: Split) -> list[Leak]:
    """Held-out rows that were also learned from. Judged only where twins cannot be coincidence.

    Where rows have a time, the same features at another time are another row.
    """
    data = usecase.data
    columns = [*(c.name for c in data.features), data.target, *([data.time] if data.time else [])]
    if chance_of_twins(frame, columns) >= 1:
        return []
    number = twins(frame, columns)
    shared = int(np.isin(number[split.test], number[split.development]).sum())
    share = shared / len(split.test)
    if share <= SHARED_ROWS:
        return []
    detail = f"{shared} of {len(split.test)} held-out rows ({share:.1%}) are also among the rows learned from; at most {SHARED_ROWS:.0%} may be"
    return [Leak("shared-rows", "", detail, _DROP_TWINS)]


def shared_entities(usecase: UseCase, split: Split) -> list[Leak]:
    """Entities with rows on both sides, where the split is by entity."""
    if split.how != "entity":
        return []
    held_out = np.unique(split.unit[split.test])
    shared = np.intersect1d(held_out, split.unit[split.development])
    if not len(shared):
        return []
    detail = (
        f"{len(shared)} of {len(held_out)} held-out entities ({usecase.data.id!r}) are also among the rows learned from"
    )
    return [Leak("shared-entities", "", detail, _SPLIT_BY_ENTITY)]


def future_rows(frame: pd.DataFrame, usecase: UseCase, split: Split) -> list[Leak]:
    """Rows learned from that are not older than every held-out row, where the use case has a time column."""
    if usecase.data.time is None:
        return []
    times = frame[usecase.data.time]
    oldest = times.iloc[split.test].min()
    later = int((times.iloc[split.development] >= oldest).sum())
    if later == 0:
        return []
    detail = f"{later} rows learned from are as new as the held-out rows, which begin at {oldest}"
    return [Leak("future", "", detail, _SPLIT_BY_TIME)]


def _equal(left: pd.Series[Any], right: pd.Series[Any]) -> bool:
    """Whether the columns say the same in every row, whatever their types."""
    if left.isna().any() or right.isna().any():
        return False
    same_type = left.dtype == right.dtype
    numbers = pd.to_numeric(right, errors="coerce") if pd.api.types.is_numeric_dtype(left.dtype) else right
    return bool((left.to_numpy() == (right if same_type else numbers).to_numpy()).all())


def _is_counter(values: pd.Series[Any]) -> bool:
    """Whether whole numbers run through a range without repetition and with few gaps, in any order."""
    numbers = values.to_numpy(dtype=np.float64)
    if np.isnan(numbers).any() or len(np.unique(numbers)) < len(numbers):
        return False
    return bool(len(numbers) >= _DENSE * (numbers.max() - numbers.min() + 1))
