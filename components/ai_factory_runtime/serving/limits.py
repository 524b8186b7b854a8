"""Limits: what a service allows itself, and how what it allows one request bounds how many may wait."""

from __future__ import annotations

from dataclasses import dataclass

from ai_factory_runtime.serving.negotiation import MAX_BODY
from ai_factory_runtime.serving.requests import MAX_ROWS

MIB = 1024 * 1024
_WAITING = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` bound a call whose time nobody knows, `threads` answer such calls, `waiting` may wait; `body` is in bytes.

    `rows` are the most a request may hold.
    """

    seconds: float = 30.0
    threads: int = 2
    waiting: int = _WAITING
    body: int = MAX_BODY
    rows: int = MAX_ROWS

    @classmethod
    def for_body(cls, body: int, *, seconds: float) -> Limits:
        """Limits for bodies of so many bytes: where they are larger than usual, more rows in one and fewer that wait.

        All bodies that wait together stay as large as they are by default, so that memory does.
        """
        larger = max(1.0, body / MAX_BODY)
        return cls(seconds, waiting=max(1, int(_WAITING / larger)), body=body, rows=int(MAX_ROWS * larger))


USUAL = Limits()
"""Those of a service that nobody tells anything."""
