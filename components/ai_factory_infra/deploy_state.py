"""What continuous integration may do to Pulumi's state in a bucket: the stacks of one project and one stage, and no other's.

Whoever may write another stage's checkpoint decides what its next update deletes. So the rights are bound to the objects as
Pulumi lays them out below the address (`pkg/backend/diy` of pulumi/pulumi, version 1 of the layout):

    .pulumi/meta.yaml                              how the rest is laid out: read only
    .pulumi/stacks/PROJECT/STAGE.json              the checkpoint; beside it .json.bak, .json.gz, .pulumi-tags
    .pulumi/{history,backups,journal}/PROJECT/STAGE/…
    .pulumi/locks/organization/PROJECT/STAGE/…
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pulumi

from ai_factory_infra.account import Account
from ai_factory_infra.policies import Statement

ADDRESS = r"s3://(?P<bucket>[a-z0-9.-]{3,63})(?P<path>/[A-Za-z0-9!_.()'/-]*)?(\?.*)?"


def state_place(address: str) -> tuple[str, str]:
    """The bucket of an address such as `s3://acme-state/churn?region=eu-west-1`, and the folder in it, with a slash at its end
    where there is one; both empty where the state is in no bucket.
    """
    found = re.fullmatch(ADDRESS, address)
    if not found:
        return "", ""
    folder = (found["path"] or "").strip("/")
    return found["bucket"], f"{folder}/" if folder else ""


def keep_state(account: Account, address: str, projects: Sequence[str], stage: str) -> list[Statement]:
    """Read and write the state of one stage of some Pulumi projects; nothing where the state is in no bucket."""
    bucket, folder = state_place(address)
    if not bucket:
        return []
    root = f"s3:::{bucket}/{folder}.pulumi"
    # History, backups, journal and locks all lie below PROJECT/STAGE/; no checkpoint does, of whatever stack.
    own = [f"{root}/{part}" for p in projects for part in (f"stacks/{p}/{stage}.*", f"*/{p}/{stage}/*")]
    return [
        {
            "sid": "KeepState",
            "why": "Pulumi keeps the state of each stack, its history and its locks there",
            "actions": ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"],
            "resources": [account.named(resource) for resource in own],
        },
        {
            "sid": "ReadLayout",
            "why": "Pulumi reads how the state is laid out; whoever could write it could hide every stack",
            "actions": ["s3:GetObject"],
            "resources": [account.named(f"{root}/meta.yaml")],
        },
        {
            "sid": "FindState",
            "why": "Pulumi lists stacks and locks; without it, S3 says forbidden of what is not there. Names only",
            "actions": ["s3:ListBucket"],
            "resources": [account.named(f"s3:::{bucket}")],
        },
    ]


def open_state(key_arn: pulumi.Input[str]) -> Statement:
    """Use the key that the state, or the secrets in it, are encrypted with."""
    return {
        "sid": "OpenState",
        "why": "the secrets of the stacks, or the bucket of their state, are encrypted with this key",
        "actions": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"],
        "resources": [key_arn],
    }
