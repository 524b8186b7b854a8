"""Lineage changes when anything that makes a model changes, and only then."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from ai_factory_runtime.lineage import git_state, rows_sha256, source_sha256, trace
from ai_factory_runtime.project import Project, open_project
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
