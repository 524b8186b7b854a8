"""How often a pipeline runs in a month, by the schedules of its stack: those that start it, and those that ask a door to.

A door is a state machine that starts the pipeline and refuses what is more than its share of a day (`RetrainTrigger`): a
schedule of every hour behind a door of four runs a day is four runs a day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ai_factory_infra.cost.lines import Inputs, Resource, is_named, of_type

DAYS_PER_MONTH, WEEKS_PER_MONTH = 30.4, 4.35
SCHEDULE, STATE_MACHINE = "aws:scheduler/schedule:Schedule", "aws:sfn/stateMachine:StateMachine"
_MOST_A_DAY = re.compile(r"\$today >= (\d+)")  # as a door's definition writes it


def scheduled_runs(name: str, inputs: Inputs, stack: Sequence[Resource]) -> float | None:
    """Runs of a pipeline in a mean month; None where no schedule starts it, so nobody can know."""
    found = [*_direct(name, inputs, stack), *_through_doors(inputs, stack)]
    return sum(found) if found else None


def _direct(name: str, inputs: Inputs, stack: Sequence[Resource]) -> Iterator[float]:
    return (often for arn, often in _schedules(stack) if is_named(arn, name, inputs))


def _through_doors(inputs: Inputs, stack: Sequence[Resource]) -> Iterator[float]:
    for door, about in of_type(stack, STATE_MACHINE):
        definition = str(about.get("definition") or "")
        if "startPipelineExecution" not in definition or f'"{inputs.get("pipelineName")}"' not in definition:
            continue
        asked = [often for arn, often in _schedules(stack) if is_named(arn, door, about)]
        most = _MOST_A_DAY.search(definition)
        if asked:
            yield min(sum(asked), int(most[1]) * DAYS_PER_MONTH) if most else sum(asked)


def _schedules(stack: Sequence[Resource]) -> Iterator[tuple[str, float]]:
    """What each schedule that is on starts, and how often."""
    for _, inputs in of_type(stack, SCHEDULE):
        if inputs.get("state") != "DISABLED":
            target = inputs.get("target") or {}
            yield str(target.get("arn")), runs_per_month(str(inputs.get("scheduleExpression")))


def runs_per_month(expression: str) -> float:
    """How often an EventBridge schedule runs in a mean month: `cron(0 4 * * ? *)` -> 30.4. An unknown form counts as daily."""
    if rate := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        return DAYS_PER_MONTH * {"minute": 1440, "hour": 24, "day": 1}[rate[2]] / int(rate[1])
    parts = expression.removeprefix("cron(").removesuffix(")").split()
    if len(parts) != 6:
        return DAYS_PER_MONTH
    minute, hour, day, month, weekday, _ = parts
    days = len(weekday.split(",")) * WEEKS_PER_MONTH if weekday not in "?*" else _many(day, DAYS_PER_MONTH)
    return _many(minute, 60) * _many(hour, 24) * days * _many(month, 12) / 12


def _many(part: str, every: float) -> float:
    return every if part in ("*", "?") else float(len(part.split(",")))
