"""GateResult: what one gate found."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate: the number it looked at, the bound, and a sentence that says both. `value` is None where nothing could be measured."""

    name: str
    passed: bool
    value: float | None
    bound: float | None
    sentence: str

    def __str__(self) -> str:
        return f"{self.name}: {self.sentence}"


def finite(value: float) -> float | None:
    """The number, or None where it is not finite."""
    return value if math.isfinite(value) else None
