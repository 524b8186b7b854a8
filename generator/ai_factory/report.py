"""Values -> text or JSON on a terminal; the only printer beside `cli`. Without a terminal, plain text and no import of rich."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from ai_factory_spec.errors import FactoryError

from ai_factory import assets


@dataclass(frozen=True, slots=True)
class Table:
    """Rows to show. The last column may be long; the others stay on one line."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def show(*parts: str | Table) -> None:
    """Print texts and tables to standard output."""
    if _is_terminal(sys.stdout):
        _show_rich(parts)
        return
    for part in parts:
        _write(sys.stdout, part if isinstance(part, str) else _plain(part))


def show_json(value: object) -> None:
    """Print one JSON document to standard output."""
    _write(sys.stdout, json.dumps(value, indent=2, ensure_ascii=False, default=str))


def show_error(error: FactoryError, *, as_json: bool) -> None:
    """Print an error: message, hint and slug. As JSON to standard output, for a program; else to standard error."""
    if as_json:
        show_json(
            {"error": {"slug": error.slug, "message": str(error), "hint": error.hint, "exit_code": error.exit_code}}
        )
        return
    _write(sys.stderr, f"Error: {printable(str(error))}")
    if error.hint:
        _write(sys.stderr, f"Next: {printable(error.hint)}")
    _write(sys.stderr, f"More: {assets.playbooks() / 'errors.md'}, section {error.slug}")


def show_interrupted() -> None:
    """Print the one line after Ctrl-C."""
    _write(sys.stderr, "Interrupted. A project is written whole or not at all.")


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show what is being done while it takes its time: a spinner on a terminal, nothing elsewhere."""
    if not _is_terminal(sys.stderr):
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(f"{printable(what)} …")):
        yield


def is_interactive() -> bool:
    """Whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def printable(text: str) -> str:
    """The text without control characters, which could move a terminal's cursor or hide what stands there; line ends stay."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else "\N{REPLACEMENT CHARACTER}"
        for c in text
    )


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _write(stream: TextIO, text: str) -> None:
    """Print a line; what the stream's encoding lacks is escaped."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()


def _plain(table: Table) -> str:
    rows = [tuple(printable(cell).replace("\n", " ") for cell in row) for row in table.rows]
    widths = [max(map(len, column)) for column in zip(table.columns, *rows, strict=True)]
    lines = [table.title] if table.title else []
    lines += ["  " + _aligned(row, widths) for row in (table.columns, *rows)]
    return "\n".join(lines)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _show_rich(parts: Sequence[str | Table]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    console = Console()
    for part in parts:
        if isinstance(part, str):
            console.print(Text(printable(part)), soft_wrap=True)
            continue
        grid: Any = RichTable(title=part.title or None, title_justify="left", box=box.SIMPLE_HEAD)
        for i, name in enumerate(part.columns):
            grid.add_column(name, no_wrap=i == 0, overflow="fold")
        for row in part.rows:
            grid.add_row(*(Text(printable(cell)) for cell in row))
        console.print(grid)
