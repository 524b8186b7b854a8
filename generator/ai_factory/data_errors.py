"""What can be wrong with a data file.

GeneratorError                  ai_factory.errors
└── DataError
    ├── DataFileUnreadable      no table can be read from the file
    ├── DataEmpty               a table without rows
    ├── ColumnsDuplicate        two columns of one name
    ├── TargetMissing           no column of the target's name
    ├── TargetUnusable          a target nothing can be learned from
    └── NothingToLearnFrom      no column is left beside the target
"""

# ruff: noqa: N818 - the names say what happened; all are raised

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ai_factory_spec.suggest import did_you_mean

from ai_factory.errors import GeneratorError


class DataError(GeneratorError):
    """The data file cannot be profiled."""


class DataFileUnreadable(DataError):
    """No table can be read from the file."""

    slug = "data-file-unreadable"

    def __init__(self, *, path: Path, problem: str, hint: str = "") -> None:
        self.path = path
        super().__init__(f"{path} cannot be read: {problem}.", hint=hint or "Allowed are CSV in UTF-8 and Parquet.")


class DataEmpty(DataError):
    """The file holds a table without rows, or nothing at all."""

    slug = "data-empty"

    def __init__(self, *, path: Path, problem: str) -> None:
        self.path = path
        super().__init__(
            f"{path} holds no data: {problem}.", hint="The first line names the columns; every further line is a row."
        )


class ColumnsDuplicate(DataError):
    """Two columns of one name: nobody can say which is meant."""

    slug = "columns-duplicate"

    def __init__(self, *, path: Path, names: Sequence[str]) -> None:
        self.path, self.names = path, tuple(names)
        super().__init__(
            f"{path} has columns that share a name: {listed(names)}.",
            hint="Rename them in the file, or drop one of each.",
        )


class TargetMissing(DataError):
    """The file has no column of the target's name."""

    slug = "target-missing"

    def __init__(self, *, path: Path, target: str, columns: Sequence[str]) -> None:
        self.path, self.target = path, target
        headless = columns and all(re.fullmatch(r"\s*-?[\d.]+\s*", name) for name in columns)
        super().__init__(
            f"{path} has no column {target!r}; its columns are {listed(columns)}{did_you_mean(target, columns) or '.'}",
            hint="The first line seems to hold data: add a line with the columns' names."
            if headless
            else "Name the column to predict with `--target COLUMN`.",
        )


class TargetUnusable(DataError):
    """The target is there, but nothing can be learned from it."""

    slug = "target-unusable"

    def __init__(self, *, path: Path, target: str, problem: str, hint: str = "") -> None:
        self.path, self.target = path, target
        super().__init__(
            f"The target {target!r} of {path} cannot be predicted: {problem}.",
            hint=hint or "Name another column with `--target COLUMN`, or prepare the file.",
        )


class NothingToLearnFrom(DataError):
    """No column is left that a model could learn from."""

    slug = "nothing-to-learn-from"

    def __init__(self, *, path: Path, reasons: Sequence[str]) -> None:
        self.path = path
        why = "; ".join(reasons) if reasons else "the target is the only column"
        super().__init__(
            f"{path} has no column that the target could be learned from: {why}.",
            hint="Add columns that describe the rows.",
        )


def listed(names: Sequence[str], most: int = 12) -> str:
    """The first names, quoted, and how many more there are."""
    shown = ", ".join(repr(name if len(name) <= 60 else f"{name[:59]}…") for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
