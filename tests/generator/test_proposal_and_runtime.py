"""What the factory infers from a file and what the runtime reads from it agree: no row breaks the contract made from it."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from ai_factory.data_errors import DataError
from ai_factory.profile import profile_file
from ai_factory.propose import usecase_yaml
from ai_factory_runtime.base.errors import DataUnreadable
from ai_factory_runtime.data import contract, frames
from ai_factory_spec import parse_usecase, tables
from ai_factory_spec.usecase import Column, Contract
from helpers_profile import cycle, numbers, write_csv, write_parquet
from hypothesis import given, settings
from hypothesis import strategies as st


def broken_rules(path: Path, target: str) -> list[str]:
    """What the runtime objects to in a file, by the contract that was inferred from it."""
    usecase = parse_usecase(usecase_yaml(profile_file(path, target), target=target, name="x"), file="x")
    found = contract.check(frames.read_table(path, usecase.data.contract), usecase.data.contract)
    return [f"{v.column}: {v.rule} ({v.count}: {v.examples})" for v in found.violations]


COLUMNS = {
    "number": numbers(),
    "gaps": cycle([1.5, "", "NA", -2.0]),
    "spaced": cycle([" 1.5", "2 ", "n/a", "3"]),
    "whole": cycle(["1.0", "2.0", "15.0"]),
    "exponent": cycle(["1e5", "2E-3", "-1e300"]),
    "flag": cycle(["True", "false", "TRUE", ""]),
    "truth": cycle(["t", "f", "t"]),
    "code": cycle(["007", "012", "3"]),
    "sex": cycle([1, 2]),
    "decimal sex": cycle(["1.0", "2.0"]),
    "answer": cycle(["yes", "no", "NA", "None"]),
    "blanks": cycle([" a", "a", "b "]),
    "day": cycle(["2024-01-31", "", "1999-12-01"]),
    "instant": cycle(["2024-01-31T10:00:00Z", "2024-01-31 10:00:01.5+02:00", "2024-02-01 10:00"]),
    "odd": ["?", *range(59)],
    "long id": [str(10**17 + i) for i in range(60)],
    "target": cycle(["0.0", "1.0", "1.0"]),
}


@pytest.mark.parametrize("delimiter", tables.DELIMITERS)
def test_no_row_of_a_csv_file_breaks_its_own_contract(tmp_path: Path, delimiter: str) -> None:
    assert broken_rules(write_csv(tmp_path / "x.csv", COLUMNS, delimiter), "target") == []


def test_no_row_of_a_parquet_file_breaks_its_own_contract(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "x.parquet",
        """SELECT i AS key, i / 7.0 AS ratio, CASE WHEN i % 4 > 0 THEN i % 3 END::TINYINT AS small, i % 2 = 0 AS flag,
           CASE WHEN i % 3 > 0 THEN i % 2 = 0 END AS maybe, ['', 'a', 'b', NULL][i % 4 + 1] AS kind, (i % 2 + 1)::DOUBLE AS sex,
           TIMESTAMP '2024-01-01' + INTERVAL (i) HOUR AS at, DATE '2024-01-01' + i::INTEGER AS day, (i * 1.5)::DECIMAL(10, 2) AS amount,
           TIMESTAMPTZ '2024-01-01 12:00:00+02' + INTERVAL (i) HOUR AS zoned, i % 5 = 0 AS target FROM range(100) t(i)""",
    )
    assert broken_rules(path, "target") == []


@pytest.mark.parametrize("text", ["a,y\n1,n\n2,j,3\n", "a,y,a\n1,n,2\n2,j,3\n"], ids=["ragged", "duplicate"])
def test_a_duplicate_or_ragged_file_is_refused_by_both(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError):
        profile_file(tmp_path / "x.csv", "y")
    columns = (Column(name="a", type="integer"), Column(name="y", type="category", categories=("n", "j")))
    with pytest.raises(DataUnreadable):
        frames.read_table(tmp_path / "x.csv", Contract(columns=columns))


CELL = (
    st.sampled_from(["", "0", "1", "1.0", "-0", "00", "1e5", "1E400", "1_0", "+3", ".5", "5.", "inf", "nan", "NA", "None", "null", "true", "TRUE", "no",
                     "t", "2024-01-01", "2024-1-1", "2024-01-01T00:00", "20240101", "12:30", "x", " x", "0x1", "1,5", "ı", "İ", "٣", "１"])
    | st.integers().map(str)
    | st.floats().map(str)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4)
)  # fmt: skip


@settings(max_examples=60)
@given(cells=st.lists(CELL, min_size=1, max_size=5), targets=st.lists(CELL, min_size=2, max_size=3))
def test_whatever_the_cells_no_row_breaks_the_contract_made_from_them(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], targets: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "cells.csv"
    write_csv(path, {"n": numbers(), "x": cycle(cells), "target": cycle(targets)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            broken = broken_rules(path, "target")
        except DataError:
            return  # the target teaches nothing; a UsecaseError would mean that the proposal is not valid
    assert [rule for rule in broken if not rule.startswith("target: has no value")] == []
