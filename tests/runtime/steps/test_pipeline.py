"""A run from rows to champion: each thing that must stop it does, nothing is half-registered, and the next run works."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import (
    ContractBroken,
    DataUnreadable,
    DataUnusable,
    GateFailed,
    LeakageFound,
    PiiKeyMissing,
    ProjectCodeFailed,
    RegistryUnavailable,
    RunLocked,
    UntrustedModel,
    WriteFailed,
)
from ai_factory_runtime.base.project import Hooks, Project, open_project
from ai_factory_runtime.base.runs import exclusive, new_run_id
from ai_factory_runtime.model_package.package import load_package, model_fingerprint
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.releases.release import list_releases
from ai_factory_runtime.releases.stages import deployed
from ai_factory_runtime.steps.history import find_run, list_runs
from ai_factory_runtime.steps.pipeline import STEPS, RunResult, run
from ai_factory_spec.errors import FactoryError
from ai_factory_spec.usecase import Costs, UseCase
from helpers_disk import full_disk
from helpers_runtime import PACKAGE, SOURCE, TASKS, default_features, load, make_project, quick, real_rows
from sklearn.ensemble import BaggingClassifier, ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunResult]:
    project = make_project(
        tmp_path_factory.mktemp("once") / "p", real_rows("breast_cancer"), "binary", candidates=quick
    )
    return project.root, run(project)


@pytest.fixture
def trained(trained_once: tuple[Path, RunResult], tmp_path: Path) -> Project:
    shutil.copytree(trained_once[0], tmp_path / "p")
    return open_project(PACKAGE, Hooks(load, default_features, quick), root=tmp_path / "p")


@pytest.fixture
def rows() -> pd.DataFrame:
    return real_rows("breast_cancer")


def project_of(tmp_path: Path, rows: pd.DataFrame, task: str = "binary", **changes: Any) -> Project:
    return make_project(tmp_path / "project", rows, task, **{"candidates": quick, **changes})


def refused(project: Project, error: type[FactoryError], said: str) -> FactoryError:
    """The run is stopped with this error, says so in its folder, and registers nothing."""
    with pytest.raises(error, match=said) as refusal:
        run(project)
    assert open_registry(project).versions() == ()
    assert not project.stages.exists()
    assert not project.models.exists() or not any(project.models.iterdir())
    return refusal.value


# --- the whole path


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n == "breast_cancer" else pytest.mark.matrix) for n in TASKS]
)
def test_every_task_goes_from_rows_to_a_deployed_champion(tmp_path: Path, name: str) -> None:
    project = make_project(tmp_path, real_rows(name), TASKS[name])
    steps: list[str] = []
    result = run(project, progress=lambda step, _detail: steps.append(step))
    assert list(dict.fromkeys(steps)) == list(STEPS)
    assert result.registered is not None
    assert result.registered.aliases == ("champion",)
    assert all(g.passed for g in result.gates)
    stage = deployed(project, "dev")
    assert (stage.version, stage.digest) == (1, result.registered.digest)
    package = load_package(result.registered.folder, digest=stage.digest, trusted_package=PACKAGE)
    held_out = project.hooks.load(project.usecase, project.root).head(5)
    assert len(package.predict(held_out).values) == 5


def test_a_run_leaves_its_card_report_release_record_and_no_scratch(trained_once: tuple[Path, RunResult]) -> None:
    root, result = trained_once
    assert {p.name for p in result.folder.iterdir()} == {
        "accelerator.json",
        "card.html",
        "card.md",
        "cleansing.json",
        "contract.json",
        "data_sheet.html",
        "data_sheet.md",
        "lineage.json",
        "metrics.json",
        "report.json",
        "usecase.json",
    }
    assert not list((root / "artifacts").rglob("*.partial*"))
    report = json.loads((result.folder / "report.json").read_text())
    assert report["metrics"]["roc_auc"]["value"] == result.metrics["roc_auc"].value
    assert [g["name"] for g in report["gates"]] == ["beats-baseline", "data-sheet", "model-card"]
    project = open_project(PACKAGE, Hooks(load, default_features, quick), root=root)
    assert [r.version for r in list_releases(project)] == [1]


def test_the_same_data_code_and_seed_make_the_same_model_and_the_champion_stays(trained: Project) -> None:
    again = run(trained)
    assert again.verdict == "keep"
    assert again.registered is not None
    assert again.registered.aliases == ("challenger",)
    first, second = open_registry(trained).versions()
    assert model_fingerprint(first.folder) == model_fingerprint(second.folder)
    assert dict(first.tags)["fingerprint"] == dict(second.tags)["fingerprint"]
    assert "champion" in first.aliases
    assert deployed(trained, "dev").version == 1


def worse(usecase: UseCase) -> Mapping[str, Any]:
    return {"worse": LogisticRegression(C=1e-6, max_iter=5000)}


def test_a_better_model_is_promoted_and_a_worse_one_is_not(tmp_path: Path) -> None:
    project = make_project(
        tmp_path, noisy(real_rows("breast_cancer")), "binary", candidates=worse, features=few_features
    )
    run(project)
    better = dataclasses.replace(project, hooks=Hooks(load, default_features, quick))
    result = run(better)
    assert result.verdict == "promote", result.comparison.reason
    assert result.comparison.gain is not None
    assert result.comparison.gain.low > 0
    assert deployed(project, "dev").version == 2
    back = run(project)
    assert back.verdict == "keep"
    assert deployed(project, "dev").version == 2
    assert [v.aliases for v in open_registry(project).versions()] == [(), ("champion",), ("challenger",)]


def noisy(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def few_features(usecase: UseCase) -> Any:
    from sklearn.compose import ColumnTransformer

    return ColumnTransformer(
        [("one", FunctionTransformer(), ["fractal_dimension_error", "texture_error", "mean_texture"])]
    )


# --- what stops a run


def test_a_target_without_relation_to_the_features_does_not_beat_the_baseline(
    tmp_path: Path, rows: pd.DataFrame
) -> None:
    rows["outcome"] = rows["outcome"].sample(frac=1, random_state=3).to_numpy()
    error = refused(
        project_of(tmp_path, rows), GateFailed, "beats-baseline: the model does not beat the dummy baseline"
    )
    assert error.exit_code == 4


def test_a_column_that_knows_the_target_stops_the_run(tmp_path: Path, rows: pd.DataFrame) -> None:
    rows["mean_radius"] = (rows["outcome"] == "malignant") * 1.0
    refused(project_of(tmp_path, rows), LeakageFound, "'mean_radius' alone predicts the target 'outcome'")


def test_every_threshold_that_is_missed_is_named_with_number_and_bound(tmp_path: Path, rows: pd.DataFrame) -> None:
    acceptance = {"metrics": {"roc_auc": {"min": 1.0, "confident": True}, "log_loss": {"max": 0.0}}}
    project = project_of(tmp_path, rows, acceptance=acceptance)
    error = refused(project, GateFailed, "2 gates failed; nothing was registered")
    assert "metric:roc_auc:min" in str(error)
    assert "must be at least 1" in str(error)
    assert "metric:log_loss:max" in str(error)
    assert isinstance(error, GateFailed)
    assert "Gates failed: this model was not registered." in error.card.with_suffix(".md").read_text()


def test_a_model_that_treats_groups_differently_is_refused(tmp_path: Path, rows: pd.DataFrame) -> None:
    rows["group"] = np.where(rows["outcome"] == "malignant", np.where(np.arange(len(rows)) % 9 == 0, "a", "b"), "a")
    data = {"sensitive": ["group"], "ignore": ["group"]}
    project = project_of(
        tmp_path, rows, data=full_data(rows, **data), acceptance={"fairness": {"max_selection_rate_difference": 0.1}}
    )
    refused(project, GateFailed, "fairness:group:selection-rate")


def full_data(rows: pd.DataFrame, **more: Any) -> dict[str, Any]:
    from helpers_runtime import columns_of

    return {"source": SOURCE, "target": "outcome", "contract": {"columns": columns_of(rows)}, **more}


def test_a_brittle_model_is_refused(tmp_path: Path, rows: pd.DataFrame) -> None:
    thin = rows[["worst_radius", "texture_error", "outcome"]]
    project = project_of(tmp_path, thin, acceptance={"robustness": {"max_drop": 0.3}})
    refused(project, GateFailed, "robustness: .*'worst_radius' missing")


@pytest.mark.matrix
def test_a_slow_model_is_refused(tmp_path: Path, rows: pd.DataFrame) -> None:
    project = project_of(
        tmp_path,
        rows[["worst_radius", "worst_texture", "outcome"]],
        candidates=lambda u: {
            "slow": BaggingClassifier(ExtraTreesClassifier(n_estimators=40), n_estimators=5, random_state=0)
        },
        model={"calibrate": "none"},
        acceptance={"latency": {"p99_ms": 2}},
    )
    refused(project, GateFailed, r"latency: one row takes .* at most 2 ms")


def test_rows_that_break_the_contract_stop_the_run_and_are_kept_aside(tmp_path: Path, rows: pd.DataFrame) -> None:
    project = project_of(tmp_path, rows)
    rows["mean_radius"] = rows["mean_radius"].astype(object)
    rows.loc[4, "mean_radius"] = "wide"
    rows.to_csv(project.root / SOURCE, index=False)
    error = refused(project, ContractBroken, r"'mean_radius' is not a finite number \(1 row, e.g. 'wide'; row 4\)")
    assert error.exit_code == 4
    (last,) = list_runs(project)
    assert last.refused == "contract-broken"
    assert pd.read_csv(last.folder / "quarantine.csv")["mean_radius"].tolist() == ["wide"]


def test_a_few_bad_rows_are_set_aside_where_the_contract_allows_it(tmp_path: Path, rows: pd.DataFrame) -> None:
    data = full_data(rows)
    data["contract"]["max_bad_rows"] = 0.01
    project = project_of(tmp_path, rows, data=data)
    rows["mean_radius"] = rows["mean_radius"].astype(object)
    rows.loc[4, "mean_radius"] = "wide"
    rows.to_csv(project.root / SOURCE, index=False)
    result = run(project)
    assert json.loads((result.folder / "report.json").read_text())["rows"]["set_aside"] == 1
    assert (result.folder / "quarantine.csv").exists()


def test_a_model_that_could_not_be_loaded_in_production_is_not_registered(tmp_path: Path, rows: pd.DataFrame) -> None:
    def features(usecase: UseCase) -> Any:
        return Pipeline([("default", default_features(usecase)), ("foreign", FunctionTransformer(foreign))])

    refused(project_of(tmp_path, rows, features=features), UntrustedModel, "foreign")


def foreign(values: Any) -> Any:
    """A function outside the project's package."""
    return values


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda f: f.head(0), DataUnreadable, "it has no rows"),
        (lambda f: f.assign(outcome="benign"), DataUnusable, "'benign' in all"),
        (lambda f: f.head(12), DataUnusable, "12 rows"),
        (lambda f: f.drop(columns="outcome"), ContractBroken, "'outcome' is missing"),
    ],
    ids=["header only", "one class", "few rows", "no target"],
)
def test_rows_that_cannot_be_used_stop_the_run(
    tmp_path: Path, rows: pd.DataFrame, change: Any, error: type[FactoryError], said: str
) -> None:
    project = project_of(tmp_path, rows)
    change(rows).to_csv(project.root / SOURCE, index=False)
    refused(project, error, said)


