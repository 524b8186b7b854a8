"""The search finds better settings where there are any, the same ones each time, within the folds; what it finds must still win."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import ProjectCodeFailed
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.training.models import SPACES, default_candidates
from ai_factory_runtime.training.search import Searched, draw, not_searched, search_metric, spaces
from ai_factory_runtime.training.selection import Trained, train
from ai_factory_runtime.training.split import split
from ai_factory_spec.usecase import ModelFamily, UseCase
from helpers_runtime import usecase_document
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor


def rings(count: int = 700, seed: int = 0) -> pd.DataFrame:
    """Two classes that no line divides, and ten columns of noise."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(count, 10)), columns=[f"noise{i}" for i in range(10)])
    frame[["a", "b"]] = random.normal(size=(count, 2))
    inside = frame["a"] ** 2 + frame["b"] ** 2 < 1.4
    frame["outcome"] = np.where(inside ^ (random.random(count) < 0.1), "yes", "no")
    return frame


def setting(
    frame: pd.DataFrame, task: str = "binary", *, time: str | None = None, **model: Any
) -> tuple[pd.DataFrame, UseCase]:
    document = usecase_document(frame, task, model={"search": {"trials": 8, "min_rows": 100}, **model})
    document["data"]["time"] = time
    usecase = UseCase.model_validate(document)
    return to_canonical(frame, usecase.data.contract.columns), usecase


def trained(frame: pd.DataFrame, usecase: UseCase, candidates: dict[str, Any]) -> Trained:
    return train(frame, usecase, split(frame, usecase), as_they_are(usecase), candidates)


def as_they_are(usecase: UseCase) -> ColumnTransformer:
    """Features that cost no time."""
    return ColumnTransformer([("numbers", "passthrough", [c.name for c in usecase.data.features])])


def stump(**space: list[Any]) -> dict[str, Any]:
    """A tree too shallow for the rings, with depths that are not."""
    return {"tree": Searched(DecisionTreeClassifier(max_depth=1, random_state=0), space or {"max_depth": [1, 2, 4, 6]})}


def choice_of(result: Trained, name: str) -> Any:
    return next(c for c in result.choices if c.name == name)


def test_settings_that_are_clearly_better_are_found_and_win() -> None:
    result = trained(*setting(rings()), stump())
    assert result.name == "tree_searched"
    found = choice_of(result, "search")
    assert found.value.startswith("tree: max_depth=")
    assert "successive halving of 8 settings" in found.reason
    scores = {c.name: c.score.value for c in result.candidates}
    assert scores["tree_searched"] > scores["tree"] + 0.1


def test_the_same_rows_and_seed_find_the_same_settings() -> None:
    space = {"max_depth": [2, 3, 4, 5, 6, 8], "min_samples_leaf": [1, 5, 20], "criterion": ["gini", "entropy"]}
    found = {choice_of(trained(*setting(rings()), stump(**space)), "search").value for _ in range(2)}
    assert len(found) == 1


def test_a_search_that_finds_only_noise_loses_to_the_settings_it_started_from() -> None:
    frame = rings()
    frame["outcome"] = np.where(frame["a"] + np.random.default_rng(1).normal(size=len(frame)) > 0, "yes", "no")
    model = LogisticRegression(max_iter=1000)
    result = trained(*setting(frame), {"linear": Searched(model, {"C": [0.9, 1.1, 1.2]})})
    assert result.name == "linear"


def test_a_regression_is_searched_by_its_error() -> None:
    frame = rings()
    frame["outcome"] = np.sin(2 * frame["a"]) + frame["b"] + np.random.default_rng(0).normal(0, 0.1, len(frame))
    tree = Searched(DecisionTreeRegressor(max_depth=1, random_state=0), {"max_depth": [1, 2, 8]})
    result = trained(*setting(frame, "regression"), {"tree": tree})
    assert (result.name, choice_of(result, "search").value) == ("tree_searched", "tree: max_depth=8")


class Witness(ClassifierMixin, BaseEstimator):
    """Notes which rows it was fitted on and which it was asked for."""

    fitted: list[set[int]] = []  # noqa: RUF012 - shared on purpose: clones report to one list
    asked: list[set[int]] = []  # noqa: RUF012

    def __init__(self, setting: int = 0) -> None:
        self.setting = setting

    def fit(self, X: Any, y: Any) -> Witness:
        self.classes_ = np.unique(y)
        self.rows_ = set(np.round(np.asarray(X)[:, 0]).astype(int))
        return self

    def predict_proba(self, X: Any) -> Any:
        Witness.fitted.append(self.rows_)
        Witness.asked.append(set(np.round(np.asarray(X)[:, 0]).astype(int)))
        share = 0.4 + 0.01 * self.setting
        return np.tile([1 - share, share], (len(X), 1))


def watched(frame: pd.DataFrame, **how: Any) -> tuple[pd.DataFrame, UseCase, Any]:
    """Search with witnesses on features that pass row numbers through; returns the canonical rows."""
    Witness.fitted, Witness.asked = [], []
    table, usecase = setting(frame, **how)
    found = split(table, usecase)
    candidates = {"witness": Searched(Witness(), {"setting": [1, 2, 3, 4, 5, 6, 7]})}
    train(table, usecase, found, as_they_are(usecase), candidates)
    return table, usecase, found


def numbered(count: int = 600) -> pd.DataFrame:
    order = np.random.default_rng(0).permutation(count)
    return pd.DataFrame({"number": order * 3.0, "outcome": np.where(order % 2 == 0, "yes", "no")})


