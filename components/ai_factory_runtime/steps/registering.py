"""The step `register`: a judged model becomes a package, a version of the registry, and what its verdict earned.

The version is registered in one transaction, last of all that must be whole; what a kill leaves undone after it
(`settle`), the next run finishes.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.base.errors import WriteFailed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.runs import Progress, Run
from ai_factory_runtime.model_package.package import ModelPackage, load_package, model_fingerprint, write_package
from ai_factory_runtime.releases.registry import CHALLENGER, CHAMPION, ModelVersion, Registry
from ai_factory_runtime.steps.judging import Judgement
from ai_factory_runtime.steps.outcome import Outcome, outcome_of
from ai_factory_runtime.steps.prepare import Prepared

REFERENCE_ROWS = 50


def register(
    project: Project, registry: Registry, run: Run, prepared: Prepared, judgement: Judgement, say: Progress
) -> ModelVersion:
    """Package, register and settle a model that passed its gates.

    Raises UntrustedModel, ParityBroken (the model could not be loaded in production), WriteFailed, RegistryUnavailable.
    """
    say("package", judgement.evaluated.trained.name)
    package = write_model(project, project.models / run.run_id, prepared, judgement)
    return enrol(project, registry, run, package, outcome_of(judgement), say)


def write_model(project: Project, folder: Path, prepared: Prepared, judgement: Judgement) -> ModelPackage:
    """Write the model package to `folder` and load it as production will: a model that cannot be loaded is not registered."""
    from ai_factory_runtime.evaluation.residuals import residuals
    from ai_factory_runtime.model_package.sketch import build_sketch

    evaluated = judgement.evaluated
    trained = evaluated.trained
    # Predictions for rows the model was not fitted on: those for its own training rows are too sure of themselves.
    judged = evaluated.judged
    known = [kind.summary() for kind in residuals(judged)]
    sketch = build_sketch(prepared.frame, trained.signature.features, judged.prediction, known)
    digest = write_package(
        folder,
        estimator=trained.estimator,
        signature=trained.signature,
        sketch=sketch.to_json(),
        reference=prepared.held_out.head(REFERENCE_ROWS),
        documents=judgement.evidence.documents,
    )
    return _loaded(project, folder, digest)


def adopt_model(project: Project, package: Path, folder: Path, digest: str) -> ModelPackage:
    """Take a package that another container wrote into `folder`; what an unfinished attempt left there goes. Raises TamperedModel, WriteFailed …"""
    load_package(package, digest=digest, trusted_package=project.package)
    staging = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        shutil.copytree(package, staging)
        shutil.rmtree(folder, ignore_errors=True)
        staging.rename(folder)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise WriteFailed(path=folder, problem=error.strerror or str(error)) from error
    return _loaded(project, folder, digest)


def enrol(
    project: Project, registry: Registry, run: Run, package: ModelPackage, outcome: Outcome, say: Progress
) -> ModelVersion:
    """Make a package the registry's next version and give it what its verdict earned. Raises RegistryUnavailable."""
    say("register", "")
    tags = {
        "verdict": outcome.comparison.verdict,
        "model": outcome.model,
        "fingerprint": model_fingerprint(package.folder),
    }
    metrics = {name: e.value for name, e in outcome.metrics.items() if np.isfinite(e.value)}
    try:
        version = registry.register(
            package.folder, digest=package.digest, run_id=run.run_id, tags=tags, metrics=metrics
        )
    except FactoryError:
        _discard_unregistered(registry, package.folder, run)
        raise
    say("deploy", f"version {version.version}")
    return settle(project, registry, version)


def settle(project: Project, registry: Registry, version: ModelVersion) -> ModelVersion:
    """Give a registered version what its verdict earned: alias, release record, stage dev. Doing it twice changes nothing."""
    from ai_factory_runtime.releases.release import open_release
    from ai_factory_runtime.releases.stages import DEV, deploy

    promoted = dict(version.tags)["verdict"] == "promote"
    registry.set_alias(CHAMPION if promoted else CHALLENGER, version.version)
    if promoted:
        open_release(project, version)
        deploy(project, DEV, version=version.version, digest=version.digest, folder=version.folder)
    registry.set_tag(version.version, "settled", "yes")
    return registry.get(version.version)


def finish_interrupted(project: Project, registry: Registry) -> None:
    """Settle the newest version if the run that registered it was stopped before it could.

    Before anything is registered: a stage whose file cannot be read would take no new champion. Raises DeploymentUnreadable.
    """
    from ai_factory_runtime.releases.stages import DEV, history

    history(project, DEV)
    versions = registry.versions()
    if versions and "settled" not in dict(versions[-1].tags) and versions[-1].folder.is_dir():
        settle(project, registry, versions[-1])


def _discard_unregistered(registry: Registry, folder: Path, run: Run) -> None:
    """Remove a package that became no version; one that a registry took and failed to answer for stays."""
    with contextlib.suppress(FactoryError):
        if any(version.run_id == run.run_id for version in registry.versions()):
            return
    shutil.rmtree(folder, ignore_errors=True)


def _loaded(project: Project, folder: Path, digest: str) -> ModelPackage:
    try:
        return load_package(folder, digest=digest, trusted_package=project.package)
    except FactoryError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
