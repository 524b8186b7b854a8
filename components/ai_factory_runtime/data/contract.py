"""The data contract, checked: every rule that rows break, with how often, where, and with examples.

Types are converted by `values` first, so that a value of the wrong type is a violation like any other. Each rule is one
mask over the rows (playbooks/decisions/0006): a million rows of thirty columns take a second or two, however many are bad.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import Column, Contract, Data, Pii

from ai_factory_runtime.base.errors import ContractBroken
from ai_factory_runtime.base.violations import MAX_EXAMPLES, Violation, examples
from ai_factory_runtime.data.frames import convert, not_of_type, reject_twins
from ai_factory_runtime.data.pii import protect

__all__ = ["ContractReport", "Examined", "Violation", "check", "examine", "hold", "quarantine", "require"]

BoolArray = npt.NDArray[np.bool_]
HIDDEN = ("(hidden: personal data)",)
MISSING_VALUE = "has no value"
TWICE = "occurs more than once"
REASONS = "reasons"
_LISTED_CATEGORIES = 5
_LOOKED_AT = 1000  # bad values, to find different ones as examples
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class ContractReport:
    """What a table breaks. `bad` marks the rows, `broken` the rows of each rule; `table_broken`: a rule about the whole table."""

    rows: int
    bad_rows: int
    violations: tuple[Violation, ...]
    table_broken: bool
    bad: BoolArray = field(repr=False, compare=False)
    broken: tuple[tuple[Violation, BoolArray], ...] = field(default=(), repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether every row and the table satisfy the contract."""
        return not self.violations

    def reasons(self) -> list[str]:
        """Why each bad row is bad, in the order of the rows: every rule it breaks, never a value."""
        found = np.full(int(self.bad.sum()), "", dtype=object)
        for violation, rows in self.broken:
            broken = rows[self.bad]
            found[broken] = [
                f"{before}; {violation.rule_text}" if before else violation.rule_text for before in found[broken]
            ]
        return list(found)

    def document(self) -> dict[str, object]:
        """The report as JSON values."""
        listed = [
            {
                "column": v.column,
                "rule": v.rule,
                "rows": v.count,
                "first_rows": list(v.rows),
                "examples": list(v.examples),
            }
            for v in self.violations
        ]
        return {"rows": self.rows, "bad_rows": self.bad_rows, "violations": listed}


@dataclass(frozen=True, slots=True)
class Examined:
    """A table told apart: the good rows with canonical types, and the bad rows as they came. `good` may lack a column."""

    good: pd.DataFrame
    set_aside: pd.DataFrame
    report: ContractReport


def check(frame: pd.DataFrame, contract: Contract, *, hidden: Collection[str] = ()) -> ContractReport:
    """Hold a table against the contract and report all violations, in the contract's order of columns.

    Values of `hidden` columns are never shown as examples. Raises DataUnreadable where a column occurs twice.
    """
    return _check(frame, contract, hidden, None)[0]


def examine(frame: pd.DataFrame, contract: Contract, *, hidden: Collection[str] = ()) -> Examined:
    """Tell good rows from bad ones; `require` decides whether the good ones may be used."""
    return _examined(frame, *_check(frame, contract, hidden, None))


def hold(frame: pd.DataFrame, data: Data, *, now: dt.datetime | None = None) -> Examined:
    """`examine` for the rows of a use case: personal data is hidden, and the newest row may not be too old.

    `now` (with a zone; None: the clock) is the moment from which the age counts: to make a run again, the moment of that run.
    """
    freshness = None
    if data.contract.max_age_days is not None and data.time is not None:
        freshness = _Freshness(data.time, data.contract.max_age_days, now or dt.datetime.now(dt.UTC))
    hidden = {rule.column for rule in data.pii}
    return _examined(frame, *_check(frame, data.contract, hidden, freshness))


def require(examined: Examined, contract: Contract) -> None:
    """Raise ContractBroken, with all violations, unless the good rows may be used.

    They may not where more rows are bad than `max_bad_rows` allows, a column is missing, the newest row is too old, or the
    table is too short or long.
    """
    report, good = examined.report, len(examined.good)
    broken = report.table_broken or report.bad_rows > contract.max_bad_rows * report.rows
    violations = report.violations
    if not broken and good < contract.min_rows:
        broken, violations = True, (*violations, Violation("", _too_few(good, contract), 0))
    if broken:
        raise ContractBroken(
            rows=report.rows, bad_rows=report.bad_rows, allowed=contract.max_bad_rows, violations=violations
        )


def quarantine(examined: Examined, rules: Sequence[Pii], key: bytes) -> pd.DataFrame:
    """The rows set aside as they may be stored: every reason, then the values with personal data protected.

    The index, named `row`, is the row's place in the source; 0 is its first row of data.
    """
    stored = protect(examined.set_aside, rules, key)
    name = REASONS if REASONS not in stored.columns else f"{REASONS} (quarantine)"
    stored.insert(0, name, examined.report.reasons())
    return stored.rename_axis("row")


@dataclass(frozen=True, slots=True)
class _Freshness:
    column: str
    max_age_days: float
    now: dt.datetime


