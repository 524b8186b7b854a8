"""Foreign files: what is neither CSV nor Parquet, or is Parquet under another name, told by first bytes and by name.

Read as CSV such a file has none of the columns, or is "not in UTF-8": true, and no help to anybody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from ai_factory_spec.tables import PARQUET_SUFFIXES

HEAD_BYTES = 4096
"""How many of a file's first bytes tell it."""

_UNPACK = "Unpack it first."
_AS_CSV = "Save it as CSV in UTF-8."
_AS_EITHER = "Write it as CSV in UTF-8 or as Parquet."
_PARQUET = re.compile(rb"PAR1[\x00-\x08\x0b\x0c\x0e-\x1f]")  # a header may begin with the letters
_BEGINNINGS = tuple(
    (re.compile(beginning), what, way)
    for beginning, what, way in (
        (rb"\x1f\x8b", "compressed with gzip", _UNPACK),
        (rb"BZh[1-9]1AY&SY", "compressed with bzip2", _UNPACK),
        (rb"\xfd7zXZ\x00", "compressed with xz", _UNPACK),
        (rb"\x28\xb5\x2f\xfd", "compressed with zstd", _UNPACK),
        (rb"PK\x03\x04", "an Excel workbook or another zip archive", _AS_CSV),
        (rb"\xd0\xcf\x11\xe0", "an old Excel workbook", _AS_CSV),
        (rb"ARROW1\x00", "an Arrow (Feather) file", _AS_EITHER),
        (rb"Obj\x01", "an Avro file", _AS_EITHER),
        (
            rb"SQLite format 3\x00",
            "an SQLite database",
            "Export the rows as CSV, or name it as sqlite:/// in data.source.",
        ),
        (rb"\xff\xfe|\xfe\xff", "encoded as UTF-16, not UTF-8", "Save it as UTF-8."),
        (rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*"|\[\s*[\[{])', "JSON", _AS_EITHER),
    )
)
_NAMES = {
    ".json": "JSON", ".jsonl": "JSON", ".ndjson": "JSON", ".geojson": "JSON", ".xml": "XML", ".html": "HTML",
    ".xlsx": "an Excel workbook", ".xls": "an Excel workbook", ".xlsm": "an Excel workbook", ".ods": "a spreadsheet",
    ".feather": "an Arrow (Feather) file", ".arrow": "an Arrow (Feather) file", ".orc": "an ORC file", ".avro": "an Avro file",
    ".gz": "compressed with gzip", ".bz2": "compressed with bzip2", ".xz": "compressed with xz", ".zst": "compressed with zstd",
    ".zip": "a zip archive", ".pkl": "a pickle", ".pickle": "a pickle",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a file is instead of a table, and what to do with it."""

    what: str
    way: str


def foreign(name: str, head: bytes) -> Foreign | None:
    """What the file of that name, which begins so, is instead of CSV or rightly named Parquet; None where it may be a table."""
    suffix = PurePath(name).suffix.lower()
    if _PARQUET.match(head):
        named = suffix in PARQUET_SUFFIXES
        return (
            None if named else Foreign("Parquet, and its name does not say so", "Give it a name that ends in .parquet.")
        )
    for beginning, what, way in _BEGINNINGS:
        if beginning.match(head):
            return Foreign(what, way)
    if suffix in _NAMES:
        return Foreign(f"{_NAMES[suffix]} by its name", "Write it as CSV in UTF-8 or as Parquet, and name it so.")
    return None
