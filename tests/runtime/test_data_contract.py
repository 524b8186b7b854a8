"""The data contract: each rule is broken in turn and found, with count and examples; bad rows are set aside only as allowed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.contract import check, examine, require
from ai_factory_runtime.errors import ContractBroken, DataUnreadable, PiiKeyMissing
from ai_factory_runtime.pii import protect, read_key
from ai_factory_spec.usecase import Column, Contract, Pii

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


RULES = (Pii(column="mail", kind="email", action="hash"), Pii(column="name", kind="name", action="drop"))
KEY = b"a key of sixteen characters"


def people() -> pd.DataFrame:
    return pd.DataFrame(
        {"mail": ["a@x.org", "b@x.org", "a@x.org", None], "name": ["Ann", "Bo", "Ann", "Cy"], "r": [1, 2, 3, 4]}
    )


def test_personal_data_is_dropped_or_hashed_with_the_key() -> None:
    protected = protect(people(), RULES, KEY)
    assert "name" not in protected
    assert protected["mail"].iloc[0] == protected["mail"].iloc[2] != protected["mail"].iloc[1]
    assert pd.isna(protected["mail"].iloc[3])
    assert "@" not in protected.to_csv()
    assert protected["mail"].iloc[0] != protect(people(), RULES, KEY + b"!")["mail"].iloc[0]


def test_an_id_that_must_be_dropped_still_keeps_its_rows_together() -> None:
    protected = protect(people(), RULES, KEY, keep_apart="name")
    assert protected["name"].tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("key", ["", "short"])
def test_hashing_without_a_long_key_is_refused(key: str) -> None:
    with pytest.raises(PiiKeyMissing, match="'mail'"):
        read_key(RULES, {"AI_FACTORY_PII_KEY": key})


def test_dropping_needs_no_key() -> None:
    assert read_key(RULES[1:], {}) == b""


def test_a_violation_reads_as_a_sentence() -> None:
    rows = good().assign(c=["z" * 200, "a", "b", "a"])
    violation = check(rows, CONTRACT).violations[0]
    assert str(violation).startswith("'c' is none of 'a', 'b' (1 row, e.g. 'zzz")
    assert len(str(violation)) < 120
    assert dataclasses.is_dataclass(violation)
