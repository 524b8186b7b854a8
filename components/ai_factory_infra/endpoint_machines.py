"""Machines that carry a model: what a real-time and an asynchronous endpoint share, and a serverless one has not.

The model is an unpacked package, its container has no network, its machines encrypt their volumes. AWS: "ModelDataSource",
"Deployment guardrails", "Instance store volumes".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.account import Account
from ai_factory_infra.endpoint_parts import VARIANT, EndpointArgs, container_environment, outlives
from ai_factory_infra.execution_role import ExecutionRole
from ai_factory_infra.idle_alarm import MOST_DAYS, idle_alarm
from ai_factory_infra.limits import has_local_storage
from ai_factory_infra.metric_alarms import told
from ai_factory_infra.policies import NetworkRef, Statement
from ai_factory_infra.problems import Problems
from ai_factory_infra.regions import SAGEMAKER, check_region
from ai_factory_infra.rollout import Rollout
from ai_factory_infra.runbooks import SERVING

INSTANCE_TYPE = "ml.m5.large"
IDLE_DAYS = 3


class MachineEndpointArgs(EndpointArgs):
    """`model_data` is a folder, `s3://bucket/prefix/`. `instances` and `max_instances`: the range of autoscaling; equal for none.

    `instance_type`: ml.m5.large by default. `rollout`: how a new version meets traffic, all at once by default.
    `idle_days`: after so many days, 7 at most, on which there were machines and no request, people are told; 3 by default, 0 for
    never. `local_storage_waiver`: why machines with their own disks, which take no volume key, are fine.
    """

    rollout: NotRequired[Rollout]
    instance_type: NotRequired[str]
    instances: NotRequired[int]
    max_instances: NotRequired[int]
    idle_days: NotRequired[int]
    local_storage_waiver: NotRequired[str]
    network: NotRequired[NetworkRef | None]


def machine_statements(args: MachineEndpointArgs, *, parent: pulumi.Resource) -> list[Statement]:
    """What the role needs because there are machines: keys for their disks, addresses in the network."""
    network = args.get("network")
    return [
        policies.lend_key(args["kms_key_arn"]),
        *(policies.join_network(Account.of(parent), network) if network else []),
    ]


def isolated_model(
    name: str, args: MachineEndpointArgs, role: ExecutionRole, data: pulumi.Input[str], *, parent: pulumi.Resource
) -> aws.sagemaker.Model:
    """A model whose container reaches nothing, in the project's network where there is one."""
    network = args.get("network")
    vpc: Any = None
    if network:
        vpc = pulumi.Output.all(network["subnet_ids"], network["security_group_ids"]).apply(
            lambda a: {"subnets": a[0], "security_group_ids": a[1]} if a[0] else None
        )
    return aws.sagemaker.Model(
        name,
        execution_role_arn=role.arn,
        enable_network_isolation=True,
        vpc_config=vpc,
        primary_container={
            "image": args["image"],
            "environment": container_environment(args),
            "model_data_source": {
                "s3_data_sources": [{"s3_uri": data, "s3_data_type": "S3Prefix", "compression_type": "None"}]
            },
        },
        opts=outlives(parent),
    )


def machines(args: MachineEndpointArgs, model: aws.sagemaker.Model, *, variant: str = VARIANT, weight: int = 1) -> Any:
    """One production variant (a dict of pulumi_aws). It starts with at least one machine, which AWS asks of every kind."""
    return {
        "variant_name": variant,
        "model_name": model.name,
        "instance_type": args.get("instance_type", INSTANCE_TYPE),
        "initial_instance_count": max(1, args.get("instances", 1)),
        "initial_variant_weight": weight,
    }


def volume_key(args: MachineEndpointArgs) -> pulumi.Input[str] | None:
    """The key of the machines' volumes; None for machines that encrypt their own disks and refuse a key."""
    return None if has_local_storage(args.get("instance_type", INSTANCE_TYPE)) else args["kms_key_arn"]


def deployment(args: MachineEndpointArgs, alarms: Sequence[aws.cloudwatch.MetricAlarm]) -> Any:
    """The endpoint's `deployment_config`: the rollout asked for, and the alarms that send it back."""
    return args.get("rollout", Rollout()).deployment([a.name for a in alarms])


def watch_idle(
    name: str, args: MachineEndpointArgs, asked: tuple[str, str], *, parent: pulumi.Resource
) -> aws.cloudwatch.MetricAlarm | None:
    """The alarm on machines that nobody asks. `asked`: the metric that counts the requests of such an endpoint, its statistic."""
    days = args.get("idle_days", IDLE_DAYS)
    return idle_alarm(name, VARIANT, asked, days, told(args, SERVING), parent=parent) if days else None


def check_machines(problems: Problems, args: MachineEndpointArgs, *, fewest: int, kind: str, mode: str) -> None:
    """Note what AWS would refuse of an endpoint's machines. `fewest`: the least number of machines that `kind` may have.

    `mode`: how it is served, one of `rollout.FITTING`.
    """
    problems.matches("model_data", args["model_data"], r"s3://[a-z0-9.-]{3,63}/.+/", "a folder: s3://bucket/prefix/")
    instance, low = args.get("instance_type", INSTANCE_TYPE), args.get("instances", 1)
    high = args.get("max_instances", max(1, low))
    problems.matches("instance_type", instance, r"ml\.[a-z0-9-]+\.[a-z0-9]+", "a type such as ml.m5.large")
    problems.unless(
        not has_local_storage(instance) or bool(args.get("local_storage_waiver")),
        "instance_type",
        f"{instance} has disks of its own, for which AWS refuses a volume key; choose another type, or say in "
        "local_storage_waiver why their own encryption is enough",
    )
    problems.unless(low >= fewest, "instances", f"got {low}; AWS allows {fewest} or more for {kind}")
    problems.unless(
        high >= max(1, low),
        "max_instances",
        f"got {high}; at least instances ({low}): each update starts with those"
        if low
        else f"got {high}; at least 1: each update starts with one machine",
    )
    problems.between("idle_days", args.get("idle_days", IDLE_DAYS), 0, MOST_DAYS, unit="days")
    rollout = args.get("rollout", Rollout())
    rollout.check_mode(problems, "rollout", mode)
    rollout.check(problems, "rollout", low)
    check_region(problems, args.get("region"), SAGEMAKER, "SageMaker")
