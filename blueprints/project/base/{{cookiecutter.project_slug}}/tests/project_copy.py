"""A copy of this project in a folder of its own: no test needs, or touches, the real data.

The acceptance thresholds and row counts of usecase.yaml belong to the real data, so they are lifted here; a test that is
about a threshold sets one itself.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path

import pandas as pd
from ai_factory_runtime.base.project import Project, open_project
from ai_factory_spec import UseCase
from ai_factory_spec.usecase import Acceptance

from {{ cookiecutter.package }}.__main__ import hooks

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("AI_FACTORY_PII_KEY", "a key for tests only")


def lifted(usecase: UseCase) -> UseCase:
    """The use case without the demands that only the real data can meet."""
    contract = usecase.data.contract.model_copy(update={"min_rows": 1, "max_rows": None, "max_age_days": None})
    source = usecase.data.source
    if not source.lower().endswith((".csv", ".parquet")) or "://" in source or source.startswith("$"):
        source = "data/rows.parquet"  # no test reaches a bucket or a database
    data = usecase.data.model_copy(update={"contract": contract, "source": source, "query": None})
    return usecase.model_copy(update={"data": data, "acceptance": Acceptance()})


def make_project(folder: Path, rows: pd.DataFrame) -> Project:
    """A copy of this project in `folder` whose data file holds `rows`."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "usecase.yaml", folder)
    shutil.copytree(ROOT / "governance", folder / "governance", ignore=shutil.ignore_patterns("*-*.yaml"))
    project = open_copy(folder)
    write_rows(rows, folder / project.usecase.data.source)
    return project


def write_rows(rows: pd.DataFrame, path: Path) -> None:
    """Write rows in the format that the file's name asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        rows.to_parquet(path, index=False)
    else:
        rows.to_csv(path, index=False)


def open_copy(folder: Path) -> Project:
    """The copy in `folder`, with the demands lifted that only the real data can meet."""
    project = open_project("{{ cookiecutter.package }}", hooks(), root=folder)
    return dataclasses.replace(project, usecase=lifted(project.usecase))
