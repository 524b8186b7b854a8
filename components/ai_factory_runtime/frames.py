"""Tables with canonical types: every part of the runtime sees a column the same way, whatever file it came from.

| contract type    | pandas dtype     | missing |
|------------------|------------------|---------|
| integer, number  | float64, finite  | NaN     |
| category, text   | str              | NaN     |
| boolean          | boolean          | NA      |
| datetime         | datetime64[ns], UTC without zone | NaT |
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.tables import DELIMITERS, MISSING_WORDS
from ai_factory_spec.usecase import Column, Contract

from ai_factory_runtime.errors import ContractBroken, DataUnreadable
from ai_factory_runtime.violations import Violation, examples

TEXT = pd.StringDtype(na_value=np.nan)
_TRUTHS = {
    "true": True,
    "t": True,
    "yes": True,
    "y": True,
    "1": True,
    "false": False,
    "f": False,
    "no": False,
    "n": False,
    "0": False,
}

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Converted:
    """A column with its canonical type. `failed` marks the rows whose value could not be converted; they are missing in `values`."""

    values: pd.Series[Any]
    failed: BoolArray


def convert(raw: pd.Series[Any], column: Column) -> Converted:
    """Give one column its canonical type. Never raises on a value: what cannot be converted is marked."""
    return _CONVERTERS[column.type](raw, column)


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
    if not path.is_file():
        raise DataUnreadable(path=path, problem="there is no such file")
    try:
        raw = _read_parquet(path, contract) if path.suffix.lower() in (".parquet", ".pq") else _read_csv(path, contract)
    except OSError as error:
        raise DataUnreadable(path=path, problem=str(error).splitlines()[0]) from error
    if not len(raw.columns):
        expected = ", ".join(repr(c.name) for c in contract.columns[:5])
        raise DataUnreadable(path=path, problem=f"it has none of the contract's columns ({expected}, …)")
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


def not_of_type(column: Column) -> str:
    """The rule that a value breaks which cannot be converted to the column's type."""
    return {
        "integer": "is not a whole number",
        "number": "is not a finite number",
        "datetime": "is not a date in ISO 8601",
    }.get(column.type, f"is not a {column.type}")


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


def _read_parquet(path: Path, contract: Contract) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            reject_repeated(path, names, contract)
            wanted = [c.name for c in contract.columns if c.name in names]
            table = file.read(columns=wanted) if wanted else None
    except pa.ArrowException as error:
        raise DataUnreadable(
            path=path, problem=f"not a readable Parquet file ({str(error).splitlines()[0]})"
        ) from error
    if table is None:
        return pd.DataFrame()
    return cast("pd.DataFrame", table.to_pandas(ignore_metadata=True, date_as_object=False))


def _read_csv(path: Path, contract: Contract) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.csv as pc

    header, delimiter = csv_header(path, contract)
    reject_repeated(path, header, contract)
    reject_open_quote(path, delimiter)
    wanted = [c for c in contract.columns if c.name in set(header)]
    if not wanted:
        return pd.DataFrame()
    numeric = {c.name: pa.float64() for c in wanted if c.type in ("integer", "number")}
    text = {c.name: pa.string() for c in wanted}
    # Numbers are parsed while reading; a file with a value that is none is read again as text, so that it can be named.
    for types in (text | numeric, text):
        try:
            table = pc.read_csv(
                path,
                parse_options=pc.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pc.ConvertOptions(
                    column_types=types, include_columns=[c.name for c in wanted], null_values=list(MISSING_WORDS), strings_can_be_null=False
                ),
            )  # fmt: skip
            return cast("pd.DataFrame", table.to_pandas())
        except pa.ArrowInvalid as error:
            problem = str(error).splitlines()[0]
        except UnicodeDecodeError:
            raise wrong_encoding(path) from None
    if "invalid UTF8" in problem:
        raise wrong_encoding(path)
    raise DataUnreadable(path=path, problem=f"not a readable CSV file ({problem})")


def csv_header(path: Path, contract: Contract) -> tuple[list[str], str]:
    """The column names and the delimiter: the one under which most of the contract's columns are found."""
    expected = {c.name for c in contract.columns}
    found: list[tuple[int, list[str], str]] = []
    for delimiter in DELIMITERS:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                header = next(csv.reader(file, delimiter=delimiter), [])
        except UnicodeDecodeError:
            raise wrong_encoding(path) from None
        except csv.Error as error:
            raise DataUnreadable(path=path, problem=f"not a readable CSV file ({error})") from error
        found.append((len(expected.intersection(header)), header, delimiter))
    matches, header, delimiter = max(found, key=lambda f: f[0])
    if not header:
        raise DataUnreadable(path=path, problem="the file is empty")
    return (header, delimiter) if matches else (found[0][1], DELIMITERS[0])


def reject_repeated(path: Path, names: Sequence[str], contract: Contract) -> None:
    """Raise DataUnreadable where a file names one of the contract's columns twice."""
    reject_twins(pd.DataFrame(columns=pd.Index(names)), [c.name for c in contract.columns], source=path)


def reject_open_quote(path: Path, delimiter: str) -> None:
    """Raise DataUnreadable where a quote is opened and never closed: a reader would take all rows after it for one value.

    Only a file with an odd number of quotes is read row by row to find out; a quote inside an unquoted value is none.
    """
    quotes = 0
    with path.open("rb") as raw:
        while block := raw.read(1 << 20):
            quotes += block.count(b'"')
    if quotes % 2 == 0:
        return
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        begun = 1
        try:
            for _ in rows:
                begun = rows.line_num + 1
        except csv.Error as error:
            raise DataUnreadable(
                path=path, problem=f"the row that begins in line {begun} opens a quote that is never closed ({error})"
            ) from error


