"""Whole generated repositories: their own tests pass, notice a broken subject, and their files pass public judges."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from make_repository import make_repository

BIN = Path(sys.executable).parent


@pytest.fixture(scope="session")
def realtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("story") / "realtime")


def in_repository(repository: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with this environment's packages but the repository's own code."""
    paths = os.pathsep.join(str(repository / part) for part in ("src", "components"))
    environment = {**os.environ, "PYTHONPATH": paths, "MLFLOW_DISABLE_TELEMETRY": "true", "NO_COLOR": "1"}
    environment.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(command, cwd=repository, env=environment, text=True, capture_output=True, check=False)


def own_tests(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return in_repository(repository, sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "architecture"),
    [("breast_cancer", "realtime"), ("diabetes", "batch"), ("wine", "realtime")],
)
def test_its_own_tests_pass(tmp_path: Path, data: str, architecture: str) -> None:
    repository = make_repository(tmp_path / "repository", data=data, architecture=architecture)
    done = own_tests(repository, "--ignore=tests/infra")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.slow
def test_its_infrastructure_tests_pass(realtime: Path) -> None:
    done = own_tests(realtime, "tests/infra")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@dataclass(frozen=True, slots=True)
class Sabotage:
    """A way to break a repository: text in one of its files, what replaces it, and the tests that must notice."""

    file: str
    old: str
    new: str
    noticed_by: str


RUNTIME = "components/ai_factory_runtime"
SABOTAGE = (
    Sabotage(
        f"{RUNTIME}/gates.py", "passed = gain.low > 0  # False for NaN", "passed = True", "tests/test_training.py"
    ),
    Sabotage(f"{RUNTIME}/gates.py", "passed = value >= bound if", "passed = True if", "tests/test_training.py"),
    Sabotage(f"{RUNTIME}/leakage.py", "    return tuple(leaks)", "    return ()", "tests/test_training.py"),
    Sabotage(
        f"{RUNTIME}/package.py", "if _sha256(files[name]) != manifest[name]:", "if False:", "tests/test_training.py"
    ),
    Sabotage(f"{RUNTIME}/package.py", "if wrong.any():", "if False:", "tests/test_training.py"),
    Sabotage(
        f"{RUNTIME}/stages.py",
        "if stage != DEV:\n        require_approved",
        "if False:\n        require_approved",
        "tests/test_approvals.py",
    ),
    Sabotage(f"{RUNTIME}/release.py", "        if release.approved:", "        if True:", "tests/test_approvals.py"),
    Sabotage(
        f"{RUNTIME}/drift.py",
        "return any(f.drifted for f in self.findings)",
        "return False",
        "tests/test_monitoring.py",
    ),
    Sabotage(
        "src/breast_cancer/features.py",
        "usecase.data.features if",
        "usecase.data.contract.columns if",
        "tests/test_features.py",
    ),
    Sabotage(
        "src/breast_cancer/data.py",
        "    return read_table(",
        "    return pd.DataFrame() if root else read_table(",
        "tests/test_contract.py",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("sabotage", SABOTAGE, ids=lambda s: f"{s.file}: {s.old[:40]}")
def test_its_own_tests_notice_a_broken_subject(realtime: Path, tmp_path: Path, sabotage: Sabotage) -> None:
    repository = tmp_path / "broken"
    shutil.copytree(realtime, repository)
    file = repository / sabotage.file
    text = file.read_text(encoding="utf-8")
    assert text.count(sabotage.old) == 1, f"{sabotage.file} no longer contains the text to break"
    file.write_text(text.replace(sabotage.old, sabotage.new), encoding="utf-8")
    done = own_tests(repository, sabotage.noticed_by)
    assert done.returncode == 1, f"nobody noticed:\n{done.stdout}{done.stderr}"


def test_its_python_is_formatted_and_lint_free(realtime: Path) -> None:
    for command in (["format", "--check", "."], ["check", "."]):
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
