"""Rollout: how a challenger meets a stage's traffic, step after step, and what promotes it or sends it back. Pure.

A strategy is a row of shares of the traffic. A step ends when the challenger has had its minutes and its requests and is
within every bound; the last one ends in its promotion. A bound that is broken beyond chance ends the rollout at once,
however little was seen. Each step is judged on its own requests: shares differ from step to step, and so may the traffic.

bound              broken when, beyond chance
max_error_rate     failed requests of the challenger exceed those of the champion by more than it
max_p99_ms         more than one request in a hundred takes longer
max_prediction_shift  the PSI between the arms' outputs exceeds it; looked at when the challenger's requests have doubled
max_quality_drop   its answers to requests whose true values are known are worse by more than it
ab                 its answers are worse at all; it is promoted as soon as they are better

`false_alarm_rate` is for the whole rollout: each bound of each step gets an equal part (Bonferroni), and the tests are
always valid (`sequential`), so that looking often does not add to it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ai_factory_spec.usecase import Rollout as Terms

from ai_factory_runtime.rollout.sequential import (
    Difference,
    Sample,
    difference_of_means,
    mean_of_differences,
    rate_exceeds,
)

Arm = Literal["champion", "challenger"]
Status = Literal["running", "promoted", "rolled back", "stopped", "overtaken"]
Action = Literal["hold", "advance", "promote", "roll back"]
Standing = Literal["within", "broken", "open"]

CHAMPION: Arm = "champion"
CHALLENGER: Arm = "challenger"
P99 = 0.01
"""The share of requests that may take longer than `max_p99_ms`."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model version: `folder` is its package, relative to artifacts/."""

    version: int
    digest: str
    folder: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a rollout. `at` is ISO 8601 in UTC, `share` the challenger's percent from then on."""

    at: str
    what: str
    share: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout and where it stands. `terms` are those of usecase.yaml when it began; later edits do not change it."""

    rollout_id: str
    stage: str
    terms: Terms
    champion: Candidate
    challenger: Candidate
    since: dt.datetime
    step: int = 0
    status: Status = "running"
    events: tuple[Event, ...] = ()

    @property
    def running(self) -> bool:
        """Whether traffic is still shared."""
        return self.status == "running"

    @property
    def share(self) -> int:
        """The percent of requests that the challenger answers now; 0 in a shadow rollout."""
        return shares(self.terms)[self.step] if self.running else 0

    @property
    def mirrors(self) -> bool:
        """Whether the challenger sees a copy of each request and never answers."""
        return self.terms.strategy == "shadow"


@dataclass(frozen=True, slots=True)
class Shift:
    """The PSI between the arms' outputs on the challenger's first `requests` requests; `limit` is what chance may reach."""

    output: str
    requests: int
    psi: float
    limit: float


@dataclass(frozen=True, slots=True)
class ArmSeen:
    """What one arm did in one step. `quality` is a sample with one value a request whose true values are known."""

    requests: int = 0
    failures: int = 0
    slow: int = 0
    quality: Sample = field(default_factory=Sample)

    @property
    def error_rate(self) -> float:
        """Failed requests as a share of all; 0 for none."""
        return self.failures / self.requests if self.requests else 0.0

    @property
    def slow_rate(self) -> float:
        """Requests over `max_p99_ms` as a share of all; 0 for none."""
        return self.slow / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class StepSeen:
    """What both arms did in one step. `paired` are differences of quality on the same requests (shadow only)."""

    champion: ArmSeen = field(default_factory=ArmSeen)
    challenger: ArmSeen = field(default_factory=ArmSeen)
    shifts: tuple[Shift, ...] = ()
    paired: Sample = field(default_factory=Sample)


@dataclass(frozen=True, slots=True)
class Check:
    """One bound as it stands: `open` means that more must be seen before it can be said to hold."""

    name: str
    standing: Standing
    sentence: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now, why in one sentence, and the checks of the present step."""

    action: Action
    reason: str
    checks: tuple[Check, ...] = ()


def shares(terms: Terms) -> tuple[int, ...]:
    """The challenger's percent of the traffic, step after step; after the last it is promoted."""
    step = terms.step_percent
    return {
        "all-at-once": (100,),
        "shadow": (0,),
        "canary": (step,),
        "linear": tuple(range(step, 100, step)),
        "ab": (step,),
    }[terms.strategy]


def level(terms: Terms) -> float:
    """The part of `false_alarm_rate` that one bound of one step may use."""
    compared = terms.strategy != "all-at-once"  # there the champion answers nothing that could be compared
    bounds = 1 + (terms.max_p99_ms is not None) + compared + (compared and judges_quality(terms))
    return terms.false_alarm_rate / (bounds * len(shares(terms)))


def decide(rollout: Rollout, seen: Mapping[int, StepSeen], now: dt.datetime) -> Decision:
    """What the evidence asks for: `seen` holds what was seen in each step so far (late labels count for their own step)."""
    terms, here = rollout.terms, seen.get(rollout.step, StepSeen())
    for number in sorted(seen):
        for check in _checks(terms, seen[number]):
            if check.standing == "broken":
                step = f"step {number + 1}: " if len(shares(terms)) > 1 else ""
                return Decision("roll back", f"{step}{check.sentence}", _checks(terms, here))
    checks = _checks(terms, here)
    waiting = [c.sentence for c in checks if c.standing == "open"]
    left = dt.timedelta(minutes=terms.wait_minutes) - (now - rollout.since)
    if left > dt.timedelta(0):
        waiting.append(f"{max(1, round(left.total_seconds() / 60))} of {terms.wait_minutes} minutes are left")
    if waiting:
        return Decision("hold", "; ".join(waiting), checks)
    within = "; ".join(c.sentence for c in checks)
    return Decision("advance" if rollout.step + 1 < len(shares(terms)) else "promote", within, checks)


