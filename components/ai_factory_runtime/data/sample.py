"""Synthetic rows that satisfy a use case's data contract, for the tests of a generated repository; never for training.

The target depends on the features, with noise: a model beats the dummy, and no column gives the answer away. Another seed
draws other rows from the same distribution.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import Column, UseCase

from ai_factory_runtime.data.frames import to_canonical

_NATURE = (
    20_240_229  # the seed of what does not change with the seed of the rows: how the target depends on the features
)
_MISSING = 0.05
_NOISE = 0.5  # in standard deviations of what the features explain
_TELLING = 8  # features that the target depends on
_ROWS_PER_ID = 3
_SINCE = dt.datetime(2024, 1, 1)
_SPAN = 100.0


def sample(usecase: UseCase, rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Canonical rows with every column of the contract; fewer than `rows` where a unique column allows no more."""
    data = usecase.data
    random = np.random.default_rng(seed)
    count = min([rows, *(len(c.categories) for c in data.contract.columns if c.unique and c.categories)])
    made = {c.name: _values(c, count, random, usecase) for c in data.contract.columns if c.name != data.target}
    target = data.column(data.target)
    made[target.name] = _target(target, _score(made, data.features, count, random), usecase)
    for column in data.features:
        if column.nullable and not column.unique:
            gone = random.random(count) < _MISSING
            made[column.name] = [None if missing else v for v, missing in zip(made[column.name], gone, strict=True)]
    frame = pd.DataFrame({c.name: pd.Series(list(made[c.name]), dtype=object) for c in data.contract.columns})
    return to_canonical(frame, data.contract.columns)


def _values(column: Column, count: int, random: np.random.Generator, usecase: UseCase) -> Any:
    """Values of one column that is not the target."""
    if column.name == usecase.data.time:
        return _in_order(column, count)
    if column.type in ("integer", "number"):
        return _numbers(column, count, random, repeat=_ROWS_PER_ID if column.name == usecase.data.id else 1)
    if column.type == "datetime":
        low, high = _period(column)
        seconds = (
            np.linspace(0, (high - low).total_seconds(), count)
            if column.unique
            else random.random(count) * (high - low).total_seconds()
        )
        return [low + dt.timedelta(seconds=int(s)) for s in random.permutation(seconds)]
    if column.type == "boolean":
        return list(random.random(count) < 0.4)
    if column.categories is not None:
        if column.unique:
            return list(random.permutation(np.array(column.categories, dtype=object))[:count])
        shares = 1.0 / np.arange(1, len(column.categories) + 1) ** 0.5
        return list(random.choice(np.array(column.categories, dtype=object), count, p=shares / shares.sum()))
    repeat = _ROWS_PER_ID if column.name == usecase.data.id and not column.unique else 1
    return [_text(usecase, column.name, number // repeat) for number in range(count)]


def _numbers(column: Column, count: int, random: np.random.Generator, *, repeat: int) -> npt.NDArray[np.float64]:
    low, high = _range(column)
    if column.type == "integer":
        first, last = math.ceil(low), math.floor(high)
        if column.unique or repeat > 1:
            wide = max(last, first + 10 * count) if column.max is None else last  # gaps: a counter is taken for an id
            chosen = np.unique(np.linspace(first, wide, 10 * count).round())
            different = random.permutation(chosen)[: count if column.unique else -(-count // repeat)]
            return np.resize(np.repeat(different, 1 if column.unique else repeat), count)
        return random.integers(first, last, count, endpoint=True).astype(np.float64)
    return low + random.random(count) * (high - low)


def _in_order(column: Column, count: int) -> Any:
    """Values of the time column: even steps through its range."""
    if column.type == "datetime":
        low, high = _period(column)
        return [low + dt.timedelta(seconds=int(s)) for s in np.linspace(0, (high - low).total_seconds(), count)]
    first, last = _range(column)
    steps = np.linspace(first, max(last, first + count) if column.max is None else last, count)
    return steps.round() if column.type == "integer" else steps


def _score(
    made: dict[str, Any], features: tuple[Column, ...], count: int, random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """What the features say about the target, plus noise; mean 0, standard deviation near 1."""
    nature = np.random.default_rng(_NATURE)
    total = np.zeros(count)
    for position, column in enumerate(features[:_TELLING]):
        weight = nature.choice([-1.0, 1.0]) / (1 + 0.2 * position)
        total += weight * _effect(column, made[column.name], nature)
    spread = float(total.std()) or 1.0
    noisy: npt.NDArray[np.float64] = (total - total.mean()) / spread + random.normal(0.0, _NOISE, count)
    return noisy


def _effect(column: Column, values: Any, nature: np.random.Generator) -> npt.NDArray[np.float64]:
    if column.categories is not None:
        effects = dict(zip(column.categories, nature.normal(size=len(column.categories)), strict=True))
        return np.array([effects[v] for v in values])
    numbers = np.asarray(values, dtype=np.float64)
    low, high = (0.0, 1.0) if column.type == "boolean" else _range(column)
    centred: npt.NDArray[np.float64] = (numbers - (low + high) / 2) / ((high - low) / math.sqrt(12) or 1.0)
    return centred


def _target(column: Column, score: npt.NDArray[np.float64], usecase: UseCase) -> Any:
    if usecase.model.task != "regression":
        classes = column.categories or ()
        ranks = np.argsort(np.argsort(score))
        return [classes[i] for i in ranks * len(classes) // max(len(score), 1)]
    low, high = _range(column)
    values = np.clip((low + high) / 2 + score * (high - low) / 8, low, high)
    return np.clip(values.round(), math.ceil(low), math.floor(high)) if column.type == "integer" else values


def _text(usecase: UseCase, name: str, number: int) -> str:
    kind = next((p.kind for p in usecase.data.pii if p.column == name), None)
    shapes = {
        "email": f"person{number}@example.com",
        "phone": f"+44 20 7946 {number:04d}",
        "ip_address": f"192.0.2.{number % 256}",
    }
    return shapes.get(kind or "", f"{kind or 'text'} {number}")


def _range(column: Column) -> tuple[float, float]:
    """The bounds of a number; where one is open, some room beside the other."""
    low = float(column.min) if isinstance(column.min, (int, float)) else None
    high = float(column.max) if isinstance(column.max, (int, float)) else None
    if low is None:
        low = 0.0 if high is None else high - _SPAN
    return low, high if high is not None else low + _SPAN


def _period(column: Column) -> tuple[dt.datetime, dt.datetime]:
    low, high = _moment(column.min), _moment(column.max)
    if low is None:
        low = _SINCE if high is None else high - dt.timedelta(days=365)
    return low, high if high is not None else low + dt.timedelta(days=365)


def _moment(bound: object) -> dt.datetime | None:
    if isinstance(bound, dt.datetime):
        return bound.astimezone(dt.UTC).replace(tzinfo=None) if bound.tzinfo else bound
    if isinstance(bound, dt.date):
        return dt.datetime.combine(bound, dt.time())
    return None
