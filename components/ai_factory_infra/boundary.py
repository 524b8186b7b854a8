"""The most that any role of one project's stage may ever do, whatever its own policy says: a permissions boundary.

It grants nothing; a role may do what both its policy and this allow. A role that continuous integration makes must carry
it, or whoever may push code could make themselves a role that may do anything.
AWS: "Permissions boundaries for IAM entities".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

from ai_factory_infra.account import Account
from ai_factory_infra.grant import FEATURE_TABLES, actions
from ai_factory_infra.policies import LOOK_AT_NETWORK, Statement


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What roles may do at most on one kind of thing. `resources`: ARNs without partition, region and account, or `*`.

    `{p}` in them stands for what every name of the project's stage begins with, `{p_}` for the same with underscores, as
    Glue's names are; `{key}` for each key of the stage. What is brought along joins the ceiling in which things of its kind are.
    `conditions`: as a policy has them.
    """

    sid: str
    why: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


CEILINGS: tuple[Ceiling, ...] = (
    Ceiling(
        "Objects",
        "data, models and results are objects in the project's buckets",
        actions(
            "s3", "AbortMultipartUpload", "DeleteObject", "GetBucketAcl", "GetBucketLocation", "GetObject", "ListBucket",
            "ListBucketMultipartUploads", "PutObject", "PutObjectAcl",
        ),
        ("s3:::{p}-*",),
    ),
    Ceiling(
        "Keys",
        "everything is encrypted with the stage's keys",
        actions("kms", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo"),
        ("kms:key/{key}",),
    ),
    Ceiling(
        "LendKeys",
        "a key is lent to AWS's services, for the disks of machines, and to nobody else",
        actions("kms", "CreateGrant"),
        ("kms:key/{key}",),
        {"Bool": {"kms:GrantIsForAWSResource": "true"}},
    ),
    Ceiling(
        "Images",
        "containers are the project's image",
        actions("ecr", "BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"),
        ("ecr:repository/{p}",),
    ),
    Ceiling(
        "Logs",
        "containers, functions and networks write logs",
        actions(
            "logs", "AssociateKmsKey", "CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents"
        ),
        (
            "logs:log-group:/aws/sagemaker/*",
            "logs:log-group:/aws-glue/*",
            "logs:log-group:/ai-factory/{p}-*",
            "logs:log-group:/aws/lambda/{p}-*",
            "logs:log-group:/aws/kinesisfirehose/{p}-*",
        ),
    ),
    Ceiling(
        "Network",
        "machines get addresses in the project's subnets",
        actions(
            "ec2", "CreateNetworkInterface", "CreateNetworkInterfacePermission", "DeleteNetworkInterface",
            "DeleteNetworkInterfacePermission",
        ),
        ("ec2:network-interface/*", "ec2:subnet/*", "ec2:security-group/*"),
    ),
    Ceiling(
        "Jobs",
        "pipelines run jobs, which SageMaker names",
        actions(
            "sagemaker", "AddTags", "CreateProcessingJob", "CreateTrainingJob", "DescribeProcessingJob",
            "DescribeTrainingJob", "StopProcessingJob", "StopTrainingJob",
        ),
        ("sagemaker:processing-job/pipelines-*", "sagemaker:training-job/pipelines-*"),
    ),
    Ceiling(
        "Pipelines",
        "schedules and doors start pipelines",
        actions("sagemaker", "ListPipelineExecutions", "StartPipelineExecution"),
        ("sagemaker:pipeline/{p}-*",),
    ),
    Ceiling(
        "Versions",
        "training adds versions, the approval flow takes approvals back",
        actions(
            "sagemaker", "AddTags", "CreateModelPackage", "DescribeModelPackage", "DescribeModelPackageGroup",
            "UpdateModelPackage",
        ),
        ("sagemaker:model-package-group/{p}", "sagemaker:model-package/{p}/*"),
    ),
    Ceiling(
        "Endpoints",
        "a stream is answered by the endpoint; a challenger that fails loses its share",
        actions(
            "sagemaker", "DescribeEndpoint", "InvokeEndpoint", "InvokeEndpointAsync", "UpdateEndpointWeightsAndCapacities"
        ),
        ("sagemaker:endpoint/{p}-*",),
    ),
    Ceiling(
        "Features",
        "records enter feature groups",
        actions("sagemaker", "PutRecord"),
        ("sagemaker:feature-group/{p}-*",),
    ),
    Ceiling(
        "Records",
        "streams are read and written",
        (
            *actions(
                "kinesis", "DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards",
                "PutRecord", "PutRecords",
            ),
            *actions("firehose", "PutRecord", "PutRecordBatch"),
        ),
        ("kinesis:stream/{p}-*", "firehose:deliverystream/{p}-*"),
    ),
    Ceiling(
        "Lake",
        "jobs keep the lake's catalogue",
        actions(
            "glue", "BatchCreatePartition", "BatchGetPartition", "CreateTable", "GetDatabase", "GetPartition",
            "GetPartitions", "GetTable", "GetTables", "GetTableVersion", "GetTableVersions", "StartCrawler", "StartJobRun",
            "UpdatePartition", "UpdateTable",
        ),
        (
            "glue:catalog",
            "glue:database/{p_}_*",
            "glue:table/{p_}_*/*",
            "glue:database/sagemaker_featurestore",
            *FEATURE_TABLES,
            "glue:job/{p}-*",
            "glue:crawler/{p}-*",
        ),
    ),
    Ceiling(
        "Messages",
        "doors are opened, letters left, outcomes told",
        ("events:PutEvents", "sns:Publish", "sqs:SendMessage", "states:StartExecution"),
        ("events:event-bus/default", "sns:{p}-*", "sqs:{p}-*", "states:stateMachine:{p}-*"),
    ),
    Ceiling(
        "HandOver",
        "pipelines hand roles of this stage to their jobs",
        actions("iam", "PassRole"),
        ("iam::role/{p}-*",),
        {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    ),
    Ceiling(
        "WithoutResource",
        "AWS defines these actions without a resource",
        ("cloudwatch:PutMetricData", "ecr:GetAuthorizationToken", *LOOK_AT_NETWORK),
        ("*",),
    ),
)  # fmt: skip


def boundary_statements(
    account: Account,
    prefix: str,
    keys: Sequence[pulumi.Input[str]] = (),
    buckets: Sequence[str] = (),
    brought: Sequence[str] = (),
) -> list[Statement]:
    """What the roles of a stage may do at most: on what begins with `prefix`, and on the stage's network.

    `keys`: the ARNs of the keys they may use. `buckets`: the names of those that are called otherwise; `brought`: the ARNs of
    other things that are.
    """
    named = {"p": prefix, "p_": prefix.replace("-", "_")}
    found: list[Statement] = []
    for ceiling in CEILINGS:
        resources: list[pulumi.Input[str]] = []
        for template in ceiling.resources:
            if template.endswith("{key}"):
                resources += keys
            else:
                resources.append(template if template == "*" else account.named(template.format(**named)))
        kinds = {_kind(template) for template in ceiling.resources}
        if "s3:::" in kinds:
            resources += [account.bucket(bucket, path) for bucket in buckets for path in ("", "*")]
        resources += [reached for arn in brought if _kind_of(arn) in kinds for reached in _reached(arn)]
        found.append(_statement(ceiling, resources))
    return found


def fits_no_ceiling(arn: str) -> bool:
    """Whether the boundary has no place for a thing of that kind, so that naming it would change nothing."""
    return not any(_kind(resource) == _kind_of(arn) for ceiling in CEILINGS for resource in ceiling.resources)


def _statement(ceiling: Ceiling, resources: Sequence[pulumi.Input[str]]) -> Statement:
    statement: Statement = {
        "sid": ceiling.sid,
        "why": ceiling.why,
        "actions": ceiling.actions,
        "resources": resources,
    }
    if ceiling.conditions:
        statement["conditions"] = ceiling.conditions
    return statement


def _kind(template: str) -> str:
    """What a template names, without the name: `ecr:repository/`; empty for `*`, and for one fixed thing."""
    kind, variable, _ = template.partition("{")
    return kind if variable else ""


def _kind_of(arn: str) -> str:
    """The same of an ARN: `arn:aws:ecr:eu-west-1:210987654321:repository/churn` is an `ecr:repository/`."""
    _, _, service, region, account, resource = arn.split(":", 5)
    if not region and not account:
        return f"{service}:::"
    start = f"{service}:" if region else f"{service}::"
    kind, separator, _ = resource.partition("/" if "/" in resource else ":")
    return f"{start}{kind}{separator}" if separator else start


def _reached(arn: str) -> Iterator[str]:
    """The thing itself, and what lies in it: a bucket's objects, a group's versions."""
    yield arn
    if ":s3:::" in arn:
        yield f"{arn}/*"
    if ":model-package-group/" in arn:
        yield arn.replace(":model-package-group/", ":model-package/") + "/*"
