"""An alarm says what its condition says, tells of its end only where it is asked to, and takes silence for well."""

from __future__ import annotations

from dataclasses import replace

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra.metric_alarms import Condition, Told, executions_failed, letters_waiting, metric_alarm
from ai_factory_infra.testing import Registered, run_resources

ALARM, TOPIC = "aws:cloudwatch/metricAlarm:MetricAlarm", "arn:aws:sns:eu-west-1:123456789012:alerts"
TOLD = Told(TOPIC, "docs/serve-on-aws.md#alarms")
SLOW = Condition(
    "AWS/SageMaker", "ModelLatency", {"EndpointName": "e"}, "p99", 800, seconds=60, periods=3, datapoints=2
)


class Parent(pulumi.ComponentResource):
    def __init__(self, name: str, opts: pulumi.ResourceOptions) -> None:
        super().__init__("test:index:Parent", name, {}, opts)


def raised(condition: Condition, *, tells_end: bool = True) -> Registered:
    def build() -> None:
        parent = Parent("whole", pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1")))
        metric_alarm("churn-dev-slow", "Too slow.", condition, TOLD, parent=parent, tells_end=tells_end)

    return run_resources(build)


def test_a_percentile_is_asked_for_as_one_and_another_statistic_as_itself() -> None:
    slow = raised(SLOW).only(ALARM).inputs
    assert (slow["extendedStatistic"], "statistic" in slow) == ("p99", False)
    mean = raised(replace(SLOW, statistic="Average")).only(ALARM).inputs
    assert (mean["statistic"], "extendedStatistic" in mean) == ("Average", False)


def test_it_is_raised_by_the_datapoints_of_the_condition_and_belongs_to_its_parent() -> None:
    found = raised(SLOW).only(ALARM)
    assert (found.inputs["period"], found.inputs["evaluationPeriods"], found.inputs["datapointsToAlarm"]) == (60, 3, 2)
    assert found.inputs["name"] == found.name == "churn-dev-slow"
    assert found.parent.endswith("test:index:Parent::whole")
    assert "datapointsToAlarm" not in raised(replace(SLOW, datapoints=None)).only(ALARM).inputs


@pytest.mark.parametrize("tells_end", [True, False])
def test_the_topic_hears_of_the_end_only_where_it_is_to(tells_end: bool) -> None:
    found = raised(SLOW, tells_end=tells_end).only(ALARM).inputs
    assert found["alarmActions"] == [TOPIC]
    assert found.get("okActions") == ([TOPIC] if tells_end else None)


def test_one_failed_execution_or_one_letter_is_too_many_and_silence_is_well() -> None:
    def build() -> None:
        opts = pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1"))
        parent = Parent("whole", opts)
        child = pulumi.ResourceOptions(parent=parent)
        machine = aws.sfn.StateMachine("door", role_arn="arn", definition="{}", opts=child)
        queue = aws.sqs.Queue("letters", opts=child)
        metric_alarm("failed", "It failed.", executions_failed(machine, seconds=60), TOLD, parent=parent)
        metric_alarm("left", "A letter lies there.", letters_waiting(queue), TOLD, parent=parent)

    failed, left = sorted(run_resources(build).of(ALARM), key=lambda r: r.name)
    for found in (failed.inputs, left.inputs):
        assert (found["threshold"], found["comparisonOperator"]) == (0, "GreaterThanThreshold")
        assert (found["evaluationPeriods"], found["treatMissingData"]) == (1, "notBreaching")
    assert (failed.inputs["metricName"], failed.inputs["period"]) == ("ExecutionsFailed", 60)
    assert failed.inputs["dimensions"]["StateMachineArn"].endswith("StateMachine/door-1a2b3c4")
    assert left.inputs["dimensions"] == {"QueueName": "letters-1a2b3c4"}
