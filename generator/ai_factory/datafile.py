"""A CSV or Parquet file as cells that DuckDB can aggregate. Nothing of the file's own text ever enters a statement.

Columns are named c0, c1, … inside DuckDB; their own names, whatever is in them, stay outside.
"""

# ruff: noqa: S608 - statements are built from c0, c1, … and constants; the file's own path is a quoted literal

from __future__ import annotations

import csv
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ai_factory_spec.foreign import foreign
from ai_factory_spec.tables import DELIMITERS, PARQUET_SUFFIXES

from ai_factory.data_errors import ColumnsDuplicate, DataEmpty, DataFileUnreadable

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Kind = Literal["text", "number", "boolean", "datetime", "unsupported"]

_SNIFFED_RECORDS = 100
_LONGEST_LINE = 16_000_000  # bytes
_INDEX_OF_PANDAS = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True, slots=True)
class Table:
    """An open table: the columns' own names, their kinds, and `raw`, the relation whose columns are c0, c1, …"""

    path: Path
    connection: DuckDBPyConnection
    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    types: tuple[str, ...]  # DuckDB's own
    delimiter: str  # "" for Parquet

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        """The rows a statement gives. DuckDB's complaints about the file become DataFileUnreadable, Ctrl-C stays Ctrl-C."""
        with _explained(self.path, self.delimiter):
            return self.connection.execute(statement).fetchall()


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """The table of a CSV or Parquet file. Raises DataFileUnreadable, DataEmpty or ColumnsDuplicate."""
    head = _head(path)
    import duckdb

    with tempfile.TemporaryDirectory(prefix="ai-factory-") as spill:
        config: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": spill,
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
        }
        with duckdb.connect(":memory:", config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            table = _parquet(path, connection) if _is_parquet(path) else _csv(path, head, connection)
            if not table.rows("SELECT 1 FROM raw LIMIT 1"):
                raise DataEmpty(path=path, problem="it has columns and no rows")
            yield table


def _head(path: Path) -> bytes:
    """The first bytes of a file that can be read and may hold a table."""
    if path.is_dir():
        raise DataFileUnreadable(path=path, problem="it is a folder", hint="Name one CSV or Parquet file in it.")
    try:
        with path.open("rb") as file:
            head = file.read(65_536)
    except OSError as error:
        raise DataFileUnreadable(
            path=path, problem=(error.strerror or str(error)).lower(), hint="Check the path."
        ) from error
    if not head.strip():
        raise DataEmpty(path=path, problem="the file is empty")
    found = foreign(path.name, head)
    if found:
        raise DataFileUnreadable(path=path, problem=f"it is {found.what}", hint=found.way)
    if not _is_parquet(path) and head[1:4000:2].count(0) + head[0:4000:2].count(0) > len(head[:4000]) // 4:
        raise DataFileUnreadable(
            path=path, problem="it seems to be encoded as UTF-16 or UTF-32", hint="Save it as UTF-8."
        )
    return head


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in PARQUET_SUFFIXES


# CSV -------------------------------------------------------------------------------------------------------------------


def _csv(path: Path, head: bytes, connection: DuckDBPyConnection) -> Table:
    """A CSV file read once into a temporary table of texts; DuckDB spills it to disk where memory ends."""
    delimiter, records = _dialect(path, head)
    header = records[0]
    _reject_duplicates(path, [name for name in header if name.strip()])
    ragged = next((i for i, r in enumerate(records[1:], 2) if r and len(r) != len(header)), None)
    if ragged is not None:
        found = len(records[ragged - 1])
        raise DataFileUnreadable(
            path=path, problem=f"record {ragged} has {_cells(found)}, the header has {len(header)}", hint=_QUOTE_HINT
        )
    width = len(header)
    text: Kind = "text"
    table = Table(path, connection, tuple(header), (text,) * width, ("VARCHAR",) * width, delimiter)
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(header)))
    table.rows(
        f"CREATE TEMP TABLE raw AS SELECT * FROM read_csv({_literal(_escaped_glob(path))}, auto_detect = false, header = true, "
        f"delim = {_literal(delimiter)}, quote = '\"', escape = '\"', strict_mode = true, null_padding = false, "
        f"max_line_size = {_LONGEST_LINE}, columns = {{{columns}}})"
    )
    return table


def _dialect(path: Path, head: bytes) -> tuple[str, list[list[str]]]:
    """The delimiter and the first records: the delimiter under which most records have as many cells as the header."""
    readings: list[tuple[float, int, str, list[list[str]]]] = []
    for delimiter in DELIMITERS:
        if delimiter.encode() not in head and delimiter != DELIMITERS[0]:
            continue
        records = list(_first_records(path, delimiter))
        rows = [r for r in records[1:] if r]
        fitting = sum(len(r) == len(records[0]) for r in rows) / len(rows) if rows else 1.0
        width = len(records[0])
        readings.append((fitting if width > 1 else fitting / 100, width, delimiter, records))
    _, _, delimiter, records = max(readings, key=lambda reading: reading[:2])
    return delimiter, records


def _first_records(path: Path, delimiter: str) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for i, record in enumerate(csv.reader(file, delimiter=delimiter)):
                if i >= _SNIFFED_RECORDS:
                    return
                if i or record:
                    yield record
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    except csv.Error as error:
        raise DataFileUnreadable(path=path, problem=f"it is no CSV ({error})") from error


