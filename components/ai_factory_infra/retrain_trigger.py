"""RetrainTrigger: the one door to the training pipeline: on drift, on a schedule; one run at a time, never a storm.

A state machine asks SageMaker what has run before it starts anything, so the answer survives whatever calls it: an alarm
that flaps, an event delivered twice, a schedule that meets drift. What cannot be delivered waits in a dead-letter queue.
Costs when idle: two alarms; a fraction of a cent for each start. Limits: 80 characters for a state machine's name.
AWS: "AWS Step Functions: transforming data with JSONata", "ListPipelineExecutions".
"""

from __future__ import annotations

import json
from typing import NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.execution_role import ExecutionRole
from ai_factory_infra.inputs import RoleInputs, RunbookInputs
from ai_factory_infra.limits import LOGICAL_NAME
from ai_factory_infra.metric_alarms import executions_failed, letters_waiting, metric_alarm, told
from ai_factory_infra.pipeline_parts import role
from ai_factory_infra.policies import Statement
from ai_factory_infra.problems import Problems
from ai_factory_infra.retrain_definition import door_definition
from ai_factory_infra.runbooks import RETRAINING
from ai_factory_infra.schedules import ScheduleError, eventbridge


class RetrainTriggerArgs(RoleInputs, RunbookInputs):
    """`pipeline_name` is known before the pipeline is; `pipeline_arn` makes the trigger wait for it.

    `drift_alarm`: the name of the alarm to listen for, empty for none. `schedule`: five cron fields, UTC, or empty.
    `cooldown_hours`: drift starts nothing within so many hours of any run. `max_runs_per_day`: whatever starts them.
    `role_arns`: roles that exist, for the parts `door`, `drift` and `clock`.
    """

    pipeline_name: str
    pipeline_arn: pulumi.Input[str]
    alerts_topic_arn: pulumi.Input[str]
    drift_alarm: NotRequired[str]
    schedule: NotRequired[str]
    cooldown_hours: NotRequired[int]
    max_runs_per_day: NotRequired[int]


