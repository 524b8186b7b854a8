"""A data file -> Profile: what each column holds, and what part it seems to play. Facts here; guesses with reasons in `roles`.

How a column gets its type:
- number, integer: every cell that is not missing is a finite number; integer where all are whole. Codes with leading zeros
  and whole numbers of more than fifteen digits are text: as numbers they would lose digits.
- category: texts of few different values (at most 50 where they repeat, at most 1,000 where each stands for twenty rows), and
  whole numbers of exactly two one-digit values, such as 0/1 or a sex coded 1/2. Other whole numbers stay integers: their order
  may matter.
- boolean: true and false, in any case, or Parquet's own. datetime: ISO 8601 throughout. text: the rest; no feature.
Columns that teach nothing or cannot be part of a contract are left out, with the reason: no name, nested or binary values,
no value at all, one value only.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ai_factory_spec.metrics import Task
from ai_factory_spec.tables import MISSING_WORDS

from ai_factory.data_errors import NothingToLearnFrom, TargetMissing, TargetUnusable, listed
from ai_factory.datafile import Table, left_out, open_table
from ai_factory.measure import Dates, Measure, dates, exact_distinct, is_number, measure, values
from ai_factory.roles import MAX_CLASSES, Roles, infer_roles, looks_like_dates

ColumnType = Literal["integer", "number", "category", "boolean", "datetime", "text"]

FEW_CATEGORIES = 50
MAX_CATEGORIES = 1_000
ROWS_PER_CATEGORY = 20  # what more than a few categories need, each
LONG_TEXT = 60  # characters on average
_NEARLY_UNIQUE = 0.8  # the approximate share of different values from which they are counted exactly


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """One column. `values` (value, count; most frequent first) is given for few values only; `note` says what is odd about it."""

    name: str
    type: ColumnType
    missing: int
    missing_share: float
    distinct: int  # exact where values are given or the column is unique, else within a few percent
    unique: bool
    whole: bool  # a column of whole numbers
    minimum: float | dt.datetime | None = None
    maximum: float | dt.datetime | None = None
    values: tuple[tuple[str, int], ...] = ()
    average_length: float = 0.0
    examples: tuple[str, ...] = ()
    note: str = ""

    @property
    def numeric(self) -> bool:
        """Whether every value is a number, also where the numbers are codes of a category."""
        return isinstance(self.minimum, float)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A column that is no part of the proposed contract, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Profile:
    """A data file: its rows, its columns in the file's order, what was left out, and what part each column seems to play."""

    path: Path
    rows: int
    columns: tuple[ColumnProfile, ...]
    left_out: tuple[LeftOut, ...]
    target: str | None
    roles: Roles
    delimiter: str  # of a CSV file; empty for Parquet

    def column(self, name: str) -> ColumnProfile:
        """The column of that name. Raises KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def task(self) -> Task | None:
        """The task the target suggests; None without a target."""
        return self.roles.task.value if self.roles.task else None

    @property
    def positive(self) -> str | None:
        """The class of interest the target suggests; None unless the task is binary."""
        return self.roles.positive.value if self.roles.positive else None

    @property
    def class_balance(self) -> tuple[tuple[str, int], ...]:
        """The target's classes with their rows, most frequent first; empty for a regression."""
        if self.target is None or self.task in (None, "regression"):
            return ()
        return self.column(self.target).values


def profile_file(path: Path, target: str | None) -> Profile:
    """The profile of a CSV or Parquet file.

    Raises a DataError: DataFileUnreadable, DataEmpty, ColumnsDuplicate; with a target also TargetMissing, TargetUnusable and
    NothingToLearnFrom.
    """
    with open_table(path) as table:
        if target is not None and target not in table.names:
            raise TargetMissing(path=path, target=target, columns=[n for n in table.names if n.strip()])
        rows = int(str(table.rows("SELECT count(*) FROM raw")[0][0]))
        columns, omitted = _columns(table, rows, target)
    if target is not None:
        _require_usable(path, target, columns, omitted)
    roles = infer_roles(columns, rows, target)
    if target is not None and not roles.features(columns, target):
        raise NothingToLearnFrom(path=path, reasons=_why_no_features(columns, omitted, roles, target))
    return Profile(path, rows, columns, omitted, target, roles, table.delimiter)


def _columns(table: Table, rows: int, target: str | None) -> tuple[tuple[ColumnProfile, ...], tuple[LeftOut, ...]]:
    reasons = {p: why for p, name in enumerate(table.names) if (why := left_out(name, table.kinds[p]))}
    measured = measure(table, [p for p in range(len(table.names)) if p not in reasons])
    measures = measured.columns
    reasons |= {p: "it has no value" for p, m in measures.items() if m.present == 0}
    numeric = [p for p, m in measures.items() if p not in reasons and m.numeric]
    numbers = set(numeric)
    sampled = {p: sample for p, sample in measured.samples.items() if p not in numbers}
    dated = dates(table, [p for p, sample in sampled.items() if p not in reasons and looks_like_dates(sample)])
    dated = {p: found for p, found in dated.items() if found.count == measures[p].present}
    counted = {p: counts for p, counts in measured.values.items() if p not in numbers and p not in dated}
    coded = [p for p in numeric if _may_be_codes(measures[p], is_target=table.names[p] == target)]
    counted |= values(table, coded, numeric=True)
    nearly = [p for p, m in measures.items() if p not in reasons and _may_be_unique(m)]
    exact = exact_distinct(table, nearly)
    profiles = []
    for p, m in measures.items():
        if p in reasons:
            continue
        of = counted.get(p, {})
        column = _profile(
            table.names[p], m, rows, of, exact.get(p), sampled.get(p, ()), dated.get(p), is_numeric=p in numbers
        )
        if column.distinct == 1:
            only = listed([column.values[0][0]]) if column.values else repr(m.low)
            reasons[p] = f"its only value is {only}"
        else:
            profiles.append((p, column))
    ordered = tuple(column for _, column in sorted(profiles, key=lambda pair: pair[0]))
    return ordered, tuple(LeftOut(table.names[p], why) for p, why in sorted(reasons.items()))


