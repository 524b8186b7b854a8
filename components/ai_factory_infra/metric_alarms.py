"""Alarms on one metric: when it has gone too far, as a value, and the alarm that tells a topic so, and what to do about it.

AWS: "Using Amazon CloudWatch alarms", "Monitoring Step Functions metrics using Amazon CloudWatch", "Available CloudWatch
metrics for Amazon SQS".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from ai_factory_infra.inputs import RunbookInputs
from ai_factory_infra.runbooks import DOCS


@dataclass(frozen=True, slots=True)
class Condition:
    """A metric, and when it has gone too far: in `datapoints` (None: all) of `periods` periods of `seconds` each.

    `statistic`: Sum, Average, Maximum, or a percentile such as p99. `comparison` with `threshold`, and what `missing` data
    mean, are in CloudWatch's words; by default over the threshold is too far, and a metric that says nothing is well.
    """

    namespace: str
    metric: str
    dimensions: Mapping[str, pulumi.Input[str]]
    statistic: str
    threshold: float
    seconds: int = 300
    periods: int = 1
    datapoints: int | None = None
    comparison: str = "GreaterThanThreshold"
    missing: str = "notBreaching"


class Telling(RunbookInputs):
    """The inputs of a component that raises alarms."""

    alerts_topic_arn: pulumi.Input[str]


@dataclass(frozen=True, slots=True)
class Told:
    """Who hears of an alarm, and the page on which they read what to do: an address, or a file of the repository."""

    topic_arn: pulumi.Input[str]
    runbook: pulumi.Input[str]

    def words(self, description: str) -> pulumi.Output[str]:
        """The description of an alarm, with its runbook."""
        return pulumi.Output.format("{0} Runbook: {1}", description, self.runbook)


def told(args: Telling, page: str) -> Told:
    """Whom a component tells, with one of the pages of `runbooks`."""
    return Told(args["alerts_topic_arn"], pulumi.Output.format("{0}/{1}", args.get("runbooks", DOCS), page))


def metric_alarm(
    name: str,
    description: str,
    condition: Condition,
    told: Told,
    *,
    parent: pulumi.Resource,
    tells_end: bool = True,
) -> aws.cloudwatch.MetricAlarm:
    """The alarm `name`. It tells the topic when it is raised and, with `tells_end`, when it is over."""
    percentile = condition.statistic.startswith("p")
    return aws.cloudwatch.MetricAlarm(
        name,
        name=name,
        alarm_description=told.words(description),
        namespace=condition.namespace,
        metric_name=condition.metric,
        dimensions=condition.dimensions,
        statistic=None if percentile else condition.statistic,
        extended_statistic=condition.statistic if percentile else None,
        threshold=condition.threshold,
        period=condition.seconds,
        evaluation_periods=condition.periods,
        datapoints_to_alarm=condition.datapoints,
        comparison_operator=condition.comparison,
        treat_missing_data=condition.missing,
        alarm_actions=[told.topic_arn],
        ok_actions=[told.topic_arn] if tells_end else None,
        opts=pulumi.ResourceOptions(parent=parent),
    )


def executions_failed(machine: aws.sfn.StateMachine, *, seconds: int = 300) -> Condition:
    """An execution of the state machine failed. What it was to do was not done, and nobody else says so."""
    return Condition("AWS/States", "ExecutionsFailed", {"StateMachineArn": machine.arn}, "Sum", 0, seconds)


def letters_waiting(queue: aws.sqs.Queue) -> Condition:
    """Something lies in a dead-letter queue: it could not be delivered or processed, and waits for a person."""
    return Condition("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": queue.name}, "Maximum", 0)
