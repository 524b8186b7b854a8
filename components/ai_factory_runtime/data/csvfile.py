"""CSV files: their header and delimiter, and what is wrong with one that cannot be read, told without showing its rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from ai_factory_spec.tables import DELIMITERS, MISSING_WORDS
from ai_factory_spec.usecase import Contract

from ai_factory_runtime.base.errors import DataUnreadable
from ai_factory_runtime.data.frames import reject_twins

NUMBERS = ("integer", "number")


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a file: `written` as they stand there, `names` as the contract writes them, position by position.

    The two differ where a name holds a line break: a file may write it in two characters (CRLF), the contract in one.
    """

    written: tuple[str, ...]
    names: tuple[str, ...]
    delimiter: str

    def as_written(self, name: str) -> str:
        """The file's own writing of a column."""
        return self.written[self.names.index(name)]


def csv_header(path: Path, contract: Contract) -> Header:
    """The column names and the delimiter: the one under which most of the contract's columns are found."""
    expected = {c.name for c in contract.columns}
    found: list[tuple[int, Header]] = []
    for delimiter in DELIMITERS:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                written = next(csv.reader(file, delimiter=delimiter), [])
        except UnicodeDecodeError:
            raise wrong_encoding(path) from None
        except csv.Error as error:
            raise DataUnreadable(path=path, problem=f"not a readable CSV file ({error})") from error
        names = _named(written, expected)
        found.append((len(expected.intersection(names)), Header(tuple(written), names, delimiter)))
    matches, header = max(found, key=lambda f: f[0])
    if not header.written:
        raise DataUnreadable(path=path, problem="the file is empty")
    return header if matches else found[0][1]


def _named(written: Sequence[str], expected: set[str]) -> tuple[str, ...]:
    """The contract's names for a header's cells; line breaks are equal however they are written."""
    meant = {_one_break(name): name for name in expected}
    return tuple(cell if cell in expected else meant.get(_one_break(cell), cell) for cell in written)


def _one_break(name: str) -> str:
    return name.replace("\r\n", "\n").replace("\r", "\n")


def read_csv(path: Path, contract: Contract) -> pd.DataFrame:
    """The contract's columns of a CSV file: numbers where a column has nothing else, texts otherwise. Raises DataUnreadable."""
    import pyarrow as pa

    header = csv_header(path, contract)
    reject_repeated(path, header.names, contract)
    reject_open_quote(path, header.delimiter)
    wanted = [c for c in contract.columns if c.name in set(header.names)]
    if not wanted:
        return pd.DataFrame()
    numeric = {header.as_written(c.name): pa.float64() for c in wanted if c.type in NUMBERS}
    text = {header.as_written(c.name): pa.string() for c in wanted}
    # Numbers are parsed while reading; a file with a value that is none is read again as text, so that it can be named.
    for types in (text | numeric, text):
        try:
            frame = _parse(path, header.delimiter, types)
        except pa.ArrowInvalid as error:
            problem = str(error)
        except UnicodeDecodeError:
            raise wrong_encoding(path) from None
        else:
            return frame.set_axis([c.name for c in wanted], axis="columns")
    raise unreadable_csv(path, header, problem)


def _parse(path: Path, delimiter: str, types: dict[str, Any]) -> pd.DataFrame:
    import pyarrow.csv as pc

    options = pc.ConvertOptions(
        column_types=types, include_columns=list(types), null_values=list(MISSING_WORDS), strings_can_be_null=False
    )
    parsing = pc.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    frame: pd.DataFrame = pc.read_csv(path, parse_options=parsing, convert_options=options).to_pandas()
    return frame


def unreadable_csv(path: Path, header: Header, problem: str) -> DataUnreadable:
    """The error for what the parser said. It quotes the row at fault, which may hold personal data, so its words stay here."""
    if "invalid UTF8" in problem:
        return wrong_encoding(path)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=header.delimiter)
        expected = len(next(rows))
        for number, row in enumerate(rows):
            if row and len(row) != expected:
                return DataUnreadable(
                    path=path,
                    problem=f"row {number}, in line {rows.line_num}, has {len(row)} value{'s' if len(row) > 1 else ''}, "
                    f"the header names {expected} columns",
                    hint="Quote the values that hold the delimiter, or repair the row.",
                )
    return DataUnreadable(path=path, problem="not a readable CSV file (its rows cannot be told apart)")


def reject_repeated(path: Path, names: Sequence[str], contract: Contract) -> None:
    """Raise DataUnreadable where a file names one of the contract's columns twice."""
    reject_twins(pd.DataFrame(columns=pd.Index(names)), [c.name for c in contract.columns], source=path)


def reject_open_quote(path: Path, delimiter: str) -> None:
    """Raise DataUnreadable where a quote is opened and never closed: a reader would take all rows after it for one value.

    Only a file with an odd number of quotes is read row by row to find out; a quote inside an unquoted value is none.
    """
    quotes = 0
    with path.open("rb") as raw:
        while block := raw.read(1 << 20):
            quotes += block.count(b'"')
    if quotes % 2 == 0:
        return
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        begun = 1
        try:
            for _ in rows:
                begun = rows.line_num + 1
        except csv.Error as error:
            raise DataUnreadable(
                path=path, problem=f"the row that begins in line {begun} opens a quote that is never closed ({error})"
            ) from error


def wrong_encoding(path: Path) -> DataUnreadable:
    """The error for a file that is not UTF-8."""
    return DataUnreadable(
        path=path,
        problem="it is not encoded in UTF-8",
        hint="Save the file as UTF-8, or name its encoding where data.py reads it.",
    )
