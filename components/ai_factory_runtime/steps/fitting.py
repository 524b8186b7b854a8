"""The step `train`: from prepared rows to the chosen model, fitted on all rows that are not held out."""

from __future__ import annotations

import dataclasses
from typing import Any

from ai_factory_runtime.base.processors import processors
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.project_code import call
from ai_factory_runtime.base.runs import Progress
from ai_factory_runtime.model_package.model_file import dump_estimator, load_estimator
from ai_factory_runtime.steps.prepare import Prepared
from ai_factory_runtime.training.selection import Trained, train


def fit(project: Project, prepared: Prepared, say: Progress) -> Trained:
    """Ask the project for features and candidates, try them, fit the best.

    From here on the model is the one that production loads: stored and read back, so that what is measured, packaged and
    handed to another container is one thing. Raises ProjectCodeFailed, DataUnusable, UntrustedModel.
    """
    usecase = project.usecase
    say("train", "")
    features = call("features.py: build", project.hooks.features, usecase)
    candidates = call("model.py: candidates", project.hooks.candidates, usecase)
    with processors(len(prepared.frame)):
        trained = train(
            prepared.frame,
            usecase,
            prepared.split,
            features,
            candidates,
            on_candidate=lambda name: say("train", name),
        )
    return dataclasses.replace(
        trained, estimator=_stored(project, trained.estimator), baseline=_stored(project, trained.baseline)
    )


def _stored(project: Project, estimator: Any) -> Any:
    return load_estimator(dump_estimator(estimator), folder="this run", trusted_package=project.package)
