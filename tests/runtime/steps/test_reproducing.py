"""A registered model is made again bit for bit, and where it is not, what differs between then and now is named."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ai_factory_runtime.base.errors import GateFailed, UnknownRun
from ai_factory_runtime.base.project import Hooks, Project, open_project
from ai_factory_runtime.releases.lineage import trace
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.steps.history import find_run, list_runs
from ai_factory_runtime.steps.pipeline import run
from ai_factory_runtime.steps.reproducing import compare_lineage, reproduce
from ai_factory_runtime.steps.step_errors import NothingToReproduce
from ai_factory_runtime.training.models import default_candidates
from ai_factory_spec.usecase import UseCase
from helpers_runtime import PACKAGE, SOURCE, default_features, load, make_project, quick, real_rows

QUICK = {"search": {"trials": 0}}


def silent(_step: str, _detail: str) -> None:
    return None


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1, made from the rows as they are, by a use case with seed 7."""
    folder = tmp_path_factory.mktemp("reproduce") / "p"
    run(make_project(folder, real_rows("wine"), "multiclass", candidates=quick, model=QUICK))
    return folder


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Project:
    shutil.copytree(trained_once, tmp_path / "p")
    return reopened(tmp_path / "p")


def reopened(root: Path, hooks: Hooks | None = None) -> Project:
    return open_project(PACKAGE, hooks or Hooks(load, default_features, quick), root=root)


def test_the_same_data_code_and_environment_make_the_same_model_and_register_nothing(trained: Project) -> None:
    made = reproduce(trained, "1", silent)
    assert made.same
    assert made.then == made.now != ""
    assert made.differences == ()
    assert len(open_registry(trained).versions()) == 1
    assert len(list_runs(trained)) == 1


def test_the_use_case_of_the_run_is_used_and_not_the_present_one(trained: Project) -> None:
    path = trained.root / "usecase.yaml"
    path.write_text(path.read_text().replace("seed: 7", "seed: 8"))
    changed = reopened(trained.root)
    assert changed.usecase.model.seed == 8
    assert reproduce(changed, "1", silent).same


def test_other_rows_make_another_model_and_are_named(trained: Project) -> None:
    rows = trained.root / SOURCE
    lines = rows.read_text().splitlines(keepends=True)
    rows.write_text("".join([*lines[:5], *lines[6:]]))
    made = reproduce(trained, "1", silent)
    assert not made.same
    assert [d.what for d in made.differences] == ["data source", "rows learned from"]


def test_other_code_makes_another_model_and_is_named(trained: Project) -> None:
    (trained.root / "src").mkdir(exist_ok=True)
    (trained.root / "src/model.py").write_text("C = 0.01\n")

    def weaker(usecase: UseCase) -> Mapping[str, Any]:
        ((name, model),) = quick(usecase).items()
        return {name: model.set_params(C=0.01)}

    made = reproduce(reopened(trained.root, Hooks(load, default_features, weaker)), "1", silent)
    assert not made.same
    assert [d.what for d in made.differences] == ["code"]


def test_a_change_that_makes_no_other_model_is_named_all_the_same(trained: Project) -> None:
    (trained.root / "constraints.txt").write_text("numpy==2\n")
    made = reproduce(trained, "1", silent)
    assert made.same
    assert [(d.what, d.then) for d in made.differences] == [("constraints.txt", "none")]


def test_every_part_of_the_lineage_that_can_differ_is_compared(trained: Project) -> None:
    past = find_run(trained, "1").report["lineage"]
    now = trace(trained, load(trained.usecase, trained.root), source="")
    recorded = json.loads(json.dumps(dataclasses.asdict(now)))
    for part in ("libraries", "environment_sha256", "python", "machine", "git_commit", "blueprints", "seed"):
        other = {**recorded, part: {"x": "1"} if isinstance(recorded[part], dict) else "other"}
        assert len(compare_lineage(other, now)) == 1, part
    assert set(past) == set(recorded)


def test_a_run_that_registered_nothing_cannot_be_made_again(trained: Project) -> None:
    path = trained.root / "usecase.yaml"
    path.write_text(path.read_text() + "acceptance:\n  metrics:\n    log_loss: {max: 0.0}\n")
    with pytest.raises(GateFailed):
        run(reopened(trained.root))
    refused = list_runs(trained)[0].run_id
    with pytest.raises(NothingToReproduce, match="it was refused \\(gate-failed\\)"):
        reproduce(trained, refused, silent)
    with pytest.raises(UnknownRun):
        reproduce(trained, "no such run", silent)


def test_a_use_case_that_cannot_be_read_any_more_is_told_as_such(trained: Project) -> None:
    path = find_run(trained, "1").folder / "usecase.json"
    path.write_text('{"apiVersion": "ai-factory/v0"}')
    with pytest.raises(NothingToReproduce, match=r"usecase\.json is not a use case"):
        reproduce(trained, "1", silent)


def test_a_version_that_another_machine_registered_is_shown_from_its_package(trained: Project) -> None:
    """Its run folder is not here; the package tells what made it."""
    past = find_run(trained, "1")
    shutil.rmtree(past.folder)
    found = find_run(trained, "v1")
    assert found.report["lineage"] == past.report["lineage"]
    assert found.report["metrics"] == past.report["metrics"]
    assert found.card is not None
    assert [r.run_id for r in list_runs(trained)] == [past.run_id]


@pytest.mark.slow
def test_a_model_of_many_trees_is_reproduced_bit_for_bit(tmp_path: Path) -> None:
    def trees(usecase: UseCase) -> Mapping[str, Any]:
        name = "gradient_boosting"
        return {name: default_candidates(usecase)[name].set_params(max_iter=20)}

    project = make_project(tmp_path, real_rows("diabetes"), "regression", candidates=trees, model=QUICK)
    run(project)
    assert reproduce(project, "1", silent).same
