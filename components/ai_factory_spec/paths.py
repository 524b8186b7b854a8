"""Where a value stands in a use case: a tuple of field names and positions, and how people write it."""

from __future__ import annotations

import re
from collections.abc import Sequence

Path = tuple[str | int, ...]


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: `data.contract.columns[3].type`; a key that is no word is quoted: `cloud['my key']`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[\w-]+", step):
            text += f".{step}" if text else step
        else:
            text += f"[{step!r}]"
    return text
