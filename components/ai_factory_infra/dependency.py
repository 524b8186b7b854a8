"""Dependency: what a component stands on is made (`create`), brought along (`existing`) or done without (`skip`).

Network, keys, buckets, roles and the registry say it in the same words. With `existing` nothing is registered, so nothing of
what was brought can be changed or destroyed from here; it is named by the inputs given with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from ai_factory_infra.problems import Problems

Mode = Literal["create", "existing", "skip"]
MODES: tuple[Mode, ...] = ("create", "existing", "skip")


def check_mode(
    problems: Problems,
    mode: str,
    brought: Mapping[str, object],
    *,
    allowed: Sequence[str] = MODES,
    because: str = "",
    path: str = "mode",
) -> None:
    """The mode is allowed, and what belongs to `existing` is given with it, all of it, and with no other mode.

    `brought`: input name -> what was given; None, empty text and empty collections count as not given. `because`: why not
    all three are allowed. `path`: the input that says the mode.
    """
    reason = f"; {because}" if because else ""
    problems.unless(mode in allowed, path, f"got {mode!r}; allowed: {', '.join(allowed)}{reason}")
    for given, value in brought.items():
        if mode == "existing":
            problems.unless(_given(value), given, "missing; the mode existing is told what exists")
        else:
            problems.unless(not _given(value), given, f"fits the mode existing, not {mode}")


def _given(value: object) -> bool:
    """Whether there is a value; an output of a resource that is still to be made is one."""
    return value is not None and not (isinstance(value, (str, list, tuple, dict)) and not value)
