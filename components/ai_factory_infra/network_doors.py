"""What a private network lets out: to S3 through a gateway that costs nothing, to services that are asked for through interfaces.

Interfaces cost by the hour for each service and zone, and by what passes: `make infra-cost` counts them.
AWS: "Gateway endpoints for Amazon S3", "AWS services that integrate with AWS PrivateLink", "Amazon ECR interface VPC endpoints".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.policies import WITHOUT_RESOURCE

_PULL = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
# The services that may be asked for, by AWS's names of their endpoints; what each lets through, in the words of its IAM actions.
# What changes a stage is not among it: that is done from outside, by people and by continuous integration.
INTERFACES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ecr.api": ("ecr", ("DescribeImages", "DescribeRepositories", "GetAuthorizationToken", *_PULL)),
    "ecr.dkr": ("ecr", _PULL),
    "kms": ("kms", ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyWithoutPlaintext")),
    "logs": ("logs", ("CreateLogStream", "DescribeLogGroups", "DescribeLogStreams", "GetLogEvents", "PutLogEvents")),
    "monitoring": ("cloudwatch", ("PutMetricData",)),
    "sagemaker.api": (
        "sagemaker",
        (
            "DescribeEndpoint", "DescribeEndpointConfig", "DescribeModel", "DescribeModelPackage", "DescribePipelineExecution",
            "DescribeProcessingJob", "DescribeTrainingJob", "ListModelPackages", "ListPipelineExecutions",
            "ListPipelineExecutionSteps", "StartPipelineExecution",
        ),
    ),
    "sagemaker.runtime": (
        "sagemaker", ("InvokeEndpoint", "InvokeEndpointAsync", "InvokeEndpointWithResponseStream"),
    ),
    "sts": ("sts", ("AssumeRole",)),
}  # fmt: skip
IMAGES = "ecr.dkr"  # the layers of an image are objects in a bucket of AWS's own
HTTPS = 443


def group_name(name: str) -> str:
    """A logical name for a security group: AWS refuses one that begins with "sg-", and automatic naming begins with it."""
    return f"net-{name}" if name.startswith("sg") else name


def door_to_s3(
    name: str,
    vpc: aws.ec2.Vpc,
    table: aws.ec2.RouteTable,
    buckets: Sequence[pulumi.Input[str]],
    *,
    images: bool,
    parent: pulumi.Resource,
) -> aws.ec2.VpcEndpoint:
    """A gateway to these buckets and no others. `images`: and to the bucket from which image layers are pulled."""
    account = Account.of(parent)
    statements: list[Mapping[str, Any]] = [
        {
            "Sid": "OnlyOurBuckets",
            "Effect": "Allow",
            "Principal": "*",
            "Action": [
                "s3:AbortMultipartUpload",
                "s3:GetBucketLocation",
                "s3:GetObject",
                "s3:ListBucket",
                "s3:PutObject",
            ],
            "Resource": [account.bucket(b, p) for b in buckets for p in ("", "*")],
        }
    ]
    if images:
        layers = pulumi.Output.format("prod-{0}-starport-layer-bucket", account.region)
        statements.append(
            {
                "Sid": "ImageLayers",
                "Effect": "Allow",
                "Principal": "*",
                "Action": ["s3:GetObject"],
                "Resource": [account.bucket(layers, "*")],
            }
        )
    return aws.ec2.VpcEndpoint(
        f"{name}-s3",
        vpc_id=vpc.id,
        service_name=pulumi.Output.format("com.amazonaws.{0}.s3", account.region),
        vpc_endpoint_type="Gateway",
        route_table_ids=[table.id],
        policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements}),
        tags={"Name": f"{name}-s3"},
        opts=pulumi.ResourceOptions(parent=parent),
    )


def doors_to_services(
    name: str,
    vpc: aws.ec2.Vpc,
    subnet_ids: Sequence[pulumi.Input[str]],
    inside: pulumi.Output[str],
    services: Sequence[str],
    *,
    parent: pulumi.Resource,
) -> None:
    """An interface to each service in each subnet, for what is in the group `inside` and for this account's identities only. It has a price by the hour."""
    child = pulumi.ResourceOptions(parent=parent)
    account = Account.of(parent)
    doors = aws.ec2.SecurityGroup(
        group_name(f"{name}-doors"),
        vpc_id=vpc.id,
        description="Interfaces to services of AWS: only the project's containers come in.",
        tags={"Name": f"{name}-doors"},
        opts=child,
    )
    between: dict[str, Any] = {"ip_protocol": "tcp", "from_port": HTTPS, "to_port": HTTPS, "opts": child}
    aws.vpc.SecurityGroupIngressRule(
        f"{name}-doors",
        security_group_id=doors.id,
        referenced_security_group_id=inside,
        description="The project's containers",
        tags={"Name": f"{name}-doors-in"},
        **between,
    )
    aws.vpc.SecurityGroupEgressRule(
        f"{name}-doors",
        security_group_id=inside,
        referenced_security_group_id=doors.id,
        description="Services of AWS, inside the network",
        tags={"Name": f"{name}-doors-out"},
        **between,
    )
    for service in services:
        aws.ec2.VpcEndpoint(
            f"{name}-{service.replace('.', '-')}",
            vpc_id=vpc.id,
            service_name=pulumi.Output.format("com.amazonaws.{0}.{1}", account.region, service),
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=list(subnet_ids),
            security_group_ids=[doors.id],
            policy=_only_this_account(account, *INTERFACES[service]),
            tags={"Name": f"{name}-{service.replace('.', '-')}"},
            opts=child,
        )


def _only_this_account(account: Account, service: str, actions: Sequence[str]) -> pulumi.Output[str]:
    """What the account's own identities may ask of a service, and of the account's own things."""
    full = [f"{service}:{action}" for action in actions]
    own = account.named("iam::role/*") if service == "sts" else account.arn(service, "*")
    parts = (
        ("OnlyOurOwn", [a for a in full if a not in WITHOUT_RESOURCE], own),
        ("OnlyOurAccount", [a for a in full if a in WITHOUT_RESOURCE], "*"),
    )
    statements = [
        {
            "Sid": sid,
            "Effect": "Allow",
            "Principal": "*",
            "Action": allowed,
            "Resource": resource,
            "Condition": {"StringEquals": {"aws:PrincipalAccount": account.id}},
        }
        for sid, allowed, resource in parts
        if allowed
    ]
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements})
