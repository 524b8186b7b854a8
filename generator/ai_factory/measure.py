"""What DuckDB counts in a table's cells: aggregates over whole columns, no loop over rows.

Every statement works on cells, `(name, v)`. Where there are many columns, UNPIVOT turns c0, c1, … into rows, so that ten
thousand columns are one GROUP BY and not a hundred thousand aggregates for the planner.
"""

# ruff: noqa: S608 - statements are built from c0, c1, … and constants; the file's own path is a quoted literal

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ai_factory_spec.tables import MISSING_WORDS

from ai_factory.datafile import Kind, Table

SAMPLED_ROWS = 1_000
_SAMPLED_CELLS = 500_000
_FEW_COLUMNS = 100
_EXACT_DIGITS = 15  # a float64 holds every whole number of so many digits
FEW_VALUES = 1_200  # approximately; the values of a text with no more are all counted

ISO_8601 = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?\s?(Z|[+-]\d{2}(:?\d{2})?)?)?"
"""What counts as a date: the runtime reads exactly this."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One column's counts. `present` leaves missing words out; the number facts are those of the cells that are numbers."""

    position: int
    kind: Kind
    present: int
    words: int = 0  # cells that hold a word for "missing"
    numbers: int = 0
    low: float | dt.datetime | None = None
    high: float | dt.datetime | None = None
    fractions: int = 0  # numbers that are not whole
    distinct: int = 0  # approximate
    longest: int = 0
    average_length: float = 0.0
    leading_zeros: int = 0
    infinite: int = 0

    @property
    def whole(self) -> bool:
        """Whether every number is a whole one."""
        return self.numbers > 0 and self.fractions == 0

    @property
    def numeric(self) -> bool:
        """Whether the column is one of numbers. Codes, which would lose digits as numbers, are texts."""
        codes = self.leading_zeros > 0 or (self.whole and self.longest > _EXACT_DIGITS)
        return self.kind == "number" or (self.kind == "text" and self.numbers == self.present and not codes)


@dataclass(frozen=True, slots=True)
class Measurement:
    """The counts of every column; of texts also some values from the first rows, and all values where they are few."""

    columns: dict[int, Measure]
    samples: dict[int, tuple[str, ...]]
    values: dict[int, dict[str, int]]


def measure(table: Table, positions: Sequence[int]) -> Measurement:
    """What the columns at these positions hold, by position."""
    texts = [p for p in positions if table.kinds[p] == "text"]
    sampled = samples(table, texts)
    # One value that is no number makes a text: casting a million of those to a number in vain takes longer than all the rest.
    verbal = {p for p in texts if _is_verbal(sampled.get(p, ()))}
    measures = {p: Measure(p, table.kinds[p], present=0) for p in positions}
    for statement, columns in (
        (_WORD_COUNTS, [p for p in positions if p in verbal or table.kinds[p] == "boolean"]),
        (_TEXT_COUNTS, [p for p in texts if p not in verbal]),
        (_NUMBER_COUNTS, [p for p in positions if table.kinds[p] == "number"]),
        (_TIME_COUNTS, [p for p in positions if table.kinds[p] == "datetime"]),
    ):
        for name, *facts in _each(table, columns, statement):
            position = _position(name)
            measures[position] = Measure(position, table.kinds[position], *facts)  # type: ignore[arg-type]  # in the class's order
    wordy = [p for p, m in measures.items() if m.kind in ("text", "boolean") and not m.numeric]
    few = [p for p in wordy if measures[p].distinct <= FEW_VALUES]
    counted = values(table, few, numeric=False)
    words = {p: measures[p].present - sum(counted.get(p, {}).values()) for p in few}
    many = [p for p in wordy if measures[p].distinct > FEW_VALUES]
    words |= {_position(name): int(str(count)) for name, count in _each(table, many, _MISSING_WORDS)}
    for p, count in words.items():
        measures[p] = replace(measures[p], present=measures[p].present - count, words=count)
    return Measurement(measures, sampled, counted)


def _is_verbal(sample: Sequence[str]) -> bool:
    told = [value for value in sample if value.strip() not in MISSING_WORDS]
    return bool(told) and not any(is_number(value) for value in told)


