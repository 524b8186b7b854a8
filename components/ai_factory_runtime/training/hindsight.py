"""Hindsight: features that are known only after the answer is. In a table made today they are filled in; for a new row they are not.

| kind           | what gives it away                                                                                  |
|----------------|-----------------------------------------------------------------------------------------------------|
| `hindsight`    | values are there only where the target has one value: a reason for leaving, written when somebody left |
| `not-yet-known`| where rows have a time: the newest rows lack it and older ones do not: it arrives later than the row  |
| `future`       | where rows have a time: it tells the target of the next row, which the row's own target does not      |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import Column, UseCase

from ai_factory_runtime.base.leak import DROP_COLUMN, Leak
from ai_factory_runtime.training.telling import ROWS_LOOKED_AT, almost_perfect, answers_of

Bools = npt.NDArray[np.bool_]

_FEWEST_PRESENT = 30  # values present; with fewer, one class among them may be luck
_BY_CHANCE = 1e-6  # how likely the present values may be of one class by luck
_NEWEST = 0.02  # the share of rows at the end of time in which a late value is still missing
_FEWEST_NEWEST = 20
_MISSING_NOW, _MISSING_BEFORE = 0.95, 0.5
_OLDER_THAN_NEWEST = 5  # how many times the newest rows there must be older ones to compare with


def features_in_hindsight(frame: pd.DataFrame, features: Sequence[Column], usecase: UseCase) -> list[Leak]:
    """Features that are filled in only where the target has one value (classification)."""
    if usecase.model.task == "regression":
        return []
    codes, names = pd.factorize(frame[usecase.data.target])
    shares = np.bincount(codes[codes >= 0], minlength=len(names)) / len(frame)
    leaks = []
    for column in features:
        present = frame[column.name].notna().to_numpy()
        count = int(present.sum())
        if count < _FEWEST_PRESENT or count == len(frame):
            continue
        among = np.bincount(codes[present], minlength=len(names))
        only = int(np.argmax(among))
        if among[only] == count and shares[only] ** count < _BY_CHANCE:
            detail = (
                f"is filled in only where {usecase.data.target!r} is {names[only]!r} (all {count} values, against "
                f"{shares[only]:.1%} of all rows), as what is written down afterwards"
            )
            leaks.append(Leak("hindsight", column.name, detail, DROP_COLUMN))
    return leaks


def not_yet_known(frame: pd.DataFrame, features: Sequence[Column], usecase: UseCase) -> list[Leak]:
    """Features that the newest rows lack, where rows have a time."""
    newest = _newest(frame, usecase)
    if newest is None:
        return []
    leaks = []
    for column in features:
        missing = frame[column.name].isna().to_numpy()
        now, before = missing[newest].mean(), missing[~newest].mean()
        if now >= _MISSING_NOW and before <= _MISSING_BEFORE:
            detail = (
                f"is missing in {now:.0%} of the {int(newest.sum())} newest rows and in {before:.0%} of the older ones: "
                "it is known only later than a row is to be answered, or is no longer recorded"
            )
            leaks.append(Leak("not-yet-known", column.name, detail, DROP_COLUMN))
    return leaks


def features_from_the_future(frame: pd.DataFrame, features: Sequence[Column], usecase: UseCase) -> list[Leak]:
    """Features that tell the next row's target (of the same id, where ids repeat) and so cannot be known yet.

    Told by a feature is what is not told by the row's own target: a target that hardly changes tells its next value too.
    """
    pairs = _next_rows(frame, usecase)
    if pairs is None:
        return []
    now, following = pairs
    target = frame[usecase.data.target]
    answers = answers_of(target.iloc[following], usecase)
    if any(almost_perfect([target.iloc[now]], answers, usecase)):
        return []
    told = f"tells the target {usecase.data.target!r} of the next row almost perfectly"
    looked_at = (frame[column.name].iloc[now] for column in features)
    return [
        Leak("future", name, f"{told} ({score}): it comes from the future", DROP_COLUMN)
        for name, score in almost_perfect(looked_at, answers, usecase)
    ]


def _newest(frame: pd.DataFrame, usecase: UseCase) -> Bools | None:
    """The rows at the end of time, None where there are too few older ones."""
    if usecase.data.time is None:
        return None
    ranks = frame[usecase.data.time].rank(method="max").to_numpy()
    count = max(_FEWEST_NEWEST, round(_NEWEST * len(frame)))
    newest = np.asarray(ranks > len(frame) - count)
    return newest if 0 < newest.sum() * (_OLDER_THAN_NEWEST + 1) <= len(frame) else None


def _next_rows(frame: pd.DataFrame, usecase: UseCase) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
    """Positions of rows and of the row that follows each in time, in random order; None without a time that orders rows."""
    data = usecase.data
    if data.time is None:
        return None
    entity: Any = np.zeros(len(frame), dtype=np.int64)
    if data.id is not None and data.id in frame.columns and frame[data.id].duplicated().any():
        entity = pd.factorize(frame[data.id])[0]
    times = frame[data.time].to_numpy()
    order = np.lexsort((times, entity))
    now, following = order[:-1], order[1:]
    # Rows of one moment have no order among themselves, so none of them is the next one.
    follows = (entity[now] == entity[following]) & (entity[now] >= 0) & (times[now] < times[following])
    now, following = now[follows], following[follows]
    drawn = np.random.default_rng(usecase.model.seed).permutation(len(now))[:ROWS_LOOKED_AT]
    return now[drawn], following[drawn]
