"""ApprovalFlow: a model version goes live when two persons approve it, and neither made it.

Costs when idle: one alarm. Each approval costs a few hundred state transitions while it waits for the second person.
Limits: 80 characters for a state machine's name, 64 for a rule's. Two persons are two identities for AWS: where people share
a role, the session's name must not be theirs to choose (IAM Identity Center, or a trust policy on `sts:RoleSessionName`).
AWS: "Update the approval status of a model", "SageMaker AI model package state change".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.approval_definition import NEEDED, RELEASED, SOURCE, TAKEN_BACK, approval_definition
from ai_factory_infra.inputs import RoleInputs, RunbookInputs
from ai_factory_infra.limits import LOGICAL_NAME
from ai_factory_infra.metric_alarms import executions_failed, metric_alarm, told
from ai_factory_infra.model_groups import NAME, is_arn
from ai_factory_infra.pipeline_parts import role
from ai_factory_infra.policies import Statement
from ai_factory_infra.problems import Problems
from ai_factory_infra.runbooks import APPROVALS

MOST_HOURS = 168  # longer, and the state machine's history would be full
WORDS = {
    NEEDED: "<first> approved <version>. A second person confirms with their own name as the metadata second-approval.",
    RELEASED: "<version> was approved by <first> and by <second>.",
    TAKEN_BACK: "The approval of <version> by <first> was taken back: <because>.",
}


class ApprovalFlowArgs(RoleInputs, RunbookInputs):
    """`group`: the name of the model package group, which is this account's. `trainers`: what the names of roles begin with that may never approve.

    `hours`: how long the second person has, 72 by default, at most a week. `role_arns`: roles that exist, for the parts `flow`
    (the state machine) and `begin` (what starts it).
    """

    group: str
    alerts_topic_arn: pulumi.Input[str]
    trainers: Sequence[str]
    hours: NotRequired[int]


class ApprovalFlow(pulumi.ComponentResource):
    """Listens for `Approved`, and for nothing else; says `Model Version Released` on the event bus once two persons did.

    `flow_arn`: the state machine. What goes wrong in it is told as an alarm.
    """

    flow_arn: pulumi.Output[str]

    def __init__(self, name: str, args: ApprovalFlowArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:ApprovalFlow", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        flow = aws.sfn.StateMachine(
            name,
            role_arn=role(self, name, "flow", self._may(), args, "states.amazonaws.com").arn,
            type="STANDARD",
            definition=json.dumps(approval_definition(args["group"], args["trainers"], args.get("hours", 72))),
            opts=self._child,
        )
        self.flow_arn = flow.arn
        self._listen()
        self._tell_people()
        self._alarm(flow)
        self.register_outputs({"flow_arn": self.flow_arn})

    def _may(self) -> list[Statement]:
        account = Account.of(self)
        return [
            {
                "sid": "SeeWhoApproved",
                "why": "it reads AWS's own record of who approved, marks the version as its own, and takes one person's approval back",
                "actions": ["sagemaker:DescribeModelPackage", "sagemaker:UpdateModelPackage"],
                "resources": [account.arn("sagemaker", f"model-package/{self._args['group']}/*")],
            },
            {
                "sid": "SayWhatBecameOfIt",
                "why": "people and deployments hear of it through the event bus",
                "actions": ["events:PutEvents"],
                "resources": [account.arn("events", "event-bus/default")],
            },
        ]

    def _listen(self) -> None:
        rule = aws.cloudwatch.EventRule(
            f"{self._name}-begin",
            description="A model version was approved by one person.",
            event_pattern=json.dumps(
                {
                    "source": ["aws.sagemaker"],
                    "detail-type": ["SageMaker Model Package State Change"],
                    "detail": {"ModelPackageGroupName": [self._args["group"]], "ModelApprovalStatus": ["Approved"]},
                }
            ),
            opts=self._child,
        )
        start: Statement = {
            "sid": "StartFlow",
            "why": "it starts this one state machine",
            "actions": ["states:StartExecution"],
            "resources": [self.flow_arn],
        }
        aws.cloudwatch.EventTarget(
            f"{self._name}-begin",
            rule=rule.name,
            arn=self.flow_arn,
            role_arn=role(self, self._name, "begin", [start], self._args, "events.amazonaws.com").arn,
            retry_policy={"maximum_retry_attempts": 10, "maximum_event_age_in_seconds": 86_400},
            opts=self._child,
        )

    def _tell_people(self) -> None:
        """The topic takes messages from services only, so the event bus carries them there, in words."""
        for what, words in WORDS.items():
            part = f"{self._name}-{what.split()[-1].lower()}"
            rule = aws.cloudwatch.EventRule(
                part,
                description=f"{what}.",
                event_pattern=json.dumps(
                    {"source": [SOURCE], "detail-type": [what], "detail": {"group": [self._args["group"]]}}
                ),
                opts=self._child,
            )
            names = [n for n in ("first", "second", "version", "because") if f"<{n}>" in words]
            aws.cloudwatch.EventTarget(
                part,
                rule=rule.name,
                arn=self._args["alerts_topic_arn"],
                input_transformer={
                    "input_paths": {n: f"$.detail.{n}" for n in names},
                    "input_template": json.dumps(words, ensure_ascii=False),
                },
                opts=self._child,
            )

    def _alarm(self, flow: aws.sfn.StateMachine) -> None:
        metric_alarm(
            f"{self._name}-failed",
            "An approval could not be checked: the version stays as one person left it.",
            executions_failed(flow),
            told(self._args, APPROVALS),
            parent=self,
            tells_end=False,
        )


def check(name: str, args: ApprovalFlowArgs) -> None:
    """Refuse what AWS would refuse, and a flow in which training could approve. Raises `pulumi.InputPropertiesError`."""
    problems = Problems(f"ApprovalFlow {name}")
    problems.fits("name", name, LOGICAL_NAME - len("-released"), "a flow with its rules")
    problems.between("hours", args.get("hours", 72), 1, MOST_HOURS, unit="hours")
    problems.unless(bool(args["trainers"]), "trainers", "got none; name what the roles of training begin with")
    for i, trainer in enumerate(args["trainers"]):
        problems.matches(f"trainers[{i}]", trainer, r"[\w+=,.@-]{3,55}", "what a role's name begins with")
    if is_arn(args["group"]):
        problems.add(
            "group",
            f"got {args['group']}; the flow stands where the group is, because AWS tells of a version on the event bus of the "
            "group's account only: two_persons belongs to the stack that makes the group, and is false here",
        )
    else:
        problems.matches("group", args["group"], NAME, "the name of a model package group")
    problems.stop()