class RetrainTrigger(pulumi.ComponentResource):
    """`door_arn`: the state machine; start it with `{"reason": "person"}` to retrain by hand under the same rules."""

    door_arn: pulumi.Output[str]

    def __init__(self, name: str, args: RetrainTriggerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:RetrainTrigger", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        who = self._role(
            "door",
            "states.amazonaws.com",
            [
                policies.start_pipeline(args["pipeline_arn"]),
                {
                    "sid": "SeeRuns",
                    "why": "it starts nothing while a run is under way or was made lately",
                    "actions": ["sagemaker:ListPipelineExecutions"],
                    "resources": [args["pipeline_arn"]],
                },
            ],
        )
        door = aws.sfn.StateMachine(
            name,
            role_arn=who.arn,
            type="STANDARD",
            definition=json.dumps(
                door_definition(args["pipeline_name"], args.get("cooldown_hours", 24), args.get("max_runs_per_day", 4))
            ),
            opts=self._child,
        )
        self.door_arn = door.arn
        queue = aws.sqs.Queue(
            f"{name}-undelivered", sqs_managed_sse_enabled=True, message_retention_seconds=14 * 86_400, opts=self._child
        )
        if args.get("drift_alarm"):
            self._listen_for_drift(str(args.get("drift_alarm")), queue)
        if args.get("schedule"):
            self._start_on_schedule(str(args.get("schedule")), queue)
        self._alarms(door, queue)
        self.register_outputs({"door_arn": self.door_arn})

    def _role(self, part: str, service: str, statements: list[Statement]) -> ExecutionRole:
        return role(self, self._name, part, statements, self._args, service)

    def _may_open(self) -> Statement:
        return {
            "sid": "OpenDoor",
            "why": "it starts this one state machine",
            "actions": ["states:StartExecution"],
            "resources": [self.door_arn],
        }

    def _listen_for_drift(self, alarm: str, queue: aws.sqs.Queue) -> None:
        rule = aws.cloudwatch.EventRule(
            f"{self._name}-drift",
            description="The drift alarm was raised.",
            event_pattern=json.dumps(
                {
                    "source": ["aws.cloudwatch"],
                    "detail-type": ["CloudWatch Alarm State Change"],
                    "detail": {"alarmName": [alarm], "state": {"value": ["ALARM"]}},
                }
            ),
            opts=self._child,
        )
        who = self._role("drift", "events.amazonaws.com", [self._may_open()])
        letters = self._let_rule_leave(queue, rule)
        aws.cloudwatch.EventTarget(
            f"{self._name}-drift",
            rule=rule.name,
            arn=self.door_arn,
            role_arn=who.arn,
            input=json.dumps({"reason": "drift"}),
            retry_policy={"maximum_retry_attempts": 3, "maximum_event_age_in_seconds": 3600},
            dead_letter_config={"arn": queue.arn},
            opts=pulumi.ResourceOptions(parent=self, depends_on=[letters]),
        )

    def _let_rule_leave(self, queue: aws.sqs.Queue, rule: aws.cloudwatch.EventRule) -> aws.sqs.QueuePolicy:
        """EventBridge leaves what it cannot deliver under the queue's own policy, not under a role."""
        return aws.sqs.QueuePolicy(
            f"{self._name}-undelivered",
            queue_url=queue.url,
            policy=pulumi.Output.json_dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Sid": "RuleLeavesWhatItCannotDeliver",
                            "Effect": "Allow",
                            "Principal": {"Service": "events.amazonaws.com"},
                            "Action": "sqs:SendMessage",
                            "Resource": queue.arn,
                            "Condition": {"ArnEquals": {"aws:SourceArn": rule.arn}},
                        }
                    ],
                }
            ),
            opts=self._child,
        )

    def _start_on_schedule(self, cron: str, queue: aws.sqs.Queue) -> None:
        leave: Statement = {
            "sid": "LeaveWhatCannotBeDelivered",
            "why": "a start that fails is kept, not lost",
            "actions": ["sqs:SendMessage"],
            "resources": [queue.arn],
        }
        who = self._role("clock", "scheduler.amazonaws.com", [self._may_open(), leave])
        aws.scheduler.Schedule(
            self._name,
            schedule_expression=eventbridge(cron),
            schedule_expression_timezone="UTC",
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": self.door_arn,
                "role_arn": who.arn,
                "input": json.dumps({"reason": "schedule"}),
                "retry_policy": {"maximum_retry_attempts": 3, "maximum_event_age_in_seconds": 3600},
                "dead_letter_config": {"arn": queue.arn},
            },
            opts=self._child,
        )

    def _alarms(self, door: aws.sfn.StateMachine, queue: aws.sqs.Queue) -> None:
        """A retraining that was asked for and did not start is said, not lost."""
        for what, condition in (("failed", executions_failed(door)), ("undelivered", letters_waiting(queue))):
            metric_alarm(
                f"{self._name}-{what}",
                f"A retraining was asked for and could not be started ({what}).",
                condition,
                told(self._args, RETRAINING),
                parent=self,
                tells_end=False,
            )


def check(name: str, args: RetrainTriggerArgs) -> None:
    """Refuse what AWS would refuse, and a trigger that nothing pulls. Raises `pulumi.InputPropertiesError`."""
    problems = Problems(f"RetrainTrigger {name}")
    problems.fits("name", name, LOGICAL_NAME - len("-undelivered"), "a trigger with its queue and alarms")
    problems.unless(
        bool(args.get("drift_alarm") or args.get("schedule")),
        "schedule",
        "got neither a schedule nor drift_alarm: nothing would start it",
    )
    problems.between("cooldown_hours", args.get("cooldown_hours", 24), 0, 24 * 365, unit="hours")
    problems.between("max_runs_per_day", args.get("max_runs_per_day", 4), 1, 100)
    try:
        _ = eventbridge(args.get("schedule") or "0 0 * * *")
    except ScheduleError as reason:
        problems.add("schedule", str(reason))
    problems.stop()
