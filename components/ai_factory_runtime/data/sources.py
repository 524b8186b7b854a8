"""Sources: the rows that `data.source` names, wherever they are kept, as one table; and the hash of what was read.

| `data.source`                       | what is read                                                       |
|-------------------------------------|--------------------------------------------------------------------|
| `data/rows.csv`, `data/rows.parquet`| the file                                                           |
| `data/parts/`                       | its CSV or Parquet files, in the order of their names (`parts`)    |
| `s3://bucket/key`, `s3://bucket/p/` | the object, or those whose keys begin with the prefix (`objects`)  |
| `sqlite:///…`, `$VARIABLE`          | the rows of `data.query` (`database`)                              |
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
from ai_factory_spec.usecase import UseCase

from ai_factory_runtime.data.parts import local_parts, manifest_sha256, read_parts
from ai_factory_runtime.data.twins import row_hashes

S3 = "s3://"
SHA256 = "content_sha256"
"""The key in a frame's `attrs` under which `read_source` leaves the hash of what it read."""


def read_source(usecase: UseCase, root: Path) -> pd.DataFrame:
    """The contract's columns of all rows of `data.source`, those that are there, in the contract's order.

    A column whose values all convert has its canonical type; another keeps its values, so that `contract` can name them.
    Raises DataUnreadable, PartsDisagree, SourceUnavailable.
    """
    frame, sha256 = _read(usecase, root)
    frame.attrs[SHA256] = sha256
    return frame


def content_sha256(usecase: UseCase, root: Path, frame: pd.DataFrame | None = None) -> str:
    """The sha256 of what `data.source` holds.

    That of a file; of a folder or a prefix that of the lines `<sha256>  <name>` that `sha256sum` prints for its parts; of a
    database that of the rows. Where `frame` is what `read_source` gave, nothing is read again. Raises as `read_source` does.
    """
    if frame is not None and frame.attrs.get(SHA256):
        return str(frame.attrs[SHA256])
    data = usecase.data
    if data.from_database or data.source.startswith(S3):
        return _read(usecase, root)[1]
    return manifest_sha256(local_parts(root / data.source))


def _read(usecase: UseCase, root: Path) -> tuple[pd.DataFrame, str]:
    data = usecase.data
    if data.from_database:
        from ai_factory_runtime.data.database import read_query

        frame = read_query(data, root)
        return frame, _rows_sha256(frame)
    if data.source.startswith(S3):
        from ai_factory_runtime.data.objects import fetched

        with fetched(data.source) as parts:
            return read_parts(parts, data.contract), manifest_sha256(parts)
    parts = local_parts(root / data.source)
    return read_parts(parts, data.contract), manifest_sha256(parts)


def _rows_sha256(frame: pd.DataFrame) -> str:
    digest = hashlib.sha256(repr([(name, str(dtype)) for name, dtype in frame.dtypes.items()]).encode())
    digest.update(row_hashes(frame).tobytes())
    return digest.hexdigest()
