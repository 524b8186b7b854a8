"""The accelerator: what is compiled answers as scikit-learn does, for every family; what does not is left to scikit-learn."""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.prediction import Prediction, Signature, predict
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.data.rows import Floats, Layout, rows_of
from ai_factory_runtime.evaluation.latency import latency
from ai_factory_runtime.model_package.accelerator import TOLERANCE, Acceleration, accepted, compiled_for, examine, judge
from ai_factory_runtime.model_package.calibrated import Calibrated
from ai_factory_runtime.model_package.compiled import FEW_ROWS, Compiled, compile_model
from ai_factory_runtime.model_package.package import ACCELERATOR, load_package
from ai_factory_runtime.training.features import default_features
from ai_factory_spec.usecase import UseCase
from helpers_serving import make_package, make_project, make_rows, make_usecase
from sklearn import ensemble, linear_model
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.dummy import DummyClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
)

CLASSIFIERS = {
    "boosting": lambda: ensemble.HistGradientBoostingClassifier(max_iter=20, early_stopping=False, random_state=0),
    "forest": lambda: ensemble.RandomForestClassifier(20, min_samples_leaf=2, random_state=0),
    "extra trees": lambda: ensemble.ExtraTreesClassifier(10, random_state=0),
    "old boosting": lambda: ensemble.GradientBoostingClassifier(n_estimators=10, random_state=0),
    "logistic": lambda: linear_model.LogisticRegression(max_iter=2000),
}
REGRESSORS = {
    "boosting": lambda: ensemble.HistGradientBoostingRegressor(max_iter=20, early_stopping=False, random_state=0),
    "forest": lambda: ensemble.RandomForestRegressor(20, min_samples_leaf=2, random_state=0),
    "ridge": lambda: linear_model.Ridge(),
}
CASES = [(t, n) for t in ("binary", "multiclass") for n in CLASSIFIERS] + [("regression", n) for n in REGRESSORS]


@cache
def rows_for(task: str, seed: int) -> tuple[UseCase, pd.DataFrame]:
    usecase = make_usecase(task)
    data = usecase.data
    return usecase, to_canonical(make_rows(600, seed), [*data.features, data.column(data.target)])


def fitted(task: str, model: Any, features: Any = None) -> tuple[Pipeline, Signature, pd.DataFrame]:
    """A pipeline fitted on awkward columns (missing numbers and booleans, rare categories), and held-out rows."""
    usecase, frame = rows_for(task, 1)
    data, positive = usecase.data, usecase.model.positive
    target = data.column(data.target)
    signature = Signature(
        "Churn", usecase.model.task, data.features, target, target.categories or (), positive, 0.4 if positive else None
    )
    pipeline = Pipeline([("features", default_features(usecase) if features is None else features), ("model", model)])
    pipeline.fit(frame[[c.name for c in data.features]], frame[target.name])
    return pipeline, signature, rows_for(task, 2)[1]


@pytest.mark.parametrize(("task", "name"), CASES)
def test_each_family_is_compiled_and_answers_as_scikit_learn(task: str, name: str) -> None:
    model = (REGRESSORS if task == "regression" else CLASSIFIERS)[name]()
    pipeline, signature, held_out = fitted(task, model)
    found = examine(pipeline, signature, held_out)
    assert found.engine == ("numpy" if name in ("logistic", "ridge") else "treelite"), found
    assert found.features == "numpy"
    assert found.labels_changed == 0
    assert found.largest_difference <= TOLERANCE
    compiled = compile_model(pipeline, signature)
    assert isinstance(compiled, Compiled)
    assert compiled.bounded
    for count in (1, FEW_ROWS, FEW_ROWS + 1):
        some = held_out.head(count)
        assert_equal(compiled.predict(rows_of(some, Layout(signature.features))), predict(pipeline, signature, some))


