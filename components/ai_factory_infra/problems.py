"""Collect everything that is wrong with a component's inputs, then refuse once, before anything is registered."""

from __future__ import annotations

import re
from typing import TypeGuard, TypeVar

import pulumi

T = TypeVar("T")


class Problems:
    """What is wrong with the inputs of one component, each with its property path."""

    def __init__(self, component: str) -> None:
        self._component = component
        self._found: list[tuple[str, str]] = []

    def add(self, path: str, reason: str) -> None:
        """Note a problem: what we got, what is allowed, and AWS's limit where there is one."""
        self._found.append((path, reason))

    def unless(self, fine: bool, path: str, reason: str) -> None:
        """Note a problem unless the condition holds."""
        if not fine:
            self.add(path, reason)

    def matches(self, path: str, value: object, pattern: str, allowed: str) -> None:
        """A known string must match the whole pattern. A value known only later is let through."""
        if is_known(value) and not re.fullmatch(pattern, str(value)):
            self.add(path, f"got {value!r}; allowed: {allowed}")

    def between(self, path: str, value: float, low: float, high: float, *, unit: str = "") -> None:
        """A number must lie within AWS's bounds, both included."""
        if not low <= value <= high:
            self.add(path, f"got {value:g}; AWS allows {low:g} to {high:g}{' ' + unit if unit else ''}")

    def fits(self, path: str, name: str, limit: int, what: str) -> None:
        """A name may hold 1 to `limit` letters, digits and hyphens, and starts and ends with no hyphen."""
        if not re.fullmatch(r"[A-Za-z0-9](-*[A-Za-z0-9])*", name) or len(name) > limit:
            self.add(
                path,
                f"got {name!r} ({len(name)} characters); AWS allows 1 to {limit} letters, digits and hyphens for {what}",
            )

    def stop(self) -> None:
        """Raise `pulumi.InputPropertiesError` with all problems, where there are any."""
        if not self._found:
            return
        lines = "\n".join(f"  {path}: {reason}" for path, reason in self._found)
        raise pulumi.InputPropertiesError(
            f"{self._component} cannot be made:\n{lines}",
            [{"property_path": path, "reason": reason} for path, reason in self._found],
        )


def is_known(value: T | pulumi.Output[T] | object) -> TypeGuard[T]:
    """Whether a value can be judged now: neither absent nor an output of a resource still to be made."""
    return value is not None and not isinstance(value, pulumi.Output)
