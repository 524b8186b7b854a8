"""Requests: the body of a call to /invocations -> canonical rows, or every reason why not.

JSON is checked a column at a time by pydantic: its types must be those of the contract (a number is a number, never a
text), and one call checks all rows. What pydantic does not take as it stands, such as the category 1 for "1", goes
through the rules of `screening`, which also read CSV. Column names are data here, so any name works.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pydantic_core
from ai_factory_spec.suggest import did_you_mean
from ai_factory_spec.usecase import Column
from pydantic import Field, TypeAdapter, ValidationError

from ai_factory_runtime.data.frames import TEXT, not_of_type
from ai_factory_runtime.data.rows import Layout, Rows, rows_of
from ai_factory_runtime.data.screening import (
    NO_VALUE,
    NUMBERS,
    OTHER,
    Problem,
    above,
    allowed,
    below,
    screen,
    screen_column,
    shown,
)
from ai_factory_runtime.serving.lean import LeanReader
from ai_factory_runtime.serving.refused import BAD_REQUEST, TOO_LARGE, Problems, RequestRefused

MAX_ROWS = 10_000
MAX_REASONS = 100
SUGGESTIONS = 20  # nearest names are looked up for so many; each lookup reads every name
NOT_ASKED = "is no column of this model"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks: rows to answer, and for how many columns of each the reasons."""

    rows: Rows
    reasons: int = 0


