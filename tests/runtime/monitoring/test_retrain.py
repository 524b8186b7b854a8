"""Retraining: drift found by the monitor, new rows or new code make one new model through the gates, and people hear of it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import RunLocked
from ai_factory_runtime.base.project import PROJECT_VARIABLE, Project
from ai_factory_runtime.base.refusals import NotTold, UnknownStage
from ai_factory_runtime.base.runs import exclusive
from ai_factory_runtime.cli import build_app
from ai_factory_runtime.monitoring.monitor import monitor
from ai_factory_runtime.monitoring.retrain import ATTEMPT, due, look, retrain
from ai_factory_runtime.steps.pipeline import run
from ai_factory_spec.errors import EXIT_CHECKS_FAILED, EXIT_DRIFT, EXIT_USAGE
from click.testing import Result
from helpers_monitoring import with_monitoring
from helpers_runtime import SOURCE, make_project, quick, real_rows
from typer.testing import CliRunner

FILE = {"kind": "file", "path": "notices.jsonl"}
Invoke = Callable[..., Result]
HOUR = dt.timedelta(hours=1)
FEATURES = ["mean_radius", "mean_texture", "mean_smoothness", "mean_area", "mean_symmetry", "outcome"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("retrain") / "project", real_rows("breast_cancer")[FEATURES], "binary", candidates=quick)  # fmt: skip
    (project.root / "src" / "churn").mkdir(parents=True)
    (project.root / "src" / "churn" / "features.py").write_text("COUNT = 5\n", encoding="utf-8")
    run(project)
    return project


@pytest.fixture
def project(shared: Project, tmp_path: Path) -> Project:
    shutil.copytree(shared.root, tmp_path / "project")
    return with_monitoring(dataclasses.replace(shared, root=tmp_path / "project"), notify=[FILE])


@pytest.fixture
def later(project: Project) -> dt.datetime:
    """Two days after the first run: no cool-down holds anything back."""
    first = look(project, "dev").trained_at
    assert first is not None
    return first + 48 * HOUR


@pytest.fixture
def invoke(project: Project, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.setenv(PROJECT_VARIABLE, str(project.root))
    app = build_app("churn", project.hooks)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def notify(project: Project, channels: str) -> None:
    """Name channels in the usecase.yaml that the command reads."""
    with (project.root / "usecase.yaml").open("a", encoding="utf-8") as file:
        file.write(f"monitoring: {{notify: {channels}}}\n")


def events(project: Project) -> list[str]:
    path = project.root / "notices.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line)["event"] for line in lines]


def newer_rows(project: Project) -> None:
    """The source is another than the last run learned from."""
    rows = pd.read_csv(project.root / SOURCE)
    rows.iloc[:-7].to_csv(project.root / SOURCE, index=False)


def find_drift(project: Project, now: dt.datetime) -> None:
    rows = real_rows("breast_cancer").head(300)
    source = project.root / "window.csv"
    rows.assign(mean_radius=rows["mean_radius"] * 2.54).drop(columns="outcome").to_csv(source, index=False)
    assert monitor(project, source, "dev", now=now).retraining.due


def test_the_model_that_the_pipeline_makes_is_watched_whole(project: Project) -> None:
    """A real package says what made it and how it erred: every kind of drift can be judged."""
    rows = real_rows("breast_cancer")[FEATURES]
    rows.to_csv(project.root / "window.csv", index=False)
    result = monitor(project, project.root / "window.csv", "dev")
    assert result.findings.code.known
    assert result.findings.concept is not None
    assert all(s.reference is not None for s in result.findings.concept.shifts)
    assert result.kinds == ()


def test_when_nothing_asks_nothing_is_trained(project: Project, later: dt.datetime) -> None:
    result = retrain(project, "dev", now=later)
    assert result.run is None
    assert not result.decision.due
    assert not (project.reports / "dev" / ATTEMPT).exists()
    assert events(project) == []


def test_drift_makes_one_new_model_through_the_gates_and_no_second(project: Project, later: dt.datetime) -> None:
    find_drift(project, later)
    newer_rows(project)
    assert [t.name for t in due(project, "dev", now=later + HOUR).asking] == ["drift", "data"]
    result = retrain(project, "dev", now=later + HOUR)
    assert result.run is not None
    assert result.run.registered is not None
    assert result.run.registered.version == 2
    assert result.run.gates
    assert events(project) == ["drift", "retrained"]
    note = json.loads((project.reports / "dev" / ATTEMPT).read_text(encoding="utf-8"))
    assert note["outcome"] == result.run.verdict
    assert not retrain(project, "dev", now=later + 2 * HOUR).decision.asking
    assert retrain(project, "dev", now=later + 100 * HOUR).run is None


def test_drift_without_newer_rows_makes_no_second_copy_of_the_model_and_is_told_once(
    project: Project, later: dt.datetime
) -> None:
    find_drift(project, later)
    held = retrain(project, "dev", now=later + HOUR)
    assert held.run is None
    assert "the source has no newer rows" in held.decision.because
    assert events(project) == ["drift", "retraining-needs-rows"]
    assert not (project.reports / "dev" / ATTEMPT).exists(), "nothing was tried"
    assert retrain(project, "dev", now=later + 2 * HOUR).told == ()
    assert due(project, "dev", now=later + 2 * HOUR, force=True).due
    find_drift(project, later + 30 * HOUR)
    assert retrain(project, "dev", now=later + 31 * HOUR).told != (), "drift that was found anew is told anew"


def test_new_rows_ask_and_a_cool_down_holds_them_back(project: Project, later: dt.datetime) -> None:
    newer_rows(project)
    soon = later - 47 * HOUR
    held = retrain(project, "dev", now=soon)
    assert [t.name for t in held.decision.asking] == ["data"]
    assert held.run is None
    assert "cool-down" in held.decision.because
    assert due(project, "dev", now=later).due


def test_new_code_asks(project: Project, later: dt.datetime) -> None:
    (project.root / "src" / "churn" / "features.py").write_text("COUNT = 6\n", encoding="utf-8")
    assert [t.name for t in due(project, "dev", now=later).asking] == ["code"]
    assert due(project, "dev", listen=["drift", "schedule", "age", "data"], now=later).asking == ()


def test_rows_that_a_check_refuses_are_told_and_not_tried_again(
    invoke: Invoke, project: Project, later: dt.datetime
) -> None:
    """The outcomes of the new rows are shuffled: no model learned from them may be registered."""
    rows = pd.read_csv(project.root / SOURCE)
    rows["outcome"] = np.random.default_rng(0).permutation(rows["outcome"])
    rows.to_csv(project.root / SOURCE, index=False)
    notify(project, f"[{{kind: file, path: {FILE['path']}}}]")
    done = invoke("retrain", "--force", "--json")
    assert done.exit_code == EXIT_CHECKS_FAILED
    assert json.loads(done.stdout)["refused"]["slug"] == "gate-failed"
    assert events(project) == ["retraining-refused"]
    assert due(project, "dev", now=later + 48 * HOUR).asking == ()
    stage = json.loads((project.stages / "dev.json").read_text(encoding="utf-8"))
    assert stage["version"] == 1


def test_an_attempt_that_died_holds_the_next_one_back(
    project: Project, later: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is gone in the middle of training, as by a kill."""

    class Killed(BaseException):
        pass

    def die(step: str, _detail: str) -> None:
        if step == "train":
            raise Killed

    newer_rows(project)
    with pytest.raises(Killed):
        retrain(project, "dev", progress=die, now=later)
    note = json.loads((project.reports / "dev" / ATTEMPT).read_text(encoding="utf-8"))
    assert note["outcome"] == "started"
    assert not due(project, "dev", now=later + HOUR).due


