"""Whole generated repositories: their own tests pass, and their files pass public judges."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from make_repository import make_repository
from repository_runs import in_repository, own_tests

BIN = Path(sys.executable).parent


@pytest.mark.slow
def test_its_tests_of_contract_and_features_pass(realtime: Path) -> None:
    done = own_tests(realtime, "tests/test_contract.py", "tests/test_features.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.slow
@pytest.mark.matrix
@pytest.mark.parametrize(
    ("data", "architecture", "chosen"),
    [
        ("breast_cancer", "realtime", []),
        ("wine", "realtime", ["--ignore=tests/infra"]),
        ("diabetes", "batch", []),
        ("wine", "streaming", []),
    ],
)
def test_its_own_tests_pass(tmp_path: Path, data: str, architecture: str, chosen: list[str]) -> None:
    repository = make_repository(tmp_path / "repository", data=data, architecture=architecture)
    done = own_tests(repository, *chosen)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_its_python_is_formatted_and_lint_free(realtime: Path) -> None:
    for command in (["format", "--no-cache", "--check", "."], ["check", "--no-cache", "."]):
        done = in_repository(realtime, str(BIN / "ruff"), *command)
        assert done.returncode == 0, done.stdout + done.stderr


def test_its_workflow_passes_the_public_schema(realtime: Path) -> None:
    workflow = realtime / ".github" / "workflows" / "ci.yml"
    done = in_repository(
        realtime, str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows", str(workflow)
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_workflow_passes_zizmor(realtime: Path) -> None:
    done = in_repository(
        realtime, str(BIN / "zizmor"), "--offline", "--no-progress", "--persona", "pedantic", ".github"
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_would_have_refused_an_unpinned_action(realtime: Path, tmp_path: Path) -> None:
    broken = tmp_path / ".github" / "workflows" / "ci.yml"
    broken.parent.mkdir(parents=True)
    text = (realtime / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    broken.write_text(text.replace("@11bd71901bbe5b1630ceea73d27597364c9af683", "@main"), encoding="utf-8")
    done = in_repository(tmp_path, str(BIN / "zizmor"), "--offline", "--no-progress", str(broken))
    assert done.returncode != 0


def test_its_make_targets_exist(realtime: Path) -> None:
    done = in_repository(realtime, "make", "help")
    for target in ("setup", "test", "run", "serve", "score", "monitor", "infra-check"):
        assert f"  {target} " in done.stdout


def test_no_template_mark_or_unfinished_note_is_left_in_it(realtime: Path) -> None:
    offenders = [
        str(file.relative_to(realtime))
        for file in realtime.rglob("*")
        if file.is_file() and file.suffix not in {".gz", ".csv"} and "components" not in file.parts
        if any(mark in file.read_text(encoding="utf-8") for mark in ("cookiecutter.", "{%", "TODO", "FIXME"))
    ]
    assert offenders == []