def raising(usecase: UseCase, *_: Any) -> Any:
    raise RuntimeError("my database is down")


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ({"loader": raising}, "data.py: load failed: RuntimeError: my database is down"),
        ({"loader": lambda u, r: [1, 2]}, "it returned a list, not a pandas DataFrame"),
        ({"features": raising}, "features.py: build failed"),
        ({"candidates": raising}, "model.py: candidates failed"),
    ],
)
def test_what_the_projects_own_code_does_wrong_is_told_with_its_place(
    tmp_path: Path, rows: pd.DataFrame, hooks: Any, said: str
) -> None:
    refused(project_of(tmp_path, rows, **hooks), ProjectCodeFailed, said)


def test_an_error_that_a_hook_raises_on_purpose_is_passed_on(tmp_path: Path, rows: pd.DataFrame) -> None:
    project = project_of(tmp_path, rows)
    (project.root / SOURCE).unlink()
    refused(project, DataUnreadable, "no such file")


# --- personal data


def personal(tmp_path: Path, rows: pd.DataFrame) -> Project:
    rows["mail"] = [f"person{i}@people.example" for i in range(len(rows))]
    rows["second"] = rows["mail"]
    rows.loc[7, "mean_radius"] = -1.0
    pii = [
        {"column": "mail", "kind": "email", "action": "hash"},
        {"column": "second", "kind": "email", "action": "drop"},
    ]
    data = full_data(rows, pii=pii)
    for column in data["contract"]["columns"]:
        if column["name"] in ("mail", "second"):
            column |= {"type": "text", "categories": None}
        if column["name"] == "mean_radius":
            column["min"] = 0
    data["contract"]["max_bad_rows"] = 0.5
    return project_of(tmp_path, rows, data=data)