def _not_utf8(path: Path) -> DataFileUnreadable:
    raw = path.read_bytes()
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = (
            f"it is not encoded in UTF-8; byte 0x{raw[error.start]:02x} in line {line:,} belongs to another encoding"
        )
        return DataFileUnreadable(
            path=path, problem=problem, hint="Save it as UTF-8; it may be Latin-1 or Windows-1252 now."
        )
    return DataFileUnreadable(path=path, problem="it is not encoded in UTF-8", hint="Save it as UTF-8.")


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _escaped_glob(path: Path) -> str:
    """The absolute path as a pattern that matches only itself."""
    return re.sub(r"([*?\[])", r"[\1]", str(path.resolve()))


def _reject_duplicates(path: Path, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ColumnsDuplicate(path=path, names=twice)


# Parquet ---------------------------------------------------------------------------------------------------------------

_NUMBERS = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL.*|REAL")
_TEXTS = re.compile(r"VARCHAR|UUID|ENUM.*|TIME|TIME WITH TIME ZONE")
_TIMES = re.compile(r"DATE|TIMESTAMP.*")


def _parquet(path: Path, connection: DuckDBPyConnection) -> Table:
    """A Parquet file as a view; its columns are read where a statement needs them."""
    bare = Table(path, connection, (), (), (), "")
    file = _literal(_escaped_glob(path))
    names = _top_level(
        [
            (str(name), children)
            for name, children in bare.rows(f"SELECT name, num_children FROM parquet_schema({file})")
        ]
    )
    _reject_duplicates(path, names)
    types = [str(row[1]) for row in bare.rows(f"DESCRIBE SELECT * FROM read_parquet({file})")]
    kinds = tuple(_kind(type_) for type_ in types)
    columns = ", ".join(f"c{i}" for i in range(len(names)))
    bare.rows(f"CREATE TEMP VIEW raw({columns}) AS SELECT * FROM read_parquet({file})")
    return Table(path, connection, tuple(names), kinds, tuple(types), "")


def _top_level(schema: Sequence[tuple[str, object]]) -> list[str]:
    """The names of the columns themselves: DuckDB lists the schema's tree depth first, and renames what occurs twice elsewhere."""
    names: list[str] = []
    pending = 0  # nodes below the current column still to come
    for name, children in schema[1:]:
        below = children if isinstance(children, int) else 0
        if pending == 0:
            names.append(name)
            pending = below
        else:
            pending += below - 1
    return names


def _kind(duckdb_type: str) -> Kind:
    if _NUMBERS.fullmatch(duckdb_type):
        return "number"
    if duckdb_type == "BOOLEAN":
        return "boolean"
    if _TIMES.fullmatch(duckdb_type):
        return "datetime"
    return "text" if _TEXTS.fullmatch(duckdb_type) else "unsupported"


def left_out(name: str, kind: Kind) -> str:
    """Why a column of that name and kind cannot be part of a contract, or an empty text where it can."""
    if not name.strip():
        return "it has no name"
    if _INDEX_OF_PANDAS.fullmatch(name):
        return "it is the index that pandas wrote"
    return "it is nested or binary" if kind == "unsupported" else ""


# DuckDB's complaints ---------------------------------------------------------------------------------------------------

_QUOTE_HINT = 'A cell that contains the delimiter or a line break must stand in double quotes: "a, b".'


def _cells(count: int) -> str:
    return f"{count} cell{'s' if count != 1 else ''}"


@contextmanager
def _explained(path: Path, delimiter: str) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.IOException) as error:
        raise _complaint(path, str(error), csv_file=bool(delimiter)) from error


def _complaint(path: Path, text: str, *, csv_file: bool) -> DataFileUnreadable:
    if "not utf-8 encoded" in text or "Invalid unicode" in text:
        return _not_utf8(path)
    first = text.splitlines()[0].removeprefix("Invalid Input Error: ").removeprefix("IO Error: ").rstrip(".")
    if not csv_file:
        return DataFileUnreadable(
            path=path,
            problem=f"it is no sound Parquet file ({first.split(' file ')[0]})",
            hint="Write it again; it may be cut short.",
        )
    line = re.search(r"CSV Error on Line: (\d+)", text)
    where = f"line {int(line[1]):,}" if line else "a line"
    cells = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if cells:
        problem = f"{where} has {_cells(int(cells[2]))}, the header has {cells[1]}"
        return DataFileUnreadable(path=path, problem=problem, hint=_QUOTE_HINT)
    if "unterminated quote" in text:
        problem = f"{where} has a double quote that is not closed, or text after a closing one"
        return DataFileUnreadable(
            path=path, problem=problem, hint='Inside quotes, a double quote is written twice: "a ""b"" c".'
        )
    if "state machine" in text:
        return DataFileUnreadable(
            path=path,
            problem="its lines end in different ways, or its quotes do not match",
            hint="Save it again with one kind of line end.",
        )
    if "Maximum line size" in text:
        return DataFileUnreadable(
            path=path, problem=f"{where} is longer than {_LONGEST_LINE:,} bytes", hint="A quote may never be closed."
        )
    return DataFileUnreadable(path=path, problem=first)
