"""Names fit AWS's limits and never collide; a cron expression of five fields says the same on EventBridge."""

from __future__ import annotations

import itertools

import pytest
from ai_factory_infra.limits import has_local_storage
from ai_factory_infra.naming import PREFIX, fitted, prefix
from ai_factory_infra.schedules import ScheduleError, eventbridge
from hypothesis import given
from hypothesis import strategies as st

SLUG = st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,39}", fullmatch=True).filter(lambda s: len(s) <= 40)


def test_a_short_name_is_left_alone() -> None:
    assert prefix("churn", "dev") == "churn-dev"


@given(SLUG, st.sampled_from(["dev", "staging", "prod"]))
def test_a_prefix_fits_whatever_the_project_is_called(slug: str, stage: str) -> None:
    name = prefix(slug, stage)
    assert len(name) <= PREFIX
    assert name == prefix(slug, stage)
    assert not name.endswith("-")
    assert "--" not in name or "--" in slug


def test_long_names_with_the_same_beginning_stay_apart() -> None:
    names = [fitted("a" * 60 + tail, 32) for tail in map("".join, itertools.product("abcdef", repeat=3))]
    assert len(set(names)) == len(names)
    assert all(len(n) == 32 for n in names)


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 6 * * *", "cron(0 6 * * ? *)"),
        ("*/15 8-17 * * 1-5", "cron(0,15,30,45 8,9,10,11,12,13,14,15,16,17 ? * MON,TUE,WED,THU,FRI *)"),
        ("0 3 1,15 * *", "cron(0 3 1,15 * ? *)"),
        ("30 2 * * 0", "cron(30 2 ? * SUN *)"),
        ("30 2 * * 7", "cron(30 2 ? * SUN *)"),
        ("0 0 * * 5-7", "cron(0 0 ? * SUN,FRI,SAT *)"),
        ("0 0 1 */3 *", "cron(0 0 1 1,4,7,10 ? *)"),
    ],
)
def test_a_cron_expression_means_the_same_on_eventbridge(cron: str, expected: str) -> None:
    assert eventbridge(cron) == expected


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("0 6 * *", "4 fields"),
        ("60 6 * * *", "minute '60' is out of bounds; allowed: 0 to 59"),
        ("0 6 1 * 1", "not both"),
        ("0 6 * * MON", "day of the week 'MON' is not understood"),
        ("0 6 * 13 *", "month '13'"),
        ("0 6 9-3 * *", "out of bounds"),
        ("*/0 * * * *", "out of bounds"),
    ],
)
def test_a_schedule_that_eventbridge_cannot_run_is_refused_with_the_reason(cron: str, said: str) -> None:
    with pytest.raises(ScheduleError, match=said.replace("(", r"\(")):
        eventbridge(cron)


@pytest.mark.parametrize(
    "kind", ["ml.g4dn.xlarge", "ml.g5.2xlarge", "ml.p4d.24xlarge", "ml.m5d.large", "ml.c5d.xlarge"]
)
def test_machines_with_disks_of_their_own_are_known(kind: str) -> None:
    assert has_local_storage(kind)


@pytest.mark.parametrize("kind", ["ml.m5.large", "ml.c6g.xlarge", "ml.p3.2xlarge", "ml.t3.medium"])
def test_machines_without_are_not_mistaken_for_them(kind: str) -> None:
    assert not has_local_storage(kind)
