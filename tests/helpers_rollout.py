"""What the tests of rollouts share: a project with a champion in dev, and challengers that are good or bad in one way each."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from ai_factory_runtime.base.prediction import Prediction, Signature, predict
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.model_package.package import load_package, package_digest, write_package
from ai_factory_runtime.model_package.sketch import build_sketch
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.releases.stages import deploy
from ai_factory_runtime.rollout.decisions import CHALLENGER, CHAMPION, Arm, Rollout
from ai_factory_runtime.rollout.observations import Observed, Recorder
from ai_factory_runtime.rollout.rollout_file import observation_folder
from ai_factory_runtime.rollout.rollouts import find_rollout, start
from ai_factory_runtime.serving.endpoint import Call, open_endpoint
from ai_factory_runtime.serving.router import Router, position
from ai_factory_spec.usecase import Deployment
from helpers_serving import SPEND, as_records, make_documents, make_estimator, make_project, make_rows
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

ARMS: tuple[Arm, Arm] = (CHAMPION, CHALLENGER)


def with_terms(project: Project, **terms: Any) -> Project:
    """The project with these fields of deployment.rollout; no waiting unless it is asked for."""
    # A rollout's id decides who meets the challenger, and is drawn anew: 5 % of false alarms would be 5 % of false failures.
    document = {
        "strategy": "canary",
        "wait_minutes": 0,
        "min_requests": 200,
        "step_percent": 50,
        "false_alarm_rate": 0.0005,
    }
    document |= terms
    deployment = Deployment.model_validate({"rollout": document})
    return dataclasses.replace(project, usecase=project.usecase.model_copy(update={"deployment": deployment}))


def _numbers() -> tuple[Any, list[str]]:
    return SimpleImputer(strategy="median"), ["age", SPEND]


def fragile() -> Any:
    """Raises on every row whose plan is "gold", which its training had never seen."""
    encode = OneHotEncoder(categories=[["1", "2"]], handle_unknown="error")
    return make_pipeline(make_column_transformer(_numbers(), (encode, ["plan"]), sparse_threshold=0), LogisticRegression(max_iter=1000))  # fmt: skip


def slow() -> Any:
    """Takes tens of milliseconds for one row."""
    forest = RandomForestClassifier(300, max_depth=3, random_state=0)
    return make_pipeline(make_column_transformer(_numbers()), forest)


def _mostly_yes(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(churned=rows["churned"].where(rows.index % 8 == 0, "yes"))


def _without_gold(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["plan"] != "gold"].reset_index(drop=True)


def _as_they_are(rows: pd.DataFrame) -> pd.DataFrame:
    return rows


KINDS: dict[str, tuple[Callable[[], Any], Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "good": (lambda: make_estimator("binary"), _as_they_are),
    "eager": (lambda: make_estimator("binary"), _mostly_yes),
    "fragile": (fragile, _without_gold),
    "slow": (slow, _as_they_are),
}


def add_version(project: Project, number: int, kind: str = "good") -> Path:
    """Write the package of a version as the pipeline does. Returns its folder."""
    make, change = KINDS[kind]
    data = project.usecase.data
    target = data.column(data.target)
    frame = to_canonical(change(make_rows(600, seed=number)), [*data.features, target])
    features = frame[[c.name for c in data.features]]
    estimator = make()
    estimator.fit(features, frame[target.name])
    signature = Signature(project.usecase.name, "binary", data.features, target, target.categories or (), "yes", 0.5)
    folder = project.models / f"run-{number}"
    write_package(
        folder, estimator=estimator, signature=signature, reference=features.head(20), documents=make_documents(project),
        sketch=build_sketch(features, data.features, predict(estimator, signature, features)).to_json(),
    )  # fmt: skip
    return folder


def make_champion(root: Path, *kinds: str) -> Project:
    """A project with version 1 in dev, and a challenger of each kind as versions 2, 3, …"""
    project = make_versions(root, *kinds)
    put(project, 1)
    return project


def make_registered(root: Path, *kinds: str) -> Project:
    """The same, every version in the registry."""
    project = make_versions(root, *kinds)
    for number in range(1, len(kinds) + 2):
        run = f"run-{number}"
        folder = project.models / run
        open_registry(project).register(folder, digest=package_digest(folder), run_id=run, tags={}, metrics={})
    put(project, 1)
    return project


def make_versions(root: Path, *kinds: str) -> Project:
    """The packages alone."""
    project = make_project(root)
    for number, kind in enumerate(("good", *kinds), start=1):
        add_version(project, number, kind)
    return project


def copied(project: Project, root: Path) -> Project:
    """A copy at `root`, for one test to change; its rollouts wait for nothing."""
    shutil.copytree(project.root, root)
    return with_terms(dataclasses.replace(project, root=root))


def put(project: Project, number: int, stage: str = "dev") -> None:
    """Deploy a version."""
    folder = project.models / f"run-{number}"
    deploy(project, stage, version=number, digest=package_digest(folder), folder=folder)


def begin(project: Project, number: int, stage: str = "dev") -> Rollout:
    """Begin the rollout of a version."""
    folder = project.models / f"run-{number}"
    return start(project, stage, version=number, digest=package_digest(folder), folder=folder)


def open_router(project: Project, stage: str = "dev", **times: float) -> Router:
    """A router that follows nothing by itself: tests call `refresh`, unless they `start` it."""
    return Router(project, open_endpoint(project, stage), **times)


def answered(project: Project, stage: str = "dev", count: int = 900) -> dict[str, tuple[int, str]]:
    """A server's work, all at once: the models' own answers to requests of one row, each arm's written down as a router does.

    Returns the version that answered and its answer, by request.
    """
    rollout = find_rollout(project, stage)
    recorder = Recorder(observation_folder(project, rollout))
    rows, told = make_rows(count, seed=9), {}
    packages = [load_package(project.models / f"run-{c.version}") for c in (rollout.champion, rollout.challenger)]
    answers = [p.predict(to_canonical(rows, p.signature.features)) for p in packages]
    for i in range(count):
        arm = int(position(rollout.rollout_id, f"r{i}") * 100 < rollout.share)
        shares = answers[arm].probabilities
        assert shares is not None
        one = Prediction(answers[arm].values[[i]], shares[[i]])
        recorder.add(Observed(rollout.step, ARMS[arm], f"r{i}", one, slow=False))
        told[f"r{i}"] = ((rollout.champion, rollout.challenger)[arm].version, str(one.values[0]))
    recorder.close()
    return told


def calls(project: Project, count: int, *, prefix: str = "r", seed: int = 9) -> list[Call]:
    """Requests of one row each."""
    records = as_records(make_rows(count, seed=seed), project)
    return [Call(f"{prefix}{i}", json.dumps({"records": [r]}).encode()) for i, r in enumerate(records)]
