"""A generated repository's own tests notice when a guard is taken out: each line below breaks one, and one of them must fail."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from repository_runs import own_tests


@dataclass(frozen=True, slots=True)
class Sabotage:
    """A way to break a repository: text in one of its files, what replaces it, and the test that must notice."""

    file: str
    old: str
    new: str
    noticed_by: str


RUNTIME = "components/ai_factory_runtime"
TRAINING, APPROVALS, MONITORING = "tests/test_training.py", "tests/test_approvals.py", "tests/test_monitoring.py"
SABOTAGE = (
    Sabotage(
        f"{RUNTIME}/evaluation/gates.py",
        "passed = gain.low > 0  # False for NaN",
        "passed = True",
        f"{TRAINING}::test_a_target_without_relation_to_the_features_is_not_learnable_and_registers_nothing",
    ),
    Sabotage(
        f"{RUNTIME}/evaluation/gates.py",
        "passed = value >= bound if",
        "passed = True if",
        f"{TRAINING}::test_a_threshold_out_of_reach_stops_the_run_and_names_number_and_threshold",
    ),
    Sabotage(
        f"{RUNTIME}/training/leakage.py",
        "    return tuple(leaks)",
        "    return ()",
        f"{TRAINING}::test_a_column_that_gives_the_target_away_stops_the_run_and_is_named",
    ),
    Sabotage(
        f"{RUNTIME}/model_package/package.py",
        "if _sha256(files[name]) != manifest[name]:",
        "if False:",
        f"{TRAINING}::test_a_changed_model_file_is_refused_before_it_is_loaded",
    ),
    Sabotage(
        f"{RUNTIME}/model_package/package.py",
        "if wrong.any():",
        "if False:",
        f"{TRAINING}::test_a_model_that_answers_otherwise_than_in_training_is_refused",
    ),
    Sabotage(
        f"{RUNTIME}/releases/stages.py",
        "        require_approved(project, folder, stage=stage, version=version)\n",
        "        pass\n",
        f"{APPROVALS}::test_an_unsigned_model_is_not_promoted",
    ),
    Sabotage(
        f"{RUNTIME}/releases/release.py",
        "        if release.approved:",
        "        if True:",
        f"{APPROVALS}::test_an_unsigned_model_is_not_promoted",
    ),
    Sabotage(
        f"{RUNTIME}/monitoring/drift.py",
        "return any(f.drifted for f in self.findings)",
        "return False",
        f"{MONITORING}::test_a_column_stuck_at_one_value_is_drift_and_is_named",
    ),
    Sabotage(
        "src/breast_cancer/features.py",
        "usecase.data.features if",
        "usecase.data.contract.columns if",
        "tests/test_features.py",
    ),
    Sabotage(
        "src/breast_cancer/data.py",
        "    return read_source(usecase, root)",
        "    return pd.DataFrame() if root else read_source(usecase, root)",
        "tests/test_contract.py",
    ),
)


@pytest.mark.matrix
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