def test_another_run_at_work_is_no_attempt(project: Project, later: dt.datetime) -> None:
    newer_rows(project)
    with exclusive(project, "other"), pytest.raises(RunLocked):
        retrain(project, "dev", now=later)
    assert due(project, "dev", now=later).due
    assert events(project) == []


def test_an_unknown_stage_is_refused(project: Project) -> None:
    with pytest.raises(UnknownStage):
        retrain(project, "test")


# The commands -----------------------------------------------------------------------------------------------------------


def test_the_command_says_what_asks_and_does_nothing_when_asked_to(invoke: Invoke, project: Project) -> None:
    newer_rows(project)
    said = invoke("retrain", "--dry-run")
    assert said.exit_code == 0
    assert "data: yes, the data source changed" in said.stdout
    assert "cool-down is 24 h" in said.stdout
    document = json.loads(invoke("retrain", "--dry-run", "--force", "--json").stdout)
    assert document["due"] is True
    assert document["run"] is None
    assert len(list(project.runs.iterdir())) == 1


def test_the_command_takes_only_triggers_that_there_are(invoke: Invoke) -> None:
    refused = invoke("retrain", "--on", "whim")
    assert refused.exit_code == EXIT_USAGE
    assert "drift, schedule, age, data, code" in refused.output.replace("\n", " ").replace("│", "").replace("  ", " ")


def test_monitor_exits_3_for_drift_and_says_who_was_not_told(invoke: Invoke, project: Project) -> None:
    notify(project, "[{kind: webhook, address_variable: NO_SUCH_HOOK}]")
    rows = real_rows("breast_cancer").head(300).drop(columns="outcome")
    source = project.root / "window.csv"
    rows.assign(mean_radius=rows["mean_radius"] * 2.54).to_csv(source, index=False)
    found = invoke("monitor", str(source))
    assert found.exit_code == EXIT_DRIFT
    assert "Data: moved, 1 of 5 columns: mean_radius" in found.stdout
    assert "NOT TOLD: webhook $NO_SUCH_HOOK: the variable NO_SUCH_HOOK is not set" in found.stderr
    quiet = invoke("monitor", str(source), "--no-notify")
    assert quiet.exit_code == EXIT_DRIFT
    assert "NOT TOLD" not in quiet.stderr


def test_a_retraining_that_nobody_heard_of_is_an_error_of_its_own(invoke: Invoke, project: Project) -> None:
    notify(project, "[{kind: webhook, address_variable: NO_SUCH_HOOK}]")
    made = invoke("retrain", "--force")
    assert isinstance(made.exception, NotTold)
    assert "Registered version 2" in made.stdout
