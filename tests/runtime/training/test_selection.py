"""Candidates are judged on rows they were not fitted on; ties go to the simpler; what model.py gets wrong is told by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import ProjectCodeFailed
from ai_factory_runtime.base.prediction import Prediction, predict
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.evaluation.estimates import Judged, estimate
from ai_factory_runtime.training.features import default_features
from ai_factory_runtime.training.selection import choose, signature_of, target_of, train
from ai_factory_runtime.training.split import split
from ai_factory_spec.usecase import UseCase
from helpers_runtime import real_rows, usecase_document
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier


def setting(name: str = "breast_cancer", task: str = "binary", **changes: Any) -> tuple[pd.DataFrame, UseCase]:
    frame = real_rows(name)
    usecase = UseCase.model_validate(usecase_document(frame, task, **changes))
    return to_canonical(frame, usecase.data.contract.columns), usecase


def trained(candidates: dict[str, Any], frame: pd.DataFrame | None = None, usecase: UseCase | None = None) -> Any:
    if frame is None or usecase is None:
        frame, usecase = setting()
    return train(frame, usecase, split(frame, usecase), default_features(usecase), candidates)


class Memory(ClassifierMixin, BaseEstimator):
    """Knows every row it was fitted on by heart, and nothing else."""

    def fit(self, X: Any, y: Any) -> Memory:
        self.classes_ = np.unique(y)
        self.seen_ = {tuple(np.round(row, 9)): label for row, label in zip(np.asarray(X), y, strict=True)}
        return self

    def predict_proba(self, X: Any) -> Any:
        labels = [self.seen_.get(tuple(np.round(row, 9)), self.classes_[0]) for row in np.asarray(X)]
        return (np.array(labels, dtype=object)[:, None] == self.classes_).astype(float)


def test_a_model_that_only_remembers_does_not_win() -> None:
    result = trained({"memory": Memory(), "linear": LogisticRegression(max_iter=5000)})
    assert result.name == "linear"
    scores = {c.name: c.score.value for c in result.candidates}
    assert scores["memory"] == pytest.approx(0.5, abs=0.01)


def test_of_equally_good_candidates_the_first_wins() -> None:
    model = LogisticRegression(max_iter=5000)
    result = trained({"simple": model, "same": LogisticRegression(max_iter=5000)})
    assert result.name == "simple"


def test_a_clearly_better_candidate_wins_over_a_simpler_one() -> None:
    result = trained(
        {"stump": DecisionTreeClassifier(max_depth=1, random_state=0), "linear": LogisticRegression(max_iter=5000)}
    )
    assert result.name == "linear"
    assert "best roc_auc" in result.reason


def test_a_difference_within_one_standard_error_is_a_tie() -> None:
    frame, usecase = setting("diabetes", "regression")
    random = np.random.default_rng(0)
    truth = target_of(frame, usecase)
    signature = signature_of(usecase)
    good = Judged(truth, Prediction(truth + random.normal(0, 50, len(truth)), None), signature)
    near = Judged(truth, Prediction(truth + random.normal(0, 50, len(truth)), None), signature)
    far = Judged(truth, Prediction(good.prediction.values + random.normal(0, 60, len(truth)), None), signature)
    metric = usecase.model.primary_metric
    for simple, expected in ((near, "simple"), (far, "complex")):
        judged = {"simple": simple, "complex": good}
        name, reason = choose(judged, {n: estimate(metric, j, 0) for n, j in judged.items()}, usecase)
        assert name == expected, reason


def test_the_winner_is_fitted_on_every_row_that_is_not_held_out_and_on_no_other() -> None:
    frame, usecase = setting(model={"calibrate": "none"})
    found = split(frame, usecase)
    result = train(frame, usecase, found, default_features(usecase), {"memory": Memory()})
    truth = target_of(frame, usecase)
    learned = predict(result.estimator, result.signature, frame.iloc[found.development]).values
    assert (learned == truth[found.development]).all()
    assert len(result.estimator["model"].seen_) == len(found.development)


def test_a_target_with_a_class_that_training_never_saw_is_answered_with_probability_zero() -> None:
    frame, usecase = setting("wine", "multiclass")
    found = split(frame, usecase)
    rare = frame["outcome"] == "class_2"
    keep = np.ones(len(frame), dtype=bool)
    keep[np.intersect1d(np.flatnonzero(rare), found.development)] = False
    small = frame[keep].reset_index(drop=True)
    result = trained({"prior": DummyClassifier()}, small, usecase)
    assert result.signature.classes == ("class_0", "class_1", "class_2")


@pytest.mark.parametrize(
    ("candidates", "said"),
    [
        ({}, "no candidate"),
        ({"svc": LinearSVC()}, "'svc' .* gives no probabilities"),
        ({"text": "a model", "svc": LinearSVC()}, "'text' is a str.*'svc'"),
    ],
)
def test_what_model_py_returns_is_checked_and_all_is_told(candidates: dict[str, Any], said: str) -> None:
    with pytest.raises(ProjectCodeFailed, match=said):
        trained(candidates)


class Broken(ClassifierMixin, BaseEstimator):
    """Fails where it is told to."""

    def __init__(self, where: str = "fit") -> None:
        self.where = where

    def fit(self, X: Any, y: Any) -> Broken:
        self.classes_ = np.unique(y)
        if self.where == "fit":
            raise RuntimeError("no memory\nsecond line")
        return self

    def predict_proba(self, X: Any) -> Any:
        if self.where == "predict":
            raise KeyError("x")
        return np.full((len(X), len(self.classes_)), np.nan)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("fit", "fitting 'mine' failed: RuntimeError: no memory"),
        ("predict", "predicting with 'mine'"),
        ("nan", "NaN or infinity"),
    ],
)
def test_a_candidate_that_fails_is_told_with_its_name_and_error(where: str, said: str) -> None:
    with pytest.raises(ProjectCodeFailed, match=said):
        trained({"mine": Broken(where)})


def test_a_regression_needs_no_probabilities() -> None:
    frame, usecase = setting("diabetes", "regression")
    result = trained({"ridge": Ridge()}, frame, usecase)
    assert predict(result.estimator, result.signature, frame.head(3)).probabilities is None
