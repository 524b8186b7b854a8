"""The split keeps apart what must be apart, and leaks are found: each is built, and each is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import DataUnusable
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.data.twins import chance_of_twins, twins
from ai_factory_runtime.training.leakage import find_leaks, future_rows, shared_entities, shared_rows
from ai_factory_runtime.training.split import Split, folds, split
from ai_factory_spec.usecase import UseCase
from helpers_runtime import columns_of, real_rows, usecase_document
from hypothesis import given, settings
from hypothesis import strategies as st


def use_case(frame: pd.DataFrame, task: str = "binary", **changes: Any) -> UseCase:
    return UseCase.model_validate(usecase_document(frame, task, **changes))


def canonical(frame: pd.DataFrame, usecase: UseCase) -> pd.DataFrame:
    return to_canonical(frame, usecase.data.contract.columns)


def rows(count: int = 400, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"a": random.normal(size=count), "b": random.normal(size=count)})
    frame["kind"] = random.choice(["x", "y", "z"], count)
    frame["outcome"] = np.where(frame["a"] + random.normal(size=count) > 0, "yes", "no")
    return frame


def with_data(frame: pd.DataFrame, task: str = "binary", **data: Any) -> UseCase:
    return use_case(frame, task, data={**usecase_document(frame, task)["data"], **data})


@settings(max_examples=40)
@given(count=st.integers(60, 300), seed=st.integers(0, 1000), share=st.floats(0.1, 0.6))
def test_every_row_is_on_exactly_one_side(count: int, seed: int, share: float) -> None:
    frame = rows(count, seed)
    usecase = use_case(frame, model={"task": "binary", "positive": "yes", "test_size": share, "seed": seed})
    found = split(canonical(frame, usecase), usecase)
    together = np.concatenate([found.train, found.validation, found.test])
    assert sorted(together) == list(range(count))
    assert abs(len(found.test) / count - share) < 0.05
    for learn, judge in folds(canonical(frame, usecase), usecase, found):
        assert not set(learn) & set(judge)
        assert not set(found.test) & {*learn, *judge}


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    frame = rows()
    splits = []
    for seed in (1, 1, 2):
        usecase = use_case(frame, model={"task": "binary", "positive": "yes", "seed": seed})
        splits.append(split(canonical(frame, usecase), usecase).test.tolist())
    assert splits[0] == splits[1] != splits[2]


def test_classes_keep_their_share() -> None:
    frame = rows(1000)
    frame["outcome"] = np.where(np.arange(1000) % 10 == 0, "yes", "no")
    usecase = use_case(frame)
    found = split(canonical(frame, usecase), usecase)
    for side in (found.train, found.validation, found.test):
        assert (frame["outcome"].iloc[side] == "yes").mean() == pytest.approx(0.1, abs=0.02)


def test_a_class_of_two_rows_is_in_both_sides() -> None:
    frame = real_rows("wine")
    frame.loc[frame.index[frame["outcome"] == "class_2"][2:], "outcome"] = "class_1"
    usecase = use_case(frame, "multiclass")
    found = split(canonical(frame, usecase), usecase)
    assert (
        set(frame["outcome"].iloc[found.test])
        == set(frame["outcome"].iloc[found.development])
        == {"class_0", "class_1", "class_2"}
    )


def test_with_a_time_column_the_newest_rows_are_held_out_and_no_moment_is_on_both_sides() -> None:
    frame = rows(500)
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.random.default_rng(1).integers(0, 40, 500), unit="D")
    usecase = with_data(frame, time="day")
    found = split(canonical(frame, usecase), usecase)
    day = frame["day"]
    assert found.how == "time"
    assert day.iloc[found.train].max() < day.iloc[found.validation].min()
    assert day.iloc[found.validation].max() < day.iloc[found.test].min()
    assert len(list(folds(canonical(frame, usecase), usecase, found))) == 1


def test_all_rows_of_an_entity_are_on_one_side() -> None:
    frame = rows(600)
    frame["customer"] = np.random.default_rng(2).integers(0, 80, 600)
    usecase = with_data(frame, id="customer")
    table = canonical(frame, usecase)
    found = split(table, usecase)
    assert found.how == "entity"
    assert not set(frame["customer"].iloc[found.test]) & set(frame["customer"].iloc[found.development])
    for learn, judge in folds(table, usecase, found):
        assert not set(frame["customer"].iloc[learn]) & set(frame["customer"].iloc[judge])


def test_copies_of_a_row_are_kept_on_one_side() -> None:
    frame = pd.concat([rows(200)] * 2, ignore_index=True)
    usecase = use_case(frame)
    found = split(canonical(frame, usecase), usecase)
    assert not {int(i) % 200 for i in found.test} & {int(i) % 200 for i in found.development}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.head(10), "10 rows"),
        (lambda f: f.assign(outcome=["yes"] * 399 + ["no"]), "'no'"),
        (lambda f: f[f["outcome"] == "yes"], "'yes' in all"),
    ],
)
def test_rows_that_cannot_teach_or_judge_are_refused(change: Any, said: str) -> None:
    frame = rows()
    usecase = use_case(frame)
    with pytest.raises(DataUnusable, match=said):
        split(canonical(change(frame), usecase), usecase)


@pytest.mark.parametrize("times", [[None, *range(1, 400)], [1] * 200 + [2] * 200])
def test_a_time_column_that_cannot_order_is_refused(times: list[int | None]) -> None:
    frame = rows().assign(day=times)
    usecase = with_data(frame, time="day")
    with pytest.raises(DataUnusable, match="time column 'day'"):
        split(canonical(frame, usecase), usecase)


def leaks_of(frame: pd.DataFrame, task: str = "binary", **changes: Any) -> dict[str, str]:
    usecase = use_case(frame, task, **changes)
    table = canonical(frame, usecase)
    return {leak.column: leak.kind for leak in find_leaks(table, usecase, split(table, usecase))}


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "wine"])
def test_real_data_has_no_leak(name: str) -> None:
    tasks = {"breast_cancer": "binary", "diabetes": "regression", "wine": "multiclass"}
    assert leaks_of(real_rows(name), tasks[name]) == {}


@pytest.mark.parametrize(
    "leak",
    [
        lambda y: (y == "yes") * 3.0 + 1,
        lambda y: (y == "yes") * 2.0 + np.random.default_rng(0).random(len(y)),
        lambda y: y.map({"yes": "left", "no": "stayed"}),
        lambda y: (y == "yes").map({True: None, False: 1.0}).astype(float),
        lambda y: np.where(y == "yes", np.random.default_rng(0).choice([-1.0, 1.0], len(y)), 0.0),
    ],
    ids=["recoded", "noisy", "category", "missing-where-yes", "not-monotone"],
)
def test_a_column_that_knows_a_class_is_a_leak(leak: Any) -> None:
    frame = rows()
    assert leaks_of(frame.assign(b=leak(frame["outcome"]))) == {"b": "target-equivalent"}


@pytest.mark.parametrize(
    "leak", [lambda y: y * 3 + 1, lambda y: np.exp(y / 100), lambda y: -y + 0.001 * np.arange(len(y))]
)
def test_a_column_that_knows_a_number_is_a_leak(leak: Any) -> None:
    frame = real_rows("diabetes")
    assert leaks_of(frame.assign(bmi=leak(frame["outcome"])), "regression") == {"bmi": "target-equivalent"}


def test_a_leak_that_is_allowed_by_name_is_none() -> None:
    frame = rows()
    leaking = frame.assign(b=(frame["outcome"] == "yes") * 1.0)
    assert leaks_of(leaking, acceptance={"allowed_leakage": ["b"]}) == {}


def test_row_numbers_and_copies_of_the_id_are_leaks() -> None:
    frame = rows()
    frame["number"] = np.random.default_rng(0).permutation(400) + 1000
    frame["customer"] = [f"c{i}" for i in range(400)]
    frame["again"] = frame["customer"]
    document = usecase_document(frame, "binary")
    for column in document["data"]["contract"]["columns"]:
        if column["name"] == "number":
            column["type"] = "integer"
    document["data"]["id"] = "customer"
    usecase = UseCase.model_validate(document)
    table = canonical(frame, usecase)
    leaks = {leak.column: leak.detail for leak in find_leaks(table, usecase, split(table, usecase))}
    assert set(leaks) == {"number", "again"}
    assert "'customer'" in leaks["again"]


def test_rows_shared_by_both_sides_are_a_leak() -> None:
    frame = pd.concat([rows(200)] * 2, ignore_index=True)
    usecase = use_case(frame)
    table = canonical(frame, usecase)
    honest = split(table, usecase)
    assert shared_rows(table, usecase, honest) == []
    careless = Split("random", np.arange(160), np.arange(160, 200), np.arange(200, 400), np.arange(400))
    assert "200 of 200 held-out rows (100.0%)" in shared_rows(table, usecase, careless)[0].detail


def test_twins_by_coincidence_are_no_leak() -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"a": random.choice(["x", "y"], 400), "b": random.choice(["x", "y"], 400)})
    frame["outcome"] = random.choice(["yes", "no"], 400)
    assert chance_of_twins(frame, ["a", "b", "outcome"]) == pytest.approx(400 / 8, rel=0.1)
    assert len(np.unique(twins(frame, ["a", "b", "outcome"]))) == 8
    assert leaks_of(frame) == {}


def test_rows_from_the_future_are_a_leak() -> None:
    frame = rows().assign(day=np.arange(400))
    usecase = with_data(frame, time="day")
    table = canonical(frame, usecase)
    assert future_rows(table, usecase, split(table, usecase)) == []
    careless = Split("random", np.arange(0, 400, 2), np.array([399]), np.arange(1, 399, 2), np.arange(400))
    assert "rows learned from are as new as" in future_rows(table, usecase, careless)[0].detail


def test_an_entity_on_both_sides_is_a_leak() -> None:
    frame = rows(300).assign(customer=np.random.default_rng(2).integers(0, 60, 300))
    usecase = with_data(frame, id="customer")
    honest = split(canonical(frame, usecase), usecase)
    assert shared_entities(usecase, honest) == []
    careless = Split("entity", honest.train[1:], honest.validation, np.r_[honest.test, honest.train[0]], honest.unit)
    assert "held-out entities ('customer') are also among" in shared_entities(usecase, careless)[0].detail


def test_the_helper_contract_fits_its_frame() -> None:
    assert {c["type"] for c in columns_of(rows())} == {"number", "category"}
