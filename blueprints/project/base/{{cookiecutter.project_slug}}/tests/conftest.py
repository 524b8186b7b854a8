"""What the tests share: synthetic rows that fit the data contract, and copies of this project, untrained and trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.data.sample import sample
from ai_factory_spec import UseCase

from project_copy import ROOT, make_project, open_copy


@pytest.fixture(scope="session")
def usecase() -> UseCase:
    """This project's use case, read from usecase.yaml."""
    return open_copy(ROOT).usecase


@pytest.fixture(scope="session")
def all_rows(usecase: UseCase) -> pd.DataFrame:
    """Synthetic rows that fit the contract; shared by the session."""
    return sample(usecase, rows=600, seed=1)


@pytest.fixture
def rows(all_rows: pd.DataFrame) -> pd.DataFrame:
    """A copy of the rows that a test may change."""
    return all_rows.copy()


@pytest.fixture
def project(tmp_path: Path, rows: pd.DataFrame) -> Project:
    """An untrained copy of this project."""
    return make_project(tmp_path / "project", rows)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory, all_rows: pd.DataFrame) -> Path:
    """The folder of a copy on which the pipeline ran once; tests copy it, none changes it."""
    from ai_factory_runtime.steps.pipeline import run

    folder = tmp_path_factory.mktemp("trained") / "project"
    run(make_project(folder, all_rows))
    return folder


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Project:
    """A trained copy of this project, the test's own."""
    folder = tmp_path / "trained"
    shutil.copytree(trained_once, folder)
    return open_copy(folder)
