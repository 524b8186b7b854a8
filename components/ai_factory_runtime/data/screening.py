"""Screening: which rows a model may answer, and why not the others.

The same rules for a request, a batch and a monitored window: the type, the bounds, the categories and the nullability of
each feature column. `frames.convert` decides what a value is, as it does for training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import Column

from ai_factory_runtime.data.frames import convert, not_of_type

BoolArray = npt.NDArray[np.bool_]
NUMBERS = ("integer", "number")
NO_VALUE = "has no value"
_LONGEST = 60
_LISTED = 8


@dataclass(frozen=True, slots=True)
class Problem:
    """A value that a model may not answer. `row` counts from 0; `got` is the value, shortened."""

    row: int
    column: str
    reason: str
    got: str
    allowed: str


@dataclass(frozen=True, slots=True)
class Broken:
    """One rule of one column, and the rows that break it."""

    column: Column
    reason: str
    rows: BoolArray


@dataclass(frozen=True, slots=True)
class Screened:
    """All rows with canonical types, the mask of the bad ones, and the rules they break."""

    frame: pd.DataFrame
    bad: BoolArray
    broken: tuple[Broken, ...]
    raw: pd.DataFrame

    @property
    def good(self) -> pd.DataFrame:
        """The rows that may be answered, with an index 0..n-1."""
        return self.frame[~self.bad].reset_index(drop=True) if self.broken else self.frame

    def problems(self) -> Iterator[Problem]:
        """Every bad value, row by row, in the order of the columns."""
        found = [(int(row), n, b) for n, b in enumerate(self.broken) for row in np.flatnonzero(b.rows)]
        for row, _, rule in sorted(found, key=lambda f: f[:2]):
            name = rule.column.name
            value = self.raw[name].iloc[row] if name in self.raw.columns else None
            yield Problem(row, name, rule.reason, shown(value), allowed(rule.column))


def screen(raw: pd.DataFrame, features: Sequence[Column]) -> Screened:
    """Give the feature columns their canonical types and hold each value against the contract. Never raises on a value.

    A column that is not there counts as one without values.
    """
    columns: dict[str, pd.Series[Any]] = {}
    broken: list[Broken] = []
    for column in features:
        values = raw[column.name] if column.name in raw.columns else pd.Series(np.nan, index=raw.index, dtype=object)
        columns[column.name], rules = screen_column(values, column)
        broken += rules
    bad = np.zeros(len(raw), dtype=np.bool_)
    for rule in broken:
        bad |= rule.rows
    frame = pd.DataFrame({k: v.array for k, v in columns.items()}, index=pd.RangeIndex(len(raw)), copy=False)
    return Screened(frame, bad, tuple(broken), raw)


def screen_column(raw: pd.Series[Any], column: Column) -> tuple[pd.Series[Any], list[Broken]]:
    """One column's canonical values, and the rules that some of its rows break."""
    converted = convert(raw, column)
    values, failed = converted.values, converted.failed
    absent = values.isna().to_numpy(dtype=np.bool_) & ~failed
    rules = {not_of_type(column): failed}
    if not column.nullable:
        rules[NO_VALUE] = absent
    if column.type in NUMBERS:
        numbers = values.to_numpy(dtype=np.float64)
        if isinstance(column.min, float):
            rules[below(column)] = numbers < column.min
        if isinstance(column.max, float):
            rules[above(column)] = numbers > column.max
    if column.categories is not None:
        rules[OTHER] = ~absent & ~values.isin(column.categories).to_numpy(dtype=np.bool_)
    return values, [Broken(column, reason, rows) for reason, rows in rules.items() if rows.any()]


OTHER = "is none of the categories"


def below(column: Column) -> str:
    """The reason for a number under the column's minimum."""
    return f"is less than {_number(column.min)}"


def above(column: Column) -> str:
    """The reason for a number over the column's maximum."""
    return f"is more than {_number(column.max)}"


def allowed(column: Column) -> str:
    """What a column takes, in words."""
    if column.type in NUMBERS:
        what = "a whole number" if column.type == "integer" else "a number"
        low, high = column.min is not None, column.max is not None
        if low and high:
            what += f" from {_number(column.min)} to {_number(column.max)}"
        elif low or high:
            what += f", at least {_number(column.min)}" if low else f", at most {_number(column.max)}"
    elif column.categories is not None:
        rest = len(column.categories) - _LISTED
        what = (
            "one of " + ", ".join(map(shown, column.categories[:_LISTED])) + (f" and {rest} more" if rest > 0 else "")
        )
    else:
        what = "true or false" if column.type == "boolean" else column.type
    return f"{what}, or no value" if column.nullable else what


def shown(value: object) -> str:
    """A value as a short literal, fit for one line."""
    if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA:
        return "nothing"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**40:
        return "a very large whole number"
    if isinstance(value, np.generic):
        value = value.item()
    text = repr(value) if isinstance(value, (str, int, float)) else f"{type(value).__name__} {str(value)[:_LONGEST]}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _number(bound: object) -> str:
    return f"{bound:.15g}" if isinstance(bound, float) else str(bound)
