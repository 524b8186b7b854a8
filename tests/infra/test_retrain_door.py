"""The one door to training: its state machine is run here, JSONata and all, against pipeline histories."""

from __future__ import annotations

import datetime as dt
import functools
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
from ai_factory_infra.retrain_definition import door_definition
from jsonata import Jsonata

HOUR = 3600
NOW = dt.datetime(2025, 6, 1, 12, 5, tzinfo=dt.UTC)  # in the middle of ten minutes, within which two starts are one


@dataclass
class SageMaker:
    """The two calls the door makes, over a list of executions: seconds before now, and their status."""

    executions: list[tuple[float, str]] = field(default_factory=list)
    started: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def list(self, arguments: dict[str, Any]) -> dict[str, Any]:
        after = dt.datetime.min.replace(tzinfo=dt.UTC)
        if "CreatedAfter" in arguments:
            after = dt.datetime.fromisoformat(arguments["CreatedAfter"])
        found = [s for age, s in sorted(self.executions) if NOW - dt.timedelta(seconds=age) > after]
        return {
            "PipelineExecutionSummaries": [{"PipelineExecutionStatus": s} for s in found[: arguments["MaxResults"]]]
        }

    def start(self, arguments: dict[str, Any]) -> dict[str, Any]:
        assert re.fullmatch(r"[A-Za-z0-9-]{32,128}", arguments["ClientRequestToken"])
        if arguments["ClientRequestToken"] not in self.tokens:  # AWS: the same token again is the same execution
            self.tokens.add(arguments["ClientRequestToken"])
            self.started.append(arguments)
            self.executions.append((0.0, "Executing"))
        return {"PipelineExecutionArn": "arn"}


def evaluated(value: Any, bindings: dict[str, Any]) -> Any:
    """A field of the state machine, its JSONata expressions replaced by their values."""
    if isinstance(value, dict):
        return {k: evaluated(v, bindings) for k, v in value.items()}
    if not (isinstance(value, str) and value.startswith("{%")):
        return value
    expression = parsed(value[2:-2].strip().replace("$millis()", "$clock"))
    for name, bound in {**bindings, "clock": int(NOW.timestamp() * 1000)}.items():
        expression.assign(name, bound)
    return expression.evaluate(None)


@functools.cache
def parsed(expression: str) -> Jsonata:
    return Jsonata(expression)


def knock(aws: SageMaker, reason: str, *, cooldown: int = 24, most: int = 4) -> Any:
    """Run the state machine once; returns its output."""
    machine = door_definition("churn-dev-training", cooldown, most)
    name, variables, given = machine["StartAt"], {}, {"reason": reason}
    while True:
        state = machine["States"][name]
        bindings = {**variables, "states": {"input": given}}
        if state["Type"] == "Succeed":
            return state["Output"]
        if state["Type"] == "Choice":
            name = next(
                (c["Next"] for c in state["Choices"] if evaluated(c["Condition"], bindings) is True), state["Default"]
            )
            continue
        call = aws.list if state["Resource"].endswith("listPipelineExecutions") else aws.start
        result = call(evaluated(state["Arguments"], bindings))
        bindings["states"] = {"input": given, "result": result}
        variables |= evaluated(state.get("Assign", {}), bindings)
        if state.get("End"):
            return result
        given, name = evaluated(state["Output"], bindings), state["Next"]


def test_drift_starts_a_run_and_says_why() -> None:
    aws = SageMaker([(30 * HOUR, "Succeeded")])
    knock(aws, "drift")
    assert [s["PipelineExecutionDescription"] for s in aws.started] == ["Started by drift"]
    assert aws.started[0]["PipelineName"] == "churn-dev-training"


def test_the_first_run_ever_is_started() -> None:
    aws = SageMaker()
    knock(aws, "schedule")
    assert len(aws.started) == 1


@pytest.mark.parametrize("status", ["Executing", "Stopping"])
@pytest.mark.parametrize("reason", ["drift", "schedule", "person"])
def test_nothing_is_started_while_a_run_is_under_way(status: str, reason: str) -> None:
    aws = SageMaker([(50 * HOUR, status)])
    assert knock(aws, reason) == {"started": False, "because": "a run is under way"}
    assert aws.started == []


@pytest.mark.parametrize("status", ["Succeeded", "Failed", "Stopped"])
def test_drift_waits_for_the_cooldown_after_any_run(status: str) -> None:
    aws = SageMaker([(23 * HOUR, status)])
    assert knock(aws, "drift") == {"started": False, "because": "a run was made within 24 hours"}
    assert knock(SageMaker([(25 * HOUR, status)]), "drift") == {"PipelineExecutionArn": "arn"}


def test_the_schedule_does_not_wait_for_the_cooldown() -> None:
    aws = SageMaker([(2 * HOUR, "Succeeded")])
    knock(aws, "schedule")
    assert len(aws.started) == 1


def test_a_day_has_a_most_whatever_asks() -> None:
    aws = SageMaker([(h * HOUR, "Failed") for h in (1, 5, 9, 13)])
    assert knock(aws, "person", cooldown=0) == {"started": False, "because": "4 runs were made within 24 hours"}
    assert knock(SageMaker(aws.executions[:3]), "person", cooldown=0) == {"PipelineExecutionArn": "arn"}


def test_an_alarm_that_flaps_all_day_starts_one_run() -> None:
    aws = SageMaker()
    for _ in range(200):
        knock(aws, "drift")
    assert len(aws.started) == 1


def test_two_that_see_no_run_at_the_same_moment_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = SageMaker()
    monkeypatch.setattr(SageMaker, "list", lambda self, arguments: {"PipelineExecutionSummaries": []})
    knock(aws, "drift")
    knock(aws, "schedule")
    assert len(aws.started) == 1


def test_the_guard_is_what_stops_the_storm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its conditions the same day of alarms starts a run each time: the tests above would notice."""
    import ai_factory_infra.retrain_definition as module

    guarded = door_definition

    def unguarded(*args: Any) -> dict[str, Any]:
        machine = guarded(*args)
        machine["States"]["Decide"]["Choices"] = []
        return machine

    monkeypatch.setitem(globals(), "door_definition", unguarded)
    monkeypatch.setattr(module, "SAME_START", 1)
    aws = SageMaker()
    for _ in range(5):
        knock(aws, "drift")
        aws.tokens.clear()
    assert len(aws.started) == 5
