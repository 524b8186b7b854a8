"""Rollout: how a new version meets an endpoint's traffic.

SageMaker's deployment guardrails move it: all at once, a canary first, or in equal steps, and back when an alarm is raised.
Beside the version that answers, `shadow` gives another a copy of every request, and `ab` a share of them, for as long as
both are configured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ai_factory_infra.limits import ENDPOINT_WAITER_MINUTES
from ai_factory_infra.problems import Problems

STRATEGIES = ("all-at-once", "shadow", "canary", "linear", "ab")
SIDE_BY_SIDE = ("shadow", "ab")
"""With these a challenger runs beside the champion until somebody takes one of them out of the configuration."""
MOVED = ("canary", "linear")
FITTING = {"realtime": STRATEGIES, "serverless": ("all-at-once",), "async": ("all-at-once", *MOVED)}
"""Mode of serving -> the strategies that SageMaker carries out for it."""
START_MINUTES = 10  # what SageMaker needs to start the new machines, before the first request


@dataclass(frozen=True, slots=True)
class Rollout:
    """`step_percent`: the canary's share, each step's, or in `ab` the challenger's. `wait_minutes`: between steps, while
    alarms are watched.

    `bake_minutes`: how long the old version is kept after the last step, so that a late alarm can still go back to it.
    """

    strategy: str = "all-at-once"
    step_percent: int = 10
    wait_minutes: int = 5
    bake_minutes: int = 5

    @property
    def minutes(self) -> int:
        """How long traffic takes to move, the wait after the last step included."""
        if self.strategy in SIDE_BY_SIDE:
            return 0
        waits = {"all-at-once": 0, "canary": 1, "linear": math.ceil(100 / self.step_percent) - 1}[self.strategy]
        return waits * self.wait_minutes + self.bake_minutes

    def check_mode(self, problems: Problems, path: str, mode: str) -> None:
        """Refuse a strategy that SageMaker does not carry out for a mode of serving, one of `FITTING`."""
        fitting = FITTING[mode]
        if self.strategy in STRATEGIES and self.strategy not in fitting:
            problems.add(
                f"{path}.strategy",
                f"{self.strategy} does not fit an endpoint of mode {mode}; AWS allows {', '.join(fitting)}",
            )

    def check(self, problems: Problems, path: str, instances: int) -> None:
        """Refuse what SageMaker or the provider's waiter would not carry through."""
        if self.strategy not in STRATEGIES:
            problems.add(f"{path}.strategy", f"got {self.strategy!r}; allowed: {', '.join(STRATEGIES)}")
            return
        problems.between(f"{path}.wait_minutes", self.wait_minutes, 0, 60, unit="minutes")
        problems.between(f"{path}.bake_minutes", self.bake_minutes, 0, 60, unit="minutes")
        if self.strategy == "ab":
            problems.between(f"{path}.step_percent", self.step_percent, 1, 50, unit="% of the requests")
        if self.strategy in MOVED:
            low = 10 if self.strategy == "linear" else 1
            problems.between(f"{path}.step_percent", self.step_percent, low, 50, unit="% of the machines")
            problems.unless(
                instances >= 2,
                f"{path}.strategy",
                f"{self.strategy} moves at most half of the machines at a time, so it needs 2 or more; got {instances}",
            )
        if self.step_percent < 1:
            return
        room = ENDPOINT_WAITER_MINUTES - START_MINUTES
        problems.unless(
            self.minutes <= room,
            f"{path}.wait_minutes",
            f"the rollout would take {self.minutes} minutes; pulumi_aws waits {ENDPOINT_WAITER_MINUTES} for an endpoint, "
            f"of which {START_MINUTES} go to starting machines, so {room} are allowed: larger steps or shorter waits",
        )

    def deployment(self, alarms: Sequence[Any]) -> Any:
        """The endpoint's `deployment_config` (a dict of pulumi_aws); `alarms` are the names that send it back.

        None for two versions side by side: guardrails ask that variants stay the same ("Deployment guardrails: exclusions"),
        and a challenger comes and goes. SageMaker then changes fleets blue/green, all at once.
        """
        if self.strategy in SIDE_BY_SIDE:
            return None
        routing: dict[str, Any] = {
            "type": self.strategy.replace("-", "_").upper(),
            "wait_interval_in_seconds": 0 if self.strategy == "all-at-once" else self.wait_minutes * 60,
        }
        share = {"type": "CAPACITY_PERCENT", "value": self.step_percent}
        if self.strategy == "canary":
            routing["canary_size"] = share
        if self.strategy == "linear":
            routing["linear_step_size"] = share
        return {
            "blue_green_update_policy": {
                "traffic_routing_configuration": routing,
                "termination_wait_in_seconds": self.bake_minutes * 60,
                "maximum_execution_timeout_in_seconds": ENDPOINT_WAITER_MINUTES * 60,
            },
            "auto_rollback_configuration": {"alarms": [{"alarm_name": a} for a in alarms]},
        }
