"""Parts: one table kept in one file or in several, read as one only where the files agree on their columns and types."""

from __future__ import annotations

import datetime as dt
import hashlib
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from ai_factory_spec.tables import PARQUET_SUFFIXES, TABLE_SUFFIXES
from ai_factory_spec.usecase import Column, Contract

from ai_factory_runtime.base.errors import DataUnreadable
from ai_factory_runtime.data.data_refusals import PartsDisagree
from ai_factory_runtime.data.tables import read_raw
from ai_factory_runtime.data.values import Converted, convert

_PASSED_OVER = ("_", ".")  # what writers leave beside the data: _SUCCESS, .crc
_LISTED = 3


@dataclass(frozen=True, slots=True)
class Part:
    """One file: where it is now, and the name that messages and hashes give it."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Parts:
    """The files of one table in order. `several`: they are a folder's, so names tell them apart. `source` is for messages."""

    source: str
    files: tuple[Part, ...]
    several: bool


def local_parts(path: Path) -> Parts:
    """A file, or the parts in a folder and the folders in it, in the order of their names. Raises DataUnreadable."""
    if not path.is_dir():
        return Parts(str(path), (Part(path, path.name),), several=False)
    found = sorted(p for p in path.rglob("*") if p.is_file())
    return several_parts(str(path), [Part(p, p.relative_to(path).as_posix()) for p in found])


def several_parts(source: str, files: Sequence[Part]) -> Parts:
    """The parts among these files: all but those whose names begin with `_` or `.`; all of one kind. Raises DataUnreadable."""
    meant = [f for f in files if not any(step.startswith(_PASSED_OVER) for step in f.name.split("/"))]
    strange = [f.name for f in meant if not f.name.lower().endswith(TABLE_SUFFIXES)]
    kinds = {f.name.lower().endswith(PARQUET_SUFFIXES) for f in meant}
    if strange:
        problem = f"{_listed(strange)}: neither CSV nor Parquet (names end in {', '.join(TABLE_SUFFIXES)})"
    elif not meant:
        problem = "it has no part (a CSV or Parquet file)"
    elif len(kinds) > 1:
        problem = "some of its parts are CSV and some Parquet"
    else:
        return Parts(source, tuple(meant), several=True)
    hint = "Move other files out of it; those whose names begin with _ or . are passed over."
    raise DataUnreadable(path=source, problem=problem, hint=hint)


def manifest_sha256(parts: Parts) -> str:
    """The sha256 of the one file, or of the lines `<sha256>  <name>` that `sha256sum` prints for several."""
    hashes = []
    for part in parts.files:
        try:
            with part.path.open("rb") as file:
                hashes.append(hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            raise DataUnreadable(path=part.path, problem=error.strerror or str(error)) from error
    if not parts.several:
        return hashes[0]
    lines = [f"{sha256}  {part.name}\n" for sha256, part in zip(hashes, parts.files, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_parts(parts: Parts, contract: Contract) -> pd.DataFrame:
    """The rows of all parts as one table, as `frames.settled` gives them. Raises DataUnreadable, PartsDisagree."""
    read = [_read(part, parts, contract) for part in parts.files]
    problems = [*_missing_columns(read, contract), *_changed_types(read, contract)]
    if problems:
        raise PartsDisagree(source=parts.source, problems=problems)
    present = [c.name for c in contract.columns if c.name in read[0].columns]
    joined = {name: pd.concat([r.columns[name] for r in read], ignore_index=True) for name in present}
    return pd.DataFrame(joined, index=pd.RangeIndex(sum(r.rows for r in read)), copy=False)


@dataclass(frozen=True, slots=True)
class _ReadPart:
    """A part's columns, settled, and what its values are; a column without a value is not among `kinds`."""

    name: str
    rows: int
    columns: dict[str, pd.Series[Any]]
    kinds: dict[str, str]


def _read(part: Part, parts: Parts, contract: Contract) -> _ReadPart:
    try:
        raw = read_raw(part.path, contract)
    except DataUnreadable as error:
        named = f"{parts.source.rstrip('/')}/{part.name}" if parts.several else parts.source
        raise DataUnreadable(path=named, problem=error.problem, hint=error.hint) from error
    parquet = part.name.lower().endswith(PARQUET_SUFFIXES)
    columns: dict[str, pd.Series[Any]] = {}
    kinds: dict[str, str] = {}
    for column in contract.columns:
        if column.name not in raw.columns:
            continue
        values = raw[column.name]
        converted = convert(values, column)
        columns[column.name] = values if converted.failed.any() else converted.values
        kind = _kind_in_parquet(values) if parquet else _kind_in_text(column, values, converted)
        if kind:
            kinds[column.name] = kind
    return _ReadPart(part.name, len(raw), columns, kinds)


def _kind_in_parquet(values: pd.Series[Any]) -> str:
    """What a typed file says its values are, by families: a whole number is a number."""
    dtype = values.dtype
    if pd.api.types.is_bool_dtype(dtype):
        return "true or false"
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return "a time"
    if pd.api.types.is_numeric_dtype(dtype):
        return "a number" if values.notna().any() else ""
    first = next(iter(values.dropna()), None)
    families: tuple[tuple[Any, str], ...] = (
        (str, "text"),
        (bool, "true or false"),
        (numbers.Number, "a number"),
        (dt.date, "a time"),
    )
    return "" if first is None else next((name for kind, name in families if isinstance(first, kind)), "another type")


def _kind_in_text(column: Column, values: pd.Series[Any], converted: Converted) -> str:
    """A file of texts says nothing of types: a column changed its type where no value at all is of the type it should be."""
    present = values.notna().to_numpy()
    if not present.any():
        return ""
    return f"no {column.type}" if converted.failed[present].all() else f"{_article(column.type)} {column.type}"


def _missing_columns(read: Sequence[_ReadPart], contract: Contract) -> list[str]:
    problems = []
    for column in contract.columns:
        without = [r.name for r in read if column.name not in r.columns]
        if without and len(without) < len(read):
            problems.append(f"the column {column.name!r} is missing from {_listed(without)}")
    return problems


def _changed_types(read: Sequence[_ReadPart], contract: Contract) -> list[str]:
    problems = []
    for column in contract.columns:
        places: dict[str, list[str]] = {}
        for part in read:
            if column.name in part.kinds:
                places.setdefault(part.kinds[column.name], []).append(part.name)
        if len(places) > 1:
            told = ", ".join(f"{kind} in {_listed(names)}" for kind, names in places.items())
            problems.append(f"the column {column.name!r} changes its type: {told}")
    return problems


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