def _may_be_codes(m: Measure, *, is_target: bool) -> bool:
    return m.distinct <= 3 or (is_target and m.distinct <= MAX_CLASSES * 2)


def _may_be_unique(m: Measure) -> bool:
    return m.kind != "boolean" and (m.whole or m.numbers < m.present) and m.distinct >= _NEARLY_UNIQUE * m.present


def _profile(
    name: str,
    m: Measure,
    rows: int,
    counts: Mapping[str, int],
    exact: int | None,
    sample: Sequence[str],
    found: Dates | None,
    *,
    is_numeric: bool,
) -> ColumnProfile:
    truths = {"true", "false"}
    if counts and {value.lower() for value in counts} <= truths:  # True and TRUE are one value
        counts = {
            truth: n for truth in ("true", "false") if (n := sum(c for v, c in counts.items() if v.lower() == truth))
        }
    distinct = len(counts) if counts else exact if exact is not None else min(m.distinct, m.present)
    type_ = _type(m, rows, counts, distinct, is_numeric=is_numeric, is_date=found is not None)
    words_are_values = type_ == "text"  # the runtime takes a text's words as they are
    missing = rows - m.present - (m.words if words_are_values else 0)
    low, high = (m.low, m.high) if is_numeric or m.kind == "datetime" else (None, None)
    if found is not None:
        low, high = found.earliest, found.latest
    return ColumnProfile(
        name=name,
        type=type_,
        missing=missing,
        missing_share=missing / rows,
        distinct=distinct,
        unique=exact is not None and exact == m.present and m.words == 0 and missing == 0,
        whole=is_numeric and m.whole,
        minimum=low,
        maximum=high,
        values=tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))),
        average_length=m.average_length,
        examples=tuple(v for v in sample if v.strip() not in MISSING_WORDS)[:1_000],
        note=_note(m, sample, type_),
    )


def _type(
    m: Measure, rows: int, counts: Mapping[str, int], distinct: int, *, is_numeric: bool, is_date: bool
) -> ColumnType:
    if m.kind == "datetime" or is_date:
        return "datetime"
    if is_numeric:
        codes = len(counts) == 2 and m.whole and rows >= ROWS_PER_CATEGORY
        one_digit = isinstance(m.low, float) and isinstance(m.high, float) and max(abs(m.low), abs(m.high)) <= 9
        return "category" if codes and one_digit else "integer" if m.whole else "number"
    if counts and set(counts) <= {"true", "false"}:
        return "boolean"
    long = m.average_length > LONG_TEXT and distinct > 10
    few = distinct <= FEW_CATEGORIES and (distinct <= m.present / 2 or (distinct <= 10 and distinct < m.present))
    many = distinct <= MAX_CATEGORIES and distinct * ROWS_PER_CATEGORY <= m.present
    return "category" if counts and not long and (few or many) else "text"


def _note(m: Measure, sample: Sequence[str], type_: ColumnType) -> str:
    if m.infinite:
        return f"{m.infinite:,} values are infinite: rows that hold them break the contract"
    if type_ in ("text", "category") and m.kind == "text" and 0.9 * m.present <= m.numbers < m.present:
        odd = [v for v in sample if not is_number(v) and v.strip() not in MISSING_WORDS]
        shown = f", such as {listed(odd, 3)}" if odd else ""
        return f"{m.present - m.numbers:,} values are no numbers{shown}; without them it would be a number"
    if type_ == "text" and looks_like_dates(sample, iso=False):
        return "it holds dates that are not ISO 8601 (2024-01-31); in that form they could order the rows"
    return ""


def _require_usable(path: Path, target: str, columns: Sequence[ColumnProfile], omitted: Sequence[LeftOut]) -> None:
    why = next((column.why for column in omitted if column.name == target), None)
    if why is not None:
        raise TargetUnusable(path=path, target=target, problem=why)
    column = next(column for column in columns if column.name == target)
    if column.type == "datetime":
        hint = "Derive a number (days until) or a class (within 30 days) from it."
        raise TargetUnusable(path=path, target=target, problem="it is a date", hint=hint)
    if column.missing_share > 0.5:
        problem = f"{column.missing:,} values are missing, more than half"
        raise TargetUnusable(path=path, target=target, problem=problem, hint="Keep the rows whose outcome is known.")
    if not column.numeric and (not column.values or len(column.values) > MAX_CLASSES):
        problem = f"it has {column.distinct:,} different texts, too many to be classes (at most {MAX_CLASSES})"
        raise TargetUnusable(path=path, target=target, problem=f"{problem}{f'; {column.note}' if column.note else ''}")


def _why_no_features(
    columns: Sequence[ColumnProfile], omitted: Sequence[LeftOut], roles: Roles, target: str
) -> tuple[str, ...]:
    reasons = [f"{listed([column.name])} is left out: {column.why}" for column in omitted if column.name.strip()]
    for column in columns:
        if column.name != target:
            role = roles.role_of(column.name) or f"of type {column.type}"
            reasons.append(f"{listed([column.name])} is {role}")
    return tuple(reasons[:12])
