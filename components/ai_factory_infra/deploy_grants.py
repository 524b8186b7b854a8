"""What continuous integration may do to each stack, as a table: one entry for each kind of resource that a stack makes.

The foundation is not here: keys, data, the network and the deploy role itself are a person's to change, so that who may push
code cannot give themselves more.
AWS: "Actions, resources, and condition keys for AWS services".
"""

from __future__ import annotations

from collections.abc import Mapping

from ai_factory_infra.grant import SAGEMAKER_TAGS, TAGGED, Grant, actions, each
from ai_factory_infra.ingestion_grants import INGESTION

EVERY = "every"  # grants that each stack needs

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
            "FindZones",
            "previewing the foundation asks which zones there are; AWS defines this action without a resource",
            (),
            actions("ec2", "DescribeAvailabilityZones"),
            ("*",),
            invokes=("aws:index/getAvailabilityZones:getAvailabilityZones",),
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
            each("scheduler", ("Schedule",), ("Create", "Get", "Update", "Delete")),
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
            (*each("sagemaker", ("Pipeline",), ("Create", "Update", "Describe", "Delete")), *SAGEMAKER_TAGS),
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
                f"logs:log-group:{start}{{p}}-*"
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
                *each("sagemaker", ("ModelPackageGroup",)),
                *each("sagemaker", ("ModelPackageGroupPolicy",), ("Get", "Put", "Delete")),
                *SAGEMAKER_TAGS,
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
                *each("sagemaker", ("Model", "EndpointConfig", "Endpoint")),
                *actions("sagemaker", "UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"),
                *SAGEMAKER_TAGS,
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
            "ScalingAlarms",
            "who puts a scaling policy answers for the alarms that AWS makes of it, which AWS names by the endpoint",
            ("appautoscaling/policy:Policy",),
            actions("cloudwatch", "PutMetricAlarm", "DeleteAlarms", "DescribeAlarms"),
            ("cloudwatch:alarm:TargetTracking-endpoint/{p}-*",),
        ),
        Grant(
            "SeeScaling",
            "the provider looks targets up; AWS defines these actions without a resource",
            ("appautoscaling/target:Target", "appautoscaling/policy:Policy"),
            actions("application-autoscaling", "DescribeScalableTargets", "DescribeScalingPolicies"),
            ("*",),
        ),
        Grant(
            "CompositeAlarms",
            "one alarm says that the endpoint is not well; AWS takes these two for it without a resource only",
            ("cloudwatch/compositeAlarm:CompositeAlarm",),
            actions("cloudwatch", "PutCompositeAlarm", "DescribeAlarms"),
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
            ("cloudwatch::dashboard/{p}", "cloudwatch::dashboard/{p}-*"),
        ),
    ),
    "ingestion": INGESTION,
}  # fmt: skip
# What holds data or bears witness, in whatever stack it is: a person makes and changes it, as the foundation. Once it stands, an
# update that leaves it as it is asks AWS nothing about it.
BY_PERSONS = (
    "cloudtrail/trail:Trail", "kms/alias:Alias", "kms/key:Key", "s3/bucket:Bucket",
    "s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "s3/bucketLogging:BucketLogging",
    "s3/bucketOwnershipControls:BucketOwnershipControls", "s3/bucketPolicy:BucketPolicy",
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "s3/bucketVersioning:BucketVersioning",
)  # fmt: skip
# What programs look up that AWS answers anybody who is signed in.
ANYBODY = (
    "aws:index/getCallerIdentity:getCallerIdentity", "aws:index/getPartition:getPartition",
    "aws:index/getRegion:getRegion",
)  # fmt: skip
# The services that roles made here may be handed to.
PASSED_TO = ("sagemaker", "states", "events", "scheduler", "firehose", "glue", "lambda")
