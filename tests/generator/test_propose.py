"""A proposal is a valid usecase.yaml that explains itself, holds for the very file it was made from, and carries any text unharmed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ai_factory.data_errors import TargetUnusable
from ai_factory.profile import profile_file
from ai_factory.proposal_text import widened
from ai_factory.propose import inferences, usecase_yaml
from ai_factory_spec import UseCase, UsecaseError, parse_usecase
from ai_factory_spec.usecase import Column
from helpers_profile import cycle, numbers, profile_columns, write_csv
from hypothesis import given, settings
from hypothesis import strategies as st

PEOPLE: dict[str, Sequence[object]] = {
    "customer_id": cycle([f"c{i}" for i in range(30)]),
    "order_id": range(60),
    "created_at": [f"20{10 + i // 12}-{1 + i % 12:02}-01" for i in range(60)],
    "email": [f"user{i}@example.com" for i in range(60)],
    "last_name": cycle([f"Person {i}" for i in range(25)]),
    "gender": cycle(["f", "m", "m"]),
    "age": [18 + i for i in range(60)],
    "temperature": numbers(),
    "comment": [f"some words number {i} " * 5 for i in range(60)],
    "active": cycle(["true", "false", ""]),
    "same": ["x"] * 60,
}


def proposed(folder: Path, target: str | None = None, /, columns: Any = None, **arguments: Any) -> tuple[str, UseCase]:
    """The proposal for a file of these columns, as text and read."""
    profile = profile_columns(folder, target, **(columns if columns is not None else PEOPLE))
    text = usecase_yaml(profile, **{"target": target or "outcome", "name": "Test", **arguments})
    return text, parse_usecase(text, file="usecase.yaml")


def test_every_guess_stands_in_the_proposal(tmp_path: Path) -> None:
    _, usecase = proposed(tmp_path)
    data = usecase.data
    assert (data.source, data.target, data.id, data.time) == ("data.csv", "outcome", "customer_id", "created_at")
    assert [(p.column, p.kind, p.action) for p in data.pii] == [
        ("email", "email", "drop"),
        ("last_name", "name", "drop"),
    ]
    assert (data.sensitive, data.ignore) == (("gender",), ("order_id",))
    assert (usecase.model.task, usecase.model.positive) == ("binary", "yes")
    assert [c.name for c in data.features] == ["reading", "gender", "age", "temperature", "active"]
    assert "same" not in {c.name for c in data.contract.columns}


def test_every_section_is_explained(tmp_path: Path) -> None:
    text, _ = proposed(tmp_path)
    lines = text.splitlines()
    sections = [i for i, line in enumerate(lines) if line.endswith(":") and not line.startswith((" ", "#"))]
    assert len(sections) >= 9
    assert all(lines[i - 1].startswith("#") for i in sections)
    assert "Inferred: its name says so" in text
    assert '# Left out: "same"; its only value is' in text
    assert "# free text is no feature" in text


def test_bounds_are_the_observed_ones_widened(tmp_path: Path) -> None:
    text, usecase = proposed(tmp_path)
    age = usecase.data.column("age")
    assert (age.min, age.max) == (0, 107)
    assert "min: 0  # observed 18" in text
    assert "max: 107  # observed 77" in text
    temperature = usecase.data.column("temperature")
    assert isinstance(temperature.min, float)
    assert temperature.min < min(numbers())


def test_ids_and_times_have_no_bounds_because_they_grow(tmp_path: Path) -> None:
    _, usecase = proposed(tmp_path)
    for name in ("customer_id", "order_id", "created_at"):
        column = usecase.data.column(name)
        assert (column.min, column.max, column.categories) == (None, None, None)
    assert usecase.data.column("order_id").unique


def test_a_persons_data_is_not_repeated_in_the_proposal(tmp_path: Path) -> None:
    text, usecase = proposed(tmp_path)
    assert "Person" not in text.replace("identify a person", "")
    assert "@example.com" not in text
    assert usecase.data.column("last_name").type == "text"


def test_missing_values_are_allowed_where_they_were_seen(tmp_path: Path) -> None:
    text, usecase = proposed(tmp_path)
    assert [c.name for c in usecase.data.contract.columns if c.nullable] == ["active"]
    assert "nullable: true  # 33.3% missing" in text


def test_rows_without_a_target_are_set_aside(tmp_path: Path) -> None:
    text, usecase = proposed(tmp_path, "y", columns={"y": ["", *cycle(["a", "b"], 59)]})
    assert usecase.data.contract.max_bad_rows == 0.02
    assert not usecase.data.column("y").nullable
    assert "1 rows have no target" in text


@pytest.mark.parametrize(
    ("values", "task", "type_", "categories"),
    [
        (["no", "yes"], "binary", "category", ("no", "yes")),
        (["True", "False"], "binary", "category", ("false", "true")),
        ([0, 1], "binary", "category", ("0", "1")),
        ([3, 1, 2], "multiclass", "category", ("1", "2", "3")),
        (list(range(30)), "regression", "integer", None),
        ([1.5, 2.5, 3.5], "regression", "number", None),
    ],
)
def test_the_target_has_the_type_its_task_needs(
    tmp_path: Path, values: list[object], task: str, type_: str, categories: tuple[str, ...] | None
) -> None:
    _, usecase = proposed(tmp_path, "y", columns={"y": cycle(values)})
    column = usecase.data.column("y")
    assert (usecase.model.task, column.type, column.categories) == (task, type_, categories)


def test_what_a_person_says_wins(tmp_path: Path) -> None:
    text, usecase = proposed(
        tmp_path, id="order_id", time=None, positive="no", not_pii=["last_name"], source="../raw/x.csv", owner="Ada", title="T",
        description="D",
    )  # fmt: skip
    assert (usecase.data.id, usecase.data.time, usecase.model.positive) == ("order_id", None, "no")
    assert [p.column for p in usecase.data.pii] == ["email"]
    assert (usecase.data.source, usecase.owner, usecase.title, usecase.description) == ("../raw/x.csv", "Ada", "T", "D")
    assert "# the class of interest; given" in text
    assert proposed(tmp_path, id=None)[1].data.id is None


def test_whole_numbers_can_be_classes_or_a_quantity(tmp_path: Path) -> None:
    columns = {"y": cycle([1, 2, 3])}
    assert proposed(tmp_path, "y", columns=columns, task="regression")[1].data.column("y").type == "integer"
    assert proposed(tmp_path, "y", columns=columns, task="multiclass")[1].data.column("y").type == "category"


@pytest.mark.parametrize(
    ("values", "task"), [(["a", "b"], "regression"), (["a", "b", "c"], "binary"), (["a", "b"], "multiclass"), ([1.5, 2.5, 3.5], "multiclass")]
)  # fmt: skip
def test_a_task_that_the_target_cannot_have_is_refused(tmp_path: Path, values: list[object], task: str) -> None:
    with pytest.raises(TargetUnusable):
        proposed(tmp_path, "y", columns={"y": cycle(values)}, task=task)


def test_a_class_that_does_not_exist_is_reported_by_the_reader(tmp_path: Path) -> None:
    with pytest.raises(UsecaseError, match="none of the classes"):
        proposed(tmp_path, positive="maybe")


def test_the_profile_of_another_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="made for the target 'outcome'"):
        usecase_yaml(profile_columns(tmp_path), target="reading", name="x")


def test_the_inferences_say_what_should_be_confirmed(tmp_path: Path) -> None:
    profile = profile_columns(tmp_path, **PEOPLE)
    found = {(i.what, i.value): i for i in inferences(profile)}
    assert [i.what for i in inferences(profile)][:4] == ["model.task", "model.positive", "data.id", "data.time"]
    assert found["data.pii", "email"].certain
    assert not found["data.pii", "last_name"].certain
    assert all(i.why for i in found.values())
    assert ("left out", "same") in found


@given(st.floats(-1e300, 1e300), st.floats(0, 1e300), st.booleans())
def test_widened_bounds_hold_the_observed_ones_and_keep_their_sign(low: float, width: float, whole: bool) -> None:
    high = low + width
    if whole:
        low, high = float(math.floor(low % 1e15)), float(math.floor(low % 1e15) + math.floor(width % 1e15))
    least, most = widened(low, high, whole=whole)
    assert least <= low
    assert high <= most
    assert least >= 0 or low < 0
    assert most <= 0 or high > 0


def holds(column: Column, value: str) -> bool:
    """Whether a cell satisfies its column's contract, judged without the factory's own code."""
    if value == "":
        return column.nullable
    if column.type == "category":
        return value in (column.categories or ())
    if column.type in ("integer", "number"):
        low, high = column.min, column.max
        return (not isinstance(low, float) or low <= float(value)) and (
            not isinstance(high, float) or float(value) <= high
        )
    return True


def test_the_contract_holds_for_the_file_it_was_made_from(tmp_path: Path) -> None:
    columns: dict[str, Sequence[object]] = {
        **PEOPLE, "tiny": [i * 1e-12 for i in range(60)], "huge": [-(10.0**i) for i in range(60)], "neg": [-5 - i / 7 for i in range(60)],
        "words": cycle(["yes", "no", "1e5", "null?", " x", "2024-01-01x"]),
    }  # fmt: skip
    _, usecase = proposed(tmp_path, columns=columns)
    for column in usecase.data.contract.columns:
        if column.name in columns:
            assert [v for v in columns[column.name] if not holds(column, str(v))] == [], column


# Any text --------------------------------------------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    ["no", "1", "1e5", "{{ cookiecutter.x }}", "{% raw %}", "a: b # c", "'\"\\", "\n", "\u2028", "\x85", "🎉", "x" * 3000, "- a", "|", "2024-01-01", "${{ x }}", "$(rm)"]
)  # fmt: skip
CELLS = ANY_TEXT.map(lambda t: t.replace("\0", "").replace("\r", ""))
NAMES = CELLS.map(lambda t: f"{t}.")


@settings(max_examples=60)
@given(name=ANY_TEXT.filter(bool).map(lambda t: t[:200]), title=ANY_TEXT, description=ANY_TEXT, owner=ANY_TEXT)
def test_any_title_comes_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, name: str, title: str, description: str, owner: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    profile = _PROFILES.get(folder) or _PROFILES.setdefault(folder, profile_columns(folder))
    text = usecase_yaml(profile, target="outcome", name=name, title=title, description=description, owner=owner)
    usecase = parse_usecase(text, file="x")
    assert (usecase.name, usecase.title, usecase.description, usecase.owner) == (name, title, description, owner)
    document = yaml.safe_load(text)
    assert (document["name"], document["title"]) == (name, title), "any reader of YAML sees the same"


_PROFILES: dict[Path, Any] = {}


@settings(max_examples=60)
@given(
    names=st.lists(NAMES, min_size=3, max_size=3, unique=True),
    values=st.lists(CELLS.filter(lambda t: t.strip() != ""), min_size=2, max_size=4, unique=True),
)
def test_any_column_name_and_any_category_come_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], values: list[str]
) -> None:
    target, category, number = names
    columns = {category: cycle([*values, *values], 80), number: numbers(80), target: cycle(values, 80)}
    path = write_csv(tmp_path_factory.getbasetemp() / "any.csv", columns)
    profile = profile_file(path, target)
    usecase = parse_usecase(usecase_yaml(profile, target=target, name="x"), file="x")
    assert usecase.data.target == target
    assert {c.name for c in usecase.data.contract.columns} <= set(names)
    assert usecase.data.column(number).type == "number"
    column = profile.column(target)
    if not column.numeric and {v.lower() for v in values} != {"true", "false"} and len(column.values) == len(values):
        assert set(usecase.data.column(target).categories or ()) == set(values)


@pytest.mark.slow
@pytest.mark.matrix
def test_ten_thousand_columns_are_proposed_in_seconds(tmp_path: Path) -> None:
    columns = {f"column {i}": [(i * j) % 97 + 0.5 for j in range(60)] for i in range(1, 10_000)}
    profile = profile_file(write_csv(tmp_path / "wide.csv", {**columns, "y": cycle(["n", "j"])}), "y")
    start = time.process_time()
    usecase = parse_usecase(usecase_yaml(profile, target="y", name="wide"), file="x")
    assert len(usecase.data.contract.columns) == len(profile.columns) > 9_000
    assert time.process_time() - start < 15  # about one second
