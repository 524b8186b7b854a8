"""What asks for a new model: each trigger asks when it must and only then; the cool-down holds all of them back."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from ai_factory_runtime.base.runs import new_run_id
from ai_factory_runtime.monitoring.retrain import run_moment
from ai_factory_runtime.monitoring.triggers import TRIGGERS, Decision, Known, decide, last_tick
from ai_factory_spec.usecase import Retraining

NOW = dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC)  # a Wednesday
LONG_AGO = NOW - dt.timedelta(days=30)
QUIET = Known(LONG_AGO, LONG_AGO, None, "", ("s", "s"), ("c", "c"))


def decided(known: Known = QUIET, force: bool = False, **asked: object) -> Decision:
    return decide(known, Retraining.model_validate(asked), NOW, force=force)


def asking(known: Known = QUIET, **asked: object) -> list[str]:
    return [t.name for t in decided(known, **asked).asking]


def test_when_nothing_happened_nothing_asks() -> None:
    assert asking() == []
    decision = decided()
    assert not decision.due
    assert decision.because == "nothing asks for it"
    assert [t.name for t in decision.triggers] == list(TRIGGERS)


def test_drift_asks_until_there_was_a_run() -> None:
    drift = dataclasses.replace(QUIET, drift_at=NOW - dt.timedelta(hours=1), drift_because="the data moved")
    assert asking(drift) == ["drift"]
    assert "the data moved" in decided(drift).because
    assert asking(drift, on_drift=False) == []
    assert asking(dataclasses.replace(drift, attempted_at=NOW - dt.timedelta(minutes=59)), cooldown_hours=0) == []


def test_drift_alone_waits_for_newer_rows_or_other_code() -> None:
    """From the same rows by the same code comes the same model, bit for bit."""
    drift = dataclasses.replace(QUIET, drift_at=NOW - dt.timedelta(hours=1), drift_because="the data moved")
    held = decided(drift)
    assert not held.due
    assert held.needs_rows
    assert "the source has no newer rows" in held.because
    assert decided(drift, force=True).due
    assert decided(dataclasses.replace(drift, source=("s", "newer"))).due
    assert decided(dataclasses.replace(drift, code=("c", "other"))).due
    assert decided(drift, max_age_days=29).due, "who refreshes by age does so"
    unknown = dataclasses.replace(drift, source=("", ""))
    assert decided(unknown).due, "rows that cannot be compared may be newer"


def test_the_schedule_asks_once_for_each_of_its_moments() -> None:
    monday = "0 6 * * 1"
    assert asking(schedule=monday) == ["schedule"]
    after = dataclasses.replace(QUIET, attempted_at=dt.datetime(2026, 3, 2, 6, 0, 1, tzinfo=dt.UTC))
    assert asking(after, schedule=monday) == []
    before = dataclasses.replace(QUIET, attempted_at=dt.datetime(2026, 3, 2, 5, 59, tzinfo=dt.UTC))
    assert asking(before, schedule=monday) == ["schedule"]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 6 * * 1", "2026-03-02 06:00"),
        ("*/15 * * * *", "2026-03-04 11:45"),
        ("30 2 1 * *", "2026-03-01 02:30"),
        ("0 0 29 feb *", "2024-02-29 00:00"),
        ("0 0 * * 7", "2026-03-01 00:00"),
        ("0 22 * * mon-fri", "2026-03-03 22:00"),
        ("0 0,13 * * *", "2026-03-04 00:00"),
    ],
)
def test_the_last_moment_of_a_schedule(cron: str, expected: str) -> None:
    assert f"{last_tick(cron, NOW):%Y-%m-%d %H:%M}" == expected


def test_an_old_model_asks_where_an_age_is_set() -> None:
    assert asking(max_age_days=29) == ["age"]
    assert asking(max_age_days=31) == []
    assert asking() == []


def test_no_model_at_all_asks() -> None:
    assert asking(Known(None, None, None, "", ("", "s"), ("", "c"))) == ["age"]


def test_new_rows_and_new_code_ask() -> None:
    assert asking(dataclasses.replace(QUIET, source=("s", "other"))) == ["data"]
    assert asking(dataclasses.replace(QUIET, code=("c", "other"))) == ["code"]
    assert asking(dataclasses.replace(QUIET, source=("s", ""), code=("", "c"))) == []


def test_the_cool_down_holds_back_whatever_asks_and_says_so() -> None:
    lately = dataclasses.replace(QUIET, attempted_at=NOW - dt.timedelta(hours=3), source=("s", "other"))
    decision = decided(lately)
    assert [t.name for t in decision.asking] == ["data"]
    assert not decision.due
    assert "3 h ago, and the cool-down is 24 h" in decision.because
    assert decided(lately, force=True).due
    assert decided(lately, cooldown_hours=3).due


def test_a_clock_that_was_set_back_holds_nothing_back() -> None:
    assert decided(dataclasses.replace(QUIET, attempted_at=NOW + dt.timedelta(days=9), source=("s", "other"))).due


def test_only_the_triggers_listened_to_count() -> None:
    both = dataclasses.replace(QUIET, source=("s", "other"), code=("c", "other"))
    assert [t.name for t in decide(both, Retraining(), NOW, listen=["code"]).triggers] == ["code"]


def test_an_id_of_a_run_says_when_it_began() -> None:
    moment = dt.datetime(2026, 2, 28, 10, 15, 1, 123_000, tzinfo=dt.UTC)
    assert run_moment(new_run_id(moment)[0]) == moment
    assert run_moment("by-hand") is None
