"""The data contract, checked: every rule that rows break, with how often and with examples.

The rules are a pandera schema generated from the contract in usecase.yaml; types are converted by `frames` first, so that
a value of the wrong type is a violation like any other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import Column, Contract

from ai_factory_runtime.errors import ContractBroken
from ai_factory_runtime.frames import convert, not_of_type, reject_twins
from ai_factory_runtime.violations import Violation, examples

__all__ = ["ContractReport", "Examined", "Violation", "check", "examine", "require", "schema_of"]

BoolArray = npt.NDArray[np.bool_]
HIDDEN = ("(hidden: personal data)",)
MISSING_VALUE = "has no value"
TWICE = "occurs more than once"
_LISTED_CATEGORIES = 5


@dataclass(frozen=True, slots=True)
class ContractReport:
    """What a table breaks. `bad` marks the rows; `table_broken` says that a rule about the whole table is broken."""

    rows: int
    bad_rows: int
    violations: tuple[Violation, ...]
    table_broken: bool
    bad: BoolArray = field(repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether every row and the table satisfy the contract."""
        return not self.violations


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
    return _check(frame, contract, hidden)[0]


def examine(frame: pd.DataFrame, contract: Contract, *, hidden: Collection[str] = ()) -> Examined:
    """Tell good rows from bad ones; `require` decides whether the good ones may be used."""
    report, converted = _check(frame, contract, hidden)
    return Examined(converted[~report.bad].reset_index(drop=True), frame[report.bad], report)


def require(examined: Examined, contract: Contract) -> None:
    """Raise ContractBroken, with all violations, unless the good rows may be used.

    They may not where more rows are bad than `max_bad_rows` allows, a column is missing, or the table is too short or long.
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


def schema_of(contract: Contract, names: Collection[str]) -> Any:
    """The pandera schema for those of the contract's columns that a table has; values have canonical types already."""
    import pandera.pandas as pa

    return pa.DataFrameSchema(
        {
            column.name: pa.Column(nullable=True, checks=_checks(column), name=column.name)
            for column in contract.columns
            if column.name in names
        }
    )


def _check(frame: pd.DataFrame, contract: Contract, hidden: Collection[str]) -> tuple[ContractReport, pd.DataFrame]:
    reject_twins(frame, [c.name for c in contract.columns])
    raw = frame.reset_index(drop=True)
    present = [c for c in contract.columns if c.name in raw.columns]
    results = {c.name: convert(raw[c.name], c) for c in present}
    converted = pd.DataFrame({name: result.values for name, result in results.items()}, index=raw.index)
    broken: dict[str, dict[str, BoolArray]] = {
        c.name: {not_of_type(c): results[c.name].failed} for c in present if results[c.name].failed.any()
    }
    for name, rule, rows in _pandera_failures(converted, contract):
        failed = rows & ~results[name].failed  # a value of the wrong type is missing here; it was counted above
        if failed.any():
            broken.setdefault(name, {})[rule] = failed
    violations, bad = _table_rules(raw, contract), np.zeros(len(raw), dtype=np.bool_)
    table_broken = bool(violations)
    for column in present:
        for rule, rows in broken.get(column.name, {}).items():
            bad |= rows
            shown = HIDDEN if column.name in hidden else examples(raw.loc[rows, column.name].iloc[:1000])
            violations.append(Violation(column.name, rule, int(rows.sum()), () if rule == MISSING_VALUE else shown))
    count = len(raw) if len(present) < len(contract.columns) else int(bad.sum())
    return ContractReport(len(raw), count, tuple(violations), table_broken, bad), converted


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


def _checks(column: Column) -> list[Any]:
    """pandera's checks for one column; `error` is the rule's text in a report."""
    import pandera.pandas as pa

    checks = []
    if not column.nullable:
        checks.append(pa.Check(lambda s: s.notna(), ignore_na=False, error=MISSING_VALUE))
    if column.unique:
        checks.append(pa.Check(lambda s: ~(s.duplicated(keep=False) & s.notna()), ignore_na=False, error=TWICE))
    if column.min is not None:
        checks.append(pa.Check.ge(_bound(column.min), error=f"is less than {_shown(column.min)}"))
    if column.max is not None:
        checks.append(pa.Check.le(_bound(column.max), error=f"is more than {_shown(column.max)}"))
    if column.categories is not None:
        checks.append(pa.Check.isin(list(column.categories), error=f"is none of {_listed(column.categories)}"))
    return checks


def _pandera_failures(frame: pd.DataFrame, contract: Contract) -> list[tuple[str, str, BoolArray]]:
    """(column, rule, rows) for every check that fails."""
    from pandera.errors import SchemaErrors

    try:
        schema_of(contract, frame.columns).validate(frame, lazy=True)
    except SchemaErrors as error:
        found = []
        for (name, rule), cases in error.failure_cases.groupby(["column", "check"], sort=False):
            rows = np.zeros(len(frame), dtype=np.bool_)
            rows[cases["index"].to_numpy(dtype=np.int64)] = True
            found.append((str(name), str(rule), rows))
        return found
    return []


def _bound(value: float | dt.date | dt.datetime) -> float | pd.Timestamp:
    if isinstance(value, (dt.date, dt.datetime)):
        stamp = pd.Timestamp(value)
        return stamp.tz_convert("UTC").tz_localize(None) if stamp.tzinfo else stamp
    return value


def _shown(value: float | dt.date | dt.datetime) -> str:
    if isinstance(value, dt.datetime) and value.time() == dt.time():
        return value.date().isoformat()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _listed(categories: tuple[str, ...]) -> str:
    shown = ", ".join(map(repr, categories[:_LISTED_CATEGORIES]))
    rest = len(categories) - _LISTED_CATEGORIES
    return f"{shown} and {rest} more" if rest > 0 else shown