@dataclass(frozen=True)
class RequestSchema:
    """What /invocations takes: the feature columns; `ignored` are further names a row may have (target, id, time, …).

    `id` is the one of them whose values are kept, so that a later outcome finds its answer.
    """

    features: tuple[Column, ...]
    ignored: frozenset[str] = frozenset()
    id: str | None = None

    def read(self, body: bytes, *, text: bool = False, most: int = MAX_ROWS) -> Asked:
        """What a body asks for, in JSON or (`text`) in CSV: at most so many rows. Gives the rows that `read_json` and `read_csv` give.

        JSON may have a third member, `reasons`: for how many columns of each row the effect is asked. Raises RequestRefused.
        """
        if text:
            frame, ids = self._read_csv(body, most)
            return Asked(rows_of(frame, self.layout, ids))
        document = _parse(body)
        reasons = _reasons(document.pop("reasons", 0)) if isinstance(document, dict) else 0
        rows = self._lean.read(document)
        if rows is None:  # something is unusual: read it by the rules that name every problem
            frame = self._read_document(document, most)
            rows = rows_of(frame, self.layout, _ids(document, self.id))
        return Asked(rows, reasons)

    def read_json(self, body: bytes) -> pd.DataFrame:
        """Canonical rows of `{"records": [{column: value}]}` or `{"columns": [names], "data": [[values]]}`.

        Raises RequestRefused: 400 for a body that is neither, 413 for too many rows, 422 with every bad value.
        """
        return self._read_document(_parse(body), MAX_ROWS)

    def _read_document(self, document: object, most: int) -> pd.DataFrame:
        if isinstance(document, dict) and isinstance(document.get("records"), list) and len(document) == 1:
            return self.read_records(document["records"], most)
        if isinstance(document, dict) and {"columns", "data"} <= document.keys() <= {"columns", "data", "index"}:
            return self._read_split(document["columns"], document["data"], most)
        raise RequestRefused(
            BAD_REQUEST,
            'The body must be {"records": [{column: value, …}, …]} or {"columns": [name, …], "data": [[value, …], …]}.',
        )

    def read_records(self, records: Sequence[object], most: int = MAX_ROWS) -> pd.DataFrame:
        """Canonical rows of a list of `{column: value}`. Raises RequestRefused."""
        _check_count(len(records), most)
        problems = Problems()
        rows = [record for record in records if isinstance(record, dict)]
        if len(rows) < len(records):
            for i, record in enumerate(records):
                if not isinstance(record, dict):
                    problems.add(Problem(i, "", "is not an object", shown(record), "an object of column: value"))
            problems.raise_any()
        problems.extend(self._unknown({name: i for i, row in reversed(list(enumerate(rows))) for name in row}))
        values = {c.name: [row.get(c.name) for row in rows] for c in self.features}
        return self._read_columns(values, problems)

    def read_csv(self, body: bytes) -> pd.DataFrame:
        """Canonical rows of CSV in UTF-8 whose first line names the columns. Raises RequestRefused."""
        return self._read_csv(body, MAX_ROWS)[0]

    def _read_csv(self, body: bytes, most: int) -> tuple[pd.DataFrame, list[Any] | None]:
        try:
            lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise RequestRefused(BAD_REQUEST, f"The body is not CSV in UTF-8: {error}.") from None
        header, *rows = [line for line in lines if line] or [[]]
        _check_count(len(rows), most)
        self._check_names(header)
        for number, row in enumerate(rows):
            if len(row) != len(header):
                raise RequestRefused(
                    BAD_REQUEST, f"Row {number} of the CSV has {len(row)} values; its header has {len(header)} names."
                )
        table = pd.DataFrame(rows, columns=pd.Index(header), dtype=object)
        screened = screen(table, self.features)
        problems = Problems()
        problems.extend(self._unknown(dict.fromkeys(header, 0)))
        problems.extend(screened.problems())
        problems.raise_any()
        return screened.frame, list(table[self.id]) if self.id in table.columns else None

    @cached_property
    def layout(self) -> Layout:
        """Where the values of the feature columns are in `Rows`."""
        return Layout(self.features)

    @cached_property
    def _lean(self) -> LeanReader:
        return LeanReader(self.layout, self._names | self.ignored, self.id, MAX_ROWS)

    @cached_property
    def row_schema(self) -> dict[str, Any]:
        """JSON Schema of one record."""
        properties = {}
        for column in self.features:
            properties[column.name] = {
                **self._adapters[column.name].json_schema()["items"],
                "description": allowed(column),
            }
        required = [c.name for c in self.features if not c.nullable]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    @cached_property
    def _adapters(self) -> dict[str, TypeAdapter[list[Any]]]:
        return {c.name: TypeAdapter(list[_value_type(c)]) for c in self.features}  # type: ignore[misc,arg-type,unused-ignore]

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(c.name for c in self.features)

    def _read_split(self, names: object, data: object, most: int) -> pd.DataFrame:
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names) or not isinstance(data, list):
            raise RequestRefused(BAD_REQUEST, "`columns` must be a list of names and `data` a list of rows.")
        _check_count(len(data), most)
        self._check_names(names)
        for i, row in enumerate(data):
            if not isinstance(row, list) or len(row) != len(names):
                got = f"{len(row)} values" if isinstance(row, list) else shown(row)
                raise RequestRefused(
                    BAD_REQUEST, f"Row {i} of `data` must be a list of {len(names)} values; it is {got}."
                )
        problems = Problems()
        problems.extend(self._unknown(dict.fromkeys(names, 0)))
        places = {name: i for i, name in enumerate(names)}
        values = {
            c.name: [row[places[c.name]] for row in data] if c.name in places else [None] * len(data)
            for c in self.features
        }
        return self._read_columns(values, problems)

    def _read_columns(self, values: dict[str, list[Any]], problems: Problems) -> pd.DataFrame:
        arrays = {c.name: self._read_column(c, values[c.name], problems) for c in self.features}
        problems.raise_any()
        return pd.DataFrame(arrays, copy=False)

    def _read_column(self, column: Column, values: list[Any], problems: Problems) -> Any:
        """The canonical array of one column; adds what is wrong with its values."""
        try:
            checked = self._adapters[column.name].validate_python(values)
        except ValidationError as error:
            if column.type not in NUMBERS:
                return _read_leniently(column, values, problems)
            found = {int(e["loc"][0]): e for e in error.errors(include_url=False, include_context=False)}
            problems.extend(
                _number_problem(column, row, e) for row, e in found.items() if not _broken_whole(column, values[row])
            )
            checked = [None if row in found else value for row, value in enumerate(values)]
        if column.type in NUMBERS:
            if column.type == "integer":
                broken = [row for row, value in enumerate(values) if _broken_whole(column, value)]
                problems.extend(_problem(column, row, not_of_type(column), values[row]) for row in broken)
            return np.array(checked, dtype=np.float64)
        return pd.array(checked, dtype="boolean" if column.type == "boolean" else TEXT)

    def _unknown(self, names: dict[str, int]) -> Iterable[Problem]:
        """Names that are neither features nor other columns of the data contract, each with its first row."""
        strange = [(name, row) for name, row in names.items() if name not in self._names and name not in self.ignored]
        for count, (name, row) in enumerate(strange):
            meant = did_you_mean(name, self._names) if count < SUGGESTIONS else ""
            yield Problem(row, name[:200], f"{NOT_ASKED}{meant}", "a column", "the columns of the data contract")

    @staticmethod
    def _check_names(names: Sequence[str]) -> None:
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise RequestRefused(BAD_REQUEST, f"Columns are named twice: {', '.join(map(shown, twice[:10]))}.")