def is_number(text: str) -> bool:
    """Whether a text is a finite number, as the runtime reads it."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _each(table: Table, columns: Sequence[int], statement: str) -> Iterator[tuple[object, ...]]:
    for _, cells in _cells(table, columns):
        yield from table.rows(statement.format(cells=cells))


_WORD_COUNTS = """
    SELECT name, count(v), 0, 0, NULL, NULL, 0, approx_count_distinct(v), max(length(v)), avg(length(v)), 0, 0
    FROM {cells} GROUP BY name"""
_TEXT_COUNTS = """
    SELECT name, count(v), 0, count(n), min(n), max(n), count(*) FILTER (n <> floor(n)), approx_count_distinct(v), max(length(v)),
           avg(length(v)), count(*) FILTER (n >= 1 AND starts_with(v, '0')), 0
    FROM (SELECT name, v, CASE WHEN isfinite(x) THEN x END AS n FROM (SELECT name, v, try_cast(v AS DOUBLE) AS x FROM {cells}))
    GROUP BY name"""
_NUMBER_COUNTS = """
    SELECT name, count(v), 0, count(n), min(n), max(n), count(*) FILTER (n <> floor(n)), approx_count_distinct(n), 0, 0.0, 0, count(*) FILTER (isinf(v))
    FROM (SELECT name, v, CASE WHEN isfinite(v) THEN v END AS n FROM {cells} WHERE NOT isnan(v)) GROUP BY name"""
_TIME_COUNTS = """
    SELECT name, count(v), 0, 0, min(v), max(v), 0, approx_count_distinct(v), 0, 0.0, 0, 0 FROM {cells} GROUP BY name"""
_WORDS = ", ".join(f"'{word}'" for word in MISSING_WORDS)
_MISSING_WORDS = f"""
    SELECT name, count(*) FROM {{cells}}
    WHERE length(v) < 10 AND trim(v) IN ({_WORDS}) AND NOT coalesce(isfinite(try_cast(v AS DOUBLE)), false) GROUP BY name"""


def values(table: Table, columns: Sequence[int], *, numeric: bool) -> dict[int, dict[str, int]]:
    """How often each value of these columns occurs; whole numbers are written without a point. Missing words are left out."""
    value = "try_cast(v AS DOUBLE)" if numeric else "v"
    found: dict[int, dict[str, int]] = {}
    for _, cells in _cells(table, columns):
        statement = f"SELECT name, {value} AS x, count(*) FROM {cells} WHERE x IS NOT NULL GROUP BY name, x"
        for name, raw, count in table.rows(statement):
            text = _number_text(raw) if isinstance(raw, float) else str(raw)
            if text.strip() not in MISSING_WORDS:
                of_column = found.setdefault(_position(name), {})
                of_column[text] = of_column.get(text, 0) + int(str(count))
    return found


def _number_text(number: float) -> str:
    return str(int(number)) if number.is_integer() else repr(number)


def exact_distinct(table: Table, columns: Sequence[int]) -> dict[int, int]:
    """The exact number of different values of these columns."""
    rows = _each(table, columns, "SELECT name, count(DISTINCT v) FROM {cells} GROUP BY name")
    return {_position(name): int(str(count)) for name, count in rows}


@dataclass(frozen=True, slots=True)
class Dates:
    """How many cells of a text column are dates that the runtime can read; the earliest and the latest."""

    count: int
    earliest: dt.datetime
    latest: dt.datetime


def dates(table: Table, columns: Sequence[int]) -> dict[int, Dates]:
    """The dates in these text columns, by position; nothing for a column that holds none."""
    rows = _each(table, columns, _DATES)
    return {
        _position(name): Dates(int(str(count)), earliest, latest)
        for name, count, earliest, latest in rows
        if isinstance(earliest, dt.datetime) and isinstance(latest, dt.datetime)
    }


_DATES = f"""
    SELECT name, count(t), min(t), max(t)
    FROM (SELECT name, try_cast(v AS TIMESTAMP) AS t FROM {{cells}} WHERE regexp_full_match(v, '{ISO_8601.replace("{", "{{").replace("}", "}}")}'))
    WHERE t BETWEEN '1678-01-01' AND '2262-01-01' GROUP BY name"""


def samples(table: Table, columns: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """The different values of these columns in the first rows, sorted."""
    rows = max(50, min(SAMPLED_ROWS, _SAMPLED_CELLS // max(1, len(columns))))
    found = (
        row
        for _, cells in _cells(table, columns, source=f"(SELECT * FROM raw LIMIT {rows})")
        for row in table.rows(f"SELECT name, list(DISTINCT v) FROM {cells} GROUP BY name")
    )
    return {_position(name): tuple(sorted(listed)) for name, listed in found if isinstance(listed, list)}


_CASTS: Mapping[Kind, str] = {"text": "VARCHAR", "boolean": "VARCHAR", "number": "DOUBLE", "datetime": "TIMESTAMP"}


def _cells(table: Table, columns: Sequence[int], source: str = "raw") -> Iterator[tuple[list[int], str]]:
    """Relations `(name, v)` with a row for every cell that is not empty: one a column where they are few, else one a type.

    A statement for each column takes a millisecond to plan and is the fastest to run; for thousands of columns it is the
    reverse. Cells are cast after they are unpivoted: a cast per column would keep the planner busy for minutes.
    """
    by_type: dict[str, list[int]] = {}
    for position in columns:
        by_type.setdefault(table.types[position] if len(columns) > _FEW_COLUMNS else str(position), []).append(position)
    for alike in by_type.values():
        type_, kind = table.types[alike[0]], table.kinds[alike[0]]
        if len(alike) == 1:
            cells = f"(SELECT 'c{alike[0]}' AS name, c{alike[0]} AS v FROM {source} WHERE c{alike[0]} IS NOT NULL)"
        else:
            selected = ", ".join(f"c{p}" for p in alike)
            cells = f"(UNPIVOT (SELECT {selected} FROM {source}) ON COLUMNS(*) INTO NAME name VALUE v)"
        if type_ != _CASTS[kind]:
            cells = f"(SELECT name, CAST(v AS {_CASTS[kind]}) AS v FROM {cells})"
        if kind == "text" and not table.delimiter:
            cells = f"(SELECT name, v FROM {cells} WHERE v <> '')"
        yield alike, cells


def _position(name: object) -> int:
    return int(str(name)[1:])
