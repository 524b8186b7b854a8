"""A run's folder: a refusal leaves its reason there, and is told also where the disk takes no reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ai_factory_runtime.base import runs
from ai_factory_runtime.base.errors import GateFailed, RunLocked, WriteFailed
from ai_factory_runtime.base.gate_result import GateResult
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.runs import exclusive, run_folder
from ai_factory_runtime.batch.journal import open_journal
from helpers_disk import full_disk
from helpers_serving import make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def gate_failed() -> GateFailed:
    return GateFailed(results=[GateResult("metric", False, 0.5, 0.6, "0.5 is below 0.6")], card=Path("card.html"))


def refuse(project: Project) -> None:
    with run_folder(project, "run-1"):
        raise gate_failed()


def test_a_refusal_leaves_its_reason_in_the_runs_folder(project: Project) -> None:
    with pytest.raises(GateFailed) as refusal:
        refuse(project)
    said = json.loads((project.runs / "run-1" / "refused.json").read_bytes())
    assert (said["run"], said["refused"]) == ("run-1", "gate-failed")
    assert refusal.value.details()["run"] == "run-1"


def test_a_refusal_whose_reason_cannot_be_written_is_told_all_the_same(project: Project) -> None:
    with full_disk(), pytest.raises(GateFailed):
        refuse(project)
    assert not (project.runs / "run-1" / "refused.json").exists()


def test_a_lock_is_held_on_a_disk_that_takes_no_note_of_the_holder(project: Project, tmp_path: Path) -> None:
    with full_disk(), exclusive(project, "run-1"):
        with pytest.raises(OSError, match="File too large"):
            (tmp_path / "file").write_text("x")
        with pytest.raises(RunLocked, match="starting"), exclusive(project, "run-2"):
            pass
    assert (project.artifacts / runs.LOCK).stat().st_size == 0


def test_scoring_on_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    with full_disk(), pytest.raises(WriteFailed, match="plan"), open_journal(tmp_path / "out.parquet", "plan"):
        pass


def test_a_run_folder_that_cannot_get_its_name_is_told(project: Project) -> None:
    with pytest.raises(WriteFailed), run_folder(project, "run-1") as folder:
        folder.rmdir()
