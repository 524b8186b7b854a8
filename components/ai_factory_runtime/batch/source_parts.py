"""The source of a batch: one file, or a folder whose files are its parts, in the order of their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
from ai_factory_spec.suggest import did_you_mean
from ai_factory_spec.tables import TABLE_SUFFIXES
from ai_factory_spec.usecase import Column, Contract, Data

from ai_factory_runtime.base.refusals import BatchUnusable
from ai_factory_runtime.batch.scoring import Chunk
from ai_factory_runtime.data import tables
from ai_factory_runtime.data.data_refusals import SourceElsewhere
from ai_factory_runtime.data.sources import S3
from ai_factory_runtime.data.tables import Table, open_table

LINE_BYTES = 256  # of a row of CSV, a guess


@dataclass(frozen=True, slots=True)
class Source:
    """Tables that are scored together. `folder` says whether the rows are named by their file too."""

    path: Path
    folder: bool
    tables: tuple[Table, ...]

    @property
    def names(self) -> frozenset[str]:
        """The columns that any part has."""
        return frozenset(name for table in self.tables for name in table.names)

    @property
    def chunks(self) -> int:
        """About how many chunks of CHUNK_ROWS rows there are: counted for Parquet, from its size for CSV."""
        return sum(_chunks(table) for table in self.tables)

    def read(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """All rows in order, each part with those of the columns that it has. Raises DataUnreadable part-way too."""
        for table in self.tables:
            start, name = 0, table.path.relative_to(self.path).as_posix() if self.folder else ""
            for frame in table.chunks([c for c in columns if c in table.names]):
                yield Chunk(name, start, frame)
                start += len(frame)

    def fingerprint(self) -> list[object]:
        """What changes when a file does: names, sizes, times of change, and the size of the chunks."""
        stats = [(table.path.resolve().as_posix(), table.path.stat()) for table in self.tables]
        files = [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]
        return [tables.CHUNK_ROWS, tables.CHUNK_BYTES, *files]


def usual_source(data: Data, root: Path) -> Path:
    """The file or folder that `data.source` names: what is scored where no other is named. Raises SourceElsewhere."""
    if data.from_database or data.source.startswith(S3):
        raise SourceElsewhere(source=data.source, query=data.from_database)
    return root / data.source


def open_source(path: Path, contract: Contract, features: Sequence[Column]) -> Source:
    """Look at the files' columns. Every column that must have values is there.

    Raises DataUnreadable, BatchUnusable with the nearest names of columns that are missing, or files that are no parts.
    """
    folder = path.is_dir()
    found = tuple(open_table(part, contract) for part in (_parts(path) if folder else [path]))
    problems = [
        f"{f'{table.path.name}: ' if folder else ''}the column {c.name!r} is missing{did_you_mean(c.name, table.names)}"
        for table in found
        for c in features
        if not c.nullable and c.name not in table.names
    ]
    if problems:
        raise BatchUnusable(source=path, problems=problems)
    return Source(path, folder, found)


def _parts(folder: Path) -> list[Path]:
    """The files of a folder and of the folders in it. A name that begins with a dot or an underscore is no part of the data."""
    found = [
        p for p in sorted(folder.rglob("*"))
        if p.is_file() and not any(name.startswith((".", "_")) for name in p.relative_to(folder).parts)
    ]  # fmt: skip
    strange = [p.relative_to(folder).as_posix() for p in found if p.suffix.lower() not in TABLE_SUFFIXES]
    if strange or not found:
        problems = [f"{name}: its name ends in none of {', '.join(TABLE_SUFFIXES)}" for name in strange[:10]]
        raise BatchUnusable(source=folder, problems=problems or ["there are no files in it"])
    return found


def _chunks(table: Table) -> int:
    if table.header is None:
        rows = pq.read_metadata(table.path).num_rows
        return int(-(-rows // tables.CHUNK_ROWS))
    return -(-table.path.stat().st_size // (tables.CHUNK_ROWS * LINE_BYTES))