def _examined(frame: pd.DataFrame, report: ContractReport, converted: pd.DataFrame) -> Examined:
    good = converted if not report.bad.any() else converted[~report.bad].reset_index(drop=True)
    return Examined(good, frame.reset_index(drop=True)[report.bad], report)


def _check(
    frame: pd.DataFrame, contract: Contract, hidden: Collection[str], freshness: _Freshness | None
) -> tuple[ContractReport, pd.DataFrame]:
    reject_twins(frame, [c.name for c in contract.columns])
    raw = frame.reset_index(drop=True)
    converted: dict[str, pd.Series[Any]] = {}
    broken: list[tuple[Violation, BoolArray]] = []
    bad = np.zeros(len(raw), dtype=np.bool_)
    for column in contract.columns:
        if column.name not in raw.columns:
            continue
        result = convert(raw[column.name], column)
        converted[column.name] = result.values
        for rule, rows in _broken_rules(column, result.values, result.failed):
            bad |= rows
            broken.append((_violation(column.name, rule, rows, raw[column.name], hidden), rows))
    table = [*_table_rules(raw, contract), *_stale(converted, freshness)]
    violations = (*table, *(violation for violation, _ in broken))
    count = len(raw) if len(converted) < len(contract.columns) else int(bad.sum())
    report = ContractReport(len(raw), count, violations, bool(table), bad, tuple(broken))
    return report, pd.DataFrame(converted, index=raw.index, copy=False)


def _broken_rules(column: Column, values: pd.Series[Any], failed: BoolArray) -> Iterator[tuple[str, BoolArray]]:
    """(rule, the rows that break it) for every rule of a column that some row breaks."""
    for rule, rows in _rules(column, values, failed):
        if rows.any():
            yield rule, rows


def _rules(column: Column, values: pd.Series[Any], failed: BoolArray) -> Iterator[tuple[str, BoolArray]]:
    yield not_of_type(column), failed
    absent = values.isna().to_numpy(dtype=np.bool_)  # a value of the wrong type is missing here; it is counted above
    if not column.nullable:
        yield MISSING_VALUE, absent & ~failed
    if column.unique:
        yield TWICE, values.duplicated(keep=False).to_numpy(dtype=np.bool_) & ~absent
    if column.min is not None or column.max is not None:
        known = values.to_numpy()
        if column.min is not None:
            yield f"is less than {_shown(column.min)}", known < _bound(column.min)
        if column.max is not None:
            yield f"is more than {_shown(column.max)}", known > _bound(column.max)
    if column.categories is not None:
        known_value = values.isin(column.categories).to_numpy(dtype=np.bool_)
        yield f"is none of {_listed(column.categories)}", ~known_value & ~absent


def _violation(name: str, rule: str, rows: BoolArray, values: pd.Series[Any], hidden: Collection[str]) -> Violation:
    where = np.flatnonzero(rows)
    shown: tuple[str, ...] = ()
    if rule != MISSING_VALUE:
        shown = HIDDEN if name in hidden else examples(values.iloc[where[:_LOOKED_AT]])
    return Violation(name, rule, len(where), shown, tuple(int(row) for row in where[:MAX_EXAMPLES]))


def _stale(converted: dict[str, pd.Series[Any]], freshness: _Freshness | None) -> list[Violation]:
    """The newest row is too old. A table without any time is told by the rules of its column."""
    if freshness is None or freshness.column not in converted:
        return []
    newest = converted[freshness.column].max()
    if pd.isna(newest):
        return []
    now = pd.Timestamp(freshness.now).tz_convert("UTC").tz_localize(None)
    age = (now - newest).total_seconds() / _DAY
    if age <= freshness.max_age_days:
        return []
    rule = (
        f"is too old: the newest value is {newest:%Y-%m-%d %H:%M} UTC, {age:.1f} days ago; "
        f"at most {freshness.max_age_days:g} days are allowed (data.contract.max_age_days)"
    )
    return [Violation(freshness.column, rule, 0)]


def _table_rules(frame: pd.DataFrame, contract: Contract) -> list[Violation]:
    violations = [
        Violation(column.name, "is missing from the table", 0)
        for column in contract.columns
        if column.name not in frame.columns
    ]
    if len(frame) < contract.min_rows:
        violations.append(Violation("", _too_few(len(frame), contract), 0))
    if contract.max_rows is not None and len(frame) > contract.max_rows:
        violations.append(Violation("", f"the table has {len(frame)} rows, at most {contract.max_rows} are allowed", 0))
    return violations


def _too_few(rows: int, contract: Contract) -> str:
    return f"the table has {rows} good rows, at least {contract.min_rows} are needed"


def _bound(value: float | dt.date | dt.datetime) -> Any:
    """A bound that an array of the column's values compares with: a number, or a moment in UTC."""
    if isinstance(value, (dt.date, dt.datetime)):
        stamp = pd.Timestamp(value)
        return (stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo else stamp).to_datetime64()
    return value


def _shown(value: float | dt.date | dt.datetime) -> str:
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _listed(categories: tuple[str, ...]) -> str:
    shown = ", ".join(map(repr, categories[:_LISTED_CATEGORIES]))
    rest = len(categories) - _LISTED_CATEGORIES
    return f"{shown} and {rest} more" if rest > 0 else shown
