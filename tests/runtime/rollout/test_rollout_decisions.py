"""The decision: a challenger within its bounds goes on, one beyond them goes back, and too little evidence decides nothing."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ai_factory_runtime.rollout.decisions import (
    ArmSeen,
    Candidate,
    Check,
    Decision,
    Rollout,
    Shift,
    StepSeen,
    begun,
    carried_out,
    decide,
    level,
    shares,
)
from ai_factory_runtime.rollout.sequential import Sample
from ai_factory_spec.usecase import Rollout as Terms

START = dt.datetime(2026, 1, 5, 12, 0, tzinfo=dt.UTC)
LATER = START + dt.timedelta(minutes=6)
CALM = (Shift("prediction", 200, 0.01, 0.2),)


def rollout(strategy: str = "canary", **terms: Any) -> Rollout:
    agreed = Terms.model_validate({"strategy": strategy, "min_requests": 200, "max_p99_ms": 50.0, **terms})
    return begun(Rollout("r-1", "prod", agreed, Candidate(1, "a", "models/a"), Candidate(2, "b", "models/b"), START))


def arm(requests: int = 400, failures: int = 0, slow: int = 0, quality: Sample | None = None) -> ArmSeen:
    return ArmSeen(requests, failures, slow, quality or Sample())


def seen(challenger: ArmSeen | None = None, champion: ArmSeen | None = None, **more: Any) -> dict[int, StepSeen]:
    return {0: StepSeen(champion or arm(3600), challenger or arm(), **{"shifts": CALM, **more})}


def share_right(right: float, count: int = 2000) -> Sample:
    return Sample(count, right, right * (1 - right))


def standing(decision: Decision, name: str) -> Check:
    return next(c for c in decision.checks if c.name == name)


@pytest.mark.parametrize(
    ("strategy", "step", "expected"),
    [
        ("all-at-once", 10, (100,)),
        ("shadow", 10, (0,)),
        ("canary", 10, (10,)),
        ("linear", 25, (25, 50, 75)),
        ("linear", 30, (30, 60, 90)),
        ("ab", 50, (50,)),
    ],
)
def test_each_strategy_is_a_row_of_shares(strategy: str, step: int, expected: tuple[int, ...]) -> None:
    assert shares(rollout(strategy, step_percent=step).terms) == expected


def test_a_challenger_within_every_bound_is_promoted_after_its_minutes() -> None:
    decision = decide(rollout(), seen(), LATER)
    assert decision.action == "promote"
    assert {c.name: c.standing for c in decision.checks} == dict.fromkeys(
        ("requests", "error rate", "latency", "prediction shift"), "within"
    )


def test_a_linear_rollout_goes_step_by_step_to_its_promotion() -> None:
    state, evidence, moment = rollout("linear", step_percent=25), {}, START
    met = [state.share]
    for number in range(3):
        evidence[number] = seen()[0]
        moment += dt.timedelta(minutes=6)
        state = carried_out(state, decide(state, evidence, moment), moment)
        met.append(state.share)
    assert (met, state.status) == ([25, 50, 75, 0], "promoted")
    assert [(e.what, e.share) for e in state.events] == [
        ("started", 25), ("advanced", 50), ("advanced", 75), ("promoted", 100),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("evidence", "waits_for"),
    [
        ({}, "0 of 200 requests"),
        (seen(arm(199)), "199 of 200 requests"),
        (seen(shifts=()), "not compared yet"),
        (seen(shifts=(Shift("prediction", 200, 0.3, 0.4),)), "0.2 may be; up to 0.400 may be chance"),
        (seen(arm(400, failures=6)), "6 of 400 requests failed"),
        (seen(arm(400, slow=6)), "6 of 400 requests took more than 50 ms"),
    ],
)
def test_too_little_to_say_so_decides_nothing(evidence: dict[int, StepSeen], waits_for: str) -> None:
    decision = decide(rollout(), evidence, LATER)
    assert decision.action == "hold"
    assert waits_for in decision.reason


def test_a_step_takes_its_minutes_however_busy_it_is() -> None:
    decision = decide(rollout(), seen(), START + dt.timedelta(minutes=2))
    assert decision.action == "hold"
    assert decision.reason == "3 of 5 minutes are left"


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (seen(arm(40, failures=8)), "8 of 40 requests failed"),
        (seen(arm(400, failures=20)), "20 of 400 requests failed"),
        (seen(arm(60, slow=10)), "10 of 60 requests took more than 50 ms"),
        (seen(shifts=(*CALM, Shift("probability", 400, 0.31, 0.2))), "PSI of the probability is 0.310"),
    ],
)
def test_a_broken_bound_sends_the_challenger_back_at_once(evidence: dict[int, StepSeen], why: str) -> None:
    """Before its minutes are over, and before `min_requests`."""
    state = rollout()
    decision = decide(state, evidence, START)
    assert decision.action == "roll back"
    assert why in decision.reason
    after = carried_out(state, decision, START)
    assert (after.status, after.share, after.running) == ("rolled back", 0, False)


def test_what_fails_in_both_arms_is_not_the_challengers_fault() -> None:
    both = seen(arm(400, failures=20), arm(3600, failures=180))
    assert decide(rollout(), both, LATER).action == "promote"


def test_a_late_label_of_an_earlier_step_still_sends_it_back() -> None:
    state = replace(rollout("linear", step_percent=40, max_quality_drop=0.02), step=1)
    good, bad = share_right(0.9), share_right(0.6)
    evidence = seen(arm(quality=bad), arm(quality=good)) | {1: seen(arm(quality=good), arm(quality=good))[0]}
    decision = decide(state, evidence, LATER)
    assert decision.action == "roll back"
    assert decision.reason.startswith("step 1: quality differs by -0.3")


def test_a_drop_of_quality_is_judged_once_true_values_are_there() -> None:
    state = rollout(max_quality_drop=0.05)
    assert decide(state, seen(), LATER).action == "hold"
    equal = seen(arm(quality=share_right(0.9)), arm(quality=share_right(0.9)))
    assert decide(state, equal, LATER).action == "promote"
    a_little_worse = seen(arm(quality=share_right(0.88)), arm(quality=share_right(0.9)))
    assert decide(state, a_little_worse, LATER).action == "promote"
    worse = seen(arm(quality=share_right(0.7)), arm(quality=share_right(0.9)))
    assert decide(state, worse, LATER).action == "roll back"


def test_a_shadow_is_compared_on_the_same_requests() -> None:
    state = rollout("shadow", max_quality_drop=0.0)
    worse = seen(champion=arm(400), paired=Sample(400, -0.2, 0.2))
    assert decide(state, worse, LATER).action == "roll back"
    as_good = seen(champion=arm(400), paired=Sample(400, 0.0, 0.1))
    assert decide(state, as_good, LATER).action == "promote"


def test_a_test_of_two_versions_goes_on_until_one_of_them_is_better() -> None:
    state = rollout("ab", step_percent=50)
    good, bad = share_right(0.9), share_right(0.8)
    assert decide(state, seen(arm(quality=good), arm(quality=good)), LATER).action == "hold"
    assert decide(state, seen(arm(quality=good), arm(quality=bad)), LATER).action == "promote"
    assert decide(state, seen(arm(quality=bad), arm(quality=good)), LATER).action == "roll back"
    broken = seen(arm(400, failures=40, quality=good), arm(quality=bad))
    assert decide(state, broken, LATER).action == "roll back"


def test_all_at_once_is_watched_though_there_is_nothing_to_compare_with() -> None:
    state = rollout("all-at-once")
    alone = {0: StepSeen(ArmSeen(), arm(400))}
    assert state.share == 100
    assert decide(state, alone, START).action == "hold"
    assert decide(state, alone, LATER).action == "promote"
    assert decide(state, {0: StepSeen(ArmSeen(), arm(400, failures=40))}, START).action == "roll back"


def test_the_rate_of_false_alarms_is_shared_by_bounds_and_steps() -> None:
    assert level(rollout("canary").terms) == pytest.approx(0.05 / 3)
    assert level(rollout("canary", max_p99_ms=None, max_quality_drop=0.1).terms) == pytest.approx(0.05 / 3)
    assert level(rollout("linear", step_percent=25).terms) == pytest.approx(0.05 / 9)
    assert level(rollout("all-at-once").terms) == pytest.approx(0.05 / 2)


@pytest.mark.parametrize("strategy", ["ab", "canary"])
def test_an_equal_challenger_is_seldom_sent_back_however_often_one_decides(strategy: str) -> None:
    """A challenger that fails, is slow and is right exactly as often as it may, decided upon every 25 requests."""
    random = np.random.default_rng(11)
    state = rollout(strategy, step_percent=50, max_quality_drop=0.0)
    runs, requests, back = 150, 3000, 0
    for _ in range(runs):
        failures, slow = (np.cumsum(random.random(requests) < 0.01) for _ in range(2))
        right = [np.cumsum(random.random(requests) < 0.85) for _ in range(2)]
        for n in range(25, requests + 1, 25):
            arms = [arm(n, int(failures[n - 1]), int(slow[n - 1]), share_right(r[n - 1] / n, n)) for r in right]
            decision = decide(state, seen(arms[0], replace(arms[1], failures=0)), START)
            if decision.action == "roll back":
                back += 1
                break
    assert back / runs <= 0.05
