"""Rollouts on disk: begun, looked at, decided and ended; one file a stage, artifacts/stages/<stage>.rollout.json.

Whoever decides (a server, or a person's `rollout decide`) holds the stage's rollout lock, reads the file, judges what the
servers wrote down, and replaces the file as a whole. A promotion deploys first and notes it afterwards: killed in between,
the next decision finds the challenger deployed and notes it then. Imports no registry: servers decide, too.
"""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from ai_factory_spec.errors import FactoryError
from ai_factory_spec.naming import command_name
from ai_factory_spec.usecase import Rollout as Terms

from ai_factory_runtime.atomic import write_atomically
from ai_factory_runtime.errors import ModelUnusable, NotApproved, WriteFailed
from ai_factory_runtime.labels import find_labels
from ai_factory_runtime.observations import Observations, Truth
from ai_factory_runtime.package import Signature, load_package
from ai_factory_runtime.project import Project
from ai_factory_runtime.refusals import ReleaseInvalid
from ai_factory_runtime.release import require_approved
from ai_factory_runtime.rollout import (
    Candidate,
    Decision,
    Event,
    Rollout,
    Status,
    begun,
    carried_out,
    decide,
    ended,
    judges_quality,
    shares,
)
from ai_factory_runtime.rollout_errors import NoRollout, RolloutRefused, RolloutUnreadable
from ai_factory_runtime.runs import new_run_id
from ai_factory_runtime.stages import DEV, Deployed, deploy, deployed

FORMAT = 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a decision came to: the rollout after it, and the decision."""

    rollout: Rollout
    decision: Decision


def rollout_file(project: Project, stage: str) -> Path:
    """The file that says where a stage's rollout stands."""
    return project.stages / f"{stage}.rollout.json"


def observation_folder(project: Project, rollout: Rollout) -> Path:
    """Where the serving processes write what a rollout's arms did."""
    return project.artifacts / "rollouts" / rollout.stage / rollout.rollout_id


def start(project: Project, stage: str, *, version: int, digest: str, folder: Path) -> Rollout:
    """Begin a rollout of a registered version by the terms of usecase.yaml.

    Raises UnknownStage, NothingDeployed, ModelUnusable for a package that cannot be trusted, RolloutRefused with every
    reason, and outside dev NotApproved or ReleaseInvalid.
    """
    champion = deployed(project, stage)
    if stage != DEV:
        require_approved(project, folder, stage=stage, version=version)
    with _locked(project, stage):
        before = _read(project, stage)
        problems = _problems(project, champion, before, digest=digest, folder=folder)
        if problems:
            hint = f"`{_command(project)} rollout status --stage {stage}` says what is under way."
            raise RolloutRefused(version=version, stage=stage, problems=problems, hint=hint)
        rollout_id, now = new_run_id()
        rollout = Rollout(
            rollout_id, stage, agreed_terms(project),
            _candidate(project, champion.version, champion.digest, champion.folder),
            _candidate(project, version, digest, folder), since=now,
        )  # fmt: skip
        rollout = begun(rollout)
        _write(project, rollout)
    return rollout


def agreed_terms(project: Project) -> Terms:
    """deployment.rollout of usecase.yaml; where it has no bound on latency, the one of `acceptance`."""
    terms, latency = project.usecase.deployment.rollout, project.usecase.acceptance.latency
    if terms.max_p99_ms is None and latency is not None:
        return terms.model_copy(update={"max_p99_ms": float(latency.p99_ms)})
    return terms


def find_rollout(project: Project, stage: str) -> Rollout:
    """The stage's rollout, under way or the last one. Raises NoRollout, RolloutUnreadable."""
    found = _read(project, stage)
    if found is None:
        raise NoRollout(stage=stage, command=_command(project))
    return found


