"""Violation: one rule of the data contract that rows break, with how often and with examples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_EXAMPLES = 5
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that `count` rows break. `column` is empty for rules about the whole table; `examples` are shortened values."""

    column: str
    rule: str
    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"{self.column!r} " if self.column else ""
        shown = f", e.g. {', '.join(self.examples)}" if self.examples else ""
        rows = f" ({self.count} row{'s' if self.count != 1 else ''}{shown})" if self.count else ""
        return f"{where}{self.rule}{rows}"


def examples(values: Iterable[object]) -> tuple[str, ...]:
    """The first different values, as short literals fit for one line of a terminal."""
    found: dict[str, None] = {}
    for value in values:
        literal = repr(value if isinstance(value, (str, bool, int, float)) else str(value))
        found[literal if len(literal) <= _LONGEST else literal[: _LONGEST - 1] + "…"] = None
        if len(found) == MAX_EXAMPLES:
            break
    return tuple(found)
