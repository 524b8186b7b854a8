"""The step `register`: a judged model becomes a package, a version of the registry, and what its verdict earned.

The version is registered in one transaction, last of all that must be whole; what a kill leaves undone after it
(`settle`), the next run finishes.
"""

from __future__ import annotations

import shutil

import numpy as np
from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.judging import Judgement
from ai_factory_runtime.package import ModelPackage, load_package, model_fingerprint, write_package
from ai_factory_runtime.prepare import Prepared
from ai_factory_runtime.project import Project
from ai_factory_runtime.registry import CHALLENGER, CHAMPION, ModelVersion, Registry
from ai_factory_runtime.runs import Progress, Run

REFERENCE_ROWS = 50


def register(
    project: Project, registry: Registry, run: Run, prepared: Prepared, judgement: Judgement, say: Progress
) -> ModelVersion:
    """Package, register and settle a model that passed its gates.

    Raises UntrustedModel, ParityBroken (the model could not be loaded in production), WriteFailed, RegistryUnavailable.
    """
    evaluated = judgement.evaluated
    say("package", evaluated.trained.name)
    package = write_model(project, run, prepared, judgement)
    say("register", "")
    tags = {
        "verdict": judgement.comparison.verdict,
        "model": evaluated.trained.name,
        "fingerprint": model_fingerprint(package.folder),
    }
    metrics = {name: e.value for name, e in evaluated.measured.metrics.items() if np.isfinite(e.value)}
    version = registry.register(package.folder, digest=package.digest, run_id=run.run_id, tags=tags, metrics=metrics)
    say("deploy", f"version {version.version}")
    return settle(project, registry, version)


def write_model(project: Project, run: Run, prepared: Prepared, judgement: Judgement) -> ModelPackage:
    """Write the model package and load it as production will: a model that cannot be loaded is not registered."""
    from ai_factory_runtime.sketch import build_sketch

    evaluated, folder = judgement.evaluated, project.models / run.run_id
    trained = evaluated.trained
    # Predictions for rows the model was not fitted on: those for its own training rows are too sure of themselves.
    sketch = build_sketch(prepared.frame, trained.signature.features, evaluated.judged.prediction)
    digest = write_package(
        folder,
        estimator=trained.estimator,
        signature=trained.signature,
        sketch=sketch.to_json(),
        reference=prepared.held_out.head(REFERENCE_ROWS),
        documents=judgement.evidence.documents,
    )
    try:
        return load_package(folder, digest=digest, trusted_package=project.package)
    except FactoryError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def settle(project: Project, registry: Registry, version: ModelVersion) -> ModelVersion:
    """Give a registered version what its verdict earned: alias, release record, stage dev. Doing it twice changes nothing."""
    from ai_factory_runtime.release import open_release
    from ai_factory_runtime.stages import DEV, deploy

    promoted = dict(version.tags)["verdict"] == "promote"
    registry.set_alias(CHAMPION if promoted else CHALLENGER, version.version)
    if promoted:
        open_release(project, version)
        deploy(project, DEV, version=version.version, digest=version.digest, folder=version.folder)
    registry.set_tag(version.version, "settled", "yes")
    return registry.get(version.version)


def finish_interrupted(project: Project, registry: Registry) -> None:
    """Settle the newest version if the run that registered it was stopped before it could."""
    versions = registry.versions()
    if versions and "settled" not in dict(versions[-1].tags) and versions[-1].folder.is_dir():
        settle(project, registry, versions[-1])
