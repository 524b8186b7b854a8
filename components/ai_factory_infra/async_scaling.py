"""Autoscaling of an asynchronous endpoint: more machines while requests wait for each, the first one when there is none.

Target tracking alone cannot leave zero: with no machine there is no backlog "for each machine". A step policy does, on an alarm
whose silence means nothing (`missing`), for its metric exists only while requests wait.
AWS: "Autoscale an asynchronous endpoint", "Define a scaling policy that scales up from zero for new requests".
"""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from ai_factory_infra.endpoint_parts import VARIANT
from ai_factory_infra.metric_alarms import Told
from ai_factory_infra.variant_scaling import scale_with_metric

PER_MACHINE, NO_MACHINE = "ApproximateBacklogSizePerInstance", "HasBacklogWithoutCapacity"
COOL_DOWN_SECONDS = 300


def scale_with_backlog(
    name: str,
    endpoint: aws.sagemaker.Endpoint,
    machines: tuple[int, int],
    backlog: int,
    told: Told,
    *,
    parent: pulumi.Resource,
) -> None:
    """Keep the endpoint between two numbers of machines, by the requests that wait for each; from 0 where that is the lower.

    `told`: what the alarm that starts the first machine names as its runbook; it tells nobody.
    """
    target = scale_with_metric(
        name,
        endpoint.name,
        VARIANT,
        machines,
        {
            "customized_metric_specification": {
                "namespace": "AWS/SageMaker",
                "metric_name": PER_MACHINE,
                "dimensions": [{"name": "EndpointName", "value": endpoint.name}],
                "statistic": "Average",
            },
            "target_value": backlog,
            "scale_in_cooldown": COOL_DOWN_SECONDS,
            "scale_out_cooldown": COOL_DOWN_SECONDS,
        },
        parent=parent,
    )
    if machines[0] == 0:
        _wake(name, endpoint, target, told, parent=parent)


def _wake(
    name: str,
    endpoint: aws.sagemaker.Endpoint,
    target: aws.appautoscaling.Target,
    told: Told,
    *,
    parent: pulumi.Resource,
) -> None:
    first = aws.appautoscaling.Policy(
        f"{name}-wake",
        policy_type="StepScaling",
        service_namespace=target.service_namespace,
        scalable_dimension=target.scalable_dimension,
        resource_id=target.resource_id,
        step_scaling_policy_configuration={
            "adjustment_type": "ChangeInCapacity",
            "metric_aggregation_type": "Average",
            "cooldown": COOL_DOWN_SECONDS,
            "step_adjustments": [{"metric_interval_lower_bound": "0", "scaling_adjustment": 1}],
        },
        opts=pulumi.ResourceOptions(parent=parent),
    )
    aws.cloudwatch.MetricAlarm(
        f"{name}-wake",
        name=f"{name}-wake",
        alarm_description=told.words(f"Requests wait and {name} has no machine: one is started. Tells nobody."),
        namespace="AWS/SageMaker",
        metric_name=NO_MACHINE,
        dimensions={"EndpointName": endpoint.name},
        statistic="Average",
        period=60,
        evaluation_periods=2,
        datapoints_to_alarm=2,
        threshold=1,
        comparison_operator="GreaterThanOrEqualToThreshold",
        treat_missing_data="missing",
        alarm_actions=[first.arn],
        opts=pulumi.ResourceOptions(parent=parent),
    )
