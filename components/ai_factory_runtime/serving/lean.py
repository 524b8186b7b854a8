"""Lean reading: the rows of a request in which nothing is unusual, in microseconds; for any other it gives up.

It never says what is wrong: `requests` does, and reads by its own rules whatever this module does not take. A test holds
that what is taken here is what those rules give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from ai_factory_runtime.data.rows import Floats, Layout, Rows

_NUMBER_TYPES = frozenset({int, float})
_NULLABLE_NUMBER_TYPES = _NUMBER_TYPES | {type(None)}
_TRUTH_TYPES = frozenset({bool})
_NULLABLE_TRUTH_TYPES = _TRUTH_TYPES | {type(None)}


@dataclass(frozen=True, slots=True)
class _Rules:
    """The contract of a layout's columns in a form that a few array operations check."""

    low: Floats
    high: Floats
    required: npt.NDArray[np.intp]
    whole: npt.NDArray[np.intp]
    number_types: frozenset[type]
    categories: tuple[frozenset[Any] | None, ...]
    truths: tuple[frozenset[type], ...]


@dataclass(frozen=True)
class LeanReader:
    """Reads rows of `layout`; `allowed` are the names a row may have, `id` the column whose values are kept, `limit` the most rows."""

    layout: Layout
    allowed: frozenset[str]
    id: str | None
    limit: int

    def read(self, document: Any) -> Rows | None:
        """The rows of a parsed body, or None where a single thing in it is not plainly as the contract has it."""
        if type(document) is not dict:
            return None
        if len(document) == 1 and type(records := document.get("records")) is list and 0 < len(records) <= self.limit:
            return self._from_records(records)
        if document.keys() == {"columns", "data"}:
            return self._from_split(document["columns"], document["data"])
        return None

    def _from_records(self, records: list[Any]) -> Rows | None:
        allowed, names = self.allowed, [c.name for c in self.layout.numeric]
        for row in records:
            if type(row) is not dict or not row.keys() <= allowed:
                return None
        numbers = self._numbers(_of_names(records, names))
        if numbers is None:
            return None
        others = tuple([row.get(c.name) for row in records] for c in self.layout.other)
        ids = None if self.id is None else [row.get(self.id) for row in records]
        return Rows(self.layout, numbers, others, ids) if self._are_plain(others) else None

    def _from_split(self, names: Any, data: Any) -> Rows | None:
        if type(names) is not list or type(data) is not list or not 0 < len(data) <= self.limit:
            return None
        if not all(type(n) is str for n in names) or len(set(names)) < len(names) or not self.allowed.issuperset(names):
            return None
        places = {name: i for i, name in enumerate(names)}
        if any(c.name not in places for c in self.layout.columns):
            return None
        if set(map(type, data)) != {list} or set(map(len, data)) != {len(names)}:
            return None
        numbers = self._numbers(_picked(data, [places[c.name] for c in self.layout.numeric], len(names)))
        if numbers is None:
            return None
        others = tuple([row[places[c.name]] for row in data] for c in self.layout.other)
        ids = [row[places[self.id]] for row in data] if self.id in places else None
        return Rows(self.layout, numbers, others, ids) if self._are_plain(others) else None

    def _numbers(self, block: Sequence[Sequence[Any]]) -> Floats | None:
        """The matrix of the numbers, if all are what the contract allows."""
        rules = self._rules
        if not self.layout.numeric:
            return np.empty((len(block), 0))
        if not rules.number_types.issuperset(map(type, chain.from_iterable(block))):
            return None
        try:
            numbers = np.array(block, dtype=np.float64)
        except OverflowError:  # a whole number that no float can hold
            return None
        if (numbers < rules.low).any() or (numbers > rules.high).any() or np.isinf(numbers).any():
            return None
        if rules.required.size and np.isnan(numbers[:, rules.required]).any():
            return None
        if rules.whole.size and (numbers[:, rules.whole] % 1 > 0).any():
            return None
        return numbers

    def _are_plain(self, others: tuple[list[Any], ...]) -> bool:
        """Whether each category is one of the contract's, written exactly so, and each boolean is one."""
        rules = self._rules
        for values, categories, truths in zip(others, rules.categories, rules.truths, strict=True):
            try:
                if not (truths.issuperset(map(type, values)) if categories is None else categories.issuperset(values)):
                    return False
            except TypeError:  # a list or an object has no hash
                return False
        return True

    @cached_property
    def _rules(self) -> _Rules:
        numeric, other, bound = self.layout.numeric, self.layout.other, float("inf")
        nothing = {None}
        return _Rules(
            low=np.array([c.min if isinstance(c.min, float) else -bound for c in numeric]),
            high=np.array([c.max if isinstance(c.max, float) else bound for c in numeric]),
            required=np.array([i for i, c in enumerate(numeric) if not c.nullable], dtype=np.intp),
            whole=np.array([i for i, c in enumerate(numeric) if c.type == "integer"], dtype=np.intp),
            number_types=_NULLABLE_NUMBER_TYPES if any(c.nullable for c in numeric) else _NUMBER_TYPES,
            categories=tuple(
                None if c.categories is None else frozenset(c.categories) | (nothing if c.nullable else set())
                for c in other
            ),
            truths=tuple(_NULLABLE_TRUTH_TYPES if c.nullable else _TRUTH_TYPES for c in other),
        )


def _of_names(records: list[dict[str, Any]], names: list[str]) -> Sequence[Sequence[Any]]:
    """The values of some columns of each record, None where one is not there."""
    if len(names) > 1:  # itemgetter gives a bare value for one name
        try:
            return list(map(itemgetter(*names), records))
        except KeyError:
            pass
    return [[row.get(name) for name in names] for row in records]


def _picked(data: list[Any], places: list[int], width: int) -> Sequence[Sequence[Any]]:
    """The values of some columns of each row."""
    if places == list(range(width)):
        return data
    if len(places) < 2:  # itemgetter gives a bare value for one place
        return [[row[i] for i in places] for row in data]
    return list(map(itemgetter(*places), data))