def carried_out(rollout: Rollout, decision: Decision, now: dt.datetime) -> Rollout:
    """The rollout after a decision; the same one for `hold`."""
    if decision.action == "hold":
        return rollout
    if decision.action == "advance":
        moved = replace(rollout, step=rollout.step + 1, since=now)
        return _noted(moved, "advanced", decision.reason, now)
    return ended(rollout, "promoted" if decision.action == "promote" else "rolled back", decision.reason, now)


def ended(rollout: Rollout, status: Status, reason: str, now: dt.datetime) -> Rollout:
    """The rollout at its end."""
    return _noted(replace(rollout, status=status), status, reason, now)


def begun(rollout: Rollout) -> Rollout:
    """A new rollout with its first event."""
    return _noted(rollout, "started", rollout.terms.strategy, rollout.since)


def _noted(rollout: Rollout, what: str, reason: str, now: dt.datetime) -> Rollout:
    share = 100 if rollout.status == "promoted" else rollout.share
    event = Event(now.isoformat(timespec="seconds"), what, share, reason)
    return replace(rollout, events=(*rollout.events, event))


def judges_quality(terms: Terms) -> bool:
    """Whether true values have a say, where they arrive in time."""
    return terms.strategy == "ab" or terms.max_quality_drop is not None


def _checks(terms: Terms, seen: StepSeen) -> tuple[Check, ...]:
    found = [_enough(terms, seen.challenger), _errors(terms, seen)]
    if terms.max_p99_ms is not None:
        found.append(_latency(terms, seen.challenger))
    if terms.strategy != "all-at-once":
        found.append(_shift(terms, seen))
        if judges_quality(terms):
            found.append(_quality(terms, seen))
    return tuple(found)


def _enough(terms: Terms, challenger: ArmSeen) -> Check:
    done = challenger.requests >= terms.min_requests
    return Check(
        "requests", "within" if done else "open", f"{challenger.requests} of {terms.min_requests} requests seen"
    )


def _errors(terms: Terms, seen: StepSeen) -> Check:
    """The champion's own failures are not the challenger's fault: they raise the bound."""
    arm, bound = seen.challenger, min(1.0, terms.max_error_rate + seen.champion.error_rate)
    said = f"{arm.failures} of {arm.requests} requests failed ({arm.error_rate:.2%}), {bound:.2%} may"
    if rate_exceeds(arm.failures, arm.requests, bound, level(terms)):
        return Check("error rate", "broken", said)
    return Check("error rate", "within" if arm.error_rate <= bound else "open", said)


def _latency(terms: Terms, arm: ArmSeen) -> Check:
    """The 99th percentile is above a bound where more than one request in a hundred takes longer."""
    said = f"{arm.slow} of {arm.requests} requests took more than {terms.max_p99_ms:g} ms ({arm.slow_rate:.2%}), {P99:.0%} may"
    if rate_exceeds(arm.slow, arm.requests, P99, level(terms)):
        return Check("latency", "broken", said)
    return Check("latency", "within" if arm.slow_rate <= P99 else "open", said)


def _shift(terms: Terms, seen: StepSeen) -> Check:
    """Broken by any look beyond chance; within only where the last look finds no more than is allowed, chance or not."""
    if not seen.shifts:
        return Check("prediction shift", "open", "predictions are not compared yet")
    beyond = [s for s in seen.shifts if s.psi > s.limit]
    last = [s for s in seen.shifts if s.requests == seen.shifts[-1].requests]
    worst = max(beyond or last, key=lambda s: s.psi)
    said = f"PSI of the {worst.output} is {worst.psi:.3f} after {worst.requests} requests, {terms.max_prediction_shift:g} may be"
    if not beyond and worst.psi > terms.max_prediction_shift:
        return Check("prediction shift", "open", f"{said}; up to {worst.limit:.3f} may be chance")
    return Check("prediction shift", "broken" if beyond else "within", said)


def _quality(terms: Terms, seen: StepSeen) -> Check:
    found, pairs = _difference(terms, seen)
    said = f"quality differs by {found.value:+.4g} (between {found.low:+.4g} and {found.high:+.4g}) on {pairs} requests with true values"
    if terms.strategy == "ab":
        if found.high < 0:
            return Check("quality", "broken", said)
        return Check("quality", "within" if found.low > 0 else "open", said)
    allowed = terms.max_quality_drop or 0.0
    said += f", a drop of {allowed:g} may be"
    if found.high < -allowed:
        return Check("quality", "broken", said)
    known = found.low > float("-inf") and pairs >= terms.min_requests
    return Check("quality", "within" if known and found.value >= -allowed else "open", said)


def _difference(terms: Terms, seen: StepSeen) -> tuple[Difference, int]:
    if terms.strategy == "shadow":
        return mean_of_differences(seen.paired, level(terms)), seen.paired.count
    first, second = seen.challenger.quality, seen.champion.quality
    return difference_of_means(first, second, level(terms)), first.count
