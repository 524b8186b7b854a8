"""The monitor: silent on data like the training data, loud on data that is not, and it says which column."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from ai_factory_runtime.monitor import monitor
from ai_factory_runtime.project import Project
from ai_factory_runtime.sample import sample
from ai_factory_spec import UseCase

from project_copy import write_rows


@pytest.fixture
def later(usecase: UseCase) -> pd.DataFrame:
    """Rows drawn as the training rows were, with another seed."""
    return sample(usecase, rows=600, seed=2)


def test_data_like_the_training_data_is_no_drift(trained: Project, later: pd.DataFrame, tmp_path: Path) -> None:
    write_rows(later, tmp_path / "later.csv")
    result = monitor(trained, tmp_path / "later.csv", "dev")
    assert not result.drifted, result.report


def test_a_column_stuck_at_one_value_is_drift_and_is_named(
    trained: Project, later: pd.DataFrame, tmp_path: Path
) -> None:
    features = trained.usecase.data.features
    moved = next(c.name for c in features if later[c.name].nunique() > 1)
    later[moved] = later[moved].mode()[0]
    write_rows(later, tmp_path / "moved.csv")
    result = monitor(trained, tmp_path / "moved.csv", "dev")
    assert result.drifted
    page = result.page.read_text(encoding="utf-8")
    assert "drift" in page.lower()
    assert moved in {c.name for c in result.report.columns if c.drifted}


def test_a_window_too_small_to_judge_is_said_to_be_so(trained: Project, later: pd.DataFrame, tmp_path: Path) -> None:
    write_rows(later.head(5), tmp_path / "few.csv")
    result = monitor(trained, tmp_path / "few.csv", "dev")
    assert not result.drifted
    assert result.report.too_small
