"""Statements for those who read and write Kinesis streams, and for who carries them to a bucket."""

from __future__ import annotations

import pulumi

from ai_factory_infra.account import Account
from ai_factory_infra.policies import Folder, Statement


def read_stream(stream_arn: pulumi.Input[str]) -> Statement:
    """Read one stream from any point that it still holds."""
    return {
        "sid": "ReadStream",
        "why": "it reads the records of this one stream",
        "actions": [
            "kinesis:DescribeStream",
            "kinesis:DescribeStreamSummary",
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:ListShards",
        ],
        "resources": [stream_arn],
    }


def write_stream(stream_arn: pulumi.Input[str]) -> Statement:
    """Put records on one stream."""
    return {
        "sid": "WriteStream",
        "why": "it puts its answers on this one stream",
        "actions": ["kinesis:PutRecords"],
        "resources": [stream_arn],
    }


def use_stream_key(key_arn: pulumi.Input[str]) -> Statement:
    """Decrypt and encrypt records under one key, which is used for nothing else by this role."""
    return {
        "sid": "UseKey",
        "why": "records and objects are encrypted with this key",
        "actions": ["kms:Decrypt", "kms:GenerateDataKey"],
        "resources": [key_arn],
    }


def deliver_objects(account: Account, folder: Folder) -> list[Statement]:
    """What Firehose needs to write a folder and the folder of what it could not process (`<prefix>-failed`)."""
    bucket = folder["bucket"]
    return [
        {
            "sid": "WriteObjects",
            "why": "it writes the records under their folder; what it could not process, beside it",
            "actions": ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"],
            "resources": [account.bucket(bucket, f"{folder['prefix']}{part}/*") for part in ("", "-failed")],
        },
        {
            "sid": "FindBucket",
            "why": "Firehose looks the bucket up and finishes uploads that were interrupted",
            "actions": ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
            "resources": [account.bucket(bucket)],
        },
    ]


def write_log_group(group_arn: pulumi.Input[str]) -> Statement:
    """Write to one log group that exists; none is made."""
    return {
        "sid": "WriteLogs",
        "why": "its output goes to this one log group",
        "actions": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "resources": [pulumi.Output.format("{0}:*", group_arn)],
    }


def leave_letters(queue_arn: pulumi.Input[str]) -> Statement:
    """Leave what could not be processed in a dead-letter queue."""
    return {
        "sid": "LeaveLetters",
        "why": "what could not be processed is kept, not lost",
        "actions": ["sqs:SendMessage"],
        "resources": [queue_arn],
    }