def running_rollout(project: Project, stage: str) -> Rollout | None:
    """The stage's rollout if one is under way. Raises RolloutUnreadable."""
    found = _read(project, stage)
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
    with _locked(project, stage):
        rollout = _running(project, stage)
        overtaken = _overtaken(project, rollout)
        if overtaken is not None:
            _write(project, overtaken)
            return Decided(overtaken, Decision("hold", overtaken.events[-1].reason))
        seen = observations or Observations(observation_folder(project, rollout))
        seen.refresh()
        decision = decide(rollout, seen.steps(rollout.terms, _truth(project, rollout, labels)), _now())
        if decision.action == "promote":
            decision = _deploy(project, rollout, decision)
        after = carried_out(rollout, decision, _now())
        if after is not rollout:
            _write(project, after)
    return Decided(after, decision)


def withdraw(
    project: Project, stage: str, reason: str, *, status: Status = "stopped", only: str | None = None
) -> Rollout:
    """End the rollout under way with the champion in place; `only` the one of that id. Raises NoRollout."""
    with _locked(project, stage):
        rollout = _running(project, stage)
        if only is not None and rollout.rollout_id != only:
            raise NoRollout(stage=stage, command=_command(project))
        after = ended(rollout, status, reason, _now())
        _write(project, after)
    return after


def challenger_folder(project: Project, rollout: Rollout) -> Path:
    """The challenger's package, inside artifacts/ whatever the file says. Raises RolloutUnreadable."""
    root = project.artifacts.resolve()
    folder = (root / rollout.challenger.folder).resolve()
    if not folder.is_relative_to(root):
        raise RolloutUnreadable(
            path=rollout_file(project, rollout.stage),
            reason=f"the folder {rollout.challenger.folder!r} is outside artifacts/",
        )
    return folder


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
    found = _read(project, stage)
    if found is None or not found.running:
        raise NoRollout(stage=stage, command=_command(project), ended=f"{found.status}" if found else "")
    return found


@contextmanager
def _locked(project: Project, stage: str) -> Iterator[None]:
    """One decision at a time; the operating system releases the lock with the process. Raises WriteFailed."""
    path = project.stages / f".{stage}.rollout.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise WriteFailed(path=path, problem=error.strerror or str(error)) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(project: Project, rollout: Rollout) -> None:
    document = {"format": FORMAT, **asdict(rollout), "terms": rollout.terms.model_dump(mode="json")}
    body = json.dumps(document | {"since": rollout.since.isoformat()}, indent=2, ensure_ascii=False) + "\n"
    if (
        not rollout.running
    ):  # the stage's file is the last rollout's; what became of each one stays with its observations
        write_atomically(observation_folder(project, rollout) / "rollout.json", body.encode())
    write_atomically(rollout_file(project, rollout.stage), body.encode())


def _read(project: Project, stage: str) -> Rollout | None:
    path = rollout_file(project, stage)
    try:
        return _rollout(json.loads(path.read_bytes()), stage)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RolloutUnreadable(path=path, reason=f"{type(error).__name__}: {error}") from error


def _rollout(document: Mapping[str, Any], stage: str) -> Rollout:
    if document["format"] != FORMAT or document["stage"] != stage or document["status"] not in get_args(Status):
        raise ValueError(f"its format, stage or status is not one of this runtime's for {stage}")
    terms = Terms.model_validate(document["terms"])
    since = dt.datetime.fromisoformat(document["since"])
    if since.tzinfo is None or not 0 <= document["step"] < len(shares(terms)):
        raise ValueError("its step or time cannot be")
    return Rollout(
        str(document["rollout_id"]), stage, terms,
        Candidate(**document["champion"]), Candidate(**document["challenger"]),
        since, int(document["step"]), document["status"], tuple(Event(**e) for e in document["events"]),
    )  # fmt: skip


def _candidate(project: Project, version: int, digest: str, folder: Path) -> Candidate:
    inside = folder.resolve().relative_to(project.artifacts.resolve())
    return Candidate(version, digest, inside.as_posix())


def _command(project: Project) -> str:
    return command_name(project.usecase.name)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
