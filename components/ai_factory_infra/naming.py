"""Names that fit AWS's limits and never collide: a name that is too long is cut and given a stable hash of the whole."""

from __future__ import annotations

import hashlib

PREFIX = 32  # leaves 23 characters of a logical name (55) for what the resource is
HASH = 6


def fitted(name: str, limit: int) -> str:
    """The name itself where it fits, else its beginning, a dash and six hexadecimal digits of its SHA-256.

    The same name always gives the same result; different names give different ones (up to the hash).
    """
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:HASH]
    return f"{name[: limit - HASH - 1].rstrip('-')}-{digest}"


def prefix(project: str, stage: str) -> str:
    """What every name of one project's stage begins with, at most 32 characters: `churn-dev`."""
    return fitted(f"{project}-{stage}", PREFIX)
