"""Ask the emulator: is what was made there, and does what can be called answer?

A type that is not in `LOOKS` is not asked after; one that is not in `USES` cannot be called, or not without a container.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Client = Any
Ask = Callable[[Callable[[str], Client], Mapping[str, Any]], object]


def _by(service: str, operation: str, **arguments: str) -> Ask:
    """Call one operation; an argument `Name="name"` is filled with the resource's output `name`."""

    def ask(client: Callable[[str], Client], outputs: Mapping[str, Any]) -> object:
        return getattr(client(service), operation)(**{k: outputs[v] for k, v in arguments.items()})

    return ask


def _alarm(client: Callable[[str], Client], outputs: Mapping[str, Any]) -> object:
    found = client("cloudwatch").describe_alarms(AlarmNames=[outputs["name"]])["MetricAlarms"]
    if not found:
        raise LookupError("there is no such alarm")
    return found


def _group(client: Callable[[str], Client], outputs: Mapping[str, Any]) -> object:
    found = client("logs").describe_log_groups(logGroupNamePrefix=outputs["name"])["logGroups"]
    if not found:
        raise LookupError("there is no such log group")
    return found


LOOKS: Mapping[str, Ask] = {
    "aws:cloudwatch/dashboard:Dashboard": _by("cloudwatch", "get_dashboard", DashboardName="dashboardName"),
    "aws:cloudwatch/eventRule:EventRule": _by("events", "describe_rule", Name="name"),
    "aws:cloudwatch/logGroup:LogGroup": _group,
    "aws:cloudwatch/metricAlarm:MetricAlarm": _alarm,
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": _by("ecr", "get_lifecycle_policy", repositoryName="repository"),
    "aws:glue/catalogDatabase:CatalogDatabase": _by("glue", "get_database", Name="name"),
    "aws:iam/role:Role": _by("iam", "get_role", RoleName="name"),
    "aws:iam/rolePolicy:RolePolicy": _by("iam", "get_role_policy", RoleName="role", PolicyName="name"),
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": _by(
        "firehose", "describe_delivery_stream", DeliveryStreamName="name"
    ),
    "aws:kinesis/stream:Stream": _by("kinesis", "describe_stream", StreamName="name"),
    "aws:kms/key:Key": _by("kms", "describe_key", KeyId="keyId"),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _by(
        "s3", "get_bucket_lifecycle_configuration", Bucket="bucket"
    ),
    "aws:s3/bucketPolicy:BucketPolicy": _by("s3", "get_bucket_policy", Bucket="bucket"),
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _by("s3", "get_public_access_block", Bucket="bucket"),
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _by(
        "s3", "get_bucket_encryption", Bucket="bucket"
    ),
    "aws:s3/bucketVersioning:BucketVersioning": _by("s3", "get_bucket_versioning", Bucket="bucket"),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": _by(
        "sagemaker", "describe_endpoint_config", EndpointConfigName="name"
    ),
    "aws:sagemaker/model:Model": _by("sagemaker", "describe_model", ModelName="name"),
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": _by(
        "sagemaker", "describe_model_package_group", ModelPackageGroupName="modelPackageGroupName"
    ),
    "aws:scheduler/schedule:Schedule": _by("scheduler", "get_schedule", Name="name"),
    "aws:sfn/stateMachine:StateMachine": _by("stepfunctions", "describe_state_machine", stateMachineArn="arn"),
    "aws:ecr/repository:Repository": _by("ecr", "list_images", repositoryName="name"),
}


def _file(client: Callable[[str], Client], outputs: Mapping[str, Any]) -> object:
    s3, place = client("s3"), {"Bucket": outputs["bucket"], "Key": "rehearsal/hello"}
    put = s3.put_object(**place, Body=b"hello")
    body = s3.get_object(**place)["Body"].read()
    version = {"VersionId": put["VersionId"]} if "VersionId" in put else {}
    s3.delete_object(**place, **version)
    return f"a file written, read ({len(body)} bytes) and deleted"


def _message(client: Callable[[str], Client], outputs: Mapping[str, Any]) -> object:
    sqs = client("sqs")
    sqs.send_message(QueueUrl=outputs["url"], MessageBody="hello")
    got = sqs.receive_message(QueueUrl=outputs["url"], WaitTimeSeconds=0).get("Messages", [])
    return f"a message sent, {len(got)} received"


def _predict(client: Callable[[str], Client], outputs: Mapping[str, Any]) -> object:
    asked = json.dumps({"instances": []}).encode()
    answer = client("sagemaker-runtime").invoke_endpoint(
        EndpointName=outputs["name"], ContentType="application/json", Body=asked
    )
    return f"answered {len(answer['Body'].read())} bytes, the emulator's own: it runs no container"


def _run(client: Callable[[str], Client], outputs: Mapping[str, Any]) -> object:
    client("sagemaker").start_pipeline_execution(PipelineName=outputs["pipelineName"])
    return "an execution was started; the emulator runs no steps"


def _door(client: Callable[[str], Client], outputs: Mapping[str, Any]) -> object:
    client("stepfunctions").start_execution(stateMachineArn=outputs["arn"], input='{"reason": "rehearsal"}')
    return "an execution was started"


def _notice(client: Callable[[str], Client], outputs: Mapping[str, Any]) -> object:
    client("sns").publish(TopicArn=outputs["arn"], Message="hello")
    return "a message published"


def _record(client: Callable[[str], Client], outputs: Mapping[str, Any]) -> object:
    client("kinesis").put_record(StreamName=outputs["name"], Data=b"{}", PartitionKey="rehearsal")
    return "a record put"


def _data_key(client: Callable[[str], Client], outputs: Mapping[str, Any]) -> object:
    client("kms").generate_data_key(KeyId=outputs["keyId"], KeySpec="AES_256")
    return "a data key made"


USES: Mapping[str, Ask] = {
    "aws:kinesis/stream:Stream": _record,
    "aws:kms/key:Key": _data_key,
    "aws:s3/bucket:Bucket": _file,
    "aws:sagemaker/endpoint:Endpoint": _predict,
    "aws:sagemaker/pipeline:Pipeline": _run,
    "aws:sfn/stateMachine:StateMachine": _door,
    "aws:sns/topic:Topic": _notice,
    "aws:sqs/queue:Queue": _message,
}
