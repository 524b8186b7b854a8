"""The most that any role of one project's stage may ever do, whatever its own policy says: a permissions boundary.

It grants nothing; a role may do what both its policy and this allow. A role that continuous integration makes must carry
it, or whoever may push code could make themselves a role that may do anything.
AWS: "Permissions boundaries for IAM entities".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ai_factory_infra.account import Account
from ai_factory_infra.deploy_grants import actions
from ai_factory_infra.policies import WITHOUT_RESOURCE, Statement

NETWORK = tuple(sorted(a for a in WITHOUT_RESOURCE if a.startswith("ec2:Describe")))


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What roles may do at most on one kind of thing. `resources`: ARNs without partition, region and account, or `*`.

    `{p}` in them stands for what every name of the project's stage begins with, `{p_}` for the same with underscores, as
    Glue's names are. `conditions`: as a policy has them.
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
            "ListBucketMultipartUploads", "PutObject",
        ),
        ("s3:::{p}-*",),
    ),
    Ceiling(
        "Keys",
        "everything is encrypted; the keys' own policies and the roles' decide which",
        actions(
            "kms", "CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo"
        ),
        ("kms:key/*",),
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
            "logs:log-group:/ai-factory/{p}*",
            "logs:log-group:/aws/lambda/{p}*",
            "logs:log-group:/aws/kinesisfirehose/{p}*",
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
        ("sagemaker:feature-group/{p}*",),
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
            *(f"glue:{kind}/{start}*" for kind in ("database", "table") for start in ("{p}", "{p_}")),
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
        ("cloudwatch:PutMetricData", "ecr:GetAuthorizationToken", *NETWORK),
        ("*",),
    ),
)  # fmt: skip


def boundary_statements(account: Account, prefix: str) -> list[Statement]:
    """What the roles of a stage may do at most, on what begins with `prefix`, and on keys and network of the account."""
    return [_statement(ceiling, account, prefix) for ceiling in CEILINGS]


def _statement(ceiling: Ceiling, account: Account, prefix: str) -> Statement:
    named = [r.format(p=prefix, p_=prefix.replace("-", "_")) for r in ceiling.resources]
    statement: Statement = {
        "sid": ceiling.sid,
        "why": ceiling.why,
        "actions": ceiling.actions,
        "resources": [r if r == "*" else account.named(r) for r in named],
    }
    if ceiling.conditions:
        statement["conditions"] = ceiling.conditions
    return statement
