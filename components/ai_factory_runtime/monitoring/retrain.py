"""Retrain: make a new model where something asks for it, through the same pipeline and gates as any other.

Every attempt is noted before it starts, so a run that dies counts as one and does not start a storm. The new model gets
what its verdict earned: stage dev if it beats the champion, elsewhere nothing without approvals. Drift that asks in vain,
for there are no newer rows, is told once.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.errors import RunLocked
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.monitoring.notify import Delivery, Notice, notify
from ai_factory_runtime.monitoring.retraining import asked_for
from ai_factory_runtime.monitoring.triggers import TRIGGERS, Decision, Known, Name, decide
from ai_factory_runtime.releases.lineage import code_sha256, source_sha256

if TYPE_CHECKING:
    from ai_factory_runtime.steps.pipeline import RunResult

ATTEMPT = "retrained.json"
HELD_BACK = "held-back.json"
RETRAINED, REFUSED, NEEDS_ROWS = "retrained", "retraining-refused", "retraining-needs-rows"


@dataclass(frozen=True, slots=True)
class RetrainResult:
    """What was decided and, where a run followed, what it came to: `run`, or what refused it. `told`: who heard of it."""

    stage: str
    decision: Decision
    run: RunResult | None = None
    refused: FactoryError | None = None
    told: tuple[Delivery, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        run = self.run
        return {
            "stage": self.stage,
            "due": self.decision.due,
            "because": self.decision.because,
            "triggers": [{"name": t.name, "asks": t.asks, "because": t.because} for t in self.decision.triggers],
            "held_back": self.decision.held_back or None,
            "run": None if run is None else run.run_id,
            "version": None if run is None or run.registered is None else run.registered.version,
            "verdict": None if run is None else run.verdict,
            "refused": None if self.refused is None else {"slug": self.refused.slug, "message": str(self.refused)},
            "told": [{"channel": d.channel, "sent": d.sent, "problem": d.problem} for d in self.told],
        }


def due(
    project: Project,
    stage: str,
    *,
    listen: Collection[Name] = TRIGGERS,
    force: bool = False,
    now: dt.datetime | None = None,
) -> Decision:
    """Whether to train now, with the reasons. Raises RegistryUnavailable, UnknownStage."""
    moment = now or dt.datetime.now(dt.UTC)
    asked = project.usecase.monitoring.retraining
    return decide(look(project, stage), asked, moment, listen=listen, force=force)


def retrain(
    project: Project,
    stage: str,
    *,
    listen: Collection[Name] = TRIGGERS,
    force: bool = False,
    progress: Callable[[str, str], None] | None = None,
    tell: bool = True,
    now: dt.datetime | None = None,
) -> RetrainResult:
    """Train where it is due; `force`: also where nothing asks or the cool-down holds it back.

    A run that a check refuses is a result here, for people are told of it first. Raises RunLocked, which is no attempt, and
    RegistryUnavailable.
    """
    from ai_factory_runtime.steps.pipeline import run

    moment = now or dt.datetime.now(dt.UTC)
    decision = due(project, stage, listen=listen, force=force, now=moment)
    if not decision.due and not force:
        told = _tell_held_back(project, stage, decision, moment) if tell and decision.needs_rows else ()
        return RetrainResult(stage, decision, told=told)
    path = project.reports / stage / ATTEMPT
    before, facts = _read(path), _facts(project)
    note = {"started_at": moment.isoformat(timespec="seconds"), "because": decision.because, **facts}
    _write(path, {**note, "outcome": "started"})
    try:
        made = run(project, progress=progress)
    except RunLocked:
        _write(path, before)
        raise
    except FactoryError as error:
        _write(path, {**note, "outcome": error.slug})
        told = notify(project, _refused(project, stage, decision, error, moment)) if tell else ()
        return RetrainResult(stage, decision, refused=error, told=told)
    _write(path, {**note, "outcome": made.verdict, "run": made.run_id})
    told = notify(project, _made(project, stage, decision, made, moment)) if tell else ()
    return RetrainResult(stage, decision, made, told=told)


def look(project: Project, stage: str) -> Known:
    """What the triggers rest on: the registry's newest model, the last attempt, the monitor's note, data and code as they are."""
    from ai_factory_runtime.base.runs import run_ids
    from ai_factory_runtime.releases.registry import open_registry
    from ai_factory_runtime.releases.stages import history

    history(project, stage)  # an unknown stage is told before anything is looked at
    versions = open_registry(project).versions()
    newest = versions[-1] if versions else None
    note = _read(project.reports / stage / ATTEMPT)
    lineage = _read(newest.folder / "lineage.json") if newest is not None else {}
    trained_at = None if newest is None else run_moment(newest.run_id)
    runs = [m for m in (run_moment(r) for r in run_ids(project)[-1:]) if m is not None]
    attempts = [m for m in (_moment(note.get("started_at")), trained_at, *runs) if m is not None]
    # The attempt's own facts where it is the newest, also if it was refused: the same rows are not tried again.
    started = _moment(note.get("started_at"))
    latest = note if started is not None and (trained_at is None or started >= trained_at) else lineage
    facts, asked = _facts(project), asked_for(project, stage)
    return Known(
        attempted_at=max(attempts, default=None),
        trained_at=trained_at,
        drift_at=None if asked is None else asked.at,
        drift_because="" if asked is None else asked.because,
        source=(str(latest.get("source_sha256", "")), facts["source_sha256"]),
        code=(str(latest.get("code_sha256", "")), facts["code_sha256"]),
    )


def run_moment(run_id: str) -> dt.datetime | None:
    """When a run began, which its id says; None for an id that says nothing."""
    try:
        return dt.datetime.strptime(run_id.partition("-")[0], "%Y%m%dT%H%M%S%fZ").replace(tzinfo=dt.UTC)
    except ValueError:
        return None


def _facts(project: Project) -> dict[str, str]:
    source = source_sha256(project.usecase, project.root)
    return {"source_sha256": source, "code_sha256": code_sha256(project.root)}


def _made(project: Project, stage: str, decision: Decision, made: RunResult, now: dt.datetime) -> Notice:
    version = made.registered.version if made.registered is not None else None
    title, figure = project.usecase.title or project.usecase.name, made.metrics.get(made.primary_metric)
    lines = [
        f"Why: {decision.because}.",
        f"Verdict: {made.verdict}, {made.comparison.reason}.",
        *([f"{made.primary_metric}: {figure} on held-out rows."] if figure is not None else []),
        f"Model card: {made.card}",
    ]
    stages = [s for s in project.usecase.deployment.stages if s != "dev"]
    if made.verdict == "promote" and stages:
        lines.append(f"It answers in dev. For {' and '.join(stages)} it waits for approval.")
    facts = {"run": made.run_id, "version": version, "verdict": made.verdict, "card": str(made.card)}
    subject = f"{title}: retrained, version {version} ({made.verdict})"
    return _notice(project, stage, RETRAINED, now, subject, lines, facts)


def _tell_held_back(project: Project, stage: str, decision: Decision, now: dt.datetime) -> tuple[Delivery, ...]:
    """Tell that drift asks for newer rows: once for each time that the monitor asked; again where a channel did not take it."""
    asked, path = asked_for(project, stage), project.reports / stage / HELD_BACK
    note = {"asked_at": None if asked is None else asked.at.isoformat(timespec="seconds")}
    if _read(path) == note:
        return ()
    title = project.usecase.title or project.usecase.name
    lines = [
        f"Why it is wanted: {decision.because}.",
        "Bring newer rows into the source, or train with `retrain --force`.",
    ]
    subject = f"{title}: retraining waits for newer rows"
    told = notify(project, _notice(project, stage, NEEDS_ROWS, now, subject, lines, {"held_back": decision.held_back}))
    if all(delivery.sent for delivery in told):
        _write(path, note)
    return told


def _refused(project: Project, stage: str, decision: Decision, error: FactoryError, now: dt.datetime) -> Notice:
    title = project.usecase.title or project.usecase.name
    lines = [f"Why it was tried: {decision.because}.", str(error), error.hint, "The model before stays."]
    subject = f"{title}: retraining was stopped ({error.slug})"
    return _notice(project, stage, REFUSED, now, subject, lines, {"refused": error.slug})


def _notice(
    project: Project,
    stage: str,
    event: str,
    now: dt.datetime,
    subject: str,
    lines: list[str],
    facts: Mapping[str, object],
) -> Notice:
    at = now.isoformat(timespec="seconds")
    return Notice(event, at, project.usecase.name, stage, subject, "\n".join(filter(None, lines)), facts)


def _read(path: Path) -> dict[str, Any]:
    """A JSON document; empty where it is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, document: dict[str, Any]) -> None:
    write_atomically(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def _moment(text: object) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None
