"""A line of an estimate, and what the rules that write them share: a resource as a program asked for it, machines by the hour."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ai_factory_infra.cost.price_table import PriceTable

Inputs = Mapping[str, Any]
Resource = tuple[str, str, Inputs]  # type, logical name, inputs


@dataclass(frozen=True, slots=True)
class Item:
    """One line: `amount` a month in the table's currency; None where the table has no such price. `by`: what it is counted by."""

    group: str
    what: str
    by: str
    amount: float | None


# Its name, its inputs, the prices, and the stack it belongs to: what starts, scales or reads it stands beside it.
Rule = Callable[[str, Inputs, PriceTable, Sequence[Resource]], Iterator[Item]]


def machines(group: str, who: str, kind: str, count: float, hours: float, t: PriceTable, note: str = "") -> Item:
    """So many machines of a type for so many hours; no amount for a type that the table does not know."""
    price = t.instance_hour.get(kind)
    amount = None if price is None else count * hours * price
    return Item(group, who, f"{count:g} × {kind} × {hours:g} h{note}", amount)


def of_type(stack: Sequence[Resource], kind: str) -> Iterator[tuple[str, Inputs]]:
    """Name and inputs of each resource of a type."""
    return ((name, inputs) for found, name, inputs in stack if found == kind)


def is_named(said: str, name: str, inputs: Inputs) -> bool:
    """Whether an ARN or a name, as the mocks make it (a given name, or the logical one and seven characters), is this resource's."""
    own = said.rsplit("/", 1)[-1]
    named = re.fullmatch(re.escape(name) + "-[0-9a-f]{7}", own)
    return own in (inputs.get("name"), inputs.get("pipelineName")) or named is not None
