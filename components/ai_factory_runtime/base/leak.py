"""Leak: one way in which the answer is given away, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

DROP_COLUMN = (
    "List such a column under data.ignore in usecase.yaml; if its value is truly known before the target is, "
    "list it under acceptance.allowed_leakage."
)


@dataclass(frozen=True, slots=True)
class Leak:
    """One way in which the answer is given away: `column` is empty where the split is at fault. `remedy` ends the message."""

    kind: str
    column: str
    detail: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.column!r} {self.detail}" if self.column else self.detail
