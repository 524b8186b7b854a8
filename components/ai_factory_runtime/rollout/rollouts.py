"""Rollouts on disk: begun, looked at, decided and ended; one file a stage, artifacts/stages/<stage>.rollout.json.

Whoever decides (a server, or a person's `rollout decide`) holds the stage's rollout lock, reads the file, judges what the
servers wrote down, and replaces the file as a whole. A promotion deploys first and notes it afterwards: killed in between,
the next decision finds the challenger deployed and notes it then. Imports no registry: servers decide, too.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_factory_spec.errors import FactoryError
from ai_factory_spec.naming import command_name
from ai_factory_spec.usecase import Rollout as Terms

from ai_factory_runtime.base.errors import ModelUnusable, NotApproved
from ai_factory_runtime.base.prediction import Signature
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import ReleaseInvalid
from ai_factory_runtime.base.runs import new_run_id
from ai_factory_runtime.model_package.package import load_package
from ai_factory_runtime.monitoring.labels import find_labels
from ai_factory_runtime.monitoring.notify import Notice, notify
from ai_factory_runtime.releases.release import require_approved
from ai_factory_runtime.releases.stages import DEV, Deployed, deploy, deployed
from ai_factory_runtime.rollout.decisions import (
    Decision,
    Rollout,
    Status,
    begun,
    carried_out,
    decide,
    ended,
    judges_quality,
)
from ai_factory_runtime.rollout.observations import Observations, Truth
from ai_factory_runtime.rollout.rollout_errors import NoRollout, RolloutRefused
from ai_factory_runtime.rollout.rollout_file import (
    candidate,
    challenger_folder,
    locked,
    observation_folder,
    read_rollout,
    write_rollout,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision came to: the rollout after it, and the decision."""

    rollout: Rollout
    decision: Decision


def start(project: Project, stage: str, *, version: int, digest: str, folder: Path) -> Rollout:
    """Begin a rollout of a registered version by the terms of usecase.yaml.

    Raises UnknownStage, NothingDeployed, ModelUnusable for a package that cannot be trusted, RolloutRefused with every
    reason, and outside dev NotApproved or ReleaseInvalid.
    """
    champion = deployed(project, stage)
    if stage != DEV:
        require_approved(project, folder, stage=stage, version=version)
    with locked(project, stage):
        before = read_rollout(project, stage)
        problems = _problems(project, champion, before, digest=digest, folder=folder)
        if problems:
            hint = f"`{_command(project)} rollout status --stage {stage}` says what is under way."
            raise RolloutRefused(version=version, stage=stage, problems=problems, hint=hint)
        rollout_id, now = new_run_id()
        rollout = Rollout(
            rollout_id, stage, agreed_terms(project),
            candidate(project, champion.version, champion.digest, champion.folder),
            candidate(project, version, digest, folder), since=now,
        )  # fmt: skip
        rollout = begun(rollout)
        write_rollout(project, rollout)
    return rollout


def agreed_terms(project: Project) -> Terms:
    """deployment.rollout of usecase.yaml; where it has no bound on latency, the one of `acceptance`."""
    terms, latency = project.usecase.deployment.rollout, project.usecase.acceptance.latency
    if terms.max_p99_ms is None and latency is not None:
        return terms.model_copy(update={"max_p99_ms": float(latency.p99_ms)})
    return terms


def find_rollout(project: Project, stage: str) -> Rollout:
    """The stage's rollout, under way or the last one. Raises NoRollout, RolloutUnreadable."""
    found = read_rollout(project, stage)
    if found is None:
        raise NoRollout(stage=stage, command=_command(project))
    return found


def running_rollout(project: Project, stage: str) -> Rollout | None:
    """The stage's rollout if one is under way. Raises RolloutUnreadable."""
    found = read_rollout(project, stage)
    return found if found is not None and found.running else None


def look(project: Project, rollout: Rollout, labels: Path | None = None) -> Decision:
    """What the evidence asks for now; changes nothing. Raises LabelsUnusable."""
    observations = Observations(observation_folder(project, rollout))
    observations.refresh()
    return decide(rollout, observations.steps(rollout.terms, _truth(project, rollout, labels)), _now())


def decide_now(
    project: Project, stage: str, *, labels: Path | None = None, observations: Observations | None = None
) -> Decided:
    """Decide, and carry it out: hold, the next step, promotion or the way back.

    `observations` are those that a server keeps, so that it reads only what is new. A challenger that may not be deployed
    any more (approval withdrawn, files changed) goes back. Raises NoRollout, RolloutUnreadable, LabelsUnusable.
    """
    with locked(project, stage):
        rollout = _running(project, stage)
        overtaken = _overtaken(project, rollout)
        if overtaken is not None:
            write_rollout(project, overtaken)
            return Decided(overtaken, Decision("hold", overtaken.events[-1].reason))
        seen = observations or Observations(observation_folder(project, rollout))
        seen.refresh()
        decision = decide(rollout, seen.steps(rollout.terms, _truth(project, rollout, labels)), _now())
        if decision.action == "promote":
            decision = _deploy(project, rollout, decision)
        after = carried_out(rollout, decision, _now())
        if after is not rollout:
            write_rollout(project, after)
    _tell(project, after)
    return Decided(after, decision)


