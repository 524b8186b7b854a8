"""StreamIngestion: records arrive on a Kinesis stream and land in a bucket, as they came, by the hour of their arrival.

Each record becomes one line, so a record is one JSON object or one line of CSV. Whoever reads the stream itself (stream
scoring) reads it beside the delivery: one does not wait for the other.
Costs when idle: an on-demand stream by the hour (or each shard of a provisioned one), four alarms; else by volume, on the way
in and once more on the way to the bucket. Limits: a record has at most 1 MiB, a shard takes 1 MiB or 1000 records a second,
retention is 24 to 8760 hours, Firehose collects 1 to 128 MiB or for up to 900 s.
AWS: "Amazon Kinesis Data Streams quotas and limits", "Amazon S3 object name format" (Firehose).
"""

from __future__ import annotations

from typing import Any, NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.inputs import RoleInputs, RunbookInputs
from ai_factory_infra.limits import LOG_RETENTION_DAYS, LOGICAL_NAME
from ai_factory_infra.metric_alarms import Condition, metric_alarm, told
from ai_factory_infra.pipeline_parts import role
from ai_factory_infra.policies import Folder
from ai_factory_infra.problems import Problems, is_known
from ai_factory_infra.runbooks import STREAMS
from ai_factory_infra.stream_policies import (
    deliver_objects,
    read_stream,
    use_stream_key,
    write_log_group,
)

BY_HOUR = "year=!{timestamp:yyyy}/month=!{timestamp:MM}/day=!{timestamp:dd}/hour=!{timestamp:HH}/"
BY_ERROR = "!{firehose:error-output-type}/!{timestamp:yyyy/MM/dd/HH}/"
SHARDS = 200  # of a provisioned stream; AWS allows more on request
LATE = 2  # a delivery is late after so many times the seconds that Firehose may collect for, and five minutes


class StreamIngestionArgs(RoleInputs, RunbookInputs):
    """`lake`: where records land; what Firehose cannot process lands under `<prefix>-failed`.

    `shards`: 0 for a stream that grows and shrinks by itself (on demand). `retention_hours`: how long a consumer that was
    down can catch up. `collect_mb` and `collect_seconds`: an object is written when the first of them is reached.
    `quiet_minutes`: an alarm when nothing arrived for so long; 0 for none. `protect`: the stream cannot be destroyed.
    `role_arns`: a role that exists, for the part `delivery`.
    """

    lake: Folder
    kms_key_arn: pulumi.Input[str]
    logs_key_arn: pulumi.Input[str]
    alerts_topic_arn: pulumi.Input[str]
    shards: NotRequired[int]
    retention_hours: NotRequired[int]
    collect_mb: NotRequired[int]
    collect_seconds: NotRequired[int]
    quiet_minutes: NotRequired[int]
    log_retention_days: NotRequired[int]
    protect: NotRequired[bool]


