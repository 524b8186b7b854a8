"""Data files for the profile's tests: written as text or by DuckDB, profiled, and proposed."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
from ai_factory.profile import Profile, profile_file

ROWS = 60


def write_csv(path: Path, columns: Mapping[str, Sequence[object]], delimiter: str = ",") -> Path:
    """A CSV file with these columns."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def write_parquet(path: Path, select: str) -> Path:
    """A Parquet file with what a statement gives."""
    duckdb.execute(f"COPY ({select}) TO '{path}' (FORMAT parquet)")
    return path


def profile_columns(folder: Path, target: str | None = None, **columns: Sequence[object]) -> Profile:
    """The profile of a CSV file with these columns beside a number and a target."""
    rows = len(next(iter(columns.values()))) if columns else ROWS
    base: dict[str, Sequence[object]] = {"reading": numbers(rows), "outcome": cycle(["no", "no", "yes"], rows)}
    return profile_file(write_csv(folder / "data.csv", {**base, **columns}), target or "outcome")


def numbers(rows: int = ROWS) -> list[float]:
    return [round(random.Random(i).gauss(0, 1), 3) for i in range(rows)]


def cycle(values: Sequence[object], rows: int = ROWS) -> list[object]:
    return [values[i % len(values)] for i in range(rows)]
