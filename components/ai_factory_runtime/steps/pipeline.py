"""The training pipeline, from the project's rows to a registered model: read this file as its table of contents.

| step     | function             | in -> out                                                       |
|----------|----------------------|-----------------------------------------------------------------|
| prepare  | `prepare.prepare`    | the source -> `Prepared`: protected rows, split, no leak        |
| train    | `fitting.fit`        | -> `Trained`: the chosen model                                  |
| evaluate | `judging.judge`      | -> `Judgement`: measurements, gates, comparison, documents      |
| register | `registering.register` | -> `ModelVersion`: packaged, registered, aliased, in stage dev |

A run is alone in its project (a lock), writes to a folder that gets its name only at the end, and registers last. What a
kill leaves half-done is either invisible to the next run or finished by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ai_factory_runtime.base.gate_result import GateResult
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.runs import Progress, exclusive, new_run, run_folder
from ai_factory_runtime.evaluation.comparison import Comparison, Verdict
from ai_factory_runtime.evaluation.estimates import Estimate
from ai_factory_runtime.model_package.package import CARD_HTML
from ai_factory_runtime.releases.registry import ModelVersion, open_registry
from ai_factory_runtime.steps.fitting import fit
from ai_factory_runtime.steps.judging import judge, keep, require_passed
from ai_factory_runtime.steps.prepare import prepare
from ai_factory_runtime.steps.registering import finish_interrupted, register

# What `progress` hears of, in this order.
STEPS = ("read", "contract", "split", "leakage", "train", "evaluate", "gates", "compare", "card", "package", "register", "deploy")  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to. `folder` holds its report and card."""

    run_id: str
    registered: ModelVersion | None
    verdict: Verdict
    gates: tuple[GateResult, ...]
    folder: Path
    comparison: Comparison
    metrics: Mapping[str, Estimate]
    model: str
    primary_metric: str

    @property
    def card(self) -> Path:
        """The model card's page."""
        return self.folder / CARD_HTML


def run(project: Project, *, progress: Progress | None = None) -> RunResult:
    """Train, gate and register one model. `progress` is told each step of STEPS, and a detail, as it begins.

    Raises GateFailed, LeakageFound, ContractBroken (nothing is registered; the run's folder says why), DataUnreadable,
    DataUnusable, ProjectCodeFailed, PiiKeyMissing, WriteFailed, RunLocked, RegistryUnavailable.
    """
    say: Progress = progress or (lambda _step, _detail: None)
    this = new_run()
    final = project.runs / this.run_id
    with exclusive(project, this.run_id), run_folder(project, this.run_id) as folder:
        registry = open_registry(project)
        finish_interrupted(project, registry)
        prepared = prepare(project, folder, say)
        trained = fit(project, prepared, say)
        judgement = judge(project, registry, this, prepared, trained, say)
        keep(judgement, folder)
        require_passed(judgement, folder=final)
        version = register(project, registry, this, prepared, judgement, say)
    return RunResult(
        run_id=this.run_id,
        registered=version,
        verdict=judgement.comparison.verdict,
        gates=judgement.gates,
        folder=final,
        comparison=judgement.comparison,
        metrics=judgement.evaluated.measured.metrics,
        model=trained.name,
        primary_metric=project.usecase.model.primary_metric,
    )
