"""Values: one column of any file or request, given its canonical type.

| contract type    | pandas dtype     | missing |
|------------------|------------------|---------|
| integer, number  | float64, finite  | NaN     |
| category, text   | str              | NaN     |
| boolean          | boolean          | NA      |
| datetime         | datetime64[ns], UTC without zone | NaT |
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.tables import MISSING_WORDS
from ai_factory_spec.usecase import Column

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


def not_of_type(column: Column) -> str:
    """The rule that a value breaks which cannot be converted to the column's type."""
    return {
        "integer": "is not a whole number",
        "number": "is not a finite number",
        "datetime": "is not a date in ISO 8601",
    }.get(column.type, f"is not a {column.type}")


def _none_failed(raw: pd.Series[Any]) -> BoolArray:
    return np.zeros(len(raw), dtype=np.bool_)


def _to_number(raw: pd.Series[Any], column: Column) -> Converted:
    if raw.dtype == np.float64:
        numbers = raw.to_numpy()  # not copied: a million rows of thirty columns are looked at, seldom changed
        failed = np.isinf(numbers)
    elif pd.api.types.is_numeric_dtype(raw.dtype) and not pd.api.types.is_complex_dtype(raw.dtype):
        numbers = raw.to_numpy(dtype=np.float64, na_value=np.nan)
        failed = np.isinf(numbers)
    else:
        texts = raw.astype(object)
        words = texts.map(lambda v: isinstance(v, str) and v.strip() in MISSING_WORDS).to_numpy(dtype=np.bool_)
        present = texts.notna().to_numpy() & ~words
        numbers = np.array([_float(v) if p else np.nan for v, p in zip(texts, present, strict=True)], dtype=np.float64)
        failed = present & ~np.isfinite(numbers)
    if column.type == "integer" and not pd.api.types.is_integer_dtype(raw.dtype):
        failed |= np.isfinite(numbers) & (np.floor(numbers) != numbers)
    if not failed.any():
        values = raw if raw.dtype == np.float64 else pd.Series(numbers, index=raw.index, name=raw.name)
        return Converted(values, failed)
    return Converted(pd.Series(np.where(failed, np.nan, numbers), index=raw.index, name=raw.name), failed)


def _float(value: object) -> float:
    if isinstance(value, (dt.date, dt.timedelta, np.datetime64, np.timedelta64)):
        return np.nan
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return np.nan


def _to_text(raw: pd.Series[Any], column: Column) -> Converted:
    if column.type == "text" and isinstance(raw.dtype, pd.StringDtype):
        texts = raw.astype(TEXT)
        return Converted(texts.where(texts != ""), _none_failed(raw))
    known = frozenset(column.categories or ())
    as_text: Callable[[object], str | None] = plain if column.type == "text" else lambda v: _category(v, known)
    return Converted(by_value(raw, as_text), _none_failed(raw))


def plain(value: object) -> str | None:
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
    text = plain(value)
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
    codes, different = _coded(raw)
    texts = [_category(v, frozenset()) for v in different]
    table = [_TRUTHS.get(t.strip().lower(), pd.NA) if t is not None else pd.NA for t in texts]
    failed = np.array(
        [t is not None and v is pd.NA for t, v in zip(texts, table, strict=True)] + [False], dtype=np.bool_
    )
    values = pd.array([*table, pd.NA], dtype="boolean").take(codes)
    return Converted(pd.Series(values, index=raw.index, name=raw.name), failed[codes])


def _to_datetime(raw: pd.Series[Any], _: Column) -> Converted:
    if pd.api.types.is_datetime64_any_dtype(raw.dtype):
        present = raw.notna()
        times = pd.to_datetime(raw, utc=True)
    elif pd.api.types.is_numeric_dtype(raw.dtype):
        present = raw.notna()
        times = pd.Series(pd.NaT, index=raw.index, dtype="datetime64[ns, UTC]")
    else:
        codes, different = _coded(raw)
        texts = pd.Series([*(_category(v, frozenset()) for v in different), None], dtype=TEXT)
        parsed = pd.to_datetime(texts, errors="coerce", format="ISO8601", utc=True)
        present = texts.notna().take(codes).set_axis(raw.index)
        times = parsed.take(codes).set_axis(raw.index)
    bounded = times.where((times >= _EARLIEST) & (times <= _LATEST))
    values = pd.Series(bounded.dt.tz_localize(None).astype("datetime64[ns]"), name=raw.name)
    return Converted(values, (present & values.isna()).to_numpy(dtype=np.bool_))


_EARLIEST = pd.Timestamp.min.ceil("s").tz_localize("UTC")
_LATEST = pd.Timestamp.max.floor("s").tz_localize("UTC")


def by_value(raw: pd.Series[Any], function: Callable[[object], str | None]) -> pd.Series[Any]:
    """The texts that a function makes of the values; it sees each different value once, and no missing one."""
    codes, different = _coded(raw)
    # one missing value more, which the code -1 of a missing value takes from the end
    texts = pd.array([*(function(v) for v in different), None], dtype=TEXT).take(codes)
    return pd.Series(texts, index=raw.index, name=raw.name)


def _coded(raw: pd.Series[Any]) -> tuple[npt.NDArray[np.int64], list[object]]:
    """Each row's position among the different values, so that each is looked at once; a missing value has position -1."""
    values = raw if isinstance(raw.dtype, pd.StringDtype) else raw.astype(object)
    try:
        codes, different = pd.factorize(values, use_na_sentinel=True)
    except TypeError:  # a list or a dict has no hash
        return np.where(values.isna().to_numpy(), -1, np.arange(len(values))), list(values)
    return np.asarray(codes, dtype=np.int64), list(different)


_CONVERTERS: dict[str, Callable[[pd.Series[Any], Column], Converted]] = {
    "integer": _to_number,
    "number": _to_number,
    "category": _to_text,
    "text": _to_text,
    "boolean": _to_boolean,
    "datetime": _to_datetime,
}
