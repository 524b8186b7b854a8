"""The inputs that several components take, each written once; a component's own Args add what is its own.

A multi-language host passes plain objects, so all of them are TypedDicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import pulumi

from ai_factory_infra.policies import Folder, NetworkRef
from ai_factory_infra.steps import Machine


class RoleInputs(TypedDict):
    """For what runs under roles. `permissions_boundary_arn`: the policy that bounds every role that is made.

    `role_arns`: roles that exist, by the part of the component that assumes them (each component names its parts); a part
    that is not named gets a role of its own. AWS refuses what an existing role may not do when it is used, not before.
    """

    permissions_boundary_arn: NotRequired[pulumi.Input[str] | None]
    role_arns: NotRequired[Mapping[str, pulumi.Input[str]]]


class RunbookInputs(TypedDict):
    """For what raises alarms. `runbooks`: where the pages are that say what to do, an address or a folder; `docs` by default."""

    runbooks: NotRequired[pulumi.Input[str]]


class JobInputs(RoleInputs):
    """For what runs the project's image as jobs. `image`: with its tag. `repository_arn`: where the image is pulled from.

    `kms_key_arn`: encrypts inputs, results and disks. `alerts_topic_arn`: hears of failures. `machine`: one ml.m5.large by
    default. `network`: absent for none.
    """

    image: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    alerts_topic_arn: pulumi.Input[str]
    machine: NotRequired[Machine]
    network: NotRequired[NetworkRef | None]


class CommandInputs(JobInputs):
    """For jobs that run the project command with a model. `command`: its name. `stage`: what the project runs as.

    `rows`: what is looked at. `model`: the folder of a model package. `enabled`: whether the schedule runs, decided later
    where it depends on another stack.
    """

    command: str
    stage: str
    rows: Folder
    model: Folder
    enabled: NotRequired[pulumi.Input[bool]]


class LogInputs(TypedDict):
    """For what writes a log group. `logs_key_arn`: encrypts it (KeySet's class `logs`). `log_retention_days`: 30 by default."""

    logs_key_arn: pulumi.Input[str]
    log_retention_days: NotRequired[int]


class ProtectInputs(TypedDict):
    """For what holds data. `protect`: `pulumi destroy` refuses to delete it while this is true, the default."""

    protect: NotRequired[bool]
