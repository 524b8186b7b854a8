"""Batch scoring: one prediction a row, equal to the model's own; a bad row is set aside, never lost, never guessed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.batch.job import score
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.model_package.package import load_package
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_spec import FactoryError

from project_copy import write_rows


@pytest.fixture
def batch(tmp_path: Path, rows: pd.DataFrame) -> Path:
    path = tmp_path / "batch.csv"
    write_rows(rows.head(120), path)
    return path


def test_every_row_gets_the_models_own_answer(trained: Project, batch: Path, rows: pd.DataFrame) -> None:
    result = score(trained, batch, None, "dev")
    scored = pd.read_parquet(result.output)
    champion = open_registry(trained).champion()
    assert champion is not None
    package = load_package(champion.folder, trusted_package=trained.package)
    direct = package.predict(to_canonical(rows.head(120), package.signature.features))
    assert scored["prediction"].tolist() == direct.values.tolist()
    assert result.rejected == 0


def test_a_row_that_breaks_the_contract_is_set_aside_with_its_reason(
    trained: Project, batch: Path, rows: pd.DataFrame
) -> None:
    column = trained.usecase.data.features[0]
    bad = rows.head(120).astype({column.name: object})
    bad.iloc[5, bad.columns.get_loc(column.name)] = "nothing this column allows"
    write_rows(bad, batch)
    result = score(trained, batch, None, "dev")
    assert (result.scored, result.rejected) == (119, 1)
    assert result.rejects is not None
    assert column.name in result.rejects.read_text(encoding="utf-8")


def test_a_stage_without_a_release_scores_nothing(trained: Project, batch: Path) -> None:
    with pytest.raises(FactoryError, match="staging"):
        score(trained, batch, None, "staging")
