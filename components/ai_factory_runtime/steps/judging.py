"""The step `evaluate`: a trained model on the held-out rows, before the gates, against the champion, and on its card.

It ends with a judgement, good or bad. Whether a bad one stops the run is for the pipeline to say (`require_passed`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.errors import ContractBroken, GateFailed, ModelUnusable
from ai_factory_runtime.base.gate_result import GateResult
from ai_factory_runtime.base.processors import processors
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.runs import Progress, Run
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.evaluation import gates as gate
from ai_factory_runtime.evaluation.comparison import Comparison, compare, without_champion
from ai_factory_runtime.evaluation.estimates import Judged
from ai_factory_runtime.evaluation.measured import Measured
from ai_factory_runtime.model_package.package import CARD_HTML, ModelPackage, load_package
from ai_factory_runtime.releases.registry import Registry
from ai_factory_runtime.steps.evidence import Evidence, document
from ai_factory_runtime.steps.measuring import answers_of, measure
from ai_factory_runtime.steps.prepare import Prepared
from ai_factory_runtime.training.selection import Trained


@dataclass(frozen=True)
class Evaluated:
    """A trained model and everything measured on the held-out rows."""

    trained: Trained
    judged: Judged
    measured: Measured


@dataclass(frozen=True)
class Judgement:
    """What a model is worth: the measurements, every gate, the champion it met, and the documents that say so."""

    evaluated: Evaluated
    comparison: Comparison
    evidence: Evidence

    @property
    def gates(self) -> tuple[GateResult, ...]:
        """Every gate, the card's own among them."""
        return self.evidence.gates

    @property
    def failed(self) -> tuple[GateResult, ...]:
        """The gates that the model did not pass."""
        return tuple(result for result in self.gates if not result.passed)


def judge(
    project: Project, registry: Registry, run: Run, prepared: Prepared, trained: Trained, say: Progress
) -> Judgement:
    """Measure, hold against the gates, meet the champion, write the card. Raises RegistryUnavailable."""
    evaluated = evaluate(project, prepared, trained, say)
    say("gates", "")
    results = gate.judge(evaluated.measured, project.usecase)
    say("compare", "")
    passed = all(result.passed for result in results)
    comparison = meet_champion(project, registry, prepared, evaluated, passed=passed)
    say("card", "")
    return Judgement(evaluated, comparison, document(project, run, prepared, evaluated, results, comparison))


def keep(judgement: Judgement, folder: Path) -> None:
    """Write the report, the card and their like to the run's folder. Raises WriteFailed."""
    for name, body in judgement.evidence.files.items():
        write_atomically(folder / name, body)


def require_passed(judgement: Judgement, *, folder: Path) -> None:
    """Stop a model that did not pass every gate. `folder` is where its card will be. Raises GateFailed."""
    if judgement.failed:
        raise GateFailed(results=judgement.failed, card=folder / CARD_HTML)


def evaluate(project: Project, prepared: Prepared, trained: Trained, say: Progress) -> Evaluated:
    """Everything that the gates, the card and the comparison want to know, measured on the held-out rows."""
    with processors(len(prepared.frame)):
        say("evaluate", trained.name)
        rows, usecase = prepared.held_out, project.usecase
        judged, blind = answers_of(trained, rows, usecase, prepared.held_out_unit)
        return Evaluated(trained, judged, measure(trained, rows, judged, blind, usecase, project.hooks.kpi))


def meet_champion(
    project: Project, registry: Registry, prepared: Prepared, evaluated: Evaluated, *, passed: bool
) -> Comparison:
    """Meet the champion on the same held-out rows. A champion that can no longer answer is replaced, and the reason says so."""
    if not passed:
        return Comparison("keep", "a gate failed, so the model met no champion")
    champion = registry.champion()
    if champion is None:
        return without_champion("there is no champion yet")
    name = f"champion version {champion.version}"
    if not champion.folder.is_dir():
        return without_champion(f"the files of {name} are gone")
    try:
        package = load_package(champion.folder, digest=champion.digest, trusted_package=project.package)
    except ModelUnusable as error:
        return without_champion(f"{name} cannot be used any more: {error}")
    answers = _answers_of(package, prepared, evaluated.trained)
    if isinstance(answers, str):
        return without_champion(f"{name} {answers}")
    model = project.usecase.model
    return compare(
        evaluated.judged,
        answers,
        metric=model.primary_metric,
        version=champion.version,
        seed=model.seed,
        costs=model.costs,
    )


def _answers_of(champion: ModelPackage, prepared: Prepared, trained: Trained) -> Judged | str:
    """The champion's answers to the held-out rows, or why it has none."""
    theirs, ours = champion.signature, trained.signature
    if (theirs.task, theirs.target.name, theirs.classes) != (ours.task, ours.target.name, ours.classes):
        return "answers another question (the target or its classes changed)"
    rows = prepared.frame.iloc[prepared.split.test]
    try:
        held_out = to_canonical(rows, theirs.features)
    except ContractBroken:
        return "needs columns that the data contract no longer has"
    truth: Any = rows[ours.target.name].to_numpy(dtype=np.float64 if ours.task == "regression" else object)
    return Judged(truth, champion.predict(held_out), ours, prepared.held_out_unit)
