"""Frames: tables whose columns have canonical types (`values`), however they were read.

A row survives the way to JSON and back bit for bit, so that reference rows, captures and windows are the rows they were.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_spec.usecase import Column, Contract

from ai_factory_runtime.base.errors import ContractBroken, DataUnreadable
from ai_factory_runtime.base.violations import Violation, examples
from ai_factory_runtime.data.values import TEXT, BoolArray, Converted, convert, not_of_type

__all__ = [
    "TEXT",
    "BoolArray",
    "Converted",
    "convert",
    "dump_rows",
    "load_rows",
    "not_of_type",
    "read_table",
    "reject_twins",
    "settled",
    "to_canonical",
]


def to_canonical(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """Exactly these columns, in this order, with canonical types and an index 0..n-1.

    Raises ContractBroken, naming every column that is missing and every value that cannot be converted.
    """
    reject_twins(frame, [c.name for c in columns])
    violations: list[Violation] = []
    converted: dict[str, pd.Series[Any]] = {}
    bad = np.zeros(len(frame), dtype=np.bool_)
    for column in columns:
        if column.name not in frame.columns:
            violations.append(Violation(column.name, "is missing", len(frame)))
            continue
        raw = frame[column.name]
        result = convert(raw, column)
        if result.failed.any():
            bad |= result.failed
            violations.append(
                Violation(column.name, not_of_type(column), int(result.failed.sum()), examples(raw[result.failed]))
            )
        converted[column.name] = result.values.reset_index(drop=True)
    if violations:
        everything = any(v.rule == "is missing" for v in violations)
        raise ContractBroken(
            rows=len(frame), bad_rows=len(frame) if everything else int(bad.sum()), allowed=0.0, violations=violations
        )
    return pd.DataFrame(converted, index=pd.RangeIndex(len(frame)))


def read_table(path: Path, contract: Contract) -> pd.DataFrame:
    """The contract's columns of a CSV or Parquet file, those that are there, in the contract's order.

    A column whose values all convert has its canonical type. One that has other values keeps them as they are, so that
    `contract.check` can say which they are. Raises DataUnreadable where there is no table to read.
    """
    from ai_factory_runtime.data.tables import read_raw

    return settled(read_raw(path, contract), contract)


def settled(raw: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """The contract's columns in its order: canonical where every value converts, else as they are."""
    columns: dict[str, pd.Series[Any]] = {}
    for column in contract.columns:
        if column.name in raw.columns:
            result = convert(raw[column.name], column)
            columns[column.name] = raw[column.name] if result.failed.any() else result.values
    return pd.DataFrame(columns, index=pd.RangeIndex(len(raw)))


def reject_twins(frame: pd.DataFrame, names: Sequence[str], *, source: Path | str = "the table") -> None:
    """Raise DataUnreadable where one of these columns occurs twice: nobody can say which is meant."""
    if frame.columns.is_unique:
        return
    wanted = set(names)
    twins = sorted({name for name in frame.columns[frame.columns.duplicated()] if name in wanted})
    if twins:
        raise DataUnreadable(
            path=source,
            problem=f"the columns {', '.join(map(repr, twins))} occur more than once",
            hint="Rename one of them in the file, or choose between them in data.py.",
        )


def dump_rows(frame: pd.DataFrame, columns: Sequence[Column]) -> dict[str, Any]:
    """Canonical rows as JSON values, `{"columns": […], "data": [[…]]}`; `load_rows` gives the same rows back, bit for bit."""
    listed = []
    for column in columns:
        values = frame[column.name]
        plain = values.astype(object).where(values.notna(), None)
        listed.append([v.isoformat() if isinstance(v, dt.datetime) else v for v in plain])
    return {"columns": [c.name for c in columns], "data": [list(row) for row in zip(*listed, strict=True)]}


def load_rows(document: Mapping[str, Any], columns: Sequence[Column]) -> pd.DataFrame:
    """The rows that `dump_rows` wrote."""
    return to_canonical(pd.DataFrame(document["data"], columns=pd.Index(document["columns"]), dtype=object), columns)
