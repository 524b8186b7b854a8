"""What DuckDB counts in a table's cells: a handful of statements over all columns at once, none per column and none per row.

Every statement works on cells, `(name, v)`: UNPIVOT turns c0, c1, … into rows, so that ten thousand columns are one
GROUP BY and not a hundred thousand aggregates for the planner.
"""

# ruff: noqa: S608 - statements are built from c0, c1, … and constants; the file's own path is a quoted literal

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ai_factory_spec.tables import MISSING_WORDS

from ai_factory.datafile import Kind, Table

SAMPLED_ROWS = 1_000
_SAMPLED_CELLS = 500_000

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


def measure(table: Table, positions: Sequence[int]) -> dict[int, Measure]:
    """The counts of the columns at these positions, by position."""
    measures = {p: Measure(p, table.kinds[p], present=0) for p in positions}
    for alike, cells in _cells(table, positions):
        for name, *facts in table.rows(_COUNTS[table.kinds[alike[0]]].format(cells=cells)):
            position = _position(name)
            measures[position] = Measure(position, table.kinds[position], *facts)  # type: ignore[arg-type]  # in the class's order
    worded = [p for p, m in measures.items() if m.kind == "text" and m.numbers < m.present]
    for _, cells in _cells(table, worded):
        for name, words in table.rows(_MISSING_WORDS.format(cells=cells)):
            m, count = measures[_position(name)], int(str(words))
            measures[m.position] = replace(m, present=m.present - count, words=count)
    return measures


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
_COUNTS: Mapping[Kind, str] = {
    "text": _TEXT_COUNTS,
    "boolean": _TEXT_COUNTS,
    "number": _NUMBER_COUNTS,
    "datetime": _TIME_COUNTS,
}
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
    rows = (
        row
        for _, cells in _cells(table, columns)
        for row in table.rows(f"SELECT name, count(DISTINCT v) FROM {cells} GROUP BY name")
    )
    return {_position(name): int(str(count)) for name, count in rows}


@dataclass(frozen=True, slots=True)
class Dates:
    """How many cells of a text column are dates that the runtime can read; the earliest and the latest."""

    count: int
    earliest: dt.datetime
    latest: dt.datetime


def dates(table: Table, columns: Sequence[int]) -> dict[int, Dates]:
    """The dates in these text columns, by position; nothing for a column that holds none."""
    rows = (row for _, cells in _cells(table, columns) for row in table.rows(_DATES.format(cells=cells)))
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
    """For the columns of each type, a relation `(name, v)` with a row for every cell that is not empty.

    Cells are cast after they are unpivoted: one cast, where a cast per column would keep the planner busy for minutes.
    """
    by_type: dict[str, list[int]] = {}
    for position in columns:
        by_type.setdefault(table.types[position], []).append(position)
    for alike in by_type.values():
        kind = table.kinds[alike[0]]
        selected = ", ".join(f"c{p}" for p in alike)
        cells = f"(UNPIVOT (SELECT {selected} FROM {source}) ON COLUMNS(*) INTO NAME name VALUE v)"
        if table.types[alike[0]] != _CASTS[kind]:
            cells = f"(SELECT name, CAST(v AS {_CASTS[kind]}) AS v FROM {cells})"
        if kind == "text" and not table.delimiter:
            cells = f"(SELECT name, v FROM {cells} WHERE v <> '')"
        yield alike, cells


def _position(name: object) -> int:
    return int(str(name)[1:])
