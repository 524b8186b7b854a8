"""Stages: which model answers in dev, staging and prod. One file per stage, replaced as a whole.

Outside dev nothing is deployed that is not approved, and `deployed` checks it again each time a model is taken from
its file: an approval withdrawn, or a policy made stricter, counts at the next start.
"""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_factory_spec.naming import command_name

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.errors import NothingDeployed, TamperedModel, WriteFailed
from ai_factory_runtime.base.locking import locked
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import DeploymentUnreadable, NothingToRollBack, UnknownStage
from ai_factory_runtime.model_package.package import MANIFEST, ModelPackage, load_package, package_digest
from ai_factory_runtime.releases.partitions import require_one_model
from ai_factory_runtime.releases.release import release_version, require_approved

DEV = "dev"
HISTORY = 20


@dataclass(frozen=True, slots=True)
class Deployed:
    """The model of a stage. `folder` is the package's absolute folder; `at` is when it was deployed (ISO 8601, UTC)."""

    stage: str
    version: int
    digest: str
    folder: Path
    at: str


def deploy(project: Project, stage: str, *, version: int, digest: str, folder: Path) -> Deployed:
    """Make a model the one of `stage`; the one before stays in the file's history.

    `folder` is a model package under artifacts/. Raises UnknownStage, TamperedModel where the files are not those of
    `digest`, and outside dev NotApproved or ReleaseInvalid.
    """
    model = _deployable(project, stage, version, digest, folder)
    with _locked(project, stage):
        _put(project, model, _read(project, stage))
    return model


def promote(project: Project, version: int, stage: str) -> Deployed:
    """Deploy a registered version to a stage. A damaged file of the stage is kept as `<stage>.json.damaged` and begun anew.

    Raises what `deploy` raises but DeploymentUnreadable, and UnknownVersion.
    """
    from ai_factory_runtime.releases.registry import open_registry

    _check_stage(project, stage)
    found = open_registry(project).get(version)
    model = _deployable(project, stage, found.version, found.digest, found.folder)
    with _locked(project, stage):
        try:
            before = _read(project, stage)
        except DeploymentUnreadable:
            _keep_damaged(_path(project, stage))
            before = []
        _put(project, model, before)
    return model


def roll_back(project: Project, stage: str) -> Deployed:
    """Deploy the model that the stage had before. Raises NothingDeployed, NothingToRollBack, and what `deploy` raises."""
    _check_stage(project, stage)
    with _locked(project, stage):
        known = _read(project, stage)
        if not known:
            raise _nothing(project, stage)
        current, *earlier = known
        if not earlier:
            raise NothingToRollBack(stage=stage, version=current.version)
        target = earlier[0]
        back = _deployable(project, stage, target.version, target.digest, target.folder)
        _write(project, back, earlier[1:])  # the model that was left is no way back
    return back


def deployed(project: Project, stage: str) -> Deployed:
    """The model of a stage, allowed to answer there. Raises UnknownStage, NothingDeployed, NotApproved, ReleaseInvalid."""
    _check_stage(project, stage)
    known = _read(project, stage)
    if not known:
        raise _nothing(project, stage)
    if stage != DEV:
        require_approved(project, known[0].folder, stage=stage, version=known[0].version)
    return known[0]


def load_deployed(
    project: Project, stage: str, environment: Mapping[str, str] = os.environ
) -> tuple[Deployed, ModelPackage]:
    """The model that may answer in a stage, checked and loaded.

    In a container that is handed its model (AI_FACTORY_MODEL names a folder with a package, such as SageMaker's
    /opt/ml/model) it is that one, under the same approval. A project with many models gives all of them as one
    (`fleet.Fleet`). Raises what `deployed` and `load_package` raise.
    """
    if project.usecase.model.partition_by is not None:
        from ai_factory_runtime.releases.fleet import load_fleet

        return load_fleet(project, stage, environment)
    handed = Path(environment.get("AI_FACTORY_MODEL", ""))
    if environment.get("AI_FACTORY_MODEL") and (handed / MANIFEST).is_file():
        model = _handed_over(project, stage, handed)
    else:
        model = deployed(project, stage)
    return model, load_package(model.folder, digest=model.digest, trusted_package=project.package)


def history(project: Project, stage: str) -> tuple[Deployed, ...]:
    """The models a stage had before its present one, the latest first."""
    _check_stage(project, stage)
    return tuple(_read(project, stage)[1:])


