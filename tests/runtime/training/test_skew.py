"""Training, batch and endpoint give equal numbers for the same rows; features that look at the rows at hand stop the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import ProjectCodeFailed
from ai_factory_runtime.base.prediction import predict
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.batch.job import score
from ai_factory_runtime.data.frames import read_table, to_canonical
from ai_factory_runtime.data.screening import screen
from ai_factory_runtime.model_package.accelerator import TOLERANCE, examine
from ai_factory_runtime.model_package.package import ACCELERATOR, ModelPackage, load_package, write_package
from ai_factory_runtime.model_package.sketch import build_sketch
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.releases.stages import deploy, deployed
from ai_factory_runtime.serving.requests import RequestSchema
from ai_factory_runtime.serving.server import create_app
from ai_factory_runtime.steps.pipeline import run
from ai_factory_runtime.training.features import default_features
from ai_factory_runtime.training.models import default_candidates
from ai_factory_runtime.training.selection import train
from ai_factory_runtime.training.skew import require_no_skew
from ai_factory_runtime.training.split import split
from ai_factory_spec.usecase import UseCase
from fastapi.testclient import TestClient
from helpers_runtime import SOURCE, make_project
from helpers_serving import make_documents
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

KINDS = {"binary": "gradient_boosting", "multiclass": "random_forest", "regression": "linear"}


def rows(task: str, count: int = 400) -> pd.DataFrame:
    """Numbers with gaps, categories that look like numbers, flags; the target depends on all of them."""
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"age": random.normal(40, 12, count).round(1), "grösse, {{m}}": random.gamma(2.0, 30.0, count)}
    )
    frame["plan"] = random.choice(["1", "2", "gold"], count)
    frame["flag"] = random.random(count) < 0.3
    signal = frame["age"] / 12 + (frame["plan"] == "gold") * 2 - frame["flag"] + random.normal(0, 0.5, count)
    levels = np.searchsorted(np.quantile(signal, [0.35, 0.7]), signal)
    frame.loc[random.random(count) < 0.1, "age"] = np.nan
    frame["plan"] = frame["plan"].where(random.random(count) > 0.05, None)
    outcomes = {"binary": np.where(levels > 0, "yes", "no"), "multiclass": np.array(["a", "b", "c"])[levels]}
    return frame.assign(outcome=outcomes.get(task, signal))


def only(family: str) -> Any:
    def candidates(usecase: UseCase) -> Mapping[str, Any]:
        return {family: default_candidates(usecase)[family]}

    return candidates


@pytest.fixture(scope="module", params=KINDS, ids=lambda task: f"{task}-{KINDS[task]}")
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a trained, packaged and deployed model; no test changes it."""
    task = request.param
    calibrate = {} if task == "regression" else {"calibrate": "sigmoid"}
    folder = tmp_path_factory.mktemp(task) / "p"
    project = make_project(folder, rows(task), task, model=calibrate)
    usecase = project.usecase
    frame = to_canonical(read_table(folder / SOURCE, usecase.data.contract), usecase.data.contract.columns)
    found = split(frame, usecase)
    trained = train(frame, usecase, found, default_features(usecase), only(KINDS[task])(usecase))
    held_out = frame.iloc[found.test].reset_index(drop=True)
    answers = predict(trained.estimator, trained.signature, held_out)
    accelerated = examine(trained.estimator, trained.signature, held_out).to_json()
    digest = write_package(
        project.models / "run-1",
        estimator=trained.estimator,
        signature=trained.signature,
        sketch=build_sketch(frame, trained.signature.features, answers).to_json(),
        reference=held_out.head(20),
        documents={**make_documents(project), ACCELERATOR: accelerated},
    )
    deploy(project, "dev", version=1, digest=digest, folder=project.models / "run-1")
    return project


def model_of(project: Project) -> ModelPackage:
    return load_package(deployed(project, "dev").folder)


def read_each_way(project: Project) -> dict[str, pd.DataFrame]:
    """The project's rows as training, batch and endpoint read them."""
    features, source = project.usecase.data.features, project.root / SOURCE
    raw = pd.read_csv(source, dtype=str, keep_default_na=False)
    schema = RequestSchema(features, ignored=frozenset({"outcome"}))
    records = as_records(project)
    return {
        "training": to_canonical(read_table(source, project.usecase.data.contract), features),
        "batch": screen(raw, features).frame,
        "records": schema.read_json(json.dumps({"records": records}).encode()),
        "split": schema.read_json(
            json.dumps({"columns": list(records[0]), "data": [list(r.values()) for r in records]}).encode()
        ),
        "csv": schema.read_csv(source.read_bytes()),
        "lean": pd.concat(
            [schema.read(json.dumps({"records": [r]}).encode()).rows.frame() for r in records[:20]], ignore_index=True
        ),
    }


