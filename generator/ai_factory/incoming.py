"""Which files of the user's disk come along into a new repository: the data, unless it lives in S3 or in a database."""

from __future__ import annotations

from pathlib import Path

from ai_factory_spec.usecase import Data

from ai_factory.errors import DataNotFound, UnsafePath
from ai_factory.tree import check_path
from ai_factory.workspace import Incoming

FOLDER = "data"


def of_file(data: Path) -> tuple[str, tuple[Incoming, ...]]:
    """A data file: what `data.source` will say, and the file that comes along."""
    path = data_path(data)
    return path, (Incoming(data, path),)


def of_source(data: Data, folder: Path) -> tuple[str, tuple[Incoming, ...]]:
    """What a use case in `folder` names as its source: a file, a folder of parts, or nothing that could be copied.

    Raises DataNotFound for a folder without parts, UnsafePath for a part whose name some system could not hold.
    """
    if data.from_database or data.source.startswith("s3://"):
        return data.source, ()
    source = folder / data.source
    return of_folder(source) if source.is_dir() else of_file(source)


def of_folder(source: Path) -> tuple[str, tuple[Incoming, ...]]:
    """A folder of parts, subfolders too; hidden files and marks such as _SUCCESS stay behind. Raises as `of_source`."""
    parts = [p for p in sorted(source.rglob("*")) if p.is_file() and not _is_hidden(p.relative_to(source))]
    if not parts:
        raise DataNotFound(path=f"{source} (an empty folder)", asked_by="the use case")
    home = data_path(Path(source.resolve().name))
    incoming = [Incoming(part, f"{home}/{part.relative_to(source).as_posix()}") for part in parts]
    for part in incoming:
        check_path(part.path, owner="the use case's data")
    return f"{home}/", tuple(incoming)


def data_path(source: Path) -> str:
    """Where the data goes in the repository: data/ and its own name, or a plain one where some system could not hold that."""
    for name in (source.name, f"data{source.suffix}"):
        try:
            check_path(f"{FOLDER}/{name}")
        except UnsafePath:
            continue
        return f"{FOLDER}/{name}"
    return f"{FOLDER}/data"


def _is_hidden(path: Path) -> bool:
    return any(step.startswith((".", "_")) for step in path.parts)
