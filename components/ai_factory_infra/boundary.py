"""The most that any role of one project's stage may ever do, whatever its own policy says: a permissions boundary.

It grants nothing; a role may do what both its policy and this allow. A role that continuous integration makes must carry
it, or whoever may push code could make themselves a role that may do anything.
AWS: "Permissions boundaries for IAM entities".
"""

from __future__ import annotations

from ai_factory_infra.account import Account
from ai_factory_infra.policies import WITHOUT_RESOURCE, Statement

NETWORK = tuple(sorted(a for a in WITHOUT_RESOURCE if a.startswith("ec2:Describe")))


def boundary_statements(account: Account, prefix: str) -> list[Statement]:
    """What the roles of a stage may do at most, on what begins with `prefix`, and on keys and network of the account."""

    def grant(sid: str, why: str, actions: str, *resources: str) -> Statement:
        names = [account.named(r) if r != "*" else r for r in resources]
        return {"sid": sid, "why": why, "actions": actions.split(), "resources": names}

    p = prefix
    return [
        grant(
            "Objects",
            "data, models and results are objects in the project's buckets",
            "s3:AbortMultipartUpload s3:DeleteObject s3:GetBucketAcl s3:GetBucketLocation s3:GetObject s3:ListBucket "
            "s3:ListBucketMultipartUploads s3:PutObject",
            f"s3:::{p}-*",
        ),
        grant(
            "Keys",
            "everything is encrypted; the keys' own policies and the roles' decide which",
            "kms:CreateGrant kms:Decrypt kms:DescribeKey kms:Encrypt kms:GenerateDataKey kms:ReEncryptFrom kms:ReEncryptTo",
            "kms:key/*",
        ),
        grant(
            "Images",
            "containers are the project's image",
            "ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer",
            f"ecr:repository/{p}",
        ),
        grant(
            "Logs",
            "containers, functions and networks write logs",
            "logs:AssociateKmsKey logs:CreateLogGroup logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents",
            *(
                f"logs:log-group:{g}*"
                for g in ("/aws/sagemaker/", "/aws-glue/", f"/ai-factory/{p}", f"/aws/lambda/{p}")
            ),
            f"logs:log-group:/aws/kinesisfirehose/{p}*",
        ),
        grant(
            "Network",
            "machines get addresses in the project's subnets",
            "ec2:CreateNetworkInterface ec2:CreateNetworkInterfacePermission ec2:DeleteNetworkInterface "
            "ec2:DeleteNetworkInterfacePermission",
            "ec2:network-interface/*",
            "ec2:subnet/*",
            "ec2:security-group/*",
        ),
        grant(
            "Jobs",
            "pipelines run jobs, which SageMaker names",
            "sagemaker:AddTags sagemaker:CreateProcessingJob sagemaker:CreateTrainingJob sagemaker:DescribeProcessingJob "
            "sagemaker:DescribeTrainingJob sagemaker:StopProcessingJob sagemaker:StopTrainingJob",
            "sagemaker:processing-job/pipelines-*",
            "sagemaker:training-job/pipelines-*",
        ),
        grant(
            "Pipelines",
            "schedules and doors start pipelines",
            "sagemaker:ListPipelineExecutions sagemaker:StartPipelineExecution",
            f"sagemaker:pipeline/{p}-*",
        ),
        grant(
            "Versions",
            "training adds versions, the approval flow takes approvals back",
            "sagemaker:AddTags sagemaker:CreateModelPackage sagemaker:DescribeModelPackage "
            "sagemaker:DescribeModelPackageGroup sagemaker:UpdateModelPackage",
            f"sagemaker:model-package-group/{p}",
            f"sagemaker:model-package/{p}/*",
        ),
        grant(
            "Endpoints",
            "a stream is answered by the endpoint; a challenger that fails loses its share",
            "sagemaker:DescribeEndpoint sagemaker:InvokeEndpoint sagemaker:InvokeEndpointAsync "
            "sagemaker:UpdateEndpointWeightsAndCapacities",
            f"sagemaker:endpoint/{p}-*",
        ),
        grant("Features", "records enter feature groups", "sagemaker:PutRecord", f"sagemaker:feature-group/{p}*"),
        grant(
            "Records",
            "streams are read and written",
            "kinesis:DescribeStream kinesis:DescribeStreamSummary kinesis:GetRecords kinesis:GetShardIterator "
            "kinesis:ListShards kinesis:PutRecord kinesis:PutRecords firehose:PutRecord firehose:PutRecordBatch",
            f"kinesis:stream/{p}-*",
            f"firehose:deliverystream/{p}-*",
        ),
        grant(
            "Lake",
            "jobs keep the lake's catalogue",
            "glue:BatchCreatePartition glue:BatchGetPartition glue:CreateTable glue:GetDatabase glue:GetPartition "
            "glue:GetPartitions glue:GetTable glue:GetTables glue:GetTableVersion glue:GetTableVersions glue:StartCrawler "
            "glue:StartJobRun glue:UpdatePartition glue:UpdateTable",
            "glue:catalog",
            *(f"glue:{kind}/{start}*" for kind in ("database", "table") for start in (p, p.replace("-", "_"))),
            f"glue:job/{p}-*",
            f"glue:crawler/{p}-*",
        ),
        grant(
            "Messages",
            "doors are opened, letters left, outcomes told",
            "events:PutEvents sns:Publish sqs:SendMessage states:StartExecution",
            "events:event-bus/default",
            f"sns:{p}-*",
            f"sqs:{p}-*",
            f"states:stateMachine:{p}-*",
        ),
        {
            **grant("HandOver", "pipelines hand roles of this stage to their jobs", "iam:PassRole", f"iam::role/{p}-*"),
            "conditions": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
        },
        {
            **grant(
                "WithoutResource",
                "AWS defines these actions without a resource",
                " ".join(("cloudwatch:PutMetricData", "ecr:GetAuthorizationToken", *NETWORK)),
            ),
            "resources": ["*"],
        },
    ]
