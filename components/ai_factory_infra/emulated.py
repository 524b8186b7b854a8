"""The AWS provider's settings for an emulator on this machine: every service at its address, no credential that is real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# What the stacks call, by the provider's own names. A service that is not here is reached through AWS_ENDPOINT_URL,
# which a rehearsal sets too.
SERVICES = (
    "accessanalyzer", "appautoscaling", "athena", "budgets", "ce", "cloudtrail", "cloudwatch", "ec2", "ecr", "events",
    "firehose", "glue", "guardduty", "iam", "inspector2", "kinesis", "kms", "lambda_", "logs", "s3", "s3control",
    "sagemaker", "scheduler", "secretsmanager", "securityhub", "sfn", "sns", "sqs", "ssm", "sts",
)  # fmt: skip
NOBODY = "rehearsal"


def provider_settings(address: str) -> Mapping[str, Any]:
    """Arguments of `aws.Provider`; nothing for an empty address. The keys are made up and win over all others."""
    if not address:
        return {}
    return {
        "endpoints": [dict.fromkeys(SERVICES, address)],
        "access_key": NOBODY,
        "secret_key": NOBODY,
        "s3_use_path_style": True,
        "skip_credentials_validation": True,
        "skip_metadata_api_check": True,
    }
