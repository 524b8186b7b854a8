"""Schema drift: rows and requests that break the data contract. Their source has to be repaired; training would learn the damage.

A row breaks a rule by a value of another type, outside its bounds or categories, or missing where one must be, or because its
column is not there at all. A request with such a value, or one that cannot be read, is refused by the endpoint and counted
(`request_counts`). What broke a rule is no value: the other kinds of drift do not look at it.

A share of broken rows is drift above its limit, the largest of three: SHARE, what the contract itself allows (`max_bad_rows`),
and what chance alone reaches at level LEVEL in a window of this size, given that the training rows kept the contract
(`counts_by_chance`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from ai_factory_spec.usecase import Column

from ai_factory_runtime.base.violations import MAX_EXAMPLES, Violation, examples
from ai_factory_runtime.data.contract import HIDDEN
from ai_factory_runtime.data.screening import NO_VALUE, Broken, Screened
from ai_factory_runtime.monitoring.counts_by_chance import least_surprising_count
from ai_factory_runtime.monitoring.request_counts import Requests

BoolArray = npt.NDArray[np.bool_]
SHARE = 0.01
LEVEL = 0.005
ABSENT = "is missing from the table"
_LOOKED_AT = 1000  # broken values, to find different ones as examples


@dataclass(frozen=True, slots=True)
class Breaks:
    """How many of what arrived break the contract, and by which rules. Above the share `limit` it is drift."""

    what: Literal["rows", "requests"]
    total: int
    broken: int
    limit: float
    violations: tuple[Violation, ...] = ()

    @property
    def share(self) -> float:
        """Broken ones of all, 0 where nothing arrived."""
        return self.broken / self.total if self.total else 0.0

    @property
    def moved(self) -> bool:
        """Whether more break the contract than may."""
        return self.share > self.limit

    @property
    def rules_moved(self) -> tuple[Violation, ...]:
        """The rules that are broken more often than all together may be; those that are broken now and then come and go."""
        return tuple(v for v in self.violations if v.count > self.limit * self.total)

    @property
    def severity(self) -> float:
        """The share as a multiple of its limit; above 1 is drift."""
        return self.share / self.limit

    def document(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "total": self.total,
            "broken": self.broken,
            "limit": self.limit,
            "violations": [asdict(v) for v in self.violations],
        }


@dataclass(frozen=True, slots=True)
class Schema:
    """The rows that were looked at, and the requests that the endpoint had, where it was asked; None: no count of them."""

    rows: Breaks
    requests: Breaks | None = None

    @property
    def parts(self) -> tuple[Breaks, ...]:
        """What there is of both."""
        return (self.rows,) if self.requests is None else (self.rows, self.requests)

    @property
    def moved(self) -> bool:
        """Whether rows or requests break the contract more often than they may."""
        return any(p.moved for p in self.parts)

    def document(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {
            "moved": self.moved,
            "severity": max(p.severity for p in self.parts),
            "rows": self.rows.document(),
            "requests": None if self.requests is None else self.requests.document(),
        }


def limit(total: int, reference_rows: int, allowed: float) -> float:
    """The share above which broken rows are drift; `allowed` is the contract's `max_bad_rows`."""
    if not total or not reference_rows:
        return max(SHARE, allowed)
    known = round(allowed * reference_rows)
    chance = (least_surprising_count(known, reference_rows, total, LEVEL) - 1) / total
    return max(SHARE, allowed, chance)


def broken_cells(screened: Screened) -> dict[str, BoolArray]:
    """For each column with values that break a rule, their rows."""
    cells: dict[str, BoolArray] = {}
    for rule in screened.broken:
        name = rule.column.name
        cells[name] = cells[name] | rule.rows if name in cells else rule.rows
    return cells


def breaks_of_rows(
    screened: Screened,
    absent: Sequence[str],
    *,
    allowed: float,
    reference_rows: int,
    hidden: Collection[str],
    places: npt.NDArray[np.int64] | None,
) -> Breaks:
    """What a window's rows break. `absent`: feature columns that no row has. `hidden`: columns whose values are not shown.

    `places` are the rows' positions in their file; None: they are not told.
    """
    total = len(screened.bad)
    gone = tuple(Violation(name, ABSENT, total) for name in absent)
    rules = (rule for rule in screened.broken if rule.column.name not in absent)
    found = sorted((_violation(rule, screened, hidden, places) for rule in rules), key=lambda v: -v.count)
    broken = total if absent else int(screened.bad.sum())
    return Breaks("rows", total, broken, limit(total, reference_rows, allowed), (*gone, *found))


def breaks_of_requests(requests: Requests, *, allowed: float, reference_rows: int) -> Breaks:
    """What the requests to an endpoint break: how many of all it refused, and for which rules. Nothing of their content."""
    total, refused = requests.answered + requests.refused, requests.refused
    rules = [Violation(column, rule, count) for (column, rule), count in Counter(requests.rules).most_common()]
    return Breaks("requests", total, refused, limit(total, reference_rows, allowed), tuple(rules))


def unbroken(rows: int) -> Breaks:
    """Rows that all kept the contract, as those do that the endpoint answered."""
    return Breaks("rows", rows, 0, SHARE)


def absent_columns(names: Collection[str], features: Sequence[Column]) -> tuple[str, ...]:
    """The features that are not among the columns `names`."""
    return tuple(c.name for c in features if c.name not in names)


def _violation(
    rule: Broken, screened: Screened, hidden: Collection[str], places: npt.NDArray[np.int64] | None
) -> Violation:
    name, where = rule.column.name, np.flatnonzero(rule.rows)
    shown: tuple[str, ...] = ()
    if rule.reason != NO_VALUE:
        shown = HIDDEN if name in hidden else examples(screened.raw[name].iloc[where[:_LOOKED_AT]])
    first = () if places is None else tuple(np.sort(places[where])[:MAX_EXAMPLES].tolist())
    return Violation(name, rule.reason, len(where), shown, first)


def without_broken(cells: Mapping[str, BoolArray], absent: Sequence[str], rows: int) -> Mapping[str, Any]:
    """The cells that other kinds of drift leave out: those that break a rule, and columns that are not there."""
    return {**cells, **{name: np.ones(rows, dtype=np.bool_) for name in absent}}