class StreamIngestion(pulumi.ComponentResource):
    """`stream_name` and `stream_arn`: where producers put records. `alarms`: their names, for a dashboard."""

    stream_name: pulumi.Output[str]
    stream_arn: pulumi.Output[str]
    alarms: tuple[str, ...]

    def __init__(self, name: str, args: StreamIngestionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:StreamIngestion", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        shards = args.get("shards", 0)
        stream = aws.kinesis.Stream(
            name,
            stream_mode_details={"stream_mode": "PROVISIONED" if shards else "ON_DEMAND"},
            shard_count=shards or None,
            retention_period=args.get("retention_hours", 24),
            encryption_type="KMS",
            kms_key_id=args["kms_key_arn"],
            opts=pulumi.ResourceOptions(parent=self, protect=args.get("protect", True)),
        )
        self.stream_name, self.stream_arn = stream.name, stream.arn
        delivery = self._deliver(stream)
        self.alarms = self._alarms(stream, delivery)
        self.register_outputs({"stream_name": self.stream_name, "stream_arn": self.stream_arn})

    def _deliver(self, stream: aws.kinesis.Stream) -> aws.kinesis.FirehoseDeliveryStream:
        args, lake, account = self._args, self._args["lake"], Account.of(self)
        logs = aws.cloudwatch.LogGroup(
            self._name,
            name=f"/aws/kinesisfirehose/{self._name}",
            retention_in_days=args.get("log_retention_days", 30),
            kms_key_id=args["logs_key_arn"],
            opts=self._child,
        )
        log = aws.cloudwatch.LogStream(self._name, name="delivery", log_group_name=logs.id, opts=self._child)
        may = [
            read_stream(stream.arn),
            *deliver_objects(account, lake),
            use_stream_key(args["kms_key_arn"]),
            write_log_group(logs.arn),
        ]
        courier = role(self, self._name, "delivery", may, args, "firehose.amazonaws.com")
        return aws.kinesis.FirehoseDeliveryStream(
            self._name,
            destination="extended_s3",
            kinesis_source_configuration={"kinesis_stream_arn": stream.arn, "role_arn": courier.arn},
            extended_s3_configuration={
                "role_arn": courier.arn,
                "bucket_arn": account.bucket(lake["bucket"]),
                "prefix": f"{lake['prefix']}/{BY_HOUR}",
                "error_output_prefix": f"{lake['prefix']}-failed/{BY_ERROR}",
                "buffering_size": args.get("collect_mb", 64),
                "buffering_interval": args.get("collect_seconds", 300),
                "compression_format": "GZIP",
                "file_extension": ".jsonl.gz",  # what the landing job takes for JSON lines
                "kms_key_arn": args["kms_key_arn"],
                "cloudwatch_logging_options": {
                    "enabled": True,
                    "log_group_name": logs.name,
                    "log_stream_name": log.name,
                },
                "processing_configuration": {"enabled": True, "processors": [_line_end()]},
            },
            opts=self._child,
        )

    def _alarms(self, stream: aws.kinesis.Stream, delivery: aws.kinesis.FirehoseDeliveryStream) -> tuple[str, ...]:
        quiet, late = self._args.get("quiet_minutes", 0), LATE * self._args.get("collect_seconds", 300) + 300
        of_stream, of_delivery = {"StreamName": stream.name}, {"DeliveryStreamName": delivery.name}
        below = "LessThanThreshold"
        wanted = {
            "refused": (
                "Records were refused because too many arrive: producers must send them again, or the stream needs more shards.",
                Condition("AWS/Kinesis", "WriteProvisionedThroughputExceeded", of_stream, "Sum", 0),
            ),
            "late": (
                f"The oldest record that is not in the bucket yet is older than {late} s.",
                Condition("AWS/Firehose", "DeliveryToS3.DataFreshness", of_delivery, "Maximum", late),
            ),
            "undelivered": (
                "Objects could not be written to the bucket: see the log group of the delivery.",
                Condition("AWS/Firehose", "DeliveryToS3.Success", of_delivery, "Average", 1, comparison=below),
            ),
        }
        if quiet:
            silence = Condition(
                "AWS/Kinesis", "IncomingRecords", of_stream, "Sum", 1, quiet * 60, comparison=below, missing="breaching"
            )
            wanted["quiet"] = (f"No record arrived for {quiet} minutes.", silence)
        for what, (said, condition) in wanted.items():
            metric_alarm(f"{self._name}-{what}", said, condition, told(self._args, STREAMS), parent=self)
        return tuple(f"{self._name}-{what}" for what in wanted)


def _line_end() -> Any:
    """One record, one line; Firehose joins records without anything between them otherwise."""
    return {
        "type": "AppendDelimiterToRecord",
        "parameters": [{"parameter_name": "Delimiter", "parameter_value": "\\n"}],
    }


def check(name: str, args: StreamIngestionArgs) -> None:
    """Refuse what AWS would refuse. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"StreamIngestion {name}")
    problems.fits("name", name, LOGICAL_NAME - len("-undelivered"), "a stream with its delivery and alarms")
    prefix = args["lake"]["prefix"]
    problems.unless(
        is_known(prefix) and bool(prefix) and prefix == prefix.strip("/") and "!" not in prefix,
        "lake.prefix",
        f"got {prefix!r}; a folder without slashes at its ends and without '!', which Firehose takes for an expression",
    )
    problems.between("shards", args.get("shards", 0), 0, SHARDS)
    problems.between("retention_hours", args.get("retention_hours", 24), 24, 8760, unit="hours")
    problems.between("collect_mb", args.get("collect_mb", 64), 1, 128, unit="MiB")
    problems.between("collect_seconds", args.get("collect_seconds", 300), 0, 900, unit="s")
    problems.between("quiet_minutes", args.get("quiet_minutes", 0), 0, 1440, unit="minutes")
    days = args.get("log_retention_days", 30)
    problems.unless(days in LOG_RETENTION_DAYS, "log_retention_days", f"got {days}; AWS allows {LOG_RETENTION_DAYS}")
    problems.stop()
