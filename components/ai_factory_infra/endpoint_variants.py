"""Variants of an endpoint: the alarms that speak against one, and the range of machines that one may have.

AWS: "Monitor SageMaker with CloudWatch" (endpoint invocation metrics), "Automatically scale SageMaker models".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a variant must hold: the share of requests that may fail (0 to 1), and the p99 in milliseconds; whom to tell."""

    max_error_rate: float
    p99_ms: float
    alerts_topic_arn: pulumi.Input[str]


def variant_alarms(
    name: str, endpoint: str, variant: str, bounds: Bounds, then: str, *, parent: pulumi.Resource
) -> list[aws.cloudwatch.MetricAlarm]:
    """`<name>-errors` and `<name>-latency`: over the bound in two of three minutes. `then` says what follows.

    `endpoint` is a name, not an output: an endpoint's alarms must exist before it.
    """
    metrics: Sequence[tuple[str, str, dict[str, Any]]] = (
        ("errors", "Invocation5XXErrors", {"statistic": "Average", "threshold": bounds.max_error_rate}),
        (
            "latency",
            "ModelLatency",
            {"extended_statistic": "p99", "threshold": bounds.p99_ms * 1000},  # AWS reports microseconds
        ),
    )
    return [
        endpoint_alarm(
            f"{name}-{what}",
            f"{endpoint}: {metric} of {variant} over its bound. {then}",
            metric,
            {"EndpointName": endpoint, "VariantName": variant},
            bounds.alerts_topic_arn,
            parent=parent,
            **bound,
        )
        for what, metric, bound in metrics
    ]


def endpoint_alarm(
    name: str,
    description: str,
    metric: str,
    dimensions: Mapping[str, str],
    topic_arn: pulumi.Input[str],
    *,
    parent: pulumi.Resource,
    **bound: Any,
) -> aws.cloudwatch.MetricAlarm:
    """An alarm on a metric of SageMaker's that is over its bound in two of three minutes; silence is well.

    `bound`: `threshold` with `statistic` or `extended_statistic`, as MetricAlarm takes them.
    """
    return aws.cloudwatch.MetricAlarm(
        name,
        name=name,
        alarm_description=description,
        namespace="AWS/SageMaker",
        metric_name=metric,
        dimensions=dimensions,
        period=60,
        evaluation_periods=3,
        datapoints_to_alarm=2,
        comparison_operator="GreaterThanThreshold",
        treat_missing_data="notBreaching",
        alarm_actions=[topic_arn],
        ok_actions=[topic_arn],
        opts=pulumi.ResourceOptions(parent=parent),
        **bound,
    )


def scale_variant(
    name: str,
    endpoint: pulumi.Output[str],
    variant: str,
    machines: tuple[int, int],
    requests_per_minute: int,
    *,
    parent: pulumi.Resource,
) -> None:
    """Keep a variant between two numbers of machines, by its requests for each machine and minute."""
    target = aws.appautoscaling.Target(
        name,
        service_namespace="sagemaker",
        scalable_dimension="sagemaker:variant:DesiredInstanceCount",
        resource_id=endpoint.apply(lambda e: f"endpoint/{e}/variant/{variant}"),
        min_capacity=machines[0],
        max_capacity=machines[1],
        opts=pulumi.ResourceOptions(parent=parent),
    )
    aws.appautoscaling.Policy(
        name,
        policy_type="TargetTrackingScaling",
        service_namespace=target.service_namespace,
        scalable_dimension=target.scalable_dimension,
        resource_id=target.resource_id,
        target_tracking_scaling_policy_configuration={
            "predefined_metric_specification": {"predefined_metric_type": "SageMakerVariantInvocationsPerInstance"},
            "target_value": requests_per_minute,
            "scale_in_cooldown": 300,
            "scale_out_cooldown": 60,
        },
        opts=pulumi.ResourceOptions(parent=parent),
    )
