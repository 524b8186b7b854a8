"""Rows: canonical values without a table, for the few rows of a request; making a table costs more than answering them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import Column

from ai_factory_runtime.data.frames import TEXT
from ai_factory_runtime.data.screening import NUMBERS

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Layout:
    """Where the values of each feature column are: the numbers in one matrix, the others in lists."""

    columns: tuple[Column, ...]

    @cached_property
    def numeric(self) -> tuple[Column, ...]:
        """The columns of `Rows.numbers`, in order."""
        return tuple(c for c in self.columns if c.type in NUMBERS)

    @cached_property
    def other(self) -> tuple[Column, ...]:
        """The columns of `Rows.others`, in order: categories and booleans."""
        return tuple(c for c in self.columns if c.type not in NUMBERS)

    @cached_property
    def positions(self) -> dict[str, int]:
        """The position of each column in `numbers` or in `others`."""
        return {c.name: i for part in (self.numeric, self.other) for i, c in enumerate(part)}


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """n rows that hold to the contract: `numbers` (n, numeric columns), NaN for missing; `others` one list a column.

    A category is a text, a boolean True or False; missing is None.
    """

    layout: Layout
    numbers: Floats
    others: tuple[Sequence[Any], ...]
    ids: Sequence[Any] | None = field(default=None)  # the values of `data.id`, where they came along

    def __len__(self) -> int:
        return len(self.numbers)

    def frame(self) -> pd.DataFrame:
        """The same rows as a canonical table."""
        arrays: dict[str, Any] = {}
        for column in self.layout.columns:
            at = self.layout.positions[column.name]
            if column.type in NUMBERS:
                arrays[column.name] = self.numbers[:, at]
            else:
                arrays[column.name] = pd.array(
                    list(self.others[at]), dtype="boolean" if column.type == "boolean" else TEXT
                )
        return pd.DataFrame(arrays, index=pd.RangeIndex(len(self)))

    def take(self, positions: Sequence[int] | npt.NDArray[np.intp]) -> Rows:
        """Some of the rows, in the order of `positions`."""
        chosen = np.asarray(positions, dtype=np.intp)
        others = tuple([values[i] for i in chosen] for values in self.others)
        return Rows(
            self.layout, self.numbers[chosen], others, None if self.ids is None else [self.ids[i] for i in chosen]
        )

    def plain(self) -> list[list[Any]]:
        """Each row as a list of JSON values in the order of the layout's columns, as `frames.dump_rows` gives them."""
        missing = np.isnan(self.numbers)
        numbers = self.numbers.astype(object)
        numbers[missing] = None
        lists = {c.name: numbers[:, i].tolist() for i, c in enumerate(self.layout.numeric)}
        lists |= {c.name: list(self.others[i]) for i, c in enumerate(self.layout.other)}
        return [list(row) for row in zip(*(lists[c.name] for c in self.layout.columns), strict=True)]


def rows_of(frame: pd.DataFrame, layout: Layout, ids: Sequence[Any] | None = None) -> Rows:
    """The rows of a canonical table."""
    numbers = np.empty((len(frame), len(layout.numeric)), dtype=np.float64)
    for i, column in enumerate(layout.numeric):
        numbers[:, i] = frame[column.name].to_numpy(dtype=np.float64)
    others = tuple(_plain(frame[column.name]) for column in layout.other)
    return Rows(layout, numbers, others, ids)


def _plain(values: pd.Series[Any]) -> list[Any]:
    return list(values.astype(object).where(values.notna(), None))
