"""Registering: what stops a run before it, in it and after it leaves no version half-made, and each is told for itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest
from ai_factory_runtime.base.errors import NothingDeployed, ProjectCodeFailed, WriteFailed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import DeploymentUnreadable
from ai_factory_runtime.commands.console import show_error, show_runs
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.releases.registry_refusals import RegistryGone
from ai_factory_runtime.releases.stages import deploy, deployed, promote
from ai_factory_runtime.steps.history import list_runs
from ai_factory_runtime.steps.pipeline import run
from ai_factory_spec.errors import FactoryError
from helpers_disk import full_disk
from helpers_runtime import make_project as make_real_project
from helpers_runtime import quick, real_rows
from helpers_serving import make_package, make_project


def registered(root: Path) -> Project:
    """Version 1, champion, in dev. Its hooks raise: what is refused here is refused before a row is read."""
    project = make_project(root)
    folder, digest = make_package(project, rows=120)
    registry = open_registry(project)
    registry.register(folder, digest=digest, run_id="run-1", tags={"verdict": "promote"}, metrics={})
    registry.set_alias("champion", 1)
    registry.set_tag(1, "settled", "yes")
    deploy(project, "dev", version=1, digest=digest, folder=folder)
    (project.runs / "run-1").mkdir(parents=True)
    return project


def test_a_damaged_stage_stops_the_run_before_it_registers_and_promoting_mends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = registered(tmp_path / "project")
    (project.stages / "dev.json").write_text("{", encoding="utf-8")
    for _ in range(2):
        with pytest.raises(DeploymentUnreadable):
            run(project)
    assert [(v.version, v.aliases) for v in open_registry(project).versions()] == [(1, ("champion",))]
    assert promote(project, 1, "dev").version == 1
    with pytest.raises(ProjectCodeFailed, match="never calls the project's hooks"):
        run(project)  # it comes to the rows now
    first, *later = list_runs(project)
    assert first.outcome == "champion"
    assert [r.outcome for r in later] == ["project-code-failed", "deployment-unreadable", "deployment-unreadable"]
    # A run that registered its version and was refused after that.
    (first.folder / "refused.json").write_text('{"refused": "write-failed", "message": "full"}', encoding="utf-8")
    show_runs(list_runs(project), command="churn", as_json=False)
    assert "champion; write-failed" in capsys.readouterr().out


def test_a_run_without_its_registry_neither_registers_nor_deploys(tmp_path: Path) -> None:
    project = registered(tmp_path / "project")
    project.registry_db.unlink()
    with pytest.raises(RegistryGone):
        run(project)
    with pytest.raises(RegistryGone):
        list_runs(project)
    assert deployed(project, "dev").version == 1
    assert not project.registry_db.exists()


@pytest.mark.slow
def test_a_disk_that_is_full_while_a_version_is_registered_leaves_no_package_and_the_next_run_works(
    tmp_path: Path,
) -> None:
    project = make_real_project(tmp_path / "p", real_rows("breast_cancer"), "binary", candidates=quick)
    disk = ExitStack()

    def fill(step: str, _detail: str) -> None:
        if step == "register":
            disk.enter_context(full_disk(4096))

    for registered_before in (0, 1):
        with disk, pytest.raises(WriteFailed, match=r"registry\.db") as refusal:
            run(project, progress=fill)
        assert refusal.value.hint.startswith("Free disk space")
        versions = open_registry(project).versions()
        assert len(versions) == registered_before
        assert {p.name for p in project.models.iterdir()} == {v.run_id for v in versions}
        if not registered_before:
            with pytest.raises(NothingDeployed):
                deployed(project, "dev")
            assert run(project).registered is not None


@pytest.mark.parametrize(
    ("change", "slug", "fact"),
    [
        (lambda f: f.assign(mean_radius=f["mean_radius"].where(f.index > 1)), "contract-broken", "violations"),
        (lambda f: f.assign(mean_radius=(f["outcome"] == "malignant") * 1.0), "leakage-found", "leaks"),
    ],
)
def test_a_refused_run_says_its_facts_in_json_by_name(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[pd.DataFrame], pd.DataFrame],
    slug: str,
    fact: str,
) -> None:
    project = make_real_project(tmp_path / "p", real_rows("breast_cancer"), "binary", candidates=quick)
    rows = real_rows("breast_cancer")
    change(rows).to_csv(project.root / "data" / "rows.csv", index=False)
    with pytest.raises(FactoryError) as refusal:
        run(project)
    show_error(refusal.value, command="churn", as_json=True)
    said = json.loads(capsys.readouterr().out)["error"]
    assert (said["slug"], said["exit_code"]) == (slug, 4)
    assert said["run"] == next(p.name for p in project.runs.iterdir())
    (one,) = said[fact]
    assert one["column"] == "mean_radius"
    if fact == "violations":
        assert (one["count"], one["rows"], said["bad_rows"], said["rows"]) == (2, [0, 1], 2, 569)
