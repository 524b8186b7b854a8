"""Violation: one rule of the data contract that rows break, with how often, where and with examples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

MAX_EXAMPLES = 5
_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that `count` rows break, the first of them in `rows` (0 is the first row of data).

    `column` is empty for rules about the whole table; `examples` are shortened values.
    """

    column: str
    rule: str
    count: int
    examples: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()

    @property
    def rule_text(self) -> str:
        """Column and rule, without any value."""
        return f"{self.column!r} {self.rule}" if self.column else self.rule

    def __str__(self) -> str:
        if not self.count:
            return self.rule_text
        shown = f", e.g. {', '.join(self.examples)}" if self.examples else ""
        first = f"; row{'s' if len(self.rows) > 1 else ''} {', '.join(map(str, self.rows))}" if self.rows else ""
        more = ", …" if 0 < len(self.rows) < self.count else ""
        return f"{self.rule_text} ({self.count} row{'s' if self.count != 1 else ''}{shown}{first}{more})"


def examples(values: Iterable[object]) -> tuple[str, ...]:
    """The first different values, as short literals fit for one line of a terminal."""
    found: dict[str, None] = {}
    for value in values:
        literal = repr(value if isinstance(value, (str, bool, int, float)) else str(value))
        found[literal if len(literal) <= _LONGEST else literal[: _LONGEST - 1] + "…"] = None
        if len(found) == MAX_EXAMPLES:
            break
    return tuple(found)
