"""Projects on real data for tests of the runtime: scikit-learn's breast cancer, diabetes and wine, written as CSV.

The project's own package is a real one on disk (`src/<package>`), so that its classes are found as in a generated repository.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from ai_factory_runtime.base.project import Hooks, Project, open_project
from ai_factory_runtime.data.sources import read_source
from ai_factory_runtime.training.features import default_features
from ai_factory_runtime.training.models import default_candidates
from ai_factory_spec.usecase import UseCase

PACKAGE = "churn"
SOURCE = "data/rows.csv"
POLICY = (
    Path(__file__).parents[1] / "blueprints/approvals/standard/{{cookiecutter.project_slug}}/governance/approvals.yaml"
)

TASKS = {"breast_cancer": "binary", "wine": "multiclass", "diabetes": "regression"}
_POSITIVE = {"breast_cancer": "malignant"}


@cache
def _table(name: str) -> pd.DataFrame:
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = bunch.data.rename(columns=lambda c: c.replace(" ", "_"))
    target = bunch.target
    if TASKS[name] != "regression":
        target = target.map(dict(enumerate(map(str, bunch.target_names))))
    frame = frame.assign(outcome=target)
    if name == "diabetes":
        frame["sex"] = np.where(frame["sex"] > 0, "one", "other")
    return frame.sample(frac=1.0, random_state=0, ignore_index=True)


def real_rows(name: str) -> pd.DataFrame:
    """The data set with its target in the column `outcome`; the test's own copy."""
    return _table(name).copy()


def columns_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """A contract that fits the frame: numbers with their range, texts as categories."""
    columns = []
    for name in frame.columns:
        values = frame[name]
        column: dict[str, Any] = {"name": name, "nullable": bool(values.isna().any())}
        if pd.api.types.is_bool_dtype(values.dtype):
            column["type"] = "boolean"
        elif pd.api.types.is_datetime64_any_dtype(values.dtype):
            column["type"] = "datetime"
        elif pd.api.types.is_numeric_dtype(values.dtype):
            column["type"] = "number"
        else:
            column |= {"type": "category", "categories": sorted(map(str, values.dropna().unique()))}
        columns.append(column)
    return columns


def usecase_document(frame: pd.DataFrame, task: str, **changes: Any) -> dict[str, Any]:
    """usecase.yaml for a frame whose target is `outcome`. `changes` are sections that are merged into it, one level deep."""
    document: dict[str, Any] = {
        "apiVersion": "ai-factory/v1",
        "name": "churn",
        "title": "A use case for tests",
        "owner": "tests@example.com",
        "data": {"source": SOURCE, "target": "outcome", "contract": {"columns": columns_of(frame)}},
        "model": {"task": task, "seed": 7},
    }
    if task == "binary":
        classes = sorted(map(str, frame["outcome"].dropna().unique()))
        document["model"]["positive"] = _POSITIVE["breast_cancer"] if "malignant" in classes else classes[-1]
    for section, values in changes.items():
        document[section] = {**document.get(section, {}), **values} if isinstance(values, Mapping) else values
    return document


def load(usecase: UseCase, root: Path) -> pd.DataFrame:
    """data.py as a new project has it."""
    return read_source(usecase, root)


def make_project(
    folder: Path,
    frame: pd.DataFrame,
    task: str,
    *,
    features: Callable[[UseCase], Any] = default_features,
    candidates: Callable[[UseCase], Mapping[str, Any]] = default_candidates,
    loader: Callable[[UseCase, Path], pd.DataFrame] = load,
    **changes: Any,
) -> Project:
    """A project in `folder` with these rows; `changes` are merged into its usecase.yaml."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "governance").mkdir(exist_ok=True)
    shutil.copy(POLICY, folder / "governance" / "approvals.yaml")
    frame.to_csv(folder / SOURCE, index=False)
    document = usecase_document(frame, task, **changes)
    (folder / "usecase.yaml").write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return open_project(PACKAGE, Hooks(loader, features, candidates), root=folder)


def quick(usecase: UseCase) -> Mapping[str, Any]:
    """The linear model alone: for tests that are not about the choice of a model."""
    only = usecase.model.model_copy(update={"candidates": ("linear",)})
    return default_candidates(usecase.model_copy(update={"model": only}))
