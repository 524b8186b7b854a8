"""What the tests of the serving side share: a project with a trained model package, without running the pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_runtime.base.prediction import Signature, predict
from ai_factory_runtime.base.project import Hooks, Project
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.model_package.accelerator import examine
from ai_factory_runtime.model_package.package import ACCELERATOR, write_package
from ai_factory_runtime.model_package.sketch import build_sketch
from ai_factory_runtime.releases.stages import deploy
from ai_factory_spec import UseCase, parse_usecase
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

POLICY = """\
apiVersion: ai-factory/v1
approvals:
  low: [owner]
  medium: [owner, consumer]
  high: [owner, consumer, risk]
"""
USECASE = """\
apiVersion: ai-factory/v1
name: Churn
title: Who leaves <next> & why
risk: {{tier: {tier}}}
data:
  source: data/churn.csv
  target: {target}
  id: customer
  pii: [{{column: email, kind: email, action: drop}}]
  contract:
    columns:
      - {{name: customer, type: text, unique: true}}
      - {{name: email, type: text, nullable: true}}
      - {{name: age, type: integer, min: 0, max: 120}}
      - {{name: "spend, monthly", type: number, min: 0, nullable: true}}
      - {{name: plan, type: category, categories: ["1", "2", gold]}}
      - {{name: "rückruf {{{{x}}}}", type: boolean, nullable: true}}
      - {{name: churned, type: category, categories: ["no", "yes"]}}
      - {{name: segment, type: category, categories: [a, b, c]}}
      - {{name: value, type: number}}
  ignore: {ignore}
model: {model}
"""
TASKS = {
    "binary": ("churned", "[segment, value]", '{task: binary, positive: "yes"}'),
    "multiclass": ("segment", "[churned, value]", "{task: multiclass}"),
    "regression": ("value", "[churned, segment]", "{task: regression}"),
}
SPEND, CALLED = "spend, monthly", "rückruf {{x}}"


def make_usecase(task: str = "binary", tier: str = "medium") -> UseCase:
    """A use case whose column names are as awkward as real ones."""
    target, ignore, model = TASKS[task]
    return parse_usecase(USECASE.format(tier=tier, target=target, ignore=ignore, model=model), file="usecase.yaml")


def make_rows(count: int, seed: int) -> pd.DataFrame:
    """Rows that satisfy the contract, as a CSV file would hold them; the targets depend on the features."""
    random = np.random.default_rng(seed)
    age = random.integers(18, 90, count)
    spend = random.gamma(2.0, 20.0, count).round(2)
    plan = random.choice(["1", "2", "gold"], count, p=[0.5, 0.3, 0.2])
    score = (age - 50) / 20 - spend / 60 + (plan == "gold") + random.normal(0, 0.5, count)
    return pd.DataFrame(
        {
            "customer": [f"c{seed}-{i}" for i in range(count)],
            "email": [f"person{i}@example.org" for i in range(count)],
            "age": age,
            SPEND: np.where(random.random(count) < 0.05, np.nan, spend),
            "plan": plan,
            CALLED: pd.array(random.random(count) < 0.3, dtype="boolean"),
            "churned": np.where(score > 0, "yes", "no"),
            "segment": np.select([score < -0.5, score > 0.5], ["a", "c"], "b"),
            "value": score * 10,
        }
    )


def make_project(root: Path, *, task: str = "binary", tier: str = "medium", usecase: UseCase | None = None) -> Project:
    """A project folder with an approval policy; no model yet."""
    (root / "governance").mkdir(parents=True)
    (root / "governance" / "approvals.yaml").write_text(POLICY, encoding="utf-8")

    def unused(*_: Any) -> Any:
        raise AssertionError("the serving side never calls the project's hooks")

    return Project(root, "churn", usecase or make_usecase(task, tier), Hooks(unused, unused, unused))


def make_package(
    project: Project, name: str = "run-1", *, seed: int = 1, rows: int = 600, accelerated: bool = True
) -> tuple[Path, str]:
    """Train a small model on synthetic rows and write it as the pipeline does. Returns folder and digest.

    Without `accelerated` there is no record of a comparison, and scikit-learn answers.
    """
    data, task = project.usecase.data, project.usecase.model.task
    target = data.column(data.target)
    frame = to_canonical(make_rows(rows, seed), [*data.features, target])
    features = frame[[c.name for c in data.features]]
    estimator = make_estimator(task)
    estimator.fit(features, frame[target.name])
    classes = target.categories or ()
    positive = project.usecase.model.positive
    signature = Signature(
        project.usecase.name, task, data.features, target, classes, positive, 0.5 if positive else None
    )
    held_out = to_canonical(make_rows(rows, seed + 1000), data.features)
    sketch = build_sketch(features, data.features, predict(estimator, signature, held_out))
    folder = project.models / name
    documents = make_documents(project)
    if accelerated:
        documents[ACCELERATOR] = examine(estimator, signature, held_out).to_json()
    digest = write_package(
        folder, estimator=estimator, signature=signature, sketch=sketch.to_json(), reference=features.head(20),
        documents=documents,
    )  # fmt: skip
    return folder, digest


def make_estimator(task: str) -> Any:
    """A pipeline that copes with missing numbers, booleans and categories."""
    from sklearn.impute import SimpleImputer

    encode = make_column_transformer(
        (SimpleImputer(strategy="median"), ["age", SPEND]),
        (OneHotEncoder(categories=[["1", "2", "gold"]], handle_unknown="ignore"), ["plan"]),
        sparse_threshold=0,
    )
    model = {
        "binary": LogisticRegression(max_iter=1000),
        "multiclass": RandomForestClassifier(20, max_depth=4, random_state=0),
        "regression": LinearRegression(),
    }[task]
    return make_pipeline(encode, model)


def make_documents(project: Project) -> dict[str, bytes]:
    """The evidence that goes with a model."""
    metric = project.usecase.model.primary_metric
    metrics = {"metrics": {metric: {"value": 0.9, "low": 0.88, "high": 0.92}}, "gates": []}
    return {
        "metrics.json": json.dumps(metrics).encode(),
        "lineage.json": b'{"seed": 1}',
        "card.md": b"# Model card\n",
        "card.html": b"<h1>Model card</h1>\n",
    }


def make_deployed(root: Path, *, task: str = "binary", tier: str = "medium", accelerated: bool = True) -> Project:
    """A project whose stage dev has a model."""
    project = make_project(root, task=task, tier=tier)
    folder, digest = make_package(project, accelerated=accelerated)
    deploy(project, "dev", version=1, digest=digest, folder=folder)
    return project


def as_records(rows: pd.DataFrame, project: Project) -> list[dict[str, Any]]:
    """The feature columns as a client would send them."""
    names = [c.name for c in project.usecase.data.features]
    records: list[dict[str, Any]] = json.loads(rows[names].to_json(orient="records"))
    return records
