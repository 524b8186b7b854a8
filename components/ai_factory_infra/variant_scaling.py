"""How many machines a variant of an endpoint has: what AWS may change, within which bounds, and the metric that it follows.

AWS: "Automatically scale SageMaker models", "Target tracking scaling policies for Application Auto Scaling".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

if TYPE_CHECKING:
    from pulumi_aws.appautoscaling import PolicyTargetTrackingScalingPolicyConfigurationArgsDict as Tracking


def scale_with_metric(
    name: str,
    endpoint: pulumi.Output[str],
    variant: str,
    machines: tuple[int, int],
    tracking: Tracking,
    *,
    parent: pulumi.Resource,
) -> aws.appautoscaling.Target:
    """Keep a variant between two numbers of machines, so that a metric stays at its target. Returns what is scaled.

    `tracking`: the metric, its target and the seconds between two changes, as a scaling policy takes them.
    """
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
        target_tracking_scaling_policy_configuration=tracking,
        opts=pulumi.ResourceOptions(parent=parent),
    )
    return target


def scale_with_requests(
    name: str,
    endpoint: pulumi.Output[str],
    variant: str,
    machines: tuple[int, int],
    requests_per_minute: int,
    *,
    parent: pulumi.Resource,
) -> None:
    """Keep a variant between two numbers of machines, by its requests for each machine and minute."""
    scale_with_metric(
        name,
        endpoint,
        variant,
        machines,
        {
            "predefined_metric_specification": {"predefined_metric_type": "SageMakerVariantInvocationsPerInstance"},
            "target_value": requests_per_minute,
            "scale_in_cooldown": 300,
            "scale_out_cooldown": 60,
        },
        parent=parent,
    )
