"""The step `train`: from prepared rows to the chosen model, fitted on all rows that are not held out."""

from __future__ import annotations

from ai_factory_runtime.prepare import Prepared
from ai_factory_runtime.processors import processors
from ai_factory_runtime.project import Project
from ai_factory_runtime.project_code import call
from ai_factory_runtime.runs import Progress
from ai_factory_runtime.training import Trained, train


def fit(project: Project, prepared: Prepared, say: Progress) -> Trained:
    """Ask the project for features and candidates, try them, fit the best. Raises ProjectCodeFailed, DataUnusable."""
    usecase = project.usecase
    say("train", "")
    features = call("features.py: build", project.hooks.features, usecase)
    candidates = call("model.py: candidates", project.hooks.candidates, usecase)
    with processors(len(prepared.frame)):
        return train(
            prepared.frame,
            usecase,
            prepared.split,
            features,
            candidates,
            on_candidate=lambda name: say("train", name),
        )
