"""A candidate is judged, stored and used in one form: calibrated, thresholded, with every decision told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.prediction import predict
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.model_package.calibrated import Calibrated
from ai_factory_runtime.model_package.model_file import dump_estimator, load_estimator
from ai_factory_runtime.training.selection import Trained, train
from ai_factory_runtime.training.split import Split, split
from ai_factory_spec.usecase import UseCase
from helpers_runtime import usecase_document
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier


def rows(count: int = 1500, classes: int = 2, seed: int = 0) -> pd.DataFrame:
    """One signal in four copies: whoever counts features as independent is too sure of itself."""
    random = np.random.default_rng(seed)
    signal = random.normal(size=count)
    level = np.clip(np.round(signal + random.normal(size=count)), 0, classes - 1).astype(int)
    frame = pd.DataFrame({f"x{i}": signal + random.normal(0, 0.3, count) for i in range(4)})
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(count) // 3, unit="D")
    frame["customer"] = [f"c{n}" for n in random.integers(0, count // 4, count)]
    return frame.assign(outcome=np.array(["yes", "no", "maybe"], dtype=object)[level])


def trained(
    frame: pd.DataFrame, candidates: dict[str, Any], task: str = "binary", data: Any = None, **model: Any
) -> tuple[Trained, pd.DataFrame, Split]:
    document = usecase_document(frame, task, model=model)
    document["data"] |= {"ignore": [n for n in ("day", "customer") if n not in (data or {}).values()], **(data or {})}
    for column in document["data"]["contract"]["columns"]:
        if column["name"] == "outcome" and task != "regression":
            column["categories"] = ["yes", "no", "maybe"][: 2 if task == "binary" else 3]  # not in alphabetical order
    usecase = UseCase.model_validate(document)
    table = to_canonical(frame, usecase.data.contract.columns)
    found = split(table, usecase)
    features = ColumnTransformer([("numbers", "passthrough", ["x0", "x1", "x2", "x3"])])
    return train(table, usecase, found, features, candidates), table, found


def test_an_overconfident_model_is_calibrated_and_better_for_it_on_rows_nobody_saw() -> None:
    results = [trained(rows(), {"bayes": GaussianNB()}, calibrate=c) for c in ("auto", "none")]
    losses = []
    for result, table, found in results:
        held_out = table.iloc[found.test]
        answers = predict(result.estimator, result.signature, held_out)
        truth = held_out["outcome"].map({name: i for i, name in enumerate(result.signature.classes)})
        losses.append(log_loss(truth, answers.probabilities))
    assert isinstance(results[0][0].estimator["model"], Calibrated)
    assert isinstance(results[1][0].estimator["model"], GaussianNB)
    assert losses[0] < losses[1] - 0.02


@pytest.mark.parametrize("data", [{}, {"time": "day"}, {"id": "customer"}], ids=["random", "time", "entity"])
@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 3)])
def test_every_split_and_task_gives_honest_probabilities_that_can_be_stored(
    data: dict[str, str], task: str, classes: int
) -> None:
    result, table, found = trained(rows(1800, classes), {"bayes": GaussianNB()}, task, data, calibrate="isotonic")
    held_out = table.iloc[found.test]
    answers = predict(result.estimator, result.signature, held_out)
    assert answers.probabilities is not None
    assert answers.probabilities.sum(axis=1) == pytest.approx(1.0)
    for position, name in enumerate(result.signature.classes):
        assert answers.probabilities[:, position].mean() == pytest.approx(
            (held_out["outcome"] == name).mean(), abs=0.09
        )
    loaded = load_estimator(dump_estimator(result.estimator), folder="a test")
    np.testing.assert_array_equal(predict(loaded, result.signature, held_out).probabilities, answers.probabilities)


def test_candidates_are_compared_as_they_would_be_used() -> None:
    """Naive Bayes has the worse log loss as it is and the same as the regression once calibrated: then it is as good."""
    candidates = {"bayes": GaussianNB(), "linear": LogisticRegression()}
    plain, _, _ = trained(rows(), candidates, metric="log_loss", calibrate="none")
    used, _, _ = trained(rows(), candidates, metric="log_loss")
    assert plain.name == "linear"
    scores = {c.name: c.score.value for c in used.candidates}
    before = {c.name: c.score.value for c in plain.candidates}
    assert scores["bayes"] < before["bayes"] - 0.02


class Reversed(ClassifierMixin, BaseEstimator):
    """Logistic regression that names its classes the other way round, as a class of one's own may."""

    def fit(self, X: Any, y: Any) -> Reversed:
        self.inner_ = LogisticRegression().fit(X, y)
        self.classes_ = self.inner_.classes_[::-1]
        return self

    def predict_proba(self, X: Any) -> Any:
        first = self.inner_.predict_proba(X)[:, 1] ** 2
        return np.column_stack([first, 1 - first])


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_a_model_that_names_its_classes_in_another_order_is_calibrated_the_right_way_round(method: str) -> None:
    result, table, found = trained(rows(), {"mine": Reversed()}, calibrate=method)
    held_out = table.iloc[found.test]
    answers = predict(result.estimator, result.signature, held_out)
    assert answers.probabilities is not None
    assert (answers.values == held_out["outcome"].to_numpy()).mean() > 0.65
    assert answers.probabilities[:, 0].mean() == pytest.approx((held_out["outcome"] == "yes").mean(), abs=0.09)