def test_no_setting_is_judged_on_a_row_it_was_fitted_on_or_on_a_held_out_row() -> None:
    table, _, found = watched(numbered())
    held_out = set(table["number"].iloc[found.test].astype(int))
    searched = [(f, a) for f, a in zip(Witness.fitted, Witness.asked, strict=True) if len(a) != len(held_out)]
    assert len(searched) > 20
    development = set(table["number"].iloc[found.development].astype(int))
    final = [f for f, a in searched if f == development]
    for learned, judged in searched:
        assert not learned & held_out
        assert not judged & held_out
        if learned not in final:  # the finished model is asked about its own rows when it is checked for skew
            assert not learned & judged


def test_in_time_every_setting_is_judged_on_rows_newer_than_those_it_learned_from() -> None:
    frame = numbered().sort_values("number", ignore_index=True)
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(len(frame)), unit="D")
    table, _, found = watched(frame, time="day")
    development = set(table["number"].iloc[found.development].astype(int))
    pairs = [(f, a) for f, a in zip(Witness.fitted, Witness.asked, strict=True) if f != development]
    assert len(pairs) > 8
    assert all(max(learned) < min(judged) for learned, judged in pairs)


def test_rows_of_an_entity_are_never_on_both_sides_of_a_fold_in_the_search() -> None:
    frame = numbered()
    frame["customer"] = (frame["number"] // 30).astype(int).astype(str)
    document = usecase_document(frame, "binary", model={"search": {"trials": 8, "min_rows": 100}})
    document["data"] |= {"id": "customer"}
    usecase = UseCase.model_validate(document)
    table = to_canonical(frame, usecase.data.contract.columns)
    Witness.fitted, Witness.asked = [], []
    found = split(table, usecase)
    train(table, usecase, found, as_they_are(usecase), {"witness": Searched(Witness(), {"setting": [1, 2, 3]})})
    development = set(table["number"].iloc[found.development].astype(int))
    pairs = [(f, a) for f, a in zip(Witness.fitted, Witness.asked, strict=True) if f != development]
    assert pairs
    assert not any({n // 30 for n in learned} & {n // 30 for n in judged} for learned, judged in pairs)


def test_nothing_is_searched_on_few_rows_or_without_trials_and_the_card_can_say_why() -> None:
    for search, said in (({"trials": 8, "min_rows": 5000}, "560 rows to learn from; model.search.min_rows is 5000"),
                         ({"trials": 0}, "model.search.trials is 0"), ({"trials": 1}, "model.search.trials is 1")):  # fmt: skip
        frame, usecase = setting(rings(), search=search)
        result = trained(frame, usecase, stump())
        assert [c.name for c in result.candidates] == ["tree"]
        assert choice_of(result, "search").value == "none"
        assert said in choice_of(result, "search").reason


def test_a_family_that_model_py_changed_keeps_what_was_written() -> None:
    _, usecase = setting(rings())
    made = default_candidates(usecase)
    assert set(spaces(made, usecase)) == {"linear", "random_forest", "gradient_boosting"}
    mine = {**made, "linear": LogisticRegression(C=7.0), "knn": KNeighborsClassifier()}
    assert set(spaces(mine, usecase)) == {"random_forest", "gradient_boosting"}
    assert not_searched(usecase, 10_000, {}) is not None
    assert set(spaces({"knn": Searched(KNeighborsClassifier(), {"n_neighbors": [3]})}, usecase)) == {"knn"}


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_every_family_takes_every_setting_of_its_space(task: str) -> None:
    frame = rings(120)
    if task == "regression":
        frame["outcome"] = frame["a"]
    _, usecase = setting(frame, task)
    side = 1 if task == "regression" else 0
    assert set(SPACES) == set(ModelFamily.__args__)  # type: ignore[attr-defined]
    for family, model in default_candidates(usecase).items():
        space = SPACES[family][side]
        for key, values in space.items():
            assert len(set(map(str, values))) == len(values)
            for value in values:
                model.set_params(**{key: value})._validate_params()


def test_settings_are_drawn_without_repetition_and_never_more_than_there_are() -> None:
    space = {"a": [1, 2, 3], "b": ["x", "y"]}
    assert len({str(s) for s in draw(space, 4, seed=0)}) == 4
    assert len(draw(space, 100, seed=0)) == 6
    assert draw({}, 3, seed=0) == []
    assert draw(space, 4, seed=0) == draw(space, 4, seed=0)


@pytest.mark.parametrize(
    ("space", "said"),
    [({"depth": [1, 2]}, "Invalid parameter 'depth'"), ({"max_depth": ["deep", "deeper"]}, "max_depth")],
)
def test_a_space_that_the_estimator_does_not_take_is_told_with_the_candidates_name(space: Any, said: str) -> None:
    mine = (
        {"tree": Searched(DecisionTreeClassifier(max_depth="shallow"), space)}
        if "max_depth" in space
        else stump(**space)
    )
    with pytest.raises(ProjectCodeFailed, match="'tree'") as raised:
        trained(*setting(rings()), mine)
    assert said in str(raised.value)


def test_settings_that_cannot_be_fitted_drop_out_and_the_others_go_on() -> None:
    frame = rings()
    frame["outcome"] = np.sin(frame["a"] * 2)
    knn = Searched(
        KNeighborsRegressor(5), {"n_neighbors": [3, 10_000]}
    )  # 10,000 neighbours are more than there are rows
    result = trained(*setting(frame, "regression"), {"knn": knn})
    assert "10000" not in choice_of(result, "search").value


def test_where_the_threshold_is_chosen_later_settings_are_ranked_by_how_they_order_rows() -> None:
    _, usecase = setting(rings(), metric="f1")
    assert search_metric(usecase, threshold_chosen=True) == "average_precision"
    assert search_metric(usecase, threshold_chosen=False) == "f1"
    _, usecase = setting(rings(), metric="log_loss")
    assert search_metric(usecase, threshold_chosen=True) == "log_loss"
