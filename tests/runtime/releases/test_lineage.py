"""Lineage changes when anything that makes a model changes, and only then."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from ai_factory_runtime.base.project import Project, open_project
from ai_factory_runtime.releases.lineage import git_state, rows_sha256, source_sha256, trace
from helpers_runtime import SOURCE, load, make_project, real_rows


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = make_project(tmp_path / "p", real_rows("diabetes"), "regression")
    (made.root / "src").mkdir()
    (made.root / "src" / "model.py").write_text("X = 1\n")
    (made.root / "constraints.txt").write_text("numpy==2\n")
    return made


def lineage(project: Project) -> dict[str, object]:
    rows = load(project.usecase, project.root)
    return dataclasses.asdict(trace(project, rows, source=source_sha256(project.usecase, project.root, rows)))


def test_nothing_changed_means_the_same_lineage(project: Project) -> None:
    assert lineage(project) == lineage(project)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        (SOURCE, {"source_sha256", "rows_sha256"}),
        ("src/model.py", {"code_sha256"}),
        ("constraints.txt", {"constraints_sha256"}),
        ("usecase.yaml", {"usecase_sha256", "seed"}),
    ],
)
def test_each_changed_file_shows_where_it_counts(project: Project, file: str, changes: set[str]) -> None:
    before = lineage(project)
    path = project.root / file
    path.write_text(
        path.read_text().replace("0.01", "0.02").replace("= 1", "= 2").replace("==2", "==3").replace(": 7", ": 8")
    )
    after = lineage(open_project(project.package, project.hooks, root=project.root))
    assert {k for k in before if before[k] != after[k]} == changes


def test_rows_are_hashed_by_value_name_and_order() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    others = [frame.iloc[::-1], frame.rename(columns={"a": "c"}), frame.assign(a=[1.0, 3.0]), frame[["b", "a"]]]
    assert rows_sha256(frame) == rows_sha256(frame.copy())
    assert len({rows_sha256(f) for f in [frame, *others]}) == 5


def test_git_is_told_with_commit_and_dirtiness(project: Project) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(project.root), *identity, *arguments], check=True, capture_output=True)

    assert git_state(project.root / "src") == ("", False)
    git("init", "-q")
    assert git_state(project.root) == ("", False)
    git("add", ".")
    git("commit", "-q", "-m", "first")
    commit, dirty = git_state(project.root)
    assert len(commit) == 40
    assert not dirty
    (project.root / "usecase.yaml").write_text("changed")
    assert git_state(project.root) == (commit, True)


def test_a_file_that_was_never_committed_counts_and_a_release_record_does_not(project: Project) -> None:
    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(project.root), *identity, *arguments], check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    (project.root / "governance/releases").mkdir(parents=True)
    (project.root / "governance/releases/1-abc.yaml").write_text("signed: []")
    assert lineage(project)["git_changed"] == ()
    (project.root / "src" / "späte idee.py").write_text("X = 1\n")
    (project.root / "src" / "model.py").unlink()
    found = lineage(project)
    assert found["git_changed"] == ("src/model.py", "src/späte idee.py")
    assert found["git_dirty"] is True


def test_the_blueprints_that_composed_the_repository_are_named_with_their_versions(project: Project) -> None:
    assert (lineage(project)["factory"], lineage(project)["blueprints"]) == ("", {})
    lock = project.root / ".ai-factory" / "lock.yaml"
    lock.parent.mkdir()
    lock.write_text(
        "schema: 1\ngenerator: {ai-factory: 0.1.0, jinja2: 3.1.6}\n"
        "blueprints:\n  - id: pipelines/training\n    version: 0.1.0\n    sha256: ab\n    answers: {}\n"
    )
    assert (lineage(project)["factory"], lineage(project)["blueprints"]) == ("0.1.0", {"pipelines/training": "0.1.0"})
    lock.write_text("blueprints: {")
    assert lineage(project)["blueprints"] == {}


def test_comments_order_and_defaults_written_out_are_no_other_use_case(project: Project) -> None:
    before = lineage(project)["usecase_sha256"]
    path = project.root / "usecase.yaml"
    path.write_text("# a comment\n" + path.read_text() + "monitoring: {min_rows: 50}\n")
    assert lineage(open_project(project.package, project.hooks, root=project.root))["usecase_sha256"] == before
