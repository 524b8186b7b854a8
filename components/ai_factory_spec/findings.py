"""A finding: fields that are valid each and wrong together; and the words that findings share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ai_factory_spec.paths import Path, dotted
from ai_factory_spec.view import View

NO_FEATURE_TYPES = ("text", "datetime")
SUGGESTIONS = 20  # nearest names are looked up for so many problems of a kind; each lookup reads every column's name


@dataclass(frozen=True, slots=True)
class Finding:
    """A disagreement: where, what, and what would be right."""

    path: Path
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}{f' ({self.hint})' if self.hint else ''}"


def has_password(address: str) -> bool:
    """Whether an address (scheme://user:password@host) holds a password."""
    return _PASSWORD.match(address) is not None


_PASSWORD = re.compile(r"[a-z][a-z0-9+.-]*://[^/@]*:[^/@]+@", re.IGNORECASE)


def twice(view: View, key: str, what: str) -> Iterator[Finding]:
    """A finding for each value of a list that stood there before."""
    values = list(view.texts(key))
    repeated = {value for value, count in Counter(value for _, value in values).items() if count > 1}
    seen: set[str] = set()
    for path, value in values:
        if value in repeated and value in seen:
            yield Finding(path, f"{what} {value!r} is listed twice")
        seen.add(value)


def listed(names: Collection[str], most: int = 12) -> str:
    """Names for a message: quoted, the first dozen, and how many more there are."""
    shown: Iterable[str] = list(names)[:most] if isinstance(names, list) else sorted(names)[:most]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name if len(name) <= 60 else name[:59] + "…") for name in shown) + more
