"""Retraining: whether what the monitor found asks for a new run, with its reason, at most once per cool-down.

Nothing is started here: `retrain` reads the note that is left, and starts the pipeline.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.project import Project

NOTE = "retraining.json"
SAID = {
    "schema": "rows or requests break the data contract",
    "data": "the data moved",
    "predictions": "the predictions moved",
    "quality": "the quality fell",
    "concept": "the relation of features to target moved",
    "code": "other code answers than made the model",
}


@dataclass(frozen=True, slots=True)
class Retraining:
    """Whether to train again now, and why."""

    due: bool
    because: str


def decide(project: Project, stage: str, kinds: Sequence[str], *, too_small: bool, now: dt.datetime) -> Retraining:
    """The decision; one that says yes is written down, for the cool-down counts from it."""
    path = project.reports / stage / NOTE
    decision = decision_for(
        kinds, too_small=too_small, on_drift=project.usecase.monitoring.retraining.on_drift,
        cooldown=dt.timedelta(hours=project.usecase.monitoring.retraining.cooldown_hours), last=_last(path), now=now,
    )  # fmt: skip
    if decision.due:
        document = {"asked_at": now.isoformat(timespec="seconds"), "because": decision.because}
        write_atomically(path, (json.dumps(document, indent=2) + "\n").encode())
    return decision


def decision_for(
    kinds: Sequence[str],
    *,
    too_small: bool,
    on_drift: bool,
    cooldown: dt.timedelta,
    last: dt.datetime | None,
    now: dt.datetime,
) -> Retraining:
    """The rule. `last` is when retraining was asked for before; a time in the future (a clock set back) is ignored."""
    if not kinds:
        return Retraining(False, "the window is too small to judge" if too_small else "nothing moved")
    moved = ", ".join(SAID[kind] for kind in kinds)
    if "schema" in kinds:  # training would learn the damage, or be stopped by the same contract
        return Retraining(False, f"{moved}; repair their source first, then look again")
    if not on_drift:
        return Retraining(False, f"{moved}, but monitoring.retraining.on_drift is off")
    if last is not None and dt.timedelta() <= now - last < cooldown:
        return Retraining(
            False,
            f"{moved}, but retraining was asked for {_hours(now - last)} ago; the cool-down is {_hours(cooldown)}",
        )
    return Retraining(True, moved)


@dataclass(frozen=True, slots=True)
class Asked:
    """When the monitor last asked for retraining, and why."""

    at: dt.datetime
    because: str


def asked_for(project: Project, stage: str) -> Asked | None:
    """The monitor's last request in a stage; None where it never asked."""
    path = project.reports / stage / NOTE
    at = _last(path)
    return None if at is None else Asked(at, str(json.loads(path.read_bytes()).get("because", "")))


def _last(path: Path) -> dt.datetime | None:
    """When retraining was last asked for; None where never, or where the note is damaged: then asking again is right."""
    try:
        found = dt.datetime.fromisoformat(json.loads(path.read_bytes())["asked_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.tzinfo else None


def _hours(span: dt.timedelta) -> str:
    return f"{span.total_seconds() / 3600:.3g} h"
