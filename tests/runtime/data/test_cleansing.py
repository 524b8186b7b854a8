"""Cleansing: copies and near copies are found, treated as usecase.yaml says, counted, and never on both sides of a split."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.data.cleansing import CleansingFacts, cleanse
from ai_factory_runtime.data.data_refusals import DuplicateRows
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.data.twins import near_twins, united
from ai_factory_runtime.training.split import split
from ai_factory_spec.usecase import Column, Contract, Data, Duplicates, UseCase
from helpers_runtime import real_rows, usecase_document

COLUMNS = (
    Column(name="key", type="text"),
    Column(name="r", type="number", nullable=True),
    Column(name="s", type="number"),
    Column(name="t", type="text"),
    Column(name="y", type="category", categories=("a", "b")),
)


def rows(count: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "key": [f"k{n}" for n in range(count)],
            "r": random.normal(size=count),
            "s": random.normal(100, 20, size=count),
            "t": [f"Name {n}" for n in range(count)],
            "y": random.choice(["a", "b"], count),
        }
    )
    return to_canonical(frame, COLUMNS)


def data_of(**changes: Any) -> Data:
    return Data(source="x.csv", target="y", contract=Contract(columns=COLUMNS), **changes)


def with_copies(frame: pd.DataFrame, places: list[int]) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[places]], ignore_index=True)


def with_near_copy(frame: pd.DataFrame) -> pd.DataFrame:
    """Row 3 again under another key: rounded, in capitals, with blanks."""
    again = frame.iloc[[3]].assign(key="k-again", t="  NAME   3 ")
    again["r"] += 1e-4
    again["s"] = again["s"].round(2)
    return pd.concat([frame, again], ignore_index=True)


@pytest.mark.parametrize(("change", "left"), [({"id": "key"}, 200), ({}, 203)])
def test_copies_are_dropped_where_rows_have_an_id_and_kept_together_elsewhere(
    change: dict[str, Any], left: int
) -> None:
    done = cleanse(with_copies(rows(), [0, 7, 7]), data_of(**change))
    assert len(done.frame) == done.facts.kept == left
    assert (done.facts.exact_copies, done.facts.exact_dropped) == (3, 203 - left)
    pd.testing.assert_frame_equal(done.frame.head(200), rows())
    if left == 203:
        assert done.together is not None
        assert done.together[7] == done.together[201] == done.together[202] != done.together[8]


def test_a_run_stops_at_copies_where_the_use_case_says_so() -> None:
    policy = data_of(duplicates=Duplicates(exact="stop"))
    assert cleanse(rows(), policy).facts.exact_copies == 0
    with pytest.raises(DuplicateRows, match="2 of 202 rows") as refusal:
        cleanse(with_copies(rows(), [0, 7]), policy)
    assert refusal.value.exit_code == 4
    assert "Name" not in str(refusal.value)


def test_rows_that_differ_in_personal_data_alone_are_no_copies() -> None:
    pair = with_copies(rows(), [4])
    pair.loc[200, "t"] = "Somebody else"
    assert cleanse(pair, data_of()).facts.exact_copies == 0


def test_equal_rows_are_no_copies_where_few_different_rows_are_possible() -> None:
    columns = (
        Column(name="c", type="category", categories=("u", "v")),
        Column(name="key", type="category", categories=("1", "2", "3")),
        Column(name="y", type="category", categories=("a", "b")),
    )
    random = np.random.default_rng(1)
    frame = pd.DataFrame({c.name: random.choice(np.array(c.categories), 300) for c in columns})
    data = Data(source="x", target="y", id="key", contract=Contract(columns=columns))
    done = cleanse(to_canonical(frame, columns), data)
    assert len(done.frame) == 300
    assert done.together is None
    assert "coincidence" in " ".join(done.facts.sentences())


@pytest.mark.parametrize(("near", "left"), [("keep", 201), ("together", 201), ("drop", 200)])
def test_a_near_copy_is_treated_as_the_policy_says_and_counted(near: Any, left: int) -> None:
    done = cleanse(with_near_copy(rows()), data_of(id="key", duplicates=Duplicates(near=near)))
    assert len(done.frame) == done.facts.kept == left
    assert (done.facts.near_rows, done.facts.near_groups, done.facts.near_dropped) == (2, 1, 201 - left)
    assert any("2 rows in 1 group" in sentence for sentence in done.facts.sentences())
    if near == "together":
        assert done.together is not None
        assert done.together[3] == done.together[200]
    else:
        assert done.together is None


@pytest.mark.parametrize("column", ["r", "s", "t", "y"])
def test_rows_that_really_differ_in_one_column_are_not_near(column: str) -> None:
    frame = with_near_copy(rows())
    other = {"r": frame["r"] + 1, "s": frame["s"] + 5, "t": frame["t"] + "x", "y": frame["y"].map({"a": "b", "b": "a"})}
    frame.loc[200, column] = other[column][200]
    assert cleanse(frame, data_of(id="key")).facts.near_rows == 0


def test_a_table_of_slow_sensors_is_not_one_group_of_near_copies() -> None:
    columns = (Column(name="r", type="number"), Column(name="s", type="number"), Column(name="y", type="number"))
    moment = np.linspace(0, 1, 5000)
    frame = pd.DataFrame({"r": moment, "s": moment**2, "y": moment**3})
    done = cleanse(frame, Data(source="x", target="y", contract=Contract(columns=columns)))
    assert done.together is None
    assert "too many to be copies" in done.facts.sentences()[-1]


def test_the_sides_of_a_split_never_share_near_copies() -> None:
    frame = real_rows("breast_cancer")
    usecase = UseCase.model_validate(usecase_document(frame, "binary"))
    canonical = to_canonical(frame, usecase.data.contract.columns)
    numbers = [c.name for c in usecase.data.features]
    blurred = canonical.sample(120, random_state=3)
    blurred[numbers] *= 1.0002
    done = cleanse(pd.concat([canonical, blurred], ignore_index=True), usecase.data)
    assert done.facts.near_groups > 110
    assert done.together is not None
    found = split(done.frame, usecase, together=done.together)
    assert np.intersect1d(done.together[found.test], done.together[found.development]).size == 0
    without = split(done.frame, usecase)
    assert np.intersect1d(done.together[without.test], done.together[without.development]).size > 0


def test_twins_of_twins_are_united() -> None:
    first, second = np.array([0, 0, 1, 2, 3]), np.array([0, 1, 1, 2, 3])
    number = united(first, second)
    assert number[0] == number[1] == number[2]
    assert len({*number[2:]}) == 3


def test_half_of_the_near_values_are_not_lost_at_the_edges_of_a_grid() -> None:
    values = np.random.default_rng(2).normal(size=4000)
    frame = pd.DataFrame({"r": np.concatenate([values, values + 1e-4]), "s": np.tile(values[::-1], 2)})
    number = near_twins(frame, ["r", "s"])
    assert (number[:4000] == number[4000:]).mean() > 0.999


def test_the_facts_survive_json() -> None:
    facts = cleanse(with_near_copy(rows()), data_of()).facts
    assert CleansingFacts.of_document(json.loads(json.dumps(facts.document()))) == facts
