"""ChallengerGuard: takes a variant's share of the requests away as soon as one of its alarms is raised.

SageMaker's guardrails watch an update; two variants that run side by side for weeks are watched by nobody. An alarm that
changes to ALARM starts a state machine of one step, which sets the variant's weight to 0: the other variants get its
requests, its machines stay for whoever looks into it. The next `pulumi up` with another configuration gives weights anew.
Costs when idle: one alarm. Limits: 80 characters for a state machine's name. AWS: "UpdateEndpointWeightsAndCapacities".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.inputs import RoleInputs, RunbookInputs
from ai_factory_infra.limits import LOGICAL_NAME
from ai_factory_infra.metric_alarms import executions_failed, metric_alarm, told
from ai_factory_infra.pipeline_parts import role
from ai_factory_infra.policies import Statement
from ai_factory_infra.problems import Problems
from ai_factory_infra.runbooks import SERVING


class ChallengerGuardArgs(RoleInputs, RunbookInputs):
    """`endpoint_name`: whose variant it is. `alarms`: the names of the alarms that speak against `variant`, of the same account.

    `role_arns`: roles that exist, for the parts `hand` (the state machine) and `ear` (what starts it).
    """

    endpoint_name: pulumi.Input[str]
    variant: str
    alarms: Sequence[str]
    alerts_topic_arn: pulumi.Input[str]


class ChallengerGuard(pulumi.ComponentResource):
    """`machine_arn`: the state machine; start it by hand to take the variant's share away."""

    machine_arn: pulumi.Output[str]

    def __init__(self, name: str, args: ChallengerGuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:ChallengerGuard", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        machine = self._machine()
        self.machine_arn = machine.arn
        self._listen()
        self._tell_failures(machine)
        self.register_outputs({"machine_arn": self.machine_arn})

    def _machine(self) -> aws.sfn.StateMachine:
        account = Account.of(self)
        endpoint = pulumi.Output.from_input(self._args["endpoint_name"])
        change: Statement = {
            "sid": "ChangeWeights",
            "why": "it sets the weight of one variant of one endpoint to 0",
            "actions": ["sagemaker:UpdateEndpointWeightsAndCapacities"],
            "resources": [endpoint.apply(lambda n: account.arn("sagemaker", f"endpoint/{n.lower()}"))],
        }
        return aws.sfn.StateMachine(
            self._name,
            role_arn=role(self, self._name, "hand", [change], self._args, "states.amazonaws.com").arn,
            type="STANDARD",
            definition=endpoint.apply(lambda n: json.dumps(guard_definition(n, self._args["variant"]))),
            opts=self._child,
        )

    def _listen(self) -> None:
        pattern = {
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "detail": {"alarmName": list(self._args["alarms"]), "state": {"value": ["ALARM"]}},
        }
        rule = aws.cloudwatch.EventRule(
            self._name,
            description=f"An alarm of the variant {self._args['variant']} was raised.",
            event_pattern=json.dumps(pattern),
            opts=self._child,
        )
        start: Statement = {
            "sid": "StartGuard",
            "why": "it starts this one state machine",
            "actions": ["states:StartExecution"],
            "resources": [self.machine_arn],
        }
        aws.cloudwatch.EventTarget(
            self._name,
            rule=rule.name,
            arn=self.machine_arn,
            role_arn=role(self, self._name, "ear", [start], self._args, "events.amazonaws.com").arn,
            retry_policy={"maximum_retry_attempts": 20, "maximum_event_age_in_seconds": 3600},
            opts=self._child,
        )

    def _tell_failures(self, machine: aws.sfn.StateMachine) -> None:
        """A share that should have been taken away and was not is said, not lost."""
        metric_alarm(
            f"{self._name}-failed",
            f"The share of {self._args['variant']} could not be taken away: do it by hand.",
            executions_failed(machine, seconds=60),
            told(self._args, SERVING),
            parent=self,
            tells_end=False,
        )


def guard_definition(endpoint: str, variant: str) -> dict[str, Any]:
    """The state machine: one call, repeated for half an hour while the endpoint is busy with another change."""
    change = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sagemaker:updateEndpointWeightsAndCapacities",
        "Arguments": {
            "EndpointName": endpoint,
            "DesiredWeightsAndCapacities": [{"VariantName": variant, "DesiredWeight": 0}],
        },
        "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 15, "MaxAttempts": 120, "BackoffRate": 1}],
        "End": True,
    }
    return {"QueryLanguage": "JSONata", "StartAt": "TakeShareAway", "States": {"TakeShareAway": change}}


def check(name: str, args: ChallengerGuardArgs) -> None:
    """Refuse a guard that hears nothing, or whose names are too long. Raises `pulumi.InputPropertiesError`."""
    problems = Problems(f"ChallengerGuard {name}")
    problems.fits("name", name, LOGICAL_NAME - len("-failed"), "a guard with its roles and its alarm")
    problems.unless(bool(args["alarms"]), "alarms", "got none: nothing would start it")
    problems.stop()
