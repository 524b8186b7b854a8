"""Policy documents: statements with a reason, and the few that machine-learning roles are made of.

Every statement names its resources; the actions that AWS defines without any are listed in `WITHOUT_RESOURCE`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

import pulumi

from ai_factory_infra.account import Account

WITHOUT_RESOURCE = frozenset(
    {
        "application-autoscaling:DescribeScalableTargets",
        "application-autoscaling:DescribeScalingPolicies",
        "cloudwatch:DescribeAlarms",  # of an alarm on other alarms, which AWS shows to nobody who may see some alarms only
        "cloudwatch:PutCompositeAlarm",
        "cloudwatch:PutMetricData",
        "ec2:DescribeAvailabilityZones",
        "ec2:DescribeDhcpOptions",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "ecr:GetAuthorizationToken",
        "glue:CreateSecurityConfiguration",
        "glue:DeleteSecurityConfiguration",
        "glue:GetSecurityConfiguration",
        "kms:ListAliases",
        "lambda:CreateEventSourceMapping",
        "states:ValidateStateMachineDefinition",
    }
)

# What SageMaker looks up of the network that its machines join.
LOOK_AT_NETWORK = tuple(
    f"ec2:Describe{what}" for what in ("DhcpOptions", "NetworkInterfaces", "SecurityGroups", "Subnets", "Vpcs")
)

# CloudTrail says neither for whom nor from where it assumes a role, which must be of its own account anyway (AWS: "Role policy
# document for CloudTrail to use CloudWatch Logs for monitoring").
WITHOUT_SOURCE = frozenset({"cloudtrail.amazonaws.com"})


class Statement(TypedDict):
    """One grant: what it allows, on what, under which conditions, and why a role needs it. `effect`: Allow, or Deny."""

    sid: str
    why: str
    actions: Sequence[str]
    resources: pulumi.Input[Sequence[pulumi.Input[str]]]
    conditions: NotRequired[Mapping[str, Mapping[str, Any]]]
    effect: NotRequired[Literal["Allow", "Deny"]]


class Folder(TypedDict):
    """A place in a bucket: the bucket's name and a prefix without slashes at its ends.

    `below`: a folder under the prefix, which may be known later. What may be read or written is the whole prefix.
    """

    bucket: pulumi.Input[str]
    prefix: str
    below: NotRequired[pulumi.Input[str]]


class NetworkRef(TypedDict):
    """Where containers run: private subnets and security groups; both lists empty for no network at all."""

    subnet_ids: pulumi.Input[Sequence[str]]
    security_group_ids: pulumi.Input[Sequence[str]]


def uri(folder: Folder) -> pulumi.Output[str]:
    """The folder as `s3://bucket/prefix/`, or `s3://bucket/prefix/below/`."""
    if "below" in folder:
        return pulumi.Output.format("s3://{0}/{1}/{2}/", folder["bucket"], folder["prefix"], folder["below"])
    return pulumi.Output.format("s3://{0}/{1}/", folder["bucket"], folder["prefix"])


def document(statements: Sequence[Statement]) -> pulumi.Output[str]:
    """The policy as JSON, statements in the order given. One whose list of resources turns out empty is left out."""
    resolved = pulumi.Output.all(*(pulumi.Output.all(*_listed(s["resources"])) for s in statements))
    conditions = pulumi.Output.all(*(pulumi.Output.from_input(s.get("conditions", {})) for s in statements))

    def build(known: Sequence[Any]) -> str:
        entries = []
        for s, resources, condition in zip(statements, *known, strict=True):
            names = _flat(resources)
            if names:
                entry = {
                    "Sid": s["sid"],
                    "Effect": s.get("effect", "Allow"),
                    "Action": sorted(s["actions"]),
                    "Resource": names,
                }
                entries.append(entry | ({"Condition": condition} if condition else {}))
        return json.dumps({"Version": "2012-10-17", "Statement": entries})

    return pulumi.Output.all(resolved, conditions).apply(build)


def _listed(resources: pulumi.Input[Sequence[pulumi.Input[str]]]) -> list[Any]:
    return [resources] if isinstance(resources, pulumi.Output) else list(resources)  # type: ignore[arg-type]


def _flat(resources: Sequence[Any]) -> list[str]:
    """One list of names, whether the list itself or its items were known later."""
    return [name for r in resources for name in ([r] if isinstance(r, str) else r)]


def trust(service: str, account: pulumi.Input[str]) -> pulumi.Output[str]:
    """Who may assume a role: one AWS service, and only when it acts for this account."""
    bound = {} if service in WITHOUT_SOURCE else {"Condition": {"StringEquals": {"aws:SourceAccount": account}}}
    return pulumi.Output.json_dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": service},
                    "Action": "sts:AssumeRole",
                    **bound,
                }
            ],
        }
    )


def read_folders(account: Account, folders: Sequence[Folder]) -> list[Statement]:
    """Read the objects of some folders, and list their buckets."""
    if not folders:
        return []
    return [
        {
            "sid": "ReadObjects",
            "why": "reads its inputs",
            "actions": ["s3:GetObject"],
            "resources": [account.bucket(f["bucket"], f"{f['prefix']}/*") for f in folders],
        },
        {
            "sid": "ListFolders",
            "why": "finds the objects under its inputs",
            "actions": ["s3:ListBucket"],
            "resources": [account.bucket(f["bucket"]) for f in folders],
            "conditions": {
                "StringLike": {
                    "s3:prefix": sorted({f"{f['prefix']}/*" for f in folders} | {f["prefix"] for f in folders})
                }
            },
        },
    ]


def write_folders(account: Account, folders: Sequence[Folder]) -> list[Statement]:
    """Write objects into some folders."""
    if not folders:
        return []
    return [
        {
            "sid": "WriteObjects",
            "why": "writes its results",
            "actions": ["s3:AbortMultipartUpload", "s3:PutObject"],
            "resources": [account.bucket(f["bucket"], f"{f['prefix']}/*") for f in folders],
        }
    ]


def use_key(key_arn: pulumi.Input[str]) -> Statement:
    """Encrypt and decrypt with one key."""
    return {
        "sid": "UseKey",
        "why": "its inputs and results are encrypted",
        "actions": [
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ],
        "resources": [key_arn],
    }


def lend_key(
    key_arn: pulumi.Input[str], to: str = "Disks", why: str = "the disks of its machines are encrypted"
) -> Statement:
    """Let SageMaker use the key for what it keeps itself: the disks of the machines it starts, or what `to` names."""
    return {
        "sid": f"LendKeyTo{to}",
        "why": why,
        "actions": ["kms:CreateGrant"],
        "resources": [key_arn],
        "conditions": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
    }


def pull_image(repository_arn: pulumi.Input[str]) -> list[Statement]:
    """Pull images of one repository."""
    return [
        {
            "sid": "PullImage",
            "why": "its container is the project's image",
            "actions": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "resources": [repository_arn],
        },
        {
            "sid": "LogInToRegistry",
            "why": "pulling needs a token; AWS defines this action without a resource",
            "actions": ["ecr:GetAuthorizationToken"],
            "resources": ["*"],
        },
    ]


def write_logs(account: Account, group: str) -> Statement:
    """Write to the log groups whose name begins with `group`."""
    return {
        "sid": "WriteLogs",
        "why": "its output goes to CloudWatch Logs",
        "actions": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        "resources": [
            account.arn("logs", f"log-group:{group}*"),
            account.arn("logs", f"log-group:{group}*:log-stream:*"),
        ],
    }


def put_metrics(*namespaces: str) -> Statement:
    """Publish metrics of the machines; bound to SageMaker's namespaces, because the action takes no resource."""
    return {
        "sid": "PutMetrics",
        "why": "processor, memory and disk of its machines; AWS defines this action without a resource",
        "actions": ["cloudwatch:PutMetricData"],
        "resources": ["*"],
        "conditions": {"StringLike": {"cloudwatch:namespace": list(namespaces)}},
    }


