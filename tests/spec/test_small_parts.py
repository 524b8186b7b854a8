"""The parts the reader is made of: schedules, quoting, paths, suggestions, bounds, and an import that costs nothing."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import ai_factory_spec
import pytest
import yaml
from ai_factory_spec.bounds import as_bound
from ai_factory_spec.paths import dotted
from ai_factory_spec.schedule import cron_problem
from ai_factory_spec.source import quoted, scalar
from ai_factory_spec.suggest import did_you_mean, nearest
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    "text",
    ["0 6 * * *", "*/15 * * * *", "0 0 1 1 *", "0,30 8-18/2 * * mon-fri", "0 6 * * 7", "5 4 * JAN,dec *", " 0  6 * * 1 "],
)  # fmt: skip
def test_a_cron_expression_is_accepted(text: str) -> None:
    assert cron_problem(text) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "five fields (minute, hour, day of the month, month, weekday), not 0"),
        ("@daily", "not 1"),
        ("0 6 * * * *", "not 6"),
        ("60 6 * * *", "'60' is no minute: allowed is 0 to 59"),
        ("0 24 * * *", "no hour"),
        ("0 0 0 * *", "no day of the month: allowed is 1 to 31"),
        ("0 0 * 13 *", "no month"),
        ("0 0 * * 8", "no weekday"),
        ("0 0 * * fre", "allowed is 0 to 7 or sun, mon"),
        ("0 0 * mon *", "no month"),
        ("0 18-8 * * *", "runs backwards"),
        ("*/0 * * * *", "step 0"),
        ("*/99 * * * *", "step 99"),
        ("1,,2 * * * *", "'' is no minute"),
        ("-1 * * * *", "is no minute"),
        ("0 0 1 * 1", "not both"),
        ("٣ * * * *", "is no minute"),
    ],
)
def test_a_wrong_cron_expression_is_explained(text: str, message: str) -> None:
    assert message in cron_problem(text)


@given(st.text())
def test_no_text_as_a_schedule_gives_a_traceback(text: str) -> None:
    assert isinstance(cron_problem(text), str)


@given(TEXT)
def test_a_quoted_text_is_read_as_that_text_anywhere_in_a_file(text: str) -> None:
    for write in (quoted, scalar):
        written = write(text)
        assert len(written.splitlines()) == 1
        document = f"a: {written}  # comment\nb: [{written}, x]\nc:\n  - {written}\n"
        for loader in (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            assert yaml.load(document, Loader=loader) == {"a": text, "b": [text, "x"], "c": [text]}


@pytest.mark.parametrize(
    "text", ["no", "Yes", "null", "~", "1", "1.5", "2024-01-01", "1:30", "", " x", "a: b", "- a", "on"]
)
def test_what_yaml_would_take_for_something_else_is_quoted(text: str) -> None:
    assert scalar(text) == quoted(text)


def test_a_plain_word_needs_no_quotes() -> None:
    assert [scalar(t) for t in ("churn", "mean radius", "a_b-c.csv")] == ["churn", "mean radius", "a_b-c.csv"]


def test_a_path_is_written_as_people_write_it() -> None:
    assert dotted(("data", "contract", "columns", 3, "type")) == "data.contract.columns[3].type"
    assert dotted(("acceptance", "metrics", "a b")) == "acceptance.metrics['a b']"
    assert dotted(()) == ""


def test_the_nearest_name_ignores_case_and_separators_and_nothing_far_is_offered() -> None:
    assert nearest("Churn Flag", ["churn_flag", "churned"]) == ("churn_flag",)
    assert did_you_mean("tier", ["tier1", "owner"]) == "; did you mean 'tier1'?"
    assert did_you_mean("xyz", ["owner"]) == ""
    assert did_you_mean("", []) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3.0),
        (dt.date(2024, 1, 2), dt.datetime(2024, 1, 2)),
        ("2024-01-02", dt.datetime(2024, 1, 2)),
        ("2024-01-02T03:00:00+02:00", dt.datetime(2024, 1, 2, 1)),
        (dt.datetime(2024, 1, 2, tzinfo=dt.UTC), dt.datetime(2024, 1, 2)),
    ],
)
def test_a_bound_is_a_float_or_a_naive_instant_in_utc(value: object, expected: object) -> None:
    assert as_bound(value) == expected
    assert as_bound(as_bound(value)) == expected


@pytest.mark.parametrize("value", [True, "soon", "5", float("nan"), 10**400, [], "0001-01-01T00:00:00+10:00"])
def test_what_is_no_bound_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"bound|far away"):
        as_bound(value)


def test_every_exported_name_exists_and_they_are_sorted() -> None:
    assert ai_factory_spec.__all__ == sorted(ai_factory_spec.__all__)
    assert all(getattr(ai_factory_spec, name) is not None for name in ai_factory_spec.__all__)
    assert set(ai_factory_spec.__all__) <= set(dir(ai_factory_spec))
    with pytest.raises(AttributeError, match="nothing"):
        _ = ai_factory_spec.nothing  # type: ignore[attr-defined]


def test_the_errors_and_the_naming_rules_import_neither_pydantic_nor_yaml() -> None:
    code = (
        "import sys; from ai_factory_spec import FactoryError; import ai_factory_spec.naming, ai_factory_spec.suggest;"
        "print(*({'pydantic', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout.strip() == ""
