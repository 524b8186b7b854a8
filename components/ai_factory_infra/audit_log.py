"""AuditLog: who read, wrote or deleted which object, as CloudTrail saw it: digested, encrypted, in a bucket and in a log group.

Only what happens to the objects of the buckets that are named: the first trail of management events is free and belongs to the
account's owner, a second one is paid for. The bucket keeps the evidence; the log group is for looking and for alarms.
Costs when idle: nothing; else by event, by what is stored, and by what the log group takes in. Limits: 5 trails a region and
account, 250 buckets a trail, 128 characters for its name. AWS: "Logging data events", "CloudTrail log file integrity validation".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.inputs import RoleInputs
from ai_factory_infra.limits import LOG_RETENTION_DAYS, LOGICAL_NAME
from ai_factory_infra.pipeline_parts import role
from ai_factory_infra.policies import Statement
from ai_factory_infra.problems import Problems
from ai_factory_infra.secure_bucket import SecureBucket

MOST_BUCKETS = 250


class AuditLogArgs(RoleInputs):
    """`buckets`: names of those to watch. `keep_days`: how long the evidence is kept. `log_bucket`: where reads of the evidence
    itself are logged.

    The evidence is encrypted with a key of its own, which trusts CloudTrail for this one trail. `protect`: bucket and key
    cannot be destroyed. `role_arns`: a role that exists, for the part `trail`.
    """

    buckets: Sequence[pulumi.Input[str]]
    logs_key_arn: pulumi.Input[str]
    log_bucket: NotRequired[pulumi.Input[str]]
    keep_days: NotRequired[int]
    log_retention_days: NotRequired[int]
    protect: NotRequired[bool]


class AuditLog(pulumi.ComponentResource):
    """`bucket`: where the evidence is; `log_group`: the same events, to look at."""

    bucket: pulumi.Output[str]
    log_group: pulumi.Output[str]

    def __init__(self, name: str, args: AuditLogArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:AuditLog", name, {}, opts)
        self._name, self._args, self._account = name, args, Account.of(self)
        self._trail_arn = self._account.arn("cloudtrail", f"trail/{name}")
        self._child = pulumi.ResourceOptions(parent=self)
        key = aws.kms.Key(
            name,
            description=f"{name}: evidence of who touched which object",
            enable_key_rotation=True,
            policy=self._key_policy(),
            opts=pulumi.ResourceOptions(parent=self, protect=args.get("protect", True)),
        )
        evidence = SecureBucket(
            name,
            {
                "kms_key_arn": key.arn,
                "trail_arn": self._trail_arn,
                "expire_days": args.get("keep_days", 365),
                "protect": args.get("protect", True),
                **({"log_bucket": args["log_bucket"]} if "log_bucket" in args else {}),
            },
            opts=self._child,
        )
        logs = aws.cloudwatch.LogGroup(
            name,
            name=f"/ai-factory/{name}",
            retention_in_days=args.get("log_retention_days", 30),
            kms_key_id=args["logs_key_arn"],
            opts=self._child,
        )
        self._trail(key, evidence, logs)
        self.bucket, self.log_group = evidence.bucket, logs.name
        self.register_outputs({"bucket": self.bucket, "log_group": self.log_group})

    def _trail(self, key: aws.kms.Key, evidence: SecureBucket, logs: aws.cloudwatch.LogGroup) -> None:
        streams = pulumi.Output.format("{0}:log-stream:*", logs.arn)
        write: Statement = {
            "sid": "WriteLogs",
            "why": "it copies what it saw to this one log group",
            "actions": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "resources": [streams],
        }
        writer = role(self, self._name, "trail", [write], self._args, "cloudtrail.amazonaws.com")
        aws.cloudtrail.Trail(
            self._name,
            name=self._name,
            s3_bucket_name=evidence.bucket,
            kms_key_id=key.arn,
            enable_log_file_validation=True,
            include_global_service_events=False,
            cloud_watch_logs_group_arn=pulumi.Output.format("{0}:*", logs.arn),
            cloud_watch_logs_role_arn=writer.arn,
            advanced_event_selectors=[{"name": "Objects of the project", "field_selectors": self._objects()}],
            opts=self._child,
        )

    def _objects(self) -> list[Any]:
        return [
            {"field": "eventCategory", "equals": ["Data"]},
            {"field": "resources.type", "equals": ["AWS::S3::Object"]},
            {
                "field": "resources.ARN",
                "starts_withs": [pulumi.Output.concat(self._account.bucket(b), "/") for b in self._args["buckets"]],
            },
        ]

    def _key_policy(self) -> pulumi.Output[str]:
        of_trail = {"StringEquals": {"aws:SourceArn": self._trail_arn}}
        cloudtrail = {"Service": "cloudtrail.amazonaws.com"}
        return pulumi.Output.json_dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Sid": "IamDecides",
                        "Effect": "Allow",
                        "Principal": {"AWS": self._account.root},
                        "Action": "kms:*",
                        "Resource": "*",
                    },
                    {
                        "Sid": "TrailEncrypts",
                        "Effect": "Allow",
                        "Principal": cloudtrail,
                        "Action": ["kms:DescribeKey", "kms:GenerateDataKey*"],
                        "Resource": "*",
                        "Condition": of_trail,
                    },
                ],
            }
        )


def check(name: str, args: AuditLogArgs) -> None:
    """Refuse what AWS would refuse. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"AuditLog {name}")
    problems.unless(name == name.lower(), "name", f"got {name!r}; S3 allows lower-case letters only")
    problems.fits("name", name, LOGICAL_NAME - len("-trail"), "a trail with its bucket and role")
    problems.between("buckets", len(args["buckets"]), 1, MOST_BUCKETS, unit="buckets")
    problems.unless(
        args.get("keep_days", 365) >= 1, "keep_days", f"got {args.get('keep_days')}; S3 allows 1 day or more"
    )
    days = args.get("log_retention_days", 30)
    problems.unless(days in LOG_RETENTION_DAYS, "log_retention_days", f"got {days}; AWS allows {LOG_RETENTION_DAYS}")
    problems.stop()
