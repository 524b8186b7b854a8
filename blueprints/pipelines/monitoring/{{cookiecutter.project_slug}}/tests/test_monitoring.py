"""The monitor: silent on data like the training data, loud on what is not, and it says what moved; retraining follows."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.data.sample import sample
from ai_factory_runtime.monitoring.monitor import monitor
from ai_factory_runtime.monitoring.retrain import due
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


def test_outcomes_that_no_longer_follow_the_features_are_told_from_data_that_moved(
    trained: Project, later: pd.DataFrame, tmp_path: Path
) -> None:
    target = trained.usecase.data.target
    later[target] = np.random.default_rng(0).permutation(later[target].to_numpy())
    write_rows(later, tmp_path / "unrelated.csv")
    result = monitor(trained, tmp_path / "unrelated.csv", "dev")
    assert "data" not in result.kinds
    if result.window.labelled >= trained.usecase.monitoring.min_rows:
        assert {"quality", "concept"} & set(result.kinds), result.findings


def test_code_that_changed_since_training_is_drift_and_asks_for_a_new_model(
    trained: Project, later: pd.DataFrame, tmp_path: Path
) -> None:
    write_rows(later, tmp_path / "later.csv")
    assert "code" not in monitor(trained, tmp_path / "later.csv", "dev").kinds
    (trained.root / "src").mkdir(exist_ok=True)
    (trained.root / "src" / "changed.py").write_text("CHANGED = True\n", encoding="utf-8")
    assert "code" in monitor(trained, tmp_path / "later.csv", "dev").kinds
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=365)
    assert "code" in {trigger.name for trigger in due(trained, "dev", now=tomorrow).asking}
