"""The name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST = 80  # of a name that is compared; difflib is quadratic in it
_MOST = 20_000  # names that are compared


def nearest(name: str, known: Iterable[str], *, count: int = 1) -> tuple[str, ...]:
    """Up to `count` of the known names that resemble `name`, the nearest first; none where nothing is near.

    Case, spaces, hyphens and underscores weigh nothing: `Churn-Flag` is nearest to `churn_flag`.
    """
    by_key: dict[str, list[str]] = {}
    for candidate in sorted(set(known))[:_MOST]:
        by_key.setdefault(_key(candidate), []).append(candidate)
    keys = difflib.get_close_matches(_key(name), by_key, n=count, cutoff=0.6)
    return tuple(candidate for key in keys for candidate in by_key[key])[:count]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` to append to a message, or nothing where no known name is near."""
    found = nearest(name, known)
    return f"; did you mean {found[0]!r}?" if found else ""


def _key(name: str) -> str:
    return "".join(c for c in name[:_LONGEST].casefold() if c not in " -_") or name[:_LONGEST]
