"""Code drift: other code than made the model is noticed, by hash, without git; what cannot be known is said so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.model_package.package import LINEAGE
from ai_factory_runtime.monitoring.code_drift import Running, code_drift, compare_code, running_code
from ai_factory_runtime.releases.lineage import code_sha256
from helpers_monitoring import CODE
from helpers_serving import make_project

MADE = {"code_sha256": "a" * 64, "git_commit": "c" * 40, "libraries": {"numpy": "2.4.0", "skops": "0.14.0"}}
SAME = Running("a" * 64, "c" * 40, {"numpy": "2.4.0", "skops": "0.14.0"})


def test_the_code_that_made_the_model_is_no_drift() -> None:
    found = compare_code(MADE, SAME)
    assert found.known
    assert not found.moved


def test_other_code_is_drift_and_both_hashes_are_told() -> None:
    found = compare_code(MADE, Running("b" * 64, "c" * 40, SAME.libraries))
    assert found.moved
    assert [str(d) for d in found.differences] == [f"code: registered {'a' * 12}, running {'b' * 12}"]


def test_another_library_is_drift() -> None:
    found = compare_code(MADE, Running("a" * 64, "c" * 40, {"numpy": "2.5.0", "skops": ""}))
    assert [d.what for d in found.differences] == ["numpy"]


def test_a_commit_that_changed_no_code_is_no_drift() -> None:
    assert not compare_code(MADE, Running("a" * 64, "d" * 40, SAME.libraries)).moved


def test_where_only_commits_are_known_they_are_compared() -> None:
    made = {"git_commit": "c" * 40}
    assert compare_code(made, Running("", "d" * 40, {})).moved
    assert not compare_code(made, Running("", "", {})).moved


@pytest.mark.parametrize("lineage", [{}, {"seed": 1}, {"libraries": "numpy"}, {"code_sha256": ""}])
def test_a_model_that_does_not_say_what_made_it_is_not_accused(lineage: dict[str, object]) -> None:
    found = compare_code(lineage, SAME)
    assert not found.known
    assert not found.moved


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = make_project(tmp_path / "project")
    (made.root / CODE).parent.mkdir(parents=True)
    (made.root / CODE).write_text("FEATURES = 3\n", encoding="utf-8")
    return made


def test_a_changed_line_of_the_project_is_noticed_and_changed_back_is_not(project: Project, tmp_path: Path) -> None:
    (tmp_path / LINEAGE).write_text(json.dumps({"code_sha256": code_sha256(project.root)}), encoding="utf-8")
    assert not code_drift(project, tmp_path).moved
    (project.root / CODE).write_text("FEATURES = 4\n", encoding="utf-8")
    assert code_drift(project, tmp_path).moved
    (project.root / CODE).write_text("FEATURES = 3\n", encoding="utf-8")
    assert not code_drift(project, tmp_path).moved


def test_what_the_endpoint_wrote_counts_and_not_the_monitors_own_code(project: Project, tmp_path: Path) -> None:
    (tmp_path / LINEAGE).write_text(json.dumps({"code_sha256": code_sha256(project.root)}), encoding="utf-8")
    assert code_drift(project, tmp_path, "f" * 64).moved


def test_an_image_names_its_commit_in_a_variable(project: Project) -> None:
    assert running_code(project, environment={"AI_FACTORY_COMMIT": "e" * 40}).commit == "e" * 40
    assert running_code(project, environment={}).commit == ""


def test_a_damaged_lineage_is_not_known(project: Project, tmp_path: Path) -> None:
    (tmp_path / LINEAGE).write_text("[1]", encoding="utf-8")
    assert not code_drift(project, tmp_path).known
