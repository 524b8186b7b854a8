"""Choice: one thing that training decided by itself, with the reason. The model card lists them all: nothing is silent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choice:
    """What was decided (`name`), how (`value`), and why (`reason`), each as text for people."""

    name: str
    value: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.value} ({self.reason})"
