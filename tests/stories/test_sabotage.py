"""A generated repository's own tests notice when a guard is taken out: each line below breaks one, and one of them must fail."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from repository_runs import own_tests


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
        "        require_approved(project, folder, stage=stage, version=version)\n",
        "        pass\n",
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
