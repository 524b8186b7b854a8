"""The candidate models a project starts with, from simple to complex, their spaces, and the baseline each must beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ai_factory_spec.usecase import UseCase
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge

TREES = 100


def default_candidates(usecase: UseCase) -> dict[str, BaseEstimator]:
    """The families that `model.candidates` names, unfitted and seeded, ordered from simple to complex."""
    side = 1 if usecase.model.task == "regression" else 0
    return {
        family: makers[side](usecase.model.seed)
        for family, makers in _FAMILIES.items()
        if family in usecase.model.candidates
    }


def baseline(usecase: UseCase) -> BaseEstimator:
    """The dummy that knows the target's distribution and no feature, at its best for the metric that judges it.

    Always answering the class of interest is the best blind guess for precision and F1; for the other metrics it is the
    share of each class.
    """
    model = usecase.model
    if model.task == "regression":
        return DummyRegressor(strategy="median" if model.primary_metric == "mean_absolute_error" else "mean")
    if model.primary_metric in ("precision", "f1"):
        return DummyClassifier(strategy="constant", constant=model.positive)
    return DummyClassifier(strategy="prior")


def baseline_metric(metric: str) -> str:
    """The metric in which a model must beat the baseline: the primary one, but for recall, which a blind yes wins."""
    return "balanced_accuracy" if metric == "recall" else metric


_FAMILIES: dict[str, tuple[Callable[[int], Any], Callable[[int], Any]]] = {
    "linear": (
        lambda seed: LogisticRegression(max_iter=5000, random_state=seed),
        lambda seed: Ridge(random_state=seed),
    ),
    "random_forest": (
        lambda seed: RandomForestClassifier(n_estimators=TREES, min_samples_leaf=2, random_state=seed),
        lambda seed: RandomForestRegressor(n_estimators=TREES, min_samples_leaf=2, random_state=seed),
    ),
    "gradient_boosting": (
        lambda seed: HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False, random_state=seed),
        lambda seed: HistGradientBoostingRegressor(max_iter=TREES, early_stopping=False, random_state=seed),
    ),
}

_TREE: Mapping[str, Sequence[Any]] = {
    "min_samples_leaf": [1, 2, 5, 10, 20],
    "max_features": ["sqrt", 0.3, 0.6, 1.0],
    "max_depth": [None, 8, 16],
}
_BOOSTING: Mapping[str, Sequence[Any]] = {
    "learning_rate": [0.02, 0.05, 0.1, 0.2],
    "max_iter": [50, 100, 200, 300],
    "max_leaf_nodes": [7, 15, 31, 63],
    "min_samples_leaf": [5, 20, 50, 100],
    "l2_regularization": [0.0, 0.1, 1.0, 10.0],
}
SPACES: Mapping[str, tuple[Mapping[str, Sequence[Any]], Mapping[str, Sequence[Any]]]] = {
    "linear": ({"C": [0.001, 0.01, 0.03, 0.1, 0.3, 3.0, 10.0]}, {"alpha": [0.01, 0.1, 0.3, 3.0, 10.0, 100.0, 1000.0]}),
    "random_forest": (_TREE, _TREE),
    "gradient_boosting": (_BOOSTING, _BOOSTING),
}
"""Settings that a search tries, for each family: of its classifier and of its regressor."""
