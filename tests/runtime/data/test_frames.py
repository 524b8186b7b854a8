"""Tables become canonical whatever file they come from, and a value that cannot be converted is told, never a traceback."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import ContractBroken, DataUnreadable
from ai_factory_runtime.data.frames import convert, dump_rows, load_rows, read_table, to_canonical
from ai_factory_runtime.data.tables import open_table
from ai_factory_spec.usecase import Column, Contract
from hypothesis import given
from hypothesis import strategies as st

COLUMNS = (
    Column(name="whole", type="integer", nullable=True),
    Column(name="real", type="number", nullable=True),
    Column(name="kind", type="category", categories=("1", "0", "None", 'a,b\n"c"'), nullable=True),
    Column(name="flag", type="boolean", nullable=True),
    Column(name="when", type="datetime", nullable=True),
    Column(name="words ü {{x}}", type="text", nullable=True),
)
CONTRACT = Contract(columns=COLUMNS)
BY_NAME = {c.name: c for c in COLUMNS}


@pytest.mark.parametrize(
    ("column", "given_value", "expected"),
    [
        ("whole", "3", 3.0),
        ("whole", 3.0, 3.0),
        ("whole", Decimal(3), 3.0),
        ("real", " 2.5 ", 2.5),
        ("real", True, 1.0),
        ("kind", 1.0, "1"),
        ("kind", 1, "1"),
        ("kind", "1.0", "1"),
        ("kind", " 0 ", "0"),
        ("kind", "None", "None"),
        ("kind", "new", "new"),
        ("flag", "Yes", True),
        ("flag", 0, False),
        ("flag", "f", False),
        ("when", "2024-02-29", pd.Timestamp("2024-02-29")),
        ("when", "2024-02-29T10:00:00+02:00", pd.Timestamp("2024-02-29T08:00:00")),
        ("when", dt.date(2024, 2, 29), pd.Timestamp("2024-02-29")),
        ("words ü {{x}}", 7.0, "7"),
        ("words ü {{x}}", "NA", "NA"),
    ],
)
def test_a_value_gets_its_canonical_form(column: str, given_value: object, expected: object) -> None:
    result = convert(pd.Series([given_value, None], dtype=object), BY_NAME[column])
    assert not result.failed.any()
    assert result.values.iloc[0] == expected
    assert pd.isna(result.values.iloc[1])


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        ("whole", "2.5"),
        ("whole", 10**400),
        ("real", "inf"),
        ("real", float("inf")),
        ("real", "1,5"),
        ("real", dt.date(2024, 1, 1)),
        ("real", [1]),
        ("flag", "maybe"),
        ("flag", 2),
        ("when", "29.02.2024"),
        ("when", 12.5),
        ("when", "3000-01-01"),
    ],
)
def test_a_value_of_another_type_is_marked_and_not_raised(column: str, bad: object) -> None:
    result = convert(pd.Series([bad], dtype=object), BY_NAME[column])
    assert result.failed.tolist() == [True]
    assert result.values.isna().all()


@pytest.mark.parametrize("word", ["", "NA", "nan", "NULL", "#N/A"])
def test_words_for_no_value_are_missing_unless_they_are_a_category(word: str) -> None:
    for name in ("whole", "real", "kind", "flag", "when"):
        result = convert(pd.Series([word], dtype=object), BY_NAME[name])
        assert result.values.isna().all(), name
        assert not result.failed.any(), name


def test_a_canonical_frame_stays_as_it_is() -> None:
    frame = to_canonical(a_table(), COLUMNS)
    assert [str(t) for t in frame.dtypes] == ["float64", "float64", "str", "boolean", "datetime64[ns]", "str"]
    pd.testing.assert_frame_equal(to_canonical(frame, COLUMNS), frame)


def test_all_that_is_wrong_with_a_table_is_told_at_once() -> None:
    table = a_table().drop(columns="kind").assign(whole=["1", "x", "y"], flag=["perhaps", None, None])
    with pytest.raises(ContractBroken) as refusal:
        to_canonical(table, COLUMNS)
    assert {v.column for v in refusal.value.violations} == {"kind", "whole", "flag"}
    assert "'x', 'y'" in str(refusal.value)


@pytest.mark.parametrize("ending", ["csv", "semicolon.csv", "parquet"])
def test_a_file_reads_back_as_the_table_that_was_written(tmp_path: Path, ending: str) -> None:
    frame = to_canonical(a_table(), COLUMNS)
    path = tmp_path / f"rows with spaces.{ending}"
    if ending == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep=";" if "semicolon" in ending else ",", encoding="utf-8-sig")
    pd.testing.assert_frame_equal(read_table(path, CONTRACT), frame)


def test_a_column_with_a_foreign_value_keeps_its_values_so_that_they_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("whole,real,extra\n1,2.5,z\ntwo,3,z\n", encoding="utf-8")
    frame = read_table(path, CONTRACT)
    assert frame["whole"].tolist() == ["1", "two"]
    assert frame["real"].tolist() == [2.5, 3.0]
    assert "extra" not in frame


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"whole,whole\n1,2\n", "more than once"),
        ("a.csv", "whole,kind\n1,ä\n".encode("latin-1"), "UTF-8"),
        ("a.csv", b"whole,real\n1\n", "row 0, in line 2, has 1 value, the header names 2 columns"),
        ("a.csv", b"some,thing,else\n1,2,3\n", "none of the contract's columns"),
        ("a.csv", b"not a table at all \x00", "none of the contract's columns"),
        ("a.parquet", b"PAR1 not really", "Parquet"),
        ("a.parquet", b"", "Parquet"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_its_name(tmp_path: Path, name: str, body: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(DataUnreadable, match=name) as refusal:
        read_table(tmp_path / name, CONTRACT)
    assert said in str(refusal.value)


@pytest.mark.parametrize("written", ["a\nb", "a\r\nb"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["a\nb", "a\r\nb"])
def test_a_line_break_in_a_quoted_header_cell_may_be_written_either_way(
    tmp_path: Path, written: str, end: str, name: str
) -> None:
    contract = Contract(columns=(Column(name=name, type="number"), Column(name="c", type="text")))
    path = tmp_path / "rows.csv"
    path.write_bytes(f'"{written}",c{end}1,"x{end}y"{end}2,z{end}'.encode())
    frame = read_table(path, contract)
    assert frame[name].tolist() == [1.0, 2.0]
    assert frame["c"].tolist() == [f"x{end}y", "z"]
    chunks = list(open_table(path, contract).chunks([name, "c"]))
    assert [v for chunk in chunks for v in chunk[name]] == [1.0, 2.0]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_row_of_the_wrong_length_is_told_by_its_place_and_never_shown(tmp_path: Path, chunked: bool) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("whole,real\n1,2\n3,ann@example.com,4\n", encoding="utf-8")
    with pytest.raises(DataUnreadable, match="row 1, in line 3, has 3 values") as refusal:
        list(open_table(path, CONTRACT).chunks(["whole"])) if chunked else read_table(path, CONTRACT)
    assert "ann@" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataUnreadable, match="no such file"):
        read_table(tmp_path / "none.csv", CONTRACT)


def test_a_header_without_rows_is_an_empty_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("whole,real\n")
    assert read_table(tmp_path / "a.csv", CONTRACT).shape == (0, 2)


ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**53), 2**53),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.none() | st.sampled_from(COLUMNS[2].categories or ()),
        st.none() | st.booleans(),
        st.none() | st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)),
        st.none() | st.text(min_size=1),
    ),
    min_size=1,
    max_size=8,
)


@given(ROWS)
def test_rows_survive_json_bit_for_bit(rows: list[tuple[Any, ...]]) -> None:
    frame = to_canonical(pd.DataFrame(rows, columns=[c.name for c in COLUMNS], dtype=object), COLUMNS)
    text = json.dumps(dump_rows(frame, COLUMNS), allow_nan=False)
    pd.testing.assert_frame_equal(load_rows(json.loads(text), COLUMNS), frame, check_exact=True)


def a_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "whole": [1, 2, None],
            "real": [0.1, None, -2.5],
            "kind": ["1", 'a,b\n"c"', None],
            "flag": [True, None, False],
            "when": [dt.datetime(2024, 2, 29, 10), None, dt.datetime(1999, 12, 31)],
            "words ü {{x}}": ["NA", "{{ x }}\nsecond line", None],
        },
        dtype=object,
    )


def test_equal_numbers_stay_equal_numbers() -> None:
    result = convert(pd.Series(np.array([1, 2], dtype="int32")), BY_NAME["whole"])
    assert result.values.tolist() == [1.0, 2.0]