def as_records(project: Project) -> list[dict[str, Any]]:
    """The rows as a client sends them."""
    frame = read_table(project.root / SOURCE, project.usecase.data.contract)
    plain = frame[[c.name for c in project.usecase.data.features]].astype(object)
    return plain.where(plain.notna(), None).to_dict(orient="records")


def numbers(answers: Any) -> np.ndarray:
    return np.asarray(answers.values if answers.probabilities is None else answers.probabilities, dtype=np.float64)


def test_the_features_are_equal_bit_for_bit_whoever_reads_the_rows(project: Project) -> None:
    transformer = model_of(project).estimator["features"]
    read = read_each_way(project)
    expected = transformer.transform(read.pop("training"))
    assert np.isfinite(expected).all()
    for way, frame in read.items():
        np.testing.assert_array_equal(transformer.transform(frame), expected[: len(frame)], err_msg=way)


def test_batch_answers_as_training_does(project: Project, tmp_path: Path) -> None:
    package = model_of(project)
    expected = package.predict(read_each_way(project)["training"])
    score(project, project.root / SOURCE, tmp_path / "out.parquet", "dev")
    found = pd.read_parquet(tmp_path / "out.parquet")
    classes = package.signature.classes
    values = found[[f"probability_{c}" for c in classes]] if classes else found["prediction"]
    np.testing.assert_allclose(values, numbers(expected), rtol=TOLERANCE, atol=TOLERANCE)
    if classes:
        assert found["prediction"].tolist() == expected.values.tolist()


def test_the_endpoint_answers_as_training_does_one_row_or_many(project: Project) -> None:
    package, records = model_of(project), as_records(project)
    expected = package.predict(read_each_way(project)["training"])
    classes = package.signature.classes
    with TestClient(create_app(project, "dev", capture_rate=0.0)) as client:
        many = client.post("/invocations", json={"records": records}).json()["predictions"]
        alone = [client.post("/invocations", json={"records": [r]}).json()["predictions"][0] for r in records[:40]]
    for answers in (many, alone):
        given = [[a["probability"][c] for c in classes] if classes else a["prediction"] for a in answers]
        wanted = numbers(expected)[: len(answers)]
        np.testing.assert_allclose(np.array(given), wanted, rtol=TOLERANCE, atol=TOLERANCE)
        if classes:
            assert [a["prediction"] for a in answers] == expected.values[: len(answers)].tolist()


class AgainstTheOthers(TransformerMixin, BaseEstimator):
    """Centres numbers on the rows that come along: right in training, zero for a row alone."""

    def fit(self, X: Any, y: Any = None) -> AgainstTheOthers:
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X: Any) -> Any:
        values = np.nan_to_num(np.asarray(X, dtype=np.float64))
        return values - values.mean(axis=0)


class InOrder(AgainstTheOthers):
    """Adds what the row before had: another order, another number."""

    def transform(self, X: Any) -> Any:
        values = np.nan_to_num(np.asarray(X, dtype=np.float64))
        return values + np.vstack([values[:1], values[:-1]])


def watching(transformer: Any) -> Any:
    def features(usecase: UseCase) -> ColumnTransformer:
        names = [c.name for c in usecase.data.features if c.type == "number"]
        return ColumnTransformer([("numbers", transformer, names)])

    return features


@pytest.mark.parametrize(
    ("transformer", "said"),
    [(AgainstTheOthers(), "row 1 gives other numbers alone than among 50"), (InOrder(), "in another order")],
)
def test_features_that_depend_on_the_other_rows_stop_the_run(tmp_path: Path, transformer: Any, said: str) -> None:
    project = make_project(
        tmp_path / "p", rows("binary"), "binary", features=watching(transformer), candidates=only("linear")
    )
    with pytest.raises(ProjectCodeFailed, match=r"features\.py: build failed") as raised:
        run(project)
    assert said in str(raised.value)
    assert "learned in fit" in str(raised.value)
    assert open_registry(project).versions() == ()


class Centred(BaseEstimator):
    """A model that compares the rows it is given."""

    classes_ = np.array(["no", "yes"], dtype=object)

    def fit(self, X: Any, y: Any) -> Centred:
        self.fitted_ = True
        return self

    def predict_proba(self, X: Any) -> Any:
        share = (np.asarray(X)[:, 0] > np.asarray(X)[:, 0].mean()) * 0.5 + 0.25
        return np.column_stack([1 - share, share])


@pytest.mark.parametrize("project", ["binary"], indirect=True)
def test_a_model_that_depends_on_the_other_rows_is_named(project: Project) -> None:
    package = model_of(project)
    frame = read_each_way(project)["training"]
    sound = package.estimator
    require_no_skew("mine", sound, package.signature, frame)
    skewed = Pipeline([("features", sound["features"]), ("model", Centred().fit(None, None))])
    with pytest.raises(ProjectCodeFailed, match=r"model\.py: candidate 'mine'"):
        require_no_skew("mine", skewed, package.signature, frame)
