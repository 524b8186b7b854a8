"""Rollout file: artifacts/stages/<stage>.rollout.json, read strictly, replaced as a whole, and the lock around a decision."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from ai_factory_spec.usecase import Rollout as Terms

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.locking import locked as lock_file
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.rollout.decisions import Candidate, Event, Rollout, Status, shares
from ai_factory_runtime.rollout.rollout_errors import RolloutUnreadable

FORMAT = 1


def rollout_file(project: Project, stage: str) -> Path:
    """The file that says where a stage's rollout stands."""
    return project.stages / f"{stage}.rollout.json"


def observation_folder(project: Project, rollout: Rollout) -> Path:
    """Where the serving processes write what a rollout's arms did."""
    return project.artifacts / "rollouts" / rollout.stage / rollout.rollout_id


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


def locked(project: Project, stage: str) -> AbstractContextManager[None]:
    """One decision at a time; the operating system releases the lock with the process. Raises WriteFailed."""
    return lock_file(project.stages / f".{stage}.rollout.lock")


def write_rollout(project: Project, rollout: Rollout) -> None:
    """Replace the stage's file as a whole. Raises WriteFailed."""
    document = {"format": FORMAT, **asdict(rollout), "terms": rollout.terms.model_dump(mode="json")}
    body = json.dumps(document | {"since": rollout.since.isoformat()}, indent=2, ensure_ascii=False) + "\n"
    if (
        not rollout.running
    ):  # the stage's file is the last rollout's; what became of each one stays with its observations
        write_atomically(observation_folder(project, rollout) / "rollout.json", body.encode())
    write_atomically(rollout_file(project, rollout.stage), body.encode())


def read_rollout(project: Project, stage: str) -> Rollout | None:
    """The stage's rollout, under way or over; None where there never was one. Raises RolloutUnreadable."""
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


def candidate(project: Project, version: int, digest: str, folder: Path) -> Candidate:
    """A version as a rollout's file names it."""
    inside = folder.resolve().relative_to(project.artifacts.resolve())
    return Candidate(version, digest, inside.as_posix())