def withdraw(
    project: Project, stage: str, reason: str, *, status: Status = "stopped", only: str | None = None
) -> Rollout:
    """End the rollout under way with the champion in place; `only` the one of that id. Raises NoRollout."""
    with locked(project, stage):
        rollout = _running(project, stage)
        if only is not None and rollout.rollout_id != only:
            raise NoRollout(stage=stage, command=_command(project))
        after = ended(rollout, status, reason, _now())
        write_rollout(project, after)
    _tell(project, after)
    return after


def _problems(project: Project, champion: Deployed, before: Rollout | None, *, digest: str, folder: Path) -> list[str]:
    """Why a version cannot challenge the champion."""
    found = []
    if before is not None and before.running:
        found.append(f"version {before.challenger.version} is being rolled out there since {before.events[0].at}")
    if digest == champion.digest:
        return [*found, "it is the model that answers there already"]
    new = load_package(folder, digest=digest, trusted_package=project.package).signature
    old = load_package(champion.folder, digest=champion.digest, trusted_package=project.package).signature
    found += _differences(old, new)
    return found


def _differences(old: Signature, new: Signature) -> list[str]:
    """What makes two models answer different questions."""
    found = []
    if [(c.name, c.type) for c in old.features] != [(c.name, c.type) for c in new.features]:
        found.append("it asks for other columns, so whoever calls must change first")
    if (old.task, old.target.name, old.classes) != (new.task, new.target.name, new.classes):
        found.append("it answers another question: another target, task or classes")
    return found


def _overtaken(project: Project, rollout: Rollout) -> Rollout | None:
    """The rollout's end, where the stage was given another model than the champion meanwhile."""
    current = deployed(project, rollout.stage)
    if current.digest == rollout.champion.digest:
        return None
    if current.digest == rollout.challenger.digest:
        return ended(rollout, "promoted", "it is deployed", _now())
    return ended(rollout, "overtaken", f"the stage was given version {current.version}", _now())


def _deploy(project: Project, rollout: Rollout, decision: Decision) -> Decision:
    """Deploy the challenger, or decide to go back where that is not allowed any more."""
    new, folder = rollout.challenger, challenger_folder(project, rollout)
    try:
        deploy(project, rollout.stage, version=new.version, digest=new.digest, folder=folder)
    except (NotApproved, ReleaseInvalid, ModelUnusable) as refused:
        return Decision("roll back", str(refused), decision.checks)
    return decision


def _tell(project: Project, rollout: Rollout) -> None:
    """Tell whom monitoring.notify lists what a rollout came to. A channel that fails is logged: the decision stands."""
    if rollout.running:
        return
    old, new, last = rollout.champion, rollout.challenger, rollout.events[-1]
    left = new if rollout.status == "promoted" else old
    subject = f"{project.usecase.name}, {rollout.stage}: version {new.version} {rollout.status}"
    facts = {
        "rollout": rollout.rollout_id,
        "strategy": rollout.terms.strategy,
        "version": new.version,
        "champion": old.version,
    }
    text = f"{last.reason}\nVersion {left.version} answers."
    notice = Notice(f"rollout {rollout.status}", last.at, project.usecase.name, rollout.stage, subject, text, facts)
    for delivery in notify(project, notice):
        if not delivery.sent:
            _log.warning("%s was not told of the rollout: %s", delivery.channel, delivery.problem)


def _truth(project: Project, rollout: Rollout, named: Path | None) -> Truth:
    """True values by request id and row, where the terms ask for them.

    Raises LabelsUnusable for a file that was named; one that was only found must not stop decisions about errors.
    """
    if not judges_quality(rollout.terms):
        return {}
    try:
        labels = find_labels(project, rollout.stage, named)
    except FactoryError as error:
        if named is not None:
            raise
        _log.warning("the labels of stage %s are not used: %s", rollout.stage, error)
        return {}
    found: dict[str, dict[int, Any]] = {}
    if labels is not None:
        for (request, row), value in zip(labels.by_request.index.to_list(), labels.by_request.to_list(), strict=True):
            found.setdefault(str(request), {})[int(row)] = value
    return found


def _running(project: Project, stage: str) -> Rollout:
    found = read_rollout(project, stage)
    if found is None or not found.running:
        raise NoRollout(stage=stage, command=_command(project), ended=f"{found.status}" if found else "")
    return found


def _command(project: Project) -> str:
    return command_name(project.usecase.name)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
