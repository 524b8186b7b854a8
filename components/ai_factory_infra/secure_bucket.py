"""SecureBucket: the only way to make a bucket: versioned, encrypted with one key, private, TLS only, with a lifecycle.

A bucket that exists is taken as it is.

Costs when idle: what is stored, old versions included until they expire. Limits: 3 to 63 lower-case characters for a name, 1000
lifecycle rules. AWS: "Security best practices for Amazon S3".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.dependency import Mode, check_mode
from ai_factory_infra.inputs import ProtectInputs
from ai_factory_infra.limits import LOGICAL_NAME
from ai_factory_infra.problems import Problems

Json = dict[str, Any]


class SecureBucketArgs(ProtectInputs):
    """`kms_key_arn`: encrypts everything in it; absent only for the bucket that receives access logs, which S3 writes with its own key.

    `log_bucket`: where accesses are logged, absent for no log. `receives_logs`: lets S3 write access logs here.
    `mode`: create (the default); existing, which takes `bucket_name`; or skip: no bucket, and empty names.
    `trail_arn`: the CloudTrail trail that may write its evidence here.
    `expire_days`: objects are deleted after so many days; absent: kept. `old_versions_days`: 30 by default.
    `folders`: folders that get a first object. `readers`: folder -> the other accounts that may read what is in it, none by default.
    """

    mode: NotRequired[Mode | str]
    bucket_name: NotRequired[pulumi.Input[str]]
    kms_key_arn: NotRequired[pulumi.Input[str]]
    log_bucket: NotRequired[pulumi.Input[str]]
    receives_logs: NotRequired[bool]
    trail_arn: NotRequired[pulumi.Input[str]]
    expire_days: NotRequired[int]
    old_versions_days: NotRequired[int]
    folders: NotRequired[Sequence[str]]
    readers: NotRequired[Mapping[str, Sequence[str]]]


class SecureBucket(pulumi.ComponentResource):
    """A bucket that is never emptied or deleted by accident: `force_destroy` is off, `protect` is on.

    `bucket` and `arn` are resolved once the policy stands. `folders` get one small object each, because a processing
    job refuses an input folder without an object. In a bucket that exists nothing is changed: its owner keeps it closed,
    encrypted and filled.
    """

    bucket: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: SecureBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        _check(name, args)
        super().__init__("ai-factory:index:SecureBucket", name, {}, opts)
        if args.get("mode", "create") == "create":
            self.bucket, self.arn = self._create(name, args)
        else:
            self.bucket = pulumi.Output.from_input(args.get("bucket_name", ""))
            self.arn = Account.of(self).bucket(self.bucket) if "bucket_name" in args else pulumi.Output.from_input("")
        self.register_outputs({"bucket": self.bucket, "arn": self.arn})

    def _create(self, name: str, args: SecureBucketArgs) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        child = pulumi.ResourceOptions(parent=self)
        made = aws.s3.Bucket(
            name, force_destroy=False, opts=pulumi.ResourceOptions(parent=self, protect=args.get("protect", True))
        )
        closed = _closed(name, made, child)
        versioning = aws.s3.BucketVersioning(
            name, bucket=made.bucket, versioning_configuration={"status": "Enabled"}, opts=child
        )
        encryption = _encryption(name, made, args, child)
        aws.s3.BucketLifecycleConfiguration(
            name,
            bucket=made.bucket,
            rules=_rules(args),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioning]),
        )
        policy = aws.s3.BucketPolicy(
            name,
            bucket=made.bucket,
            policy=_policy(Account.of(self), made, args),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[closed]),
        )
        if "log_bucket" in args:
            aws.s3.BucketLogging(
                name, bucket=made.bucket, target_bucket=args["log_bucket"], target_prefix=f"{name}/", opts=child
            )
        _begin_folders(name, made, args, pulumi.ResourceOptions(parent=self, depends_on=[encryption]))
        ready = pulumi.Output.all(made.bucket, made.arn, policy.id)
        return ready.apply(lambda a: str(a[0])), ready.apply(lambda a: str(a[1]))


def _check(name: str, args: SecureBucketArgs) -> None:
    problems = Problems(f"SecureBucket {name}")
    problems.unless(name == name.lower(), "name", f"got {name!r}; S3 allows lower-case letters only")
    problems.fits("name", name, LOGICAL_NAME, "a bucket that is named automatically")
    for key in ("expire_days", "old_versions_days"):
        problems.unless(int(str(args.get(key, 1))) >= 1, key, f"got {args.get(key)!r}; S3 allows 1 day or more")
    mode = args.get("mode", "create")
    check_mode(problems, mode, {"bucket_name": args.get("bucket_name")})
    problems.matches("bucket_name", args.get("bucket_name"), r"|[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "a bucket's name")
    problems.unless(
        mode != "create" or ("kms_key_arn" in args) != args.get("receives_logs", False),
        "kms_key_arn",
        "a bucket needs a key, except the one that receives access logs: S3 cannot write those with a KMS key",
    )
    for folder, accounts in args.get("readers", {}).items():
        problems.matches(f"readers.{folder}", folder, r"[\w-]+(/[\w-]+)*", "a folder, without slashes at its ends")
        for i, account in enumerate(accounts):
            problems.matches(f"readers.{folder}[{i}]", account, r"\d{12}", "twelve digits")
    problems.stop()


def _closed(name: str, made: aws.s3.Bucket, opts: pulumi.ResourceOptions) -> aws.s3.BucketPublicAccessBlock:
    """Nobody outside the account, and no access lists: policies alone decide."""
    aws.s3.BucketOwnershipControls(
        name, bucket=made.bucket, rule={"object_ownership": "BucketOwnerEnforced"}, opts=opts
    )
    return aws.s3.BucketPublicAccessBlock(
        name,
        bucket=made.bucket,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
        opts=opts,
    )


def _begin_folders(name: str, made: aws.s3.Bucket, args: SecureBucketArgs, opts: pulumi.ResourceOptions) -> None:
    for folder in args.get("folders", ()):
        aws.s3.BucketObjectv2(
            f"{name}-{folder}",
            bucket=made.bucket,
            key=f"{folder}/README.txt",
            content=f"Objects under {folder}/ are read and written by the project's jobs.\n",
            opts=opts,
        )


def _encryption(
    name: str, made: aws.s3.Bucket, args: SecureBucketArgs, opts: pulumi.ResourceOptions
) -> aws.s3.BucketServerSideEncryptionConfiguration:
    by_key = {"sse_algorithm": "aws:kms", "kms_master_key_id": args["kms_key_arn"]} if "kms_key_arn" in args else None
    rule: Any = {
        "apply_server_side_encryption_by_default": by_key or {"sse_algorithm": "AES256"},
        "bucket_key_enabled": by_key is not None,
    }
    return aws.s3.BucketServerSideEncryptionConfiguration(name, bucket=made.bucket, rules=[rule], opts=opts)


def _rules(args: SecureBucketArgs) -> list[Any]:
    rules: list[Any] = [
        {
            "id": "tidy",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 7},
            "noncurrent_version_expiration": {"noncurrent_days": args.get("old_versions_days", 30)},
        }
    ]
    if "expire_days" in args:
        rules.append(
            {"id": "expire", "status": "Enabled", "filter": {"prefix": ""}, "expiration": {"days": args["expire_days"]}}
        )
    return rules


def _policy(account: Account, made: aws.s3.Bucket, args: SecureBucketArgs) -> pulumi.Output[str]:
    objects = pulumi.Output.format("{0}/*", made.arn)
    statements: list[Json] = [
        {
            "Sid": "RefuseWithoutTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [made.arn, objects],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]
    if "kms_key_arn" in args:
        # An upload that names no encryption gets the bucket's own key; one that names another key or kind is refused.
        header = "s3:x-amz-server-side-encryption"
        statements += [
            _refuse_upload("RefuseOtherKeys", objects, f"{header}-aws-kms-key-id", args["kms_key_arn"]),
            _refuse_upload("RefuseOtherEncryption", objects, header, "aws:kms"),
        ]
    if args.get("receives_logs"):
        statements.append(_receive_logs(account, objects))
    if "trail_arn" in args:
        statements += _of_trail(account, made, args["trail_arn"])
    for folder, accounts in args.get("readers", {}).items():
        statements += _let_read(account, made, folder, accounts) if accounts else []
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements})


def _let_read(account: Account, made: aws.s3.Bucket, folder: str, accounts: Sequence[str]) -> list[Json]:
    """Other accounts read one folder, as AWS asks for a model version that is registered in another account."""
    principals = {"AWS": [pulumi.Output.format("arn:{0}:iam::{1}:root", account.partition, a) for a in accounts]}
    common = {"Effect": "Allow", "Principal": principals}
    within = {"StringLike": {"s3:prefix": [folder, f"{folder}/*"]}}
    part = "".join(word.capitalize() for word in re.split(r"[/_-]", folder))
    return [
        {
            "Sid": f"OthersRead{part}",
            **common,
            "Action": ["s3:GetObject", "s3:GetObjectAcl"],
            "Resource": pulumi.Output.format("{0}/{1}/*", made.arn, folder),
        },
        {"Sid": f"OthersList{part}", **common, "Action": "s3:ListBucket", "Resource": made.arn, "Condition": within},
        {"Sid": f"OthersAskWhoseBucketFor{part}", **common, "Action": "s3:GetBucketAcl", "Resource": made.arn},
    ]


def _refuse_upload(sid: str, objects: pulumi.Output[str], header: str, allowed: pulumi.Input[str]) -> Json:
    """Refuse an upload that names something else in a header."""
    return {
        "Sid": sid,
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": objects,
        "Condition": {"StringNotEquals": {header: allowed}, "Null": {header: "false"}},
    }


def _receive_logs(account: Account, objects: pulumi.Output[str]) -> Json:
    return {
        "Sid": "ReceiveAccessLogs",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": objects,
        "Condition": {"StringEquals": {"aws:SourceAccount": account.id}},
    }


def _of_trail(account: Account, made: aws.s3.Bucket, trail_arn: pulumi.Input[str]) -> list[Json]:
    """CloudTrail looks whose bucket it is, then writes under its account's folder, for this one trail."""
    of_trail = {"aws:SourceArn": trail_arn}
    common = {"Effect": "Allow", "Principal": {"Service": "cloudtrail.amazonaws.com"}}
    return [
        {
            "Sid": "TrailLooks",
            **common,
            "Action": "s3:GetBucketAcl",
            "Resource": made.arn,
            "Condition": {"StringEquals": of_trail},
        },
        {
            "Sid": "TrailWrites",
            **common,
            "Action": "s3:PutObject",
            "Resource": pulumi.Output.format("{0}/AWSLogs/{1}/*", made.arn, account.id),
            "Condition": {"StringEquals": {**of_trail, "s3:x-amz-acl": "bucket-owner-full-control"}},
        },
    ]
