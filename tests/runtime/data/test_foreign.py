"""A file of another kind is named for what it is, before anybody looks for columns in it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from ai_factory_runtime.base.errors import DataUnreadable
from ai_factory_runtime.data.frames import read_table
from ai_factory_runtime.data.tables import open_table
from ai_factory_spec.usecase import Column, Contract

CONTRACT = Contract(columns=(Column(name="age", type="integer"), Column(name="PAR1", type="number", nullable=True)))
FRAME = pd.DataFrame({"age": [41, 7], "PAR1": [1.5, 2.0]})
CSV = FRAME.to_csv(index=False).encode()


def parquet() -> bytes:
    return FRAME.to_parquet(index=False)


def feather() -> bytes:
    buffer = io.BytesIO()
    FRAME.to_feather(buffer)
    return buffer.getvalue()


def zipped() -> bytes:
    """How a workbook begins, too: an .xlsx is a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return buffer.getvalue()


FOREIGN: list[tuple[str, Callable[[], bytes], str]] = [
    ("rows.csv.gz", lambda: gzip.compress(CSV), "compressed with gzip"),
    ("rows.csv", lambda: gzip.compress(CSV), "compressed with gzip"),
    ("rows.parquet", lambda: gzip.compress(parquet()), "compressed with gzip"),
    ("rows.csv.bz2", lambda: bz2.compress(CSV), "compressed with bzip2"),
    ("rows.csv", lambda: lzma.compress(CSV), "compressed with xz"),
    ("rows.csv", parquet, "Parquet, and its name does not say so"),
    ("rows", parquet, "Parquet, and its name does not say so"),
    ("rows.xlsx", zipped, "an Excel workbook"),
    ("rows.csv", zipped, "an Excel workbook"),
    ("rows.csv", feather, "an Arrow"),
    ("rows.json", lambda: FRAME.to_json(orient="records").encode(), "JSON"),
    ("rows.txt", lambda: FRAME.to_json(orient="split", indent=2).encode(), "JSON"),
    ("rows.csv", lambda: FRAME.to_json(orient="records", lines=True).encode(), "JSON"),
    ("rows.csv", lambda: CSV.decode().encode("utf-16"), "UTF-16"),
    ("rows.ORC", lambda: b"ORC\n\x06\x12", "an ORC file by its name"),
    ("rows.xls", lambda: CSV, "an Excel workbook by its name"),
]


@pytest.mark.parametrize("reader", [open_table, read_table], ids=["chunked", "whole"])
@pytest.mark.parametrize(("name", "body", "said"), FOREIGN, ids=[f"{n} {s}" for n, _, s in FOREIGN])
def test_a_file_of_another_kind_is_refused_for_what_it_is(
    tmp_path: Path, reader: Callable[[Path, Contract], object], name: str, body: Callable[[], bytes], said: str
) -> None:
    (tmp_path / name).write_bytes(body())
    with pytest.raises(DataUnreadable) as refusal:
        reader(tmp_path / name, CONTRACT)
    assert said in refusal.value.problem
    assert "CSV in UTF-8 or Parquet (names end in .parquet" in refusal.value.problem
    assert refusal.value.hint


def test_a_database_is_refused_with_the_way_to_read_it(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "rows.db") as connection:
        FRAME.to_sql("rows", connection)
    connection.close()
    with pytest.raises(DataUnreadable, match="an SQLite database") as refusal:
        open_table(tmp_path / "rows.db", CONTRACT)
    assert "sqlite:///" in refusal.value.hint


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.txt", "rows.data", "rows"])
@pytest.mark.parametrize("header", ["age,PAR1", "PAR1,age", "\ufeffPAR1,age", "{unit},age", "[kV],age", "Objekt,age"])
def test_csv_is_read_whatever_its_name_does_not_say_and_its_header_begins_with(
    tmp_path: Path, name: str, header: str
) -> None:
    row = "7,1.5" if header.startswith("age") else "1.5,7"
    (tmp_path / name).write_text(f"{header}\n{row}\n", encoding="utf-8")
    assert "age" in open_table(tmp_path / name, CONTRACT).names
    assert read_table(tmp_path / name, CONTRACT)["age"].tolist() == [7.0]


def test_a_folder_where_one_file_is_wanted_is_called_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataUnreadable, match="it is a folder"):
        open_table(tmp_path, CONTRACT)
