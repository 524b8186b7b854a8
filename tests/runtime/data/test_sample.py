"""Synthetic rows satisfy any contract, teach a model something, and give nothing away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.prediction import predict
from ai_factory_runtime.data.contract import check
from ai_factory_runtime.data.sample import sample
from ai_factory_runtime.evaluation.estimates import Judged, gain
from ai_factory_runtime.training.features import default_features
from ai_factory_runtime.training.leakage import find_leaks
from ai_factory_runtime.training.models import default_candidates
from ai_factory_runtime.training.selection import target_of, train
from ai_factory_runtime.training.split import split
from ai_factory_spec.usecase import UseCase
from hypothesis import given, settings
from hypothesis import strategies as st

COLUMNS: list[dict[str, Any]] = [
    {"name": "key", "type": "text", "unique": True},
    {"name": 'age\n{{x}} "q"', "type": "integer", "min": 18, "max": 90, "nullable": True},
    {"name": "spend", "type": "number"},
    {"name": "plan", "type": "category", "categories": ["a", "b", "1"], "nullable": True},
    {"name": "flag", "type": "boolean", "nullable": True},
    {"name": "ref", "type": "integer", "unique": True},
    {"name": "when", "type": "datetime", "min": "2023-01-01", "max": "2023-06-01"},
    {"name": "mail", "type": "text", "nullable": True},
    {"name": "left", "type": "category", "categories": ["no", "yes"]},
    {"name": "segment", "type": "category", "categories": [str(i) for i in range(5)]},
    {"name": "value", "type": "integer", "min": 0, "max": 1000},
]
TARGETS = {"binary": "left", "multiclass": "segment", "regression": "value"}


def use_case(task: str, *, time: str | None = None, entity: str | None = "key") -> UseCase:
    target = TARGETS[task]
    data = {
        "source": "rows.csv", "target": target, "id": entity, "time": time, "pii": [{"column": "mail", "kind": "email"}],
        "ignore": [t for t in TARGETS.values() if t != target], "contract": {"columns": COLUMNS},
    }  # fmt: skip
    model = {"task": task, "positive": "yes" if task == "binary" else None, "candidates": ["linear"]}
    return UseCase.model_validate({"apiVersion": "ai-factory/v1", "name": "x", "data": data, "model": model})


@pytest.mark.parametrize("task", list(TARGETS))
@pytest.mark.parametrize("time", [None, "when"])
@pytest.mark.parametrize("seed", [0, 1])
def test_rows_satisfy_the_contract_teach_a_model_and_hold_no_leak(task: str, time: str | None, seed: int) -> None:
    usecase = use_case(task, time=time)
    frame = sample(usecase, rows=600, seed=seed)
    assert check(frame, usecase.data.contract).violations == ()
    found = split(frame, usecase)
    assert find_leaks(frame, usecase, found) == ()
    trained = train(frame, usecase, found, default_features(usecase), default_candidates(usecase))
    held_out = frame.iloc[found.test]
    truth = target_of(frame, usecase)[found.test]
    model, blind = (
        Judged(truth, predict(e, trained.signature, held_out), trained.signature)
        for e in (trained.estimator, trained.baseline)
    )
    assert gain(usecase.model.primary_metric, model, blind, seed=0).low > 0


def test_the_seed_decides_the_rows_and_not_the_world() -> None:
    usecase = use_case("regression")
    first, again, other = (sample(usecase, rows=2000, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first["spend"].equals(other["spend"])
    for frame in (first, other):
        assert np.corrcoef(frame["spend"], frame["value"])[0, 1] == pytest.approx(
            np.corrcoef(first["spend"], first["value"])[0, 1], abs=0.1
        )


def test_missing_values_are_only_where_they_may_be() -> None:
    frame = sample(use_case("binary"), rows=600)
    missing = {name for name in frame if frame[name].isna().any()}
    assert missing == {'age\n{{x}} "q"', "plan", "flag"}


def test_an_id_that_need_not_be_unique_repeats() -> None:
    columns = [{**c, "unique": False} if c["name"] == "key" else c for c in COLUMNS]
    usecase = use_case("binary")
    contract = usecase.data.contract.model_validate({"columns": columns})
    repeating = usecase.model_copy(update={"data": usecase.data.model_copy(update={"contract": contract})})
    frame = sample(repeating, rows=300)
    assert frame["key"].nunique() == 100
    assert split(frame, repeating).how == "entity"


BOUND = st.none() | st.floats(-1e6, 1e6)


@settings(max_examples=60)
@given(
    bounds=st.lists(
        st.tuples(st.sampled_from(["integer", "number"]), BOUND, BOUND, st.booleans()), min_size=1, max_size=5
    ),
    rows=st.integers(1, 50),
)
def test_any_bounds_are_kept(bounds: list[tuple[str, float | None, float | None, bool]], rows: int) -> None:
    columns: list[dict[str, Any]] = [{"name": "y", "type": "category", "categories": ["a", "b"]}]
    for number, (kind, low, high, nullable) in enumerate(bounds):
        if low is not None and high is not None and high < low + 2:
            high = low + 2
        columns.append({"name": f"c{number}", "type": kind, "min": low, "max": high, "nullable": nullable})
    usecase = UseCase.model_validate({
        "apiVersion": "ai-factory/v1", "name": "x", "model": {"task": "binary", "positive": "a"},
        "data": {"source": "s.csv", "target": "y", "contract": {"columns": columns}},
    })  # fmt: skip
    frame = sample(usecase, rows=rows, seed=3)
    assert len(frame) == rows
    assert check(frame, usecase.data.contract).violations == ()
