"""What continuous integration may do to the stack that brings data in: streams, functions, the lake's catalogue, features.

AWS: "Actions, resources, and condition keys for AWS services".
"""

from __future__ import annotations

from ai_factory_infra.grant import FEATURE_TABLES, SAGEMAKER_TAGS, Grant, actions, each

INGESTION: tuple[Grant, ...] = (
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
            *each("glue", ("Database", "Table", "Crawler", "Job", "Trigger"), ("Create", "Get", "Update", "Delete")),
            *actions("glue", "StartTrigger", "StopTrigger", "GetTags", "TagResource", "UntagResource"),
        ),
        (
            "glue:catalog",
            *(f"glue:{kind}/{{p}}-*" for kind in ("crawler", "job", "trigger")),
            "glue:database/{p_}_*",
            "glue:table/{p_}_*/*",
        ),
    ),
    Grant(
        "LakeKeys",
        "the catalogue's job writes encrypted; AWS defines these actions without a resource",
        ("glue/securityConfiguration:SecurityConfiguration",),
        each("glue", ("SecurityConfiguration",), ("Create", "Get", "Delete")),
        ("*",),
    ),
    Grant(
        "Features",
        "groups of features",
        ("sagemaker/featureGroup:FeatureGroup",),
        (*each("sagemaker", ("FeatureGroup",), ("Create", "Describe", "Update", "Delete")), *SAGEMAKER_TAGS),
        ("sagemaker:feature-group/{p}-*",),
    ),
    Grant(
        "FeatureTables",
        "SageMaker makes a group's table for whoever makes the group, in a database of its own, and names it by the group",
        ("sagemaker/featureGroup:FeatureGroup",),
        actions("glue", "CreateDatabase", "CreateTable", "GetDatabase", "GetTable"),
        ("glue:catalog", "glue:database/sagemaker_featurestore", *FEATURE_TABLES),
    ),
    Grant(
        "SeeKeys",
        "an online store's key is looked up by its names; AWS defines this action without a resource",
        ("sagemaker/featureGroup:FeatureGroup",),
        actions("kms", "ListAliases"),
        ("*",),
    ),
    Grant(
        "Scripts",
        "the catalogue's job is a script in the data bucket; an upgrade of the library changes it",
        ("s3/bucketObjectv2:BucketObjectv2",),
        actions(
            "s3", "DeleteObject", "DeleteObjectTagging", "DeleteObjectVersion", "GetObject", "GetObjectTagging",
            "PutObject", "PutObjectTagging",
        ),
        ("s3:::{data}/scripts/{p}-*",),
    ),
    Grant(
        "OldScripts",
        "a script that goes is deleted with its older versions, which have to be listed",
        ("s3/bucketObjectv2:BucketObjectv2",),
        actions("s3", "ListBucketVersions"),
        ("s3:::{data}",),
        conditions={"StringLike": {"s3:prefix": "scripts/{p}-*"}},
    ),
)  # fmt: skip