def _parse(body: bytes) -> Any:
    try:
        return pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestRefused(BAD_REQUEST, f"The body is not JSON: {error}.") from None


def _reasons(asked: object) -> int:
    if type(asked) is not int or not 0 <= asked <= MAX_REASONS:
        raise RequestRefused(
            BAD_REQUEST,
            f"`reasons` is the number of columns to give reasons for, 0 to {MAX_REASONS}; got {shown(asked)}.",
        )
    return asked


def _ids(document: Any, name: str | None) -> list[Any] | None:
    """The values of the id column in a document that was read."""
    if name is None:
        return None
    if "records" in document:
        return [row.get(name) for row in document["records"]]
    at = document["columns"].index(name) if name in document["columns"] else None
    return None if at is None else [row[at] for row in document["data"]]


def _value_type(column: Column) -> Any:
    """The pydantic type of one value of a column."""
    kind: Any
    if column.type in NUMBERS:
        low, high = (b if isinstance(b, float) else None for b in (column.min, column.max))
        kind = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=low, le=high)]
    elif column.type == "boolean":
        kind = Annotated[bool, Field(strict=True)]
    else:
        kind = Literal[column.categories]
    return kind | None if column.nullable else kind


def _problem(column: Column, row: int, reason: str, value: object) -> Problem:
    return Problem(row, column.name, reason, shown(value), allowed(column))


def _number_problem(column: Column, row: int, error: Any) -> Problem:
    reasons = {"greater_than_equal": below(column), "less_than_equal": above(column)}
    reason = NO_VALUE if error["input"] is None else reasons.get(error["type"], not_of_type(column))
    return _problem(column, row, reason, error["input"])


def _broken_whole(column: Column, value: object) -> bool:
    """Whether a number has a fraction where the column takes none; that counts before its bounds."""
    return column.type == "integer" and isinstance(value, float) and math.isfinite(value) and not value.is_integer()


def _read_leniently(column: Column, values: list[Any], problems: Problems) -> Any:
    """A category or boolean by the rules that read files: 1 is the category "1", "yes" is true."""
    nested = [i for i, v in enumerate(values) if isinstance(v, (dict, list))]
    reason = OTHER if column.categories is not None else not_of_type(column)
    problems.extend(_problem(column, i, reason, values[i]) for i in nested)
    plain = [None if isinstance(v, (dict, list)) else v for v in values]
    converted, broken = screen_column(pd.Series(plain, dtype=object, name=column.name), column)
    for rule in broken:
        for i in np.flatnonzero(rule.rows):
            if i not in nested:
                problems.add(_problem(column, int(i), rule.reason, values[i]))
    return converted.array


def _check_count(rows: int, most: int) -> None:
    if not rows:
        raise RequestRefused(BAD_REQUEST, "The request holds no rows.")
    if rows > most:
        raise RequestRefused(TOO_LARGE, f"The request holds {rows} rows; {most} are allowed. Score them as a batch.")
