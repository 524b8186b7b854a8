"""Files that are no table are refused for what they are."""

from __future__ import annotations

from pathlib import Path

from ai_factory_spec.foreign import HEAD_BYTES, foreign
from ai_factory_spec.tables import TABLE_SUFFIXES

from ai_factory_runtime.base.errors import DataUnreadable


def reject_foreign(path: Path) -> None:
    """Raise DataUnreadable for a file that is no CSV and no Parquet, or that is Parquet under another name, saying what it is."""
    with path.open("rb") as file:
        found = foreign(path.name, file.read(HEAD_BYTES))
    if found:
        problem = (
            f"it is {found.what}; what is read is CSV in UTF-8 or Parquet (names end in {', '.join(TABLE_SUFFIXES)})"
        )
        raise DataUnreadable(path=path, problem=problem, hint=found.way)