def wrong_encoding(path: Path) -> DataUnreadable:
    """The error for a file that is not UTF-8."""
    return DataUnreadable(
        path=path,
        problem="it is not encoded in UTF-8",
        hint="Save the file as UTF-8, or name its encoding where data.py reads it.",
    )


def _none_failed(raw: pd.Series[Any]) -> BoolArray:
    return np.zeros(len(raw), dtype=np.bool_)


def _to_number(raw: pd.Series[Any], column: Column) -> Converted:
    if pd.api.types.is_numeric_dtype(raw.dtype) and not pd.api.types.is_complex_dtype(raw.dtype):
        numbers = raw.to_numpy(dtype=np.float64, na_value=np.nan)
        present = ~np.isnan(numbers)
    else:
        texts = raw.astype(object)
        words = texts.map(lambda v: isinstance(v, str) and v.strip() in MISSING_WORDS).to_numpy(dtype=np.bool_)
        present = texts.notna().to_numpy() & ~words
        numbers = np.array([_float(v) if p else np.nan for v, p in zip(texts, present, strict=True)], dtype=np.float64)
    finite = np.isfinite(numbers)
    failed = present & ~finite
    if column.type == "integer":
        failed |= finite & (np.floor(np.where(finite, numbers, 0.0)) != np.where(finite, numbers, 0.0))
    return Converted(pd.Series(np.where(failed, np.nan, numbers), index=raw.index, name=raw.name), failed)


def _float(value: object) -> float:
    if isinstance(value, (dt.date, dt.timedelta, np.datetime64, np.timedelta64)):
        return np.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _to_text(raw: pd.Series[Any], column: Column) -> Converted:
    known = frozenset(column.categories or ())
    as_text: Callable[[object], str | None] = _plain if column.type == "text" else lambda v: _category(v, known)
    values = _by_value(raw, as_text).astype(TEXT)
    return Converted(values, _none_failed(raw))


def _plain(value: object) -> str | None:
    """A value as the text a person would write: 1.0 is 1, True is true."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    return str(value)


def _category(value: object, known: frozenset[str]) -> str | None:
    """The category meant: as written where that is one, else without blanks, in lower case or as a whole number."""
    text = _plain(value)
    if text is None or text in known:
        return text
    stripped = text.strip()
    if stripped in MISSING_WORDS and stripped not in known:
        return None
    number = _float(stripped)
    whole = str(int(number)) if np.isfinite(number) and number.is_integer() else stripped
    return next((t for t in (stripped, stripped.lower(), whole) if t in known), text)


def _to_boolean(raw: pd.Series[Any], _: Column) -> Converted:
    if pd.api.types.is_bool_dtype(raw.dtype):
        return Converted(raw.astype("boolean"), _none_failed(raw))
    texts = _by_value(raw, lambda v: _category(v, frozenset()))
    values = texts.map(lambda t: _TRUTHS.get(t.strip().lower(), pd.NA) if isinstance(t, str) else pd.NA).astype(
        "boolean"
    )
    return Converted(values, (texts.notna() & values.isna()).to_numpy(dtype=np.bool_))


def _to_datetime(raw: pd.Series[Any], _: Column) -> Converted:
    if pd.api.types.is_datetime64_any_dtype(raw.dtype):
        present = raw.notna()
        times = pd.to_datetime(raw, utc=True)
    elif pd.api.types.is_numeric_dtype(raw.dtype):
        present = raw.notna()
        times = pd.Series(pd.NaT, index=raw.index, dtype="datetime64[ns, UTC]")
    else:
        texts = _by_value(raw, lambda v: _category(v, frozenset()))
        present = texts.notna()
        times = pd.to_datetime(texts.astype(TEXT), errors="coerce", format="ISO8601", utc=True)
    bounded = times.where((times >= _EARLIEST) & (times <= _LATEST))
    values = pd.Series(bounded.dt.tz_localize(None).astype("datetime64[ns]"), name=raw.name)
    return Converted(values, (present & values.isna()).to_numpy(dtype=np.bool_))


_EARLIEST = pd.Timestamp.min.ceil("s").tz_localize("UTC")
_LATEST = pd.Timestamp.max.floor("s").tz_localize("UTC")


def _by_value(raw: pd.Series[Any], function: Callable[[object], str | None]) -> pd.Series[Any]:
    """Apply a function to each different value once; missing values stay missing."""
    objects = raw.astype(object)
    try:
        codes, different = pd.factorize(objects, use_na_sentinel=True)
    except TypeError:  # a list or a dict has no hash
        mapped = [None if v is None else function(v) for v in objects]
        return pd.Series(mapped, index=raw.index, name=raw.name, dtype=object)
    table = np.array([*(function(v) for v in different), None], dtype=object)
    return pd.Series(table[codes], index=raw.index, name=raw.name, dtype=object)


_CONVERTERS: dict[str, Callable[[pd.Series[Any], Column], Converted]] = {
    "integer": _to_number,
    "number": _to_number,
    "category": _to_text,
    "text": _to_text,
    "boolean": _to_boolean,
    "datetime": _to_datetime,
}