def _deployable(project: Project, stage: str, version: int, digest: str, folder: Path) -> Deployed:
    """The deployment of a model from now on, if it may be. Raises UnknownStage, TamperedModel, NotApproved, ReleaseInvalid."""
    _check_stage(project, stage)
    found = package_digest(folder)
    if found != digest:
        raise TamperedModel(folder=folder, problems=[f"its digest is {found[:12]}…, not {digest[:12]}…"])
    if stage != DEV:
        require_approved(project, folder, stage=stage, version=version)
    return Deployed(stage, version, digest, folder.resolve(), dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))


def _put(project: Project, model: Deployed, before: list[Deployed]) -> None:
    """Write a stage's file; the same model once more is no step of its history."""
    again = bool(before) and (before[0].version, before[0].digest) == (model.version, model.digest)
    _write(project, model, before[1:] if again else before)


def _keep_damaged(path: Path) -> None:
    """Copy a damaged file beside itself; it stays in its place until the new one takes it."""
    kept = path.with_name(f"{path.name}.damaged")
    try:
        body = path.read_bytes()
    except OSError as error:
        raise WriteFailed(path=path, problem=error.strerror or str(error)) from error
    write_atomically(kept, body)


def _locked(project: Project, stage: str) -> AbstractContextManager[None]:
    """One change of a stage at a time: its file is read, and replaced by what follows from it."""
    return locked(_path(project, stage).with_name(f".{stage}.lock"))


def recorded(project: Project, stage: str) -> tuple[Deployed, ...]:
    """What a stage's file says: its model and those before, the latest first. Raises UnknownStage, DeploymentUnreadable."""
    _check_stage(project, stage)
    return tuple(_read(project, stage))


def _handed_over(project: Project, stage: str, folder: Path) -> Deployed:
    """A package that the container was given; its release record knows its version, in dev there may be none (0)."""
    _check_stage(project, stage)
    version = release_version(project, folder)
    if stage != DEV:
        version = require_approved(project, folder, stage=stage).version
    return Deployed(stage, version, package_digest(folder), folder, at="")


def _check_stage(project: Project, stage: str) -> None:
    known = project.usecase.deployment.stages
    if stage not in known:
        raise UnknownStage(stage=stage, known=known)


def _nothing(project: Project, stage: str) -> NothingDeployed:
    command = command_name(project.usecase.name)
    hint = f"`{command} run` trains a model and deploys it to dev."
    if stage != DEV:
        hint = f"`{command} releases` lists what is approved; `{command} promote VERSION --stage {stage}` deploys it."
    return NothingDeployed(stage=stage, hint=hint)


def _path(project: Project, stage: str) -> Path:
    require_one_model(project)
    return project.stages / f"{stage}.json"


def _write(project: Project, model: Deployed, earlier: list[Deployed]) -> None:
    document = {**_entry(project, model), "history": [_entry(project, m) for m in earlier[:HISTORY]]}
    body = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    write_atomically(_path(project, model.stage), body.encode())


def _entry(project: Project, model: Deployed) -> dict[str, object]:
    """As in the file: the folder is relative to artifacts/, so that the project can be moved."""
    folder = model.folder.resolve().relative_to(project.artifacts.resolve()).as_posix()
    return {"stage": model.stage, "version": model.version, "digest": model.digest, "folder": folder, "at": model.at}


def _read(project: Project, stage: str) -> list[Deployed]:
    """The stage's model and those before it, the latest first; empty where there never was one."""
    path = _path(project, stage)
    try:
        document = json.loads(path.read_bytes())
        return [_model(project, stage, entry) for entry in (document, *document["history"])]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeploymentUnreadable(path=path, reason=f"{type(error).__name__}: {error}") from error


def _model(project: Project, stage: str, entry: Mapping[str, Any]) -> Deployed:
    root = project.artifacts.resolve()
    folder = (root / str(entry["folder"])).resolve()
    if entry["stage"] != stage:
        raise ValueError(f"it is of stage {entry['stage']!r}")
    if not folder.is_relative_to(root):
        raise ValueError(f"its folder {entry['folder']!r} is outside artifacts/")
    if type(entry["version"]) is not int:
        raise ValueError(f"its version {entry['version']!r} is no number")
    return Deployed(stage, entry["version"], str(entry["digest"]), folder, str(entry["at"]))