def assert_equal(one: Prediction, other: Prediction) -> None:
    if one.probabilities is None or other.probabilities is None:
        np.testing.assert_allclose(one.values, other.values, rtol=TOLERANCE)
    else:
        assert one.values.tolist() == other.values.tolist()
        np.testing.assert_allclose(one.probabilities, other.probabilities, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibrated_probabilities_go_through_the_same_curves(method: Any) -> None:
    pipeline, signature, held_out = fitted("binary", CLASSIFIERS["boosting"]())
    curve = np.array([0.7, -0.2]) if method == "sigmoid" else np.array([[0.0, 0.4, 1.0], [0.1, 0.3, 0.8]])
    bent = Pipeline([pipeline.steps[0], ("model", Calibrated(pipeline["model"], method, [curve]))])
    found = examine(bent, signature, held_out)
    assert (found.engine, found.labels_changed) == ("treelite", 0)


ONE_HOT = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
OTHER_FEATURES = {
    "scalers of other kinds": lambda: ColumnTransformer(
        [
            ("robust", make_pipeline(_imputer(), RobustScaler()), ["age"]),
            ("range", make_pipeline(_imputer(), MinMaxScaler(clip=True)), ["spend, monthly"]),
            ("ordinal", OrdinalEncoder(), ["plan"]),
        ]
    ),
    "selected by type": lambda: ColumnTransformer(
        [("number", _imputer(), make_column_selector(dtype_include="number")), ("text", ONE_HOT, ["plan"])]
    ),
    "passed through": lambda: ColumnTransformer([("age", "passthrough", ["age"]), ("plan", ONE_HOT, ["plan"])]),
    "one column": lambda: ColumnTransformer([("age", FunctionTransformer(), ["age"])], remainder="drop"),
}


def _imputer() -> Any:
    from sklearn.impute import SimpleImputer

    return SimpleImputer(strategy="mean", add_indicator=True)


@pytest.mark.parametrize("name", list(OTHER_FEATURES))
def test_other_transformers_of_numbers_and_categories_are_compiled(name: str) -> None:
    pipeline, signature, held_out = fitted("binary", CLASSIFIERS["logistic"](), OTHER_FEATURES[name]())
    found = examine(pipeline, signature, held_out)
    assert (found.engine, found.features) == ("numpy", "numpy"), found


class Shout(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer of the project's own, which nobody can compile."""

    def fit(self, X: Any, y: Any = None) -> Shout:
        return self

    def transform(self, X: Any) -> Any:
        return X[["age"]].to_numpy(dtype=np.float64) * 2

    def __sklearn_is_fitted__(self) -> bool:
        return True


def test_features_of_the_projects_own_are_left_to_it_and_the_trees_are_still_compiled() -> None:
    pipeline, signature, held_out = fitted("binary", CLASSIFIERS["boosting"](), Shout())
    found = examine(pipeline, signature, held_out)
    assert (found.engine, found.features) == ("treelite", "scikit-learn")
    compiled = compile_model(pipeline, signature)
    assert isinstance(compiled, Compiled)
    assert not compiled.bounded


def test_a_transformer_that_looks_at_two_categories_at_once_is_left_to_scikit_learn() -> None:
    crossed = make_pipeline(
        ColumnTransformer([("both", make_pipeline(ONE_HOT, PolynomialFeatures(2)), ["plan", "rückruf {{x}}"])])
    )
    pipeline, signature, held_out = fitted("binary", linear_model.LogisticRegression(), crossed)
    found = examine(pipeline, signature, held_out)
    assert found.features == "scikit-learn"
    assert "several columns at once" in compile_reason(pipeline, signature)


def compile_reason(pipeline: Pipeline, signature: Signature) -> str:
    model = Pipeline([pipeline.steps[0], ("model", DummyClassifier().fit([[0], [1]], ["no", "yes"]))])
    reason = compile_model(model, signature)
    assert isinstance(reason, str)
    return reason


def test_a_model_that_nobody_compiles_is_answered_by_itself() -> None:
    pipeline, signature, held_out = fitted("binary", KNeighborsClassifier(5))
    found = examine(pipeline, signature, held_out)
    assert (found.engine, found.features) == ("scikit-learn", "numpy")
    compiled = compile_model(pipeline, signature)
    assert isinstance(compiled, Compiled)
    assert not compiled.bounded


def test_a_model_fitted_on_a_table_with_names_is_left_to_scikit_learn() -> None:
    features = default_features(make_usecase("binary")).set_output(transform="pandas")
    pipeline, signature, held_out = fitted("binary", CLASSIFIERS["logistic"](), features)
    found = examine(pipeline, signature, held_out)
    assert not found.compiled
    assert "column names" in found.reason


def test_the_latency_measured_is_that_of_what_answers() -> None:
    pipeline, signature, held_out = fitted("binary", CLASSIFIERS["logistic"]())
    compiled = accepted(pipeline, signature, examine(pipeline, signature, held_out))
    assert compiled is not None
    quick = latency(pipeline, signature, held_out, compiled=compiled)
    assert quick.p50_ms * 3 < latency(pipeline, signature, held_out).p50_ms


# The parity gate --------------------------------------------------------------------------------------------------------


def compiled_wrong(change: Any) -> tuple[Compiled, Pipeline, Signature, pd.DataFrame]:
    """A compiled model whose numbers are changed on the way, for few rows."""
    pipeline, signature, held_out = fitted("binary", CLASSIFIERS["boosting"]())
    compiled = compile_model(pipeline, signature)
    assert isinstance(compiled, Compiled)
    few = compiled.few

    def wrong(matrix: Floats) -> Floats:
        return np.asarray(change(few(matrix)))

    return dataclasses.replace(compiled, few=wrong), pipeline, signature, held_out


def nudged(raw: Floats) -> Floats:
    moved = raw.copy()
    moved[0] += [1e-7, -1e-7]
    return moved


@pytest.mark.parametrize(
    "change",
    [nudged, lambda raw: raw[:, ::-1], lambda raw: np.full_like(raw, np.nan), lambda raw: raw[:-1]],
    ids=["one row by 1e-7", "classes exchanged", "no numbers", "a row too few"],
)
def test_a_compiled_model_that_answers_otherwise_does_not_answer(change: Any) -> None:
    found = judge(*compiled_wrong(change))
    assert not found.compiled
    assert found.engine == found.features == "scikit-learn"
    assert "other answers" in found.reason or "fails" in found.reason


def test_rounding_is_no_difference() -> None:
    assert judge(*compiled_wrong(lambda raw: raw * (1 + 1e-15))).compiled


def test_the_record_is_read_back_as_it_was_written() -> None:
    record = Acceleration("treelite", "numpy", "equal", 100, 1e-16)
    assert Acceleration.from_json(record.to_json()) == record
    assert [c.value for c in record.choices()] == ["treelite, with features by numpy"]


def test_a_package_without_a_record_is_answered_by_scikit_learn(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    folder, digest = make_package(project, accelerated=False)
    compiled, acceleration = compiled_for(load_package(folder, digest=digest))
    assert compiled is None
    assert not acceleration.compiled


def test_what_is_compiled_here_must_give_the_recorded_reference_answers(tmp_path: Path) -> None:
    """Another version of a library compiles another model: here the estimator differs from the reference answers."""
    project = make_project(tmp_path / "project")
    folder, digest = make_package(project)
    package = load_package(folder, digest=digest)
    compiled, acceleration = compiled_for(package)
    assert compiled is not None
    assert acceleration.compiled
    parity = json.loads(package.files["parity.json"])
    parity["expected"]["probabilities"][0] = [0.5, 0.5]
    files = {**package.files, "parity.json": json.dumps(parity).encode()}
    compiled, acceleration = compiled_for(dataclasses.replace(package, files=files))
    assert compiled is None
    assert "reference answers" in acceleration.reason
    assert ACCELERATOR in files
