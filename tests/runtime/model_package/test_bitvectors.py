"""Bit vectors: the sums of trees are those of a walk through them, whatever the value; what they cannot hold is left to the walk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import treelite
from ai_factory_runtime.data.rows import Floats
from ai_factory_runtime.model_package import bitvectors
from ai_factory_runtime.model_package.bitvectors import make_bitvectors
from sklearn import ensemble

BOOSTED = {
    "two classes": lambda: ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=0),
    "one leaf more than a short word has": lambda: ensemble.HistGradientBoostingClassifier(
        max_iter=5, max_leaf_nodes=33, min_samples_leaf=3, random_state=0
    ),
    "as many leaves as a word has": lambda: ensemble.HistGradientBoostingRegressor(
        max_iter=5, max_leaf_nodes=64, min_samples_leaf=2, random_state=0
    ),
    "trees of one leaf": lambda: ensemble.HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=900),
    "old boosting": lambda: ensemble.GradientBoostingRegressor(n_estimators=10, random_state=0),
}


def rows(count: int, seed: int, *, missing: bool = True) -> tuple[Floats, Any]:
    """Rounded values, so that many are thresholds, of which some are missing, and three classes that depend on both."""
    random = np.random.default_rng(seed)
    matrix = np.round(random.normal(size=(count, 4)), 1)
    target = (matrix[:, 0] + matrix[:, 1] * matrix[:, 2] > 0).astype(int) + (matrix[:, 3] > 1)
    if missing:
        matrix[random.random(matrix.shape) < 0.1] = np.nan
    return matrix, target


def walked(forest: Any, matrix: Floats) -> Floats:
    return np.asarray(treelite.gtil.predict(forest, matrix, nthread=1, pred_margin=True)[:, 0, :])


@pytest.mark.parametrize("name", [*BOOSTED, "three classes"])
def test_the_sums_are_those_of_a_walk_for_values_at_thresholds_missing_and_out_of_all_bounds(name: str) -> None:
    old = name == "old boosting"
    matrix, target = rows(1000, 1, missing=not old)
    model = BOOSTED["two classes" if name == "three classes" else name]()
    forest = treelite.sklearn.import_model(model.fit(matrix, target if name == "three classes" else target > 0))
    summed = make_bitvectors(forest)
    assert summed is not None
    thresholds = np.unique(
        np.concatenate([forest.get_tree_accessor(i).get_field("threshold") for i in range(forest.num_tree)])
    )
    exact = np.repeat(thresholds[:, None], 4, axis=1)
    beyond = np.array([[np.nan] * 4, [1e300] * 4, [-1e300] * 4, [np.inf] * 4, [-np.inf] * 4])
    for asked in (rows(300, 2)[0], exact, np.nextafter(exact, np.inf), beyond, matrix[:1], matrix[:0]):
        if not old or not np.isnan(asked).any():
            np.testing.assert_allclose(summed(asked), walked(forest, asked), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        ensemble.RandomForestRegressor(3, random_state=0),
        ensemble.RandomForestClassifier(3, max_depth=3, random_state=0),
        ensemble.HistGradientBoostingRegressor(max_iter=3, max_leaf_nodes=65, min_samples_leaf=2),
        ensemble.HistGradientBoostingRegressor(max_iter=3, categorical_features=[0]),
    ],
    ids=["a mean", "leaves of several values", "a leaf too many", "a test on a category"],
)
def test_other_trees_are_left_to_the_walk(model: Any) -> None:
    matrix, target = rows(1000, 1, missing=False)
    matrix[:, 0] = np.abs(np.round(matrix[:, 0]))
    assert (
        make_bitvectors(
            treelite.sklearn.import_model(
                model.fit(
                    matrix,
                    target + matrix[:, 1] + (matrix[:, 0] == 1) if "Regressor" in type(model).__name__ else target,
                )
            )
        )
        is None
    )


def test_tables_that_would_leave_the_processors_cache_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, target = rows(300, 1)
    forest = treelite.sklearn.import_model(BOOSTED["two classes"]().fit(matrix, target > 0))
    assert make_bitvectors(forest) is not None
    monkeypatch.setattr(bitvectors, "MOST_BYTES", 1000)
    assert make_bitvectors(forest) is None
