"""Variants of an endpoint: the alarms that speak against one.

AWS: "Monitor SageMaker with CloudWatch" (endpoint invocation metrics).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from ai_factory_infra.metric_alarms import Condition, Told, metric_alarm


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a variant must hold: the share of requests that may fail (0 to 1), and the p99 in milliseconds; whom to tell."""

    max_error_rate: float
    p99_ms: float
    told: Told


def variant_alarms(
    name: str, endpoint: str, variant: str, bounds: Bounds, then: str, *, parent: pulumi.Resource
) -> list[aws.cloudwatch.MetricAlarm]:
    """`<name>-errors` and `<name>-latency`: over the bound in two of three minutes. `then` says what follows.

    `endpoint` is a name, not an output: an endpoint's alarms must exist before it.
    """
    of_variant = {"EndpointName": endpoint, "VariantName": variant}
    watched = {
        "errors": over_for_minutes("Invocation5XXErrors", of_variant, "Average", bounds.max_error_rate),
        # AWS reports microseconds
        "latency": over_for_minutes("ModelLatency", of_variant, "p99", bounds.p99_ms * 1000),
    }
    return [
        metric_alarm(
            f"{name}-{what}",
            f"{endpoint}: {condition.metric} of {variant} over its bound. {then}",
            condition,
            bounds.told,
            parent=parent,
        )
        for what, condition in watched.items()
    ]


def over_for_minutes(metric: str, dimensions: Mapping[str, str], statistic: str, threshold: float) -> Condition:
    """A metric of SageMaker's is over its bound in two of three minutes; silence is well."""
    return Condition("AWS/SageMaker", metric, dimensions, statistic, threshold, seconds=60, periods=3, datapoints=2)
