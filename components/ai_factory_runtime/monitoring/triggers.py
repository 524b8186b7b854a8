"""Triggers: what asks for a new model, and whether it may be made now.

| trigger  | asks when                                                                                          |
|----------|----------------------------------------------------------------------------------------------------|
| drift    | the monitor found drift since the last attempt, and `monitoring.retraining.on_drift` is on          |
| schedule | a moment of `monitoring.retraining.schedule` has passed since the last attempt                      |
| age      | the newest model is older than `monitoring.retraining.max_age_days`                                 |
| data     | the data source is not what the last attempt learned from                                           |
| code     | the code that trains is not what the last attempt was made with                                     |

However many ask, one run follows, and within the cool-down of the last attempt none: a gate that refuses the new model
is not asked again and again about the same rows. Where drift alone asks and neither source nor code changed, none
follows either: from the same rows the same model is learned.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from ai_factory_spec.usecase import Retraining
from cronsim import CronSim

Name = Literal["drift", "schedule", "age", "data", "code"]
TRIGGERS: tuple[Name, ...] = get_args(Name)
UNCHANGED = "the source has no newer rows than the last run learned from, and the code is the same"


@dataclass(frozen=True, slots=True)
class Known:
    """What the decision rests on. Times are in UTC, None where there was no such thing; hashes are empty where not known.

    `attempted_at`: the last run, whatever came of it. `trained_at`: the run that made the newest registered model.
    `drift_at`: the monitor's last look that asked for retraining, `drift_because` why. `source` and `code`: the hashes
    (as that attempt recorded them, as they are now).
    """

    attempted_at: dt.datetime | None
    trained_at: dt.datetime | None
    drift_at: dt.datetime | None
    drift_because: str
    source: tuple[str, str]
    code: tuple[str, str]

    @property
    def unchanged(self) -> bool:
        """Whether a run now would learn the same rows by the same code."""
        return _is_same(self.source) and _is_same(self.code)


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger's answer and its reason."""

    name: Name
    asks: bool
    because: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What each trigger says; `held_back` is why nothing is made although something asks, empty where nothing holds it.

    `needs_rows`: drift asks in vain until somebody brings newer rows.
    """

    triggers: tuple[Trigger, ...]
    held_back: str = ""
    needs_rows: bool = False

    @property
    def due(self) -> bool:
        """Whether to train now."""
        return bool(self.asking) and not self.held_back

    @property
    def asking(self) -> tuple[Trigger, ...]:
        """The triggers that ask."""
        return tuple(t for t in self.triggers if t.asks)

    @property
    def because(self) -> str:
        """The reason, in one line."""
        asked = "; ".join(t.because for t in self.asking)
        if not asked:
            return "nothing asks for it"
        return f"{asked}; but {self.held_back}" if self.held_back else asked


def decide(
    known: Known, asked: Retraining, now: dt.datetime, *, listen: Collection[Name] = TRIGGERS, force: bool = False
) -> Decision:
    """Which triggers ask, of those listened to, and whether unchanged rows or the cool-down hold them back. `force`: nothing does."""
    found = tuple(t for t in (_drift(known, asked), _schedule(known, asked, now), _age(known, asked, now),
                              _hash("data", "the data source", known.source), _hash("code", "the code", known.code))
                  if t.name in listen)  # fmt: skip
    if not force and {t.name for t in found if t.asks} == {"drift"} and known.unchanged:
        return Decision(found, UNCHANGED, needs_rows=True)
    last, cooldown = known.attempted_at, dt.timedelta(hours=asked.cooldown_hours)
    held = last is not None and dt.timedelta() <= now - last < cooldown and not force
    why = f"the last run was {hours(now - last)} ago, and the cool-down is {hours(cooldown)}" if held and last else ""
    return Decision(found, why)


def _is_same(hashes: tuple[str, str]) -> bool:
    return bool(hashes[0]) and hashes[0] == hashes[1]


def last_tick(cron: str, now: dt.datetime) -> dt.datetime:
    """The last moment, before `now`, at which a cron expression of five fields (UTC) fires."""
    return next(CronSim(cron, now.astimezone(dt.UTC), reverse=True))


def hours(span: dt.timedelta) -> str:
    """A span in hours, short."""
    return f"{span.total_seconds() / 3600:.3g} h"


def _drift(known: Known, asked: Retraining) -> Trigger:
    if known.drift_at is None:
        return Trigger("drift", False, "the monitor has found no drift")
    if known.attempted_at is not None and known.drift_at <= known.attempted_at:
        return Trigger("drift", False, "the monitor has found no drift since the last run")
    if not asked.on_drift:
        return Trigger("drift", False, f"{known.drift_because}, but monitoring.retraining.on_drift is off")
    return Trigger("drift", True, f"the monitor found on {known.drift_at:%Y-%m-%d} that {known.drift_because}")


def _schedule(known: Known, asked: Retraining, now: dt.datetime) -> Trigger:
    if not asked.schedule:
        return Trigger("schedule", False, "monitoring.retraining.schedule is empty")
    tick = last_tick(asked.schedule, now)
    if known.attempted_at is not None and known.attempted_at >= tick:
        return Trigger("schedule", False, f"there was a run since {tick:%Y-%m-%d %H:%M} UTC, when one was due")
    return Trigger("schedule", True, f"one was due on {tick:%Y-%m-%d %H:%M} UTC by the schedule")


def _age(known: Known, asked: Retraining, now: dt.datetime) -> Trigger:
    if known.trained_at is None:
        return Trigger("age", True, "there is no model yet")
    days = (now - known.trained_at) / dt.timedelta(days=1)
    if asked.max_age_days is None:
        return Trigger("age", False, "monitoring.retraining.max_age_days is empty")
    if days <= asked.max_age_days:
        return Trigger("age", False, f"the model is {days:.3g} days old, allowed are {asked.max_age_days:g}")
    return Trigger("age", True, f"the model is {days:.3g} days old, and {asked.max_age_days:g} are allowed")


def _hash(name: Name, what: str, hashes: tuple[str, str]) -> Trigger:
    then, now = hashes
    if not now or not then:
        return Trigger(name, False, f"{what} cannot be compared")
    if then == now:
        return Trigger(name, False, f"{what} is as it was")
    return Trigger(name, True, f"{what} changed")
