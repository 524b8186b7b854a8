"""The data contract: each rule is broken in turn and found, with count and examples; bad rows are set aside only as allowed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import ContractBroken, DataUnreadable
from ai_factory_runtime.data.contract import check, examine, hold, quarantine, require
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_spec.usecase import Column, Contract, Data, Pii
from hypothesis import given, settings
from hypothesis import strategies as st

CONTRACT = Contract(
    min_rows=3,
    max_rows=100,
    columns=(
        Column(name="n\n{{x}}", type="integer", min=0, max=10, unique=True),
        Column(name="r", type="number", nullable=True),
        Column(name="c", type="category", categories=("a", "b")),
        Column(name="b", type="boolean"),
        Column(name="d", type="datetime", min="2024-01-01", max="2024-12-31T00:00:00+00:00"),
        Column(name="t", type="text"),
    ),
)


def good() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "n\n{{x}}": [1, 2, 3, 4],
            "r": [0.5, None, 1.5, 2.5],
            "c": ["a", "b", "a", "b"],
            "b": [True, False, True, False],
            "d": ["2024-01-01", "2024-06-01", "2024-12-31", "2024-03-01"],
            "t": ["w", "x", "y", "z"],
        },
        dtype=object,
    )


def test_rows_that_fit_pass() -> None:
    report = check(good(), CONTRACT)
    assert report.ok
    assert (report.rows, report.bad_rows) == (4, 0)


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("n\n{{x}}", "two", "is not a whole number"),
        ("n\n{{x}}", -1, "is less than 0"),
        ("n\n{{x}}", 11, "is more than 10"),
        ("n\n{{x}}", 2, "occurs more than once"),
        ("n\n{{x}}", None, "has no value"),
        ("r", float("inf"), "is not a finite number"),
        ("c", "z", "is none of 'a', 'b'"),
        ("b", "maybe", "is not a boolean"),
        ("d", "2023-12-31", "is less than 2024-01-01"),
        ("d", "2025-01-01", "is more than 2024-12-31"),
        ("d", "yesterday", "is not a date in ISO 8601"),
        ("t", "", "has no value"),
    ],
)
def test_each_broken_rule_is_reported_with_its_column(column: str, value: object, rule: str) -> None:
    rows = good()
    rows.loc[0, column] = value
    report = check(rows, CONTRACT)
    assert [(v.column, v.rule) for v in report.violations] == [(column, rule)]
    assert report.bad_rows == (2 if "once" in rule else 1)


def test_all_violations_are_reported_at_once_with_counts_and_examples() -> None:
    rows = good().drop(columns="t").assign(c=["z", "y", "a", "z"], r=["x", 1, 2, 3])
    report = check(rows, CONTRACT)
    found = {v.column: v for v in report.violations}
    assert set(found) == {"t", "c", "r"}
    assert found["c"].count == 3
    assert found["c"].examples == ("'z'", "'y'")
    assert "is missing" in found["t"].rule


@pytest.mark.parametrize(("rows", "said"), [(2, "at least 3"), (101, "at most 100")])
def test_a_table_too_short_or_too_long_is_reported(rows: int, said: str) -> None:
    contract = CONTRACT.model_copy(
        update={"columns": (Column(name="r", type="number"), Column(name="s", type="number"))}
    )
    report = check(pd.DataFrame({"r": np.arange(rows), "s": 0.0}), contract)
    assert said in str(report.violations[0])


def test_a_column_that_occurs_twice_is_refused() -> None:
    rows = good()
    rows.columns = pd.Index(["c" if name == "t" else name for name in rows.columns])
    with pytest.raises(DataUnreadable, match="'c'"):
        check(rows, CONTRACT)


def test_no_example_shows_personal_data() -> None:
    rows = good().assign(c=["ann@example.com"] * 4)
    report = check(rows, CONTRACT, hidden={"c"})
    assert "ann@" not in str(report)


def test_bad_rows_are_set_aside_up_to_the_share_that_is_allowed() -> None:
    rows = good()
    rows.loc[1, "c"] = "z"
    lenient = CONTRACT.model_copy(update={"max_bad_rows": 0.25})
    examined = examine(rows, lenient)
    require(examined, lenient)
    assert examined.good["n\n{{x}}"].tolist() == [1.0, 3.0, 4.0]
    assert examined.set_aside["c"].tolist() == ["z"]


def test_more_bad_rows_than_allowed_stop_with_exit_4() -> None:
    rows = good().assign(c=["z", "z", "a", "b"])
    lenient = CONTRACT.model_copy(update={"max_bad_rows": 0.25})
    with pytest.raises(ContractBroken, match="2 of 4 rows are bad, at most 25") as refusal:
        require(examine(rows, lenient), lenient)
    assert refusal.value.exit_code == 4


def test_too_few_good_rows_stop_even_where_the_share_is_allowed() -> None:
    rows = good().head(3).assign(c=["z", "a", "b"])
    lenient = CONTRACT.model_copy(update={"max_bad_rows": 0.9})
    with pytest.raises(ContractBroken, match="2 good rows, at least 3"):
        require(examine(rows, lenient), lenient)


def test_a_missing_column_stops_whatever_share_is_allowed() -> None:
    lenient = CONTRACT.model_copy(update={"max_bad_rows": 1.0})
    with pytest.raises(ContractBroken, match="'t' is missing"):
        require(examine(good().drop(columns="t"), lenient), lenient)


KEY = b"a key of sixteen characters"


def test_a_violation_reads_as_a_sentence() -> None:
    rows = good().assign(c=["z" * 200, "a", "b", "a"])
    violation = check(rows, CONTRACT).violations[0]
    assert str(violation).startswith("'c' is none of 'a', 'b' (1 row, e.g. 'zzz")
    assert len(str(violation)) < 120
    assert dataclasses.is_dataclass(violation)


def test_a_violation_names_the_first_rows_and_says_that_there_are_more() -> None:
    rows = pd.concat([good()] * 2, ignore_index=True).assign(c=["a", "z", "z", "a", "z", "z", "z", "z"])
    violation = next(v for v in check(rows, CONTRACT).violations if v.column == "c")
    assert violation.rows == (1, 2, 4, 5, 6)
    assert str(violation).endswith("(6 rows, e.g. 'z'; rows 1, 2, 4, 5, 6, …)")


DAY_DATA = {"source": "x.csv", "target": "c", "time": "d"}
NOW = dt.datetime(2025, 1, 10, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(("days", "stops"), [(10.6, False), (10.4, True)])
def test_rows_whose_newest_time_is_too_old_stop_the_run(days: float, stops: bool) -> None:
    contract = CONTRACT.model_copy(update={"max_age_days": days, "max_bad_rows": 1.0})
    examined = hold(good(), Data(**DAY_DATA, contract=contract), now=NOW)
    if not stops:
        require(examined, contract)
        return
    with pytest.raises(ContractBroken, match=r"'d' is too old.*2024-12-31 00:00 UTC, 10.5 days ago.*10.4 days"):
        require(examined, contract)


def test_the_age_of_rows_counts_from_the_clock() -> None:
    contract = CONTRACT.model_copy(update={"max_age_days": 1.0})
    assert "is too old" in str(hold(good(), Data(**DAY_DATA, contract=contract)).report.violations[0])
    today = good().assign(d=dt.datetime.now(dt.UTC).isoformat())
    open_ended = contract.model_copy(
        update={"columns": tuple(c if c.name != "d" else Column(name="d", type="datetime") for c in contract.columns)}
    )
    assert hold(today, Data(**DAY_DATA, contract=open_ended)).report.ok


def test_the_quarantine_holds_every_bad_row_with_all_its_reasons_and_no_personal_data() -> None:
    rows = good()
    rows["t"] = ["ann@example.com", "bo@example.com", "cy@example.com", "di@example.com"]
    rows.loc[1, ["c", "r"]] = ["z", "much"]
    rows.loc[3, "n\n{{x}}"] = None
    data = Data(**DAY_DATA, contract=CONTRACT, pii=(Pii(column="t", kind="email", action="tokenise"),))
    stored = quarantine(hold(rows, data), data.pii, KEY)
    assert stored.index.tolist() == [1, 3]
    assert stored.index.name == "row"
    assert stored["reasons"].tolist() == [
        "'r' is not a finite number; 'c' is none of 'a', 'b'",
        "'n\\n{{x}}' has no value",
    ]
    assert "@" not in stored.to_csv()
    assert stored["c"].tolist() == ["z", "b"]


def test_a_column_named_like_the_reasons_keeps_its_name() -> None:
    contract = Contract(columns=(Column(name="reasons", type="number"), Column(name="s", type="number")))
    stored = quarantine(examine(pd.DataFrame({"reasons": ["x", 1], "s": [1, 2]}), contract), (), b"")
    assert list(stored.columns) == ["reasons (quarantine)", "reasons", "s"]


def pandera_bad(frame: pd.DataFrame, contract: Contract) -> list[int]:
    """The bad rows as pandera, an independent judge, finds them in converted values."""
    import pandera.pandas as pa

    columns = {}
    for column in contract.columns:
        checks = [pa.Check.isin(list(column.categories))] if column.categories else []
        checks += [pa.Check.ge(column.min)] if column.min is not None else []
        checks += [pa.Check.le(column.max)] if column.max is not None else []
        columns[column.name] = pa.Column(nullable=column.nullable, unique=column.unique, checks=checks)
    try:
        pa.DataFrameSchema(columns).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        return sorted(set(error.failure_cases["index"].astype(int)))
    return []


@settings(max_examples=50)  # pandera takes its time
@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-3, 12),
            st.none() | st.floats(-2, 2),
            st.none() | st.sampled_from(["a", "b", "c"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_bad_rows_are_those_that_pandera_finds(rows: list[tuple[object, ...]]) -> None:
    contract = Contract(
        columns=(
            Column(name="n", type="integer", min=0, max=10, unique=True, nullable=True),
            Column(name="r", type="number", min=-1),
            Column(name="c", type="category", categories=("a", "b"), nullable=True),
        )
    )
    frame = to_canonical(pd.DataFrame(rows, columns=["n", "r", "c"], dtype=object), contract.columns)
    report = check(frame, contract)
    assert np.flatnonzero(report.bad).tolist() == pandera_bad(frame, contract)
    assert [bool(reason) for reason in report.reasons()] == [True] * report.bad_rows
    assert json.dumps(report.document())
