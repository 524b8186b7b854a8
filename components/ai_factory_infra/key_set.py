"""KeySet: one KMS key for each class of data, rotated every year; or keys that exist.

Costs when idle: each key that is made, by the month. Limits: an alias has at most 256 characters. AWS: "Key policies in AWS KMS",
"Register a Model Version from a Different Account".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.dependency import Mode, check_mode
from ai_factory_infra.inputs import ProtectInputs
from ai_factory_infra.problems import Problems

# Each class of data: what it holds, and the services that use the key themselves, on nobody's behalf.
CLASSES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "data": ("data, models, images and captured requests", ()),
    "alerts": (
        "alerts on their way to people",
        ("budgets.amazonaws.com", "cloudwatch.amazonaws.com", "costalerts.amazonaws.com", "events.amazonaws.com"),
    ),
    "logs": ("log groups", ("logs.{region}.amazonaws.com",)),
}
# EventBridge does not say for whom it delivers to an encrypted topic: bound to an account, its messages are dropped without a
# word (AWS: "Enable compatibility between event sources from AWS services and encrypted topics").
WITHOUT_ACCOUNT = frozenset({"events.amazonaws.com"})

Json = dict[str, Any]


class KeySetArgs(ProtectInputs):
    """`classes`: which of data, alerts and logs; all by default. `deletion_window_days`: 7 to 30, 30 by default.

    `mode`: create (the default); existing, which takes `key_arns`, class -> ARN, one for each class; or skip: no key at all.
    The policy of a key that exists must let the services of its class use it (AWS services publish alerts and write logs).
    `reader_accounts`: accounts that may open what is encrypted with the data key, where they may read it at all; none by default.
    """

    classes: NotRequired[Sequence[str]]
    mode: NotRequired[Mode | str]
    key_arns: NotRequired[Mapping[str, pulumi.Input[str]]]
    deletion_window_days: NotRequired[int]
    reader_accounts: NotRequired[Sequence[str]]


class KeySet(pulumi.ComponentResource):
    """Keys by class of data. `arns` maps a class to the ARN of its key; it is empty with `skip`.

    A key's policy trusts the account, so that IAM policies decide who uses it, and the services of its class when they
    act for this account. It names no role: a key policy that names a role which does not exist yet is refused.
    """

    arns: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: KeySetArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        classes, window = tuple(args.get("classes", CLASSES)), args.get("deletion_window_days", 30)
        mode, brought = args.get("mode", "create"), args.get("key_arns", {})
        _check(classes, window, mode, brought, args.get("reader_accounts", ()))
        super().__init__("ai-factory:index:KeySet", name, {}, opts)
        self.arns = {kind: pulumi.Output.from_input(arn) for kind, arn in brought.items()}
        if mode == "create":
            self._create(name, args, classes, window)
        self.register_outputs({"arns": self.arns})

    def _create(self, name: str, args: KeySetArgs, classes: Sequence[str], window: int) -> None:
        account = Account.of(self)
        for kind in classes:
            holds, services = CLASSES[kind]
            key = aws.kms.Key(
                f"{name}-{kind}",
                description=f"{name}: {holds}",
                enable_key_rotation=True,
                deletion_window_in_days=window,
                policy=_policy(account, services, args.get("reader_accounts", ()) if kind == "data" else ()),
                opts=pulumi.ResourceOptions(parent=self, protect=args.get("protect", True)),
            )
            aws.kms.Alias(
                f"{name}-{kind}",
                name=f"alias/{name}-{kind}",
                target_key_id=key.key_id,
                opts=pulumi.ResourceOptions(parent=self),
            )
            self.arns[kind] = key.arn


def _check(
    classes: Sequence[str],
    window: int,
    mode: str,
    brought: Mapping[str, pulumi.Input[str]],
    readers: Sequence[str],
) -> None:
    problems = Problems("KeySet")
    check_mode(problems, mode, {"key_arns": brought})
    if mode == "existing" and brought:
        problems.unless(
            set(brought) == set(classes), "key_arns", f"got {sorted(brought)}; one for each of {', '.join(classes)}"
        )
    for kind, arn in brought.items():
        problems.matches(f"key_arns.{kind}", arn, r"arn:[\w-]+:kms:[\w-]+:\d{12}:key/.+", "the ARN of a KMS key")
    for kind in classes:
        problems.unless(kind in CLASSES, "classes", f"got {kind!r}; allowed: {', '.join(CLASSES)}")
    problems.between("deletion_window_days", window, 7, 30, unit="days")
    for i, account in enumerate(readers):
        problems.matches(f"reader_accounts[{i}]", account, r"\d{12}", "twelve digits")
    problems.stop()


def _policy(account: Account, services: Sequence[str], readers: Sequence[str]) -> pulumi.Output[str]:
    def build(known: Sequence[Any]) -> Json:
        root, account_id, region, partition = known
        trusted = {
            "Sid": "IamDecides",
            "Effect": "Allow",
            "Principal": {"AWS": root},
            "Action": "kms:*",
            "Resource": "*",
        }
        group = f"arn:{partition}:logs:{region}:{account_id}:log-group:*"
        used = [_use(s, region, _condition(s, account_id, group)) for s in services]
        shared = [_let_open(partition, readers)] if readers else []
        return {"Version": "2012-10-17", "Statement": [trusted, *used, *shared]}

    known = pulumi.Output.all(account.root, account.id, account.region, account.partition)
    return pulumi.Output.json_dumps(known.apply(build))


def _use(service: str, region: str, condition: Json) -> Json:
    """A service uses the key itself, on nobody's behalf."""
    logs = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    return {
        "Sid": "".join(word.capitalize() for word in service.split(".")[0].split("-")) + "Publishes",
        "Effect": "Allow",
        "Principal": {"Service": service.format(region=region)},
        "Action": logs if service.startswith("logs.") else ["kms:Decrypt", "kms:GenerateDataKey*"],
        "Resource": "*",
        **({"Condition": condition} if condition else {}),
    }


def _let_open(partition: str, readers: Sequence[str]) -> Json:
    """Other accounts open what they may read, as AWS asks for a model version that is registered in another account."""
    return {
        "Sid": "OtherAccountsOpen",
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:{partition}:iam::{account}:root" for account in readers]},
        "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey*"],
        "Resource": "*",
    }


def _condition(service: str, account_id: str, group: str) -> Json:
    """For whom a service must act. `group`: the ARNs of the account's log groups."""
    if service in WITHOUT_ACCOUNT:
        return {}
    if service.startswith("logs."):  # the log service sends no source account, only the group it encrypts
        return {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": group}}
    return {"StringEquals": {"aws:SourceAccount": account_id}}
