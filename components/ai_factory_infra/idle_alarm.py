"""An alarm on machines that nobody asks anything: every hour of so many days there were machines, and no request.

It looks at machines and requests together. A silent metric alone would accuse an endpoint that was made an hour ago, one that has
let its machines go, and one that has no model yet. Each machine publishes its use every minute, so the hours are those in which
somebody paid. AWS: "Amazon SageMaker AI metrics in Amazon CloudWatch", "PutMetricAlarm" (a period of an hour or more: 7 days at
most), "Using math expressions with CloudWatch metrics".
"""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from ai_factory_infra.metric_alarms import Told

HOUR, DAY_HOURS, MOST_DAYS = 3600, 24, 7
IDLE = "IF(FILL(asked, 0) == 0 AND machines > 0, 1, 0)"


def idle_alarm(
    name: str, variant: str, asked: tuple[str, str], days: int, told: Told, *, parent: pulumi.Resource
) -> aws.cloudwatch.MetricAlarm:
    """`<name>-idle` on the endpoint `name`. `asked`: the metric that counts requests, and its statistic. `days`: 1 to 7."""
    return aws.cloudwatch.MetricAlarm(
        f"{name}-idle",
        name=f"{name}-idle",
        alarm_description=told.words(
            f"{name}: its machines ran for {days} days and nobody asked them anything. Not needed: set release to nothing and apply."
        ),
        metric_queries=[
            _metric("asked", "AWS/SageMaker", *asked, name, variant),
            _metric("machines", "/aws/sagemaker/Endpoints", "CPUUtilization", "SampleCount", name, variant),
            {"id": "idle", "expression": IDLE, "label": "Machines and no request", "return_data": True},
        ],
        evaluation_periods=days * DAY_HOURS,
        threshold=1,
        comparison_operator="GreaterThanOrEqualToThreshold",
        treat_missing_data="notBreaching",
        alarm_actions=[told.topic_arn],
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _metric(label: str, namespace: str, metric: str, statistic: str, endpoint: str, variant: str) -> Any:
    return {
        "id": label,
        "metric": {
            "namespace": namespace,
            "metric_name": metric,
            "dimensions": {"EndpointName": endpoint, "VariantName": variant},
            "period": HOUR,
            "stat": statistic,
        },
    }