def test_no_file_that_a_run_leaves_holds_personal_data(
    tmp_path: Path, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AI_FACTORY_PII_KEY", "a key for this test only")
    project = personal(tmp_path, rows)
    run(project)
    files = [p for p in project.artifacts.rglob("*") if p.is_file()]
    assert any(p.name == "quarantine.csv" for p in files)
    assert [p for p in files if b"@people.example" in p.read_bytes()] == []


def test_without_a_key_nothing_is_read(tmp_path: Path, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AI_FACTORY_PII_KEY", raising=False)
    refused(personal(tmp_path, rows), PiiKeyMissing, "'mail'")


# --- two at once, killed, full, locked


def test_a_second_run_at_the_same_time_is_refused(trained: Project) -> None:
    with exclusive(trained, "first"), pytest.raises(RunLocked, match="run first, process"):
        run(trained)
    assert len(open_registry(trained).versions()) == 1


def test_a_registry_that_is_locked_stops_the_run_with_nothing_half_registered_and_the_next_run_works(
    trained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ai_factory_runtime.releases.registry_mlflow.BUSY_SECONDS", 0.1)
    with sqlite3.connect(trained.registry_db, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RegistryUnavailable, match="database is locked") as refusal:
            run(trained)
        other.execute("ROLLBACK")
    other.close()
    assert refusal.value.exit_code == 1
    assert [v.aliases for v in open_registry(trained).versions()] == [("champion",)]
    assert deployed(trained, "dev").version == 1
    assert run(trained).registered is not None
    assert [v.version for v in open_registry(trained).versions()] == [1, 2]


def test_run_ids_sort_by_time_and_are_unique() -> None:
    ids = [new_run_id()[0] for _ in range(50)]
    assert len(set(ids)) == 50
    stamps = [i.partition("-")[0] for i in ids]
    assert stamps == sorted(stamps)


def test_a_bug_or_an_interruption_leaves_no_run_folder(tmp_path: Path, rows: pd.DataFrame) -> None:
    project = project_of(tmp_path, rows)

    def interrupt(step: str, _detail: str) -> None:
        if step == "evaluate":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(project, progress=interrupt)
    assert list(project.runs.iterdir()) == []
    assert run(project).registered is not None


@pytest.fixture
def killed(trained: Project) -> Iterator[Any]:
    """Run in another process and kill it, as `kill -9` does, when a step begins.

    One process imports everything once and forks for each run, before it has a thread of its own.
    """
    code = f"""
        import os, signal, sys
        sys.path[:0] = {[str(Path(__file__).parents[2])]!r}
        from pathlib import Path
        from ai_factory_runtime.steps.pipeline import run
        from ai_factory_runtime.base.project import Hooks, open_project
        from helpers_runtime import PACKAGE, default_features, load, quick
        for line in sys.stdin:
            child = os.fork()
            if not child:
                def stop(step, detail):
                    if step == line.strip():
                        os.kill(os.getpid(), signal.SIGKILL)
                run(open_project(PACKAGE, Hooks(load, default_features, quick), root=Path({str(trained.root)!r})), progress=stop)
                os._exit(0)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answered = process.stdin, process.stdout

        def kill_at(step: str) -> None:
            asked.write(f"{step}\n")
            asked.flush()
            assert int(answered.readline()) == -signal.SIGKILL, step

        yield kill_at
        asked.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(("register", "deploy"), id="those that write most"),
        pytest.param(STEPS, id="all", marks=pytest.mark.matrix),
    ],
)
def test_a_run_killed_at_any_step_leaves_nothing_half_registered_and_the_next_run_works(
    trained: Project, killed: Any, steps: Sequence[str]
) -> None:
    """Each run is the next run after a kill: it gets further, and is killed there."""
    assert set(steps) <= set(STEPS)
    for step in steps:
        killed(step)
        versions = open_registry(trained).versions()
        assert [v.version for v in versions] == ([1, 2] if step == "deploy" else [1]), step
        assert [v.aliases for v in versions] == [("champion",), ()][: len(versions)]
        assert deployed(trained, "dev").version == 1
        for version in versions:
            load_package(version.folder, digest=version.digest, trusted_package=PACKAGE)
    assert [r.version.version for r in list_runs(trained) if r.version] == [2, 1]
    result = run(trained)
    assert result.registered is not None
    after = open_registry(trained).versions()
    assert [v.version for v in after] == [1, 2, 3]
    assert all("settled" in dict(v.tags) for v in after)
    assert not list(trained.artifacts.rglob("*.partial*"))
    assert {p.name for p in trained.models.iterdir()} >= {v.run_id for v in after}


@pytest.mark.slow
@pytest.mark.matrix
def test_a_run_killed_between_registration_and_deployment_is_finished_by_the_next(
    trained: Project, killed: Any
) -> None:
    """The champion is taken away first, so that the killed run's verdict is to promote."""
    shutil.rmtree(open_registry(trained).versions()[0].folder)
    killed("deploy")
    assert open_registry(trained).versions()[1].aliases == ()
    run(trained)
    _, second, third = open_registry(trained).versions()
    assert second.aliases == ("champion",)
    assert third.aliases == ("challenger",)
    assert deployed(trained, "dev").version == 2


def test_a_disk_that_fills_up_is_told_as_such_and_the_next_run_works(tmp_path: Path, rows: pd.DataFrame) -> None:
    project = project_of(tmp_path, rows)
    with full_disk(4096), pytest.raises(WriteFailed, match="File too large"):
        run(project)
    assert open_registry(project).versions() == ()
    assert run(project).registered is not None


def test_a_file_where_the_folder_should_be_is_told_as_such(tmp_path: Path, rows: pd.DataFrame) -> None:
    project = project_of(tmp_path, rows)
    project.artifacts.write_text("")
    with pytest.raises(WriteFailed, match="artifacts"):
        run(project)


def test_a_registry_that_is_no_database_stops_the_run(tmp_path: Path, rows: pd.DataFrame) -> None:
    project = project_of(tmp_path, rows)
    project.artifacts.mkdir()
    project.registry_db.write_bytes(b"this is no database" * 200)
    with pytest.raises(RegistryUnavailable, match="file is not a database"):
        run(project)


# --- a champion that is met, and one that cannot be


def test_stated_costs_have_a_say_in_the_verdict_and_are_on_the_card(trained: Project) -> None:
    model = trained.usecase.model.model_copy(update={"costs": Costs(false_positive=1, false_negative=20, unit="EUR")})
    result = run(dataclasses.replace(trained, usecase=trained.usecase.model_copy(update={"model": model})))
    assert result.comparison.saving is not None
    assert "EUR saved a row" in result.comparison.reason
    report = json.loads((result.folder / "report.json").read_text(encoding="utf-8"))
    assert report["comparison"]["saving"]["value"] == pytest.approx(result.comparison.saving.value)
    assert report["expected_cost"]["estimate"]["value"] < report["expected_cost"]["baseline"]
    for card in (result.card, result.card.with_suffix(".md")):
        assert "Expected cost of a row" in card.read_text(encoding="utf-8")


def test_a_champion_that_was_changed_on_disk_is_replaced_and_the_reason_is_told(trained: Project) -> None:
    champion = open_registry(trained).champion()
    assert champion is not None
    (champion.folder / "model.skops").write_bytes(b"other")
    result = run(trained)
    assert result.verdict == "promote"
    assert "version 1 cannot be used any more" in result.comparison.reason
    assert "model.skops was changed" in result.comparison.reason


def test_a_champion_that_needs_columns_of_an_older_contract_is_replaced(trained: Project) -> None:
    document = (
        (trained.root / "usecase.yaml")
        .read_text()
        .replace("  target: outcome\n", "  target: outcome\n  ignore: [mean_radius]\n")
    )
    (trained.root / "usecase.yaml").write_text(document)
    ignoring = open_project(PACKAGE, trained.hooks, root=trained.root)
    assert "mean_radius" not in [c.name for c in ignoring.usecase.data.features]
    result = run(ignoring)
    assert result.comparison.champion == 1  # the column is still read, so the champion can answer


# --- what made this model?


def test_show_finds_a_run_by_id_by_its_beginning_and_by_version(trained: Project) -> None:
    (past,) = list_runs(trained)
    for name in (past.run_id, past.run_id[:12], "1", "v1"):
        found = find_run(trained, name)
        assert found.run_id == past.run_id
        assert found.version is not None
    lineage = past.report["lineage"]
    assert lineage["seed"] == 7
    assert len(lineage["source_sha256"]) == len(lineage["rows_sha256"]) == 64
    with pytest.raises(FactoryError, match="no run '9'"):
        find_run(trained, "9")
