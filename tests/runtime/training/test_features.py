"""The features a project starts with: equal for one row and many, blind to nothing they must take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.training.features import RARE, default_features
from ai_factory_runtime.training.models import baseline, baseline_metric, default_candidates
from ai_factory_spec.usecase import UseCase
from helpers_runtime import usecase_document
from hypothesis import given, settings
from hypothesis import strategies as st


def table(rows: int = 200, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"n\n{{x}}": random.normal(size=rows), "m": random.normal(size=rows), "empty": np.nan})
    frame.loc[random.random(rows) < 0.1, "m"] = np.nan
    frame["kind"] = random.choice(["a", "b", "ü"], rows)
    frame.loc[:2, "kind"] = "rare"
    frame["flag"] = random.random(rows) < 0.3
    frame["outcome"] = random.choice(["yes", "no"], rows)
    return frame


def use_case(task: str = "binary", **changes: Any) -> UseCase:
    return UseCase.model_validate(usecase_document(table(), task, **changes))


USECASE = use_case()
ROWS = to_canonical(table(), USECASE.data.contract.columns)
FITTED = default_features(USECASE).fit(ROWS)


def changed(**values: object) -> pd.DataFrame:
    row = ROWS.iloc[[0]].copy()
    for name, value in values.items():
        row[name] = pd.array([value], dtype=ROWS[name].dtype)
    return row


def test_a_row_alone_gets_the_same_numbers_as_among_many() -> None:
    together = FITTED.transform(ROWS)
    for position in range(0, len(ROWS), 7):
        np.testing.assert_array_equal(FITTED.transform(ROWS.iloc[[position]])[0], together[position])


def test_the_order_of_rows_changes_nothing() -> None:
    order = np.random.default_rng(0).permutation(len(ROWS))
    np.testing.assert_array_equal(FITTED.transform(ROWS.iloc[order]), FITTED.transform(ROWS)[order])


@settings(max_examples=50)
@given(
    number=st.none() | st.floats(-1e9, 1e9),
    kind=st.none() | st.sampled_from(["a", "ü", "rare", "never seen"]),
    flag=st.none() | st.booleans(),
)
def test_any_row_gives_finite_numbers(number: float | None, kind: str | None, flag: bool | None) -> None:
    row = changed(**{"n\n{{x}}": number, "m": number, "empty": number, "kind": kind, "flag": flag})
    assert np.isfinite(FITTED.transform(row)).all()


def test_a_missing_value_is_told_from_a_present_one_where_training_had_missing_values() -> None:
    median = float(ROWS["m"].median())
    assert not np.array_equal(FITTED.transform(changed(m=None)), FITTED.transform(changed(m=median)))


def test_an_unknown_category_is_treated_as_a_rare_one() -> None:
    assert RARE > 3
    np.testing.assert_array_equal(FITTED.transform(changed(kind="never seen")), FITTED.transform(changed(kind="rare")))
    assert not np.array_equal(FITTED.transform(changed(kind="a")), FITTED.transform(changed(kind="rare")))


def test_booleans_missing_in_training_or_later_are_numbers() -> None:
    share = float(ROWS["flag"].mean())
    flag = FITTED.transform(changed(flag=None))[0]
    assert share in flag


def test_candidates_come_simplest_first_and_only_those_named() -> None:
    assert list(default_candidates(USECASE)) == ["linear", "random_forest", "gradient_boosting"]
    some = use_case(model={"task": "binary", "positive": "yes", "candidates": ["gradient_boosting", "linear"]})
    assert list(default_candidates(some)) == ["linear", "gradient_boosting"]


def test_every_candidate_is_seeded() -> None:
    for model in default_candidates(USECASE).values():
        assert model.get_params()["random_state"] == USECASE.model.seed


@pytest.mark.parametrize(
    ("metric", "strategy"), [("roc_auc", "prior"), ("accuracy", "prior"), ("f1", "constant"), ("precision", "constant")]
)
def test_the_baseline_is_the_best_blind_guess_for_its_metric(metric: str, strategy: str) -> None:
    usecase = use_case(model={"task": "binary", "positive": "yes", "metric": metric})
    assert baseline(usecase).get_params()["strategy"] == strategy


def test_recall_cannot_be_won_by_always_saying_yes() -> None:
    assert baseline_metric("recall") == "balanced_accuracy"
    assert baseline_metric("roc_auc") == "roc_auc"