def test_every_decision_is_told_once_with_its_reason() -> None:
    result, _, _ = trained(rows(), {"linear": LogisticRegression(), "tree": DecisionTreeClassifier(max_depth=2)})
    told = {c.name: c for c in result.choices}
    assert list(told) == ["model", "search", "imbalance", "calibration", "threshold"]
    assert len(told) == len(result.choices)
    assert told["model"].value == result.name
    assert all(c.value and c.reason for c in result.choices)
    assert str(told["threshold"]).startswith("threshold: 0.5 (")


def test_a_regression_has_no_probabilities_to_decide_about() -> None:
    frame = rows().assign(outcome=lambda f: f["x0"] * 2)
    result, _, _ = trained(frame, {"ridge": Ridge()}, "regression")
    assert [c.name for c in result.choices] == ["model", "search"]
    assert result.signature.threshold is None


def test_costs_make_the_finished_model_cheaper_than_at_one_half() -> None:
    frame = rows(3000)
    costs = {"false_positive": 8, "false_negative": 1}
    result, table, found = trained(frame, {"bayes": GaussianNB()}, costs=costs, positive="yes")
    held_out = table.iloc[found.test]
    answers = predict(result.estimator, result.signature, held_out)
    assert answers.probabilities is not None
    truth = held_out["outcome"].to_numpy() == "yes"

    def cost(acted: Any) -> int:
        return int(8 * (acted & ~truth).sum() + (~acted & truth).sum())

    assert cost(answers.values == "yes") < 0.8 * cost(answers.probabilities[:, 0] >= 0.5)
    assert result.signature.threshold == pytest.approx(8 / 9, abs=0.12)


def test_the_same_rows_and_seed_make_the_same_model_byte_for_byte() -> None:
    forest = RandomForestClassifier(20, random_state=0)
    models = [trained(rows(800), {"forest": forest}, search={"trials": 4, "min_rows": 100}) for _ in range(2)]
    assert dump_estimator(models[0][0].estimator) == dump_estimator(models[1][0].estimator)
    assert models[0][0].choices == models[1][0].choices


def test_the_held_out_rows_change_nothing_that_is_learned() -> None:
    frame = rows()
    result, table, found = trained(frame, {"bayes": GaussianNB()}, costs={"false_positive": 1, "false_negative": 4})
    features = [f"x{i}" for i in range(4)]
    turned = frame.copy()
    turned.loc[table.index[found.test], features] *= -3
    again, _, other = trained(turned, {"bayes": GaussianNB()}, costs={"false_positive": 1, "false_negative": 4})
    np.testing.assert_array_equal(found.test, other.test)
    assert dump_estimator(again.estimator) == dump_estimator(result.estimator)
    assert again.signature == result.signature
