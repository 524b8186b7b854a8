"""What continuous integration may do to each stack, as a table: one entry for each kind of resource that a stack makes.

`{p}` stands for what every name of the project's stage begins with. The foundation is not here: keys, data, the network and
the deploy role itself are a person's to change, so that who may push code cannot give themselves more.
AWS: "Actions, resources, and condition keys for AWS services".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

EVERY = "every"  # grants that each stack needs
TAGGED = ("TagResource", "UntagResource", "ListTagsForResource")


@dataclass(frozen=True, slots=True)
class Grant:
    """`types`: the resources that need it. `resources`: ARNs without partition, region and account; `*` where AWS has none."""

    sid: str
    why: str
    types: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]


def actions(service: str, *names: str) -> tuple[str, ...]:
    """Actions of one service as a policy names them: `actions("s3", "GetObject")` is `("s3:GetObject",)`."""
    return tuple(f"{service}:{name}" for name in names)


def _all(
    service: str, kinds: Iterable[str], verbs: Sequence[str] = ("Create", "Delete", "Describe")
) -> tuple[str, ...]:
    return tuple(f"{service}:{verb}{kind}" for kind in kinds for verb in verbs)


_SAGEMAKER_TAGS = actions("sagemaker", "AddTags", "DeleteTags", "ListTags")

GRANTS: Mapping[str, tuple[Grant, ...]] = {
    EVERY: (
        Grant(
            "Alarms",
            "every stack watches what it makes",
            ("cloudwatch/metricAlarm:MetricAlarm",),
            actions("cloudwatch", "PutMetricAlarm", "DeleteAlarms", "DescribeAlarms", *TAGGED),
            ("cloudwatch:alarm:{p}-*",),
        ),
        Grant(
            "Rules",
            "events start pipelines, and tell people",
            ("cloudwatch/eventRule:EventRule", "cloudwatch/eventTarget:EventTarget"),
            actions(
                "events", "PutRule", "DescribeRule", "DeleteRule", "PutTargets", "RemoveTargets", "ListTargetsByRule",
                *TAGGED,
            ),
            ("events:rule/{p}-*",),
        ),
        Grant(
            "Schedules",
            "scoring, monitoring and retraining run on schedules",
            ("scheduler/schedule:Schedule",),
            _all("scheduler", ("Schedule",), ("Create", "Get", "Update", "Delete")),
            ("scheduler:schedule/default/{p}-*",),
        ),
        Grant(
            "Machines",
            "the doors to training, approval and an A/B test are state machines",
            ("sfn/stateMachine:StateMachine",),
            actions(
                "states", "CreateStateMachine", "DescribeStateMachine", "UpdateStateMachine", "DeleteStateMachine",
                "ListStateMachineVersions", *TAGGED,
            ),
            ("states:stateMachine:{p}-*",),
        ),
        Grant(
            "CheckMachines",
            "the provider has a definition checked before it is used; AWS defines this action without a resource",
            ("sfn/stateMachine:StateMachine",),
            actions("states", "ValidateStateMachineDefinition"),
            ("*",),
        ),
        Grant(
            "Letters",
            "what cannot be delivered waits in a queue",
            ("sqs/queue:Queue", "sqs/queuePolicy:QueuePolicy"),
            actions(
                "sqs", "CreateQueue", "DeleteQueue", "GetQueueAttributes", "GetQueueUrl", "SetQueueAttributes",
                "ListQueueTags", "TagQueue", "UntagQueue",
            ),
            ("sqs:{p}-*",),
        ),
        Grant(
            "Pipelines",
            "training, scoring and monitoring are pipelines",
            ("sagemaker/pipeline:Pipeline",),
            (*_all("sagemaker", ("Pipeline",), ("Create", "Update", "Describe", "Delete")), *_SAGEMAKER_TAGS),
            ("sagemaker:pipeline/{p}-*",),
        ),
        Grant(
            "LogGroups",
            "logs are encrypted, and end",
            ("cloudwatch/logGroup:LogGroup", "cloudwatch/logStream:LogStream"),
            actions(
                "logs", "CreateLogGroup", "DeleteLogGroup", "PutRetentionPolicy", "DeleteRetentionPolicy",
                "AssociateKmsKey", "DescribeLogStreams", "CreateLogStream", "DeleteLogStream", *TAGGED,
            ),
            tuple(
                f"logs:log-group:{start}{{p}}*"
                for start in ("/aws/sagemaker/Endpoints/", "/ai-factory/", "/aws/lambda/", "/aws/kinesisfirehose/")
            ),
        ),
        Grant(
            "FindLogGroups",
            "the provider looks a log group up by listing",
            ("cloudwatch/logGroup:LogGroup",),
            actions("logs", "DescribeLogGroups"),
            ("logs:log-group:*",),
        ),
    ),
    "registry": (
        Grant(
            "Images",
            "the project's image repository, and the images that are built here",
            ("ecr/repository:Repository", "ecr/lifecyclePolicy:LifecyclePolicy", "ecr/repositoryPolicy:RepositoryPolicy"),
            actions(
                "ecr", "CreateRepository", "DeleteRepository", "DescribeRepositories", "PutImageScanningConfiguration",
                "PutImageTagMutability", "PutLifecyclePolicy", "GetLifecyclePolicy", "DeleteLifecyclePolicy",
                "SetRepositoryPolicy", "GetRepositoryPolicy", "DeleteRepositoryPolicy", *TAGGED,
                "BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer", "InitiateLayerUpload",
                "UploadLayerPart", "CompleteLayerUpload", "PutImage",
            ),
            ("ecr:repository/{p}",),
        ),
        Grant(
            "LogInToRegistry",
            "pushing needs a token; AWS defines this action without a resource",
            (),
            actions("ecr", "GetAuthorizationToken"),
            ("*",),
        ),
        Grant(
            "Versions",
            "the group that model versions are in; not the versions, which persons approve",
            (
                "sagemaker/modelPackageGroup:ModelPackageGroup",
                "sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
            ),
            (
                *_all("sagemaker", ("ModelPackageGroup",)),
                *_all("sagemaker", ("ModelPackageGroupPolicy",), ("Get", "Put", "Delete")),
                *_SAGEMAKER_TAGS,
            ),
            ("sagemaker:model-package-group/{p}",),
        ),
    ),
    "serving": (
        Grant(
            "Endpoints",
            "the endpoint, what it is configured as and the models behind it",
            (
                "sagemaker/model:Model",
                "sagemaker/endpointConfiguration:EndpointConfiguration",
                "sagemaker/endpoint:Endpoint",
            ),
            (
                *_all("sagemaker", ("Model", "EndpointConfig", "Endpoint")),
                *actions("sagemaker", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"),
                *_SAGEMAKER_TAGS,
            ),
            ("sagemaker:model/{p}-*", "sagemaker:endpoint-config/{p}-*", "sagemaker:endpoint/{p}-*"),
        ),
        Grant(
            "Scaling",
            "machines follow the requests; AWS names a target by a number",
            ("appautoscaling/target:Target", "appautoscaling/policy:Policy"),
            actions(
                "application-autoscaling", "RegisterScalableTarget", "DeregisterScalableTarget", "PutScalingPolicy",
                "DeleteScalingPolicy", *TAGGED,
            ),
            ("application-autoscaling:scalable-target/*",),
        ),
        Grant(
            "SeeScaling",
            "the provider looks targets up; AWS defines these actions without a resource",
            ("appautoscaling/target:Target", "appautoscaling/policy:Policy"),
            actions("application-autoscaling", "DescribeScalableTargets", "DescribeScalingPolicies"),
            ("*",),
        ),
        Grant(
            "Topics",
            "an asynchronous endpoint says what became of a request",
            ("sns/topic:Topic", "sns/topicPolicy:TopicPolicy"),
            actions(
                "sns", "CreateTopic", "DeleteTopic", "GetTopicAttributes", "SetTopicAttributes", *TAGGED
            ),
            ("sns:{p}-async-*",),
        ),
    ),
    "training": (),
    "monitoring": (
        Grant(
            "Dashboards",
            "one dashboard for the stage",
            ("cloudwatch/dashboard:Dashboard",),
            actions("cloudwatch", "PutDashboard", "GetDashboard", "DeleteDashboards"),
            ("cloudwatch::dashboard/{p}*",),
        ),
    ),
    "ingestion": (
        Grant(
            "Streams",
            "records arrive on a stream",
            ("kinesis/stream:Stream",),
            actions(
                "kinesis", "CreateStream", "DeleteStream", "DescribeStream", "DescribeStreamSummary", "AddTagsToStream",
                "RemoveTagsFromStream", "ListTagsForStream", "IncreaseStreamRetentionPeriod", "UpdateStreamMode",
                "DecreaseStreamRetentionPeriod", "StartStreamEncryption", "StopStreamEncryption", "UpdateShardCount",
                "EnableEnhancedMonitoring", "DisableEnhancedMonitoring",
            ),
            ("kinesis:stream/{p}-*",),
        ),
        Grant(
            "Deliveries",
            "records are delivered to the lake",
            ("kinesis/firehoseDeliveryStream:FirehoseDeliveryStream",),
            actions(
                "firehose", "CreateDeliveryStream", "DeleteDeliveryStream", "DescribeDeliveryStream", "UpdateDestination",
                "ListTagsForDeliveryStream", "TagDeliveryStream", "UntagDeliveryStream", "StartDeliveryStreamEncryption",
                "StopDeliveryStreamEncryption",
            ),
            ("firehose:deliverystream/{p}-*",),
        ),
        Grant(
            "Consumers",
            "a function answers records with the endpoint",
            ("lambda/function:Function", "lambda/eventSourceMapping:EventSourceMapping", "lambda/permission:Permission"),
            actions(
                "lambda", "CreateFunction", "DeleteFunction", "GetFunction", "GetFunctionConfiguration",
                "GetFunctionCodeSigningConfig", "ListVersionsByFunction", "UpdateFunctionCode", "GetPolicy",
                "UpdateFunctionConfiguration", "PutFunctionConcurrency", "DeleteFunctionConcurrency", "AddPermission",
                "RemovePermission", "TagResource", "UntagResource", "ListTags",
            ),
            ("lambda:function:{p}-*",),
        ),
        Grant(
            "ConnectConsumers",
            "a stream is connected to its function; the connection has no name before it exists",
            ("lambda/eventSourceMapping:EventSourceMapping",),
            actions("lambda", "DeleteEventSourceMapping", "GetEventSourceMapping", "UpdateEventSourceMapping"),
            ("lambda:event-source-mapping:*",),
        ),
        Grant(
            "MakeConnections",
            "AWS defines this action without a resource",
            ("lambda/eventSourceMapping:EventSourceMapping",),
            actions("lambda", "CreateEventSourceMapping"),
            ("*",),
        ),
        Grant(
            "Lake",
            "the lake's catalogue, and the job that fills it",
            (
                "glue/catalogDatabase:CatalogDatabase",
                "glue/catalogTable:CatalogTable",
                "glue/crawler:Crawler",
                "glue/job:Job",
                "glue/trigger:Trigger",
            ),
            (
                *_all("glue", ("Database", "Table", "Crawler", "Job", "Trigger"), ("Create", "Get", "Update", "Delete")),
                *actions("glue", "StartTrigger", "StopTrigger", "GetTags", "TagResource", "UntagResource"),
            ),
            (
                "glue:catalog",
                *(f"glue:{kind}/{{p}}-*" for kind in ("crawler", "job", "trigger")),
                "glue:database/{p}*",
                "glue:table/{p}*",
            ),
        ),
        Grant(
            "LakeKeys",
            "the catalogue's job writes encrypted; AWS defines these actions without a resource",
            ("glue/securityConfiguration:SecurityConfiguration",),
            _all("glue", ("SecurityConfiguration",), ("Create", "Get", "Delete")),
            ("*",),
        ),
        Grant(
            "Features",
            "groups of features",
            ("sagemaker/featureGroup:FeatureGroup",),
            (*_all("sagemaker", ("FeatureGroup",), ("Create", "Describe", "Update", "Delete")), *_SAGEMAKER_TAGS),
            ("sagemaker:feature-group/{p}*",),
        ),
    ),
}  # fmt: skip
# What holds data or bears witness, in whatever stack it is: a person makes and changes it, as the foundation. Once it stands, an
# update that leaves it as it is asks AWS nothing about it.
BY_PERSONS = (
    "cloudtrail/trail:Trail", "kms/alias:Alias", "kms/key:Key", "s3/bucket:Bucket",
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "s3/bucketLogging:BucketLogging",
    "s3/bucketObjectv2:BucketObjectv2", "s3/bucketOwnershipControls:BucketOwnershipControls",
    "s3/bucketPolicy:BucketPolicy", "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "s3/bucketVersioning:BucketVersioning",
)  # fmt: skip
# The services that roles made here may be handed to.
PASSED_TO = ("sagemaker", "states", "events", "scheduler", "firehose", "glue", "lambda")
