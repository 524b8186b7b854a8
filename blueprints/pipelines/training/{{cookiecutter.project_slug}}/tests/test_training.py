"""The training pipeline: it registers a good model, and each gate stops the model it is there to stop."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import ContractBroken, GateFailed, LeakageFound, ParityBroken, TamperedModel
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.model_package.package import load_package, model_fingerprint, package_digest
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.steps.exporting import check_exported
from ai_factory_runtime.steps.pipeline import run
from ai_factory_spec import load_usecase
from ai_factory_spec.metrics import METRICS
from ai_factory_spec.usecase import Acceptance, Column, Threshold

from project_copy import ROOT, open_copy, write_rows


def with_rows(project: Project, rows: pd.DataFrame) -> Project:
    write_rows(rows, project.root / project.usecase.data.source)
    return project


def registered(project: Project) -> int:
    return len(open_registry(project).versions())


def newest_package(project: Project) -> Path:
    champion = open_registry(project).champion()
    assert champion is not None
    return champion.folder


def test_a_good_model_is_registered_with_its_card_and_becomes_champion(trained: Project) -> None:
    champion = open_registry(trained).champion()
    assert champion is not None
    assert champion.version == 1
    assert champion.digest == package_digest(champion.folder)
    card = (champion.folder / "card.md").read_text(encoding="utf-8")
    assert trained.usecase.model.primary_metric in card


def test_the_same_data_and_seed_give_the_same_model(trained: Project, project: Project) -> None:
    again = run(project)
    assert again.registered is not None
    assert model_fingerprint(again.registered.folder) == model_fingerprint(newest_package(trained))


def test_a_target_without_relation_to_the_features_is_not_learnable_and_registers_nothing(
    project: Project, rows: pd.DataFrame
) -> None:
    target = project.usecase.data.target
    rows[target] = rows[target].sample(frac=1.0, random_state=3).to_numpy()
    with pytest.raises(GateFailed, match="baseline"):
        run(with_rows(project, rows))
    assert registered(project) == 0


def test_a_threshold_out_of_reach_stops_the_run_and_names_number_and_threshold(project: Project) -> None:
    metric = METRICS[project.usecase.model.primary_metric]
    bound = Threshold(min=metric.high) if metric.greater_is_better else Threshold(max=metric.low)
    acceptance = Acceptance(metrics={metric.name: bound})
    usecase = project.usecase.model_copy(update={"acceptance": acceptance})
    with pytest.raises(GateFailed, match=metric.name) as failure:
        run(dataclasses.replace(project, usecase=usecase))
    assert failure.value.exit_code == 4
    assert registered(project) == 0


def test_a_column_that_gives_the_target_away_stops_the_run_and_is_named(project: Project, rows: pd.DataFrame) -> None:
    data = project.usecase.data
    leak = data.features[0].name
    answers = rows[data.target]
    codes = answers if project.usecase.model.task == "regression" else answers.astype("category").cat.codes
    rows[leak] = codes.astype(float) * 3 + 1
    columns = tuple(Column(name=leak, type="number") if c.name == leak else c for c in data.contract.columns)
    contract = data.contract.model_copy(update={"columns": columns})
    leaking = data.model_validate(data.model_dump() | {"contract": contract.model_dump(), "sensitive": ()})
    usecase = project.usecase.model_copy(update={"data": leaking})
    with pytest.raises(LeakageFound, match="predict"):
        run(dataclasses.replace(with_rows(project, rows), usecase=usecase))
    assert registered(project) == 0


def test_rows_that_break_the_contract_stop_the_run(project: Project, rows: pd.DataFrame) -> None:
    target = project.usecase.data.target
    with pytest.raises(ContractBroken, match="missing"):
        run(with_rows(project, rows.drop(columns=target)))
    assert registered(project) == 0


def test_a_changed_model_file_is_refused_before_it_is_loaded(trained: Project) -> None:
    folder = newest_package(trained)
    model = folder / "model.skops"
    model.write_bytes(model.read_bytes() + b"\x00")
    with pytest.raises(TamperedModel, match=r"model\.skops"):
        load_package(folder, trusted_package=trained.package)


def test_a_model_that_answers_otherwise_than_in_training_is_refused(trained: Project) -> None:
    """As if the features had changed after training: the packaged reference rows no longer give their answers."""
    folder = newest_package(trained)
    parity = folder / "parity.json"
    document = json.loads(parity.read_text(encoding="utf-8"))
    assert move_first_number(document), "parity.json holds no expected output"
    parity.write_text(json.dumps(document), encoding="utf-8")
    reseal(folder, "parity.json")
    with pytest.raises(ParityBroken):
        load_package(folder, trusted_package=trained.package)


def move_first_number(document: dict) -> bool:
    """Move the first expected output by one part in a thousand, or to another text."""
    expected = document["expected"]
    values = expected["probabilities"][0] if expected.get("probabilities") else expected["values"]
    values[0] = values[0] * 1.001 + 1e-6
    return bool(np.isfinite(values[0]))


def reseal(folder: Path, name: str) -> None:
    """Write the changed file's checksum into the manifest, as somebody who hides a change would."""
    import hashlib

    manifest = folder / "manifest.json"
    document = json.loads(manifest.read_text(encoding="utf-8"))
    document["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    manifest.write_text(json.dumps(document), encoding="utf-8")


def test_a_package_copied_elsewhere_still_loads(trained: Project, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(newest_package(trained), copy)
    assert load_package(copy, trusted_package=trained.package).digest == package_digest(copy)


def test_the_pipeline_that_the_training_stack_deploys_is_this_projects() -> None:
    """Where there is no such stack there is no such file; with it, `export-pipeline` writes it anew."""
    path = ROOT / "infra" / "training" / "pipeline.json"
    own = dataclasses.replace(open_copy(ROOT), usecase=load_usecase(ROOT / "usecase.yaml"))
    if path.exists():
        check_exported(own, path)
