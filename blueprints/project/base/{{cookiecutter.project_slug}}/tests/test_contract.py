"""The data contract in usecase.yaml: rows that fit pass; each column is broken in turn, and each break is reported."""

from __future__ import annotations

import pandas as pd
import pytest
from ai_factory_runtime.data.contract import check
from ai_factory_spec import UseCase
from ai_factory_spec.usecase import Column

from {{ cookiecutter.package }}.__main__ import hooks


def broken(rows: pd.DataFrame, column: Column) -> pd.DataFrame:
    """The rows with one value of `column` that its contract forbids; every type has something it forbids, or may not lack."""
    rows = rows.astype({column.name: object})
    first = rows.index[0]
    if column.type == "category":
        rows.loc[first, column.name] = "a value that no category list contains"
    elif column.type in ("integer", "number") and column.max is not None:
        rows.loc[first, column.name] = float(column.max) * 2 + 1
    elif column.type in ("integer", "number", "boolean", "datetime"):
        rows.loc[first, column.name] = "not of this type"
    elif not column.nullable:
        rows.loc[first, column.name] = None
    else:
        rows = rows.drop(columns=column.name)
    return rows


def test_rows_that_fit_the_contract_pass(usecase: UseCase, rows: pd.DataFrame) -> None:
    report = check(rows, usecase.data.contract)
    assert report.ok, report.violations
    assert report.rows == len(rows)


def test_every_broken_column_is_reported_by_name(usecase: UseCase, rows: pd.DataFrame) -> None:
    unnoticed = [
        column.name
        for column in usecase.data.contract.columns
        if column.name not in {v.column for v in check(broken(rows, column), usecase.data.contract).violations}
    ]
    assert unnoticed == []


def test_every_missing_column_is_reported_at_once(usecase: UseCase, rows: pd.DataFrame) -> None:
    names = {column.name for column in usecase.data.contract.columns}
    report = check(rows.drop(columns=list(names)), usecase.data.contract)
    assert {v.column for v in report.violations} >= names


def test_load_reads_what_the_contract_describes(project, usecase: UseCase) -> None:
    loaded = hooks().load(project.usecase, project.root)
    assert {c.name for c in usecase.data.contract.columns} <= set(loaded.columns)
    assert check(loaded, project.usecase.data.contract).ok


@pytest.mark.parametrize("damage", ["not a table at all \x00", ""])
def test_a_file_that_is_no_table_is_refused_with_its_name(project, damage: str) -> None:
    from ai_factory_spec import FactoryError

    source = project.root / project.usecase.data.source
    source.write_text(damage)
    with pytest.raises(FactoryError, match=source.name):
        hooks().load(project.usecase, project.root)