def join_network(account: Account, network: NetworkRef) -> list[Statement]:
    """Attach machines to the network's subnets and security groups, and to no others; nothing where there are none."""
    interfaces = account.arn("ec2", "network-interface/*")
    subnets = pulumi.Output.all(account.arn("ec2", "subnet/"), network["subnet_ids"]).apply(_each)
    groups = pulumi.Output.all(account.arn("ec2", "security-group/"), network["security_group_ids"]).apply(_each)
    anywhere = pulumi.Output.all(interfaces, subnets)
    return [
        {
            "sid": "JoinNetwork",
            "why": "its machines get an address in the project's subnets; the address has no name before it exists",
            "actions": ["ec2:CreateNetworkInterface"],
            "resources": pulumi.Output.all(interfaces, subnets, groups).apply(
                lambda a: [a[0], *a[1], *a[2]] if a[1] else []
            ),
        },
        {
            "sid": "LeaveNetwork",
            "why": "the addresses of its machines are lent to SageMaker and given back",
            "actions": [
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ],
            "resources": anywhere.apply(lambda a: [a[0]] if a[1] else []),
        },
        {
            "sid": "DescribeNetwork",
            "why": "SageMaker looks the network up; AWS defines these actions without a resource",
            "actions": LOOK_AT_NETWORK,
            "resources": anywhere.apply(lambda a: ["*"] if a[1] else []),
        },
    ]


def _each(parts: Sequence[Any]) -> list[str]:
    start, ids = parts
    return [f"{start}{i}" for i in ids]


def write_flow_log(group_arn: pulumi.Input[str]) -> list[Statement]:
    """Write a network's flow log into one log group."""
    return [
        {
            "sid": "WriteFlowLog",
            "why": "the network's traffic is recorded",
            "actions": ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            "resources": [group_arn, pulumi.Output.format("{0}:*", group_arn)],
        }
    ]


def start_pipeline(pipeline_arn: pulumi.Input[str]) -> Statement:
    """Start one pipeline."""
    return {
        "sid": "StartPipeline",
        "why": "it starts this one pipeline",
        "actions": ["sagemaker:StartPipelineExecution"],
        "resources": [pipeline_arn],
    }


def run_processing(account: Account, job_role_arn: pulumi.Input[str]) -> list[Statement]:
    """Run the processing jobs of a pipeline under another role. SageMaker names them `pipelines-<execution>-…`."""
    return [
        {
            "sid": "RunJobs",
            "why": "the pipeline's step is a processing job",
            "actions": [
                "sagemaker:AddTags",
                "sagemaker:CreateProcessingJob",
                "sagemaker:DescribeProcessingJob",
                "sagemaker:StopProcessingJob",
            ],
            "resources": [account.arn("sagemaker", "processing-job/pipelines-*")],
        },
        {
            "sid": "HandOverRole",
            "why": "the job runs under a role of its own",
            "actions": ["iam:PassRole"],
            "resources": [job_role_arn],
            "conditions": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        },
    ]
