"""Where images and model versions are kept, and the two persons who approve one: repository, package group, approval flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from ai_factory_infra.approval_flow import ApprovalFlow
from ai_factory_infra.config import StackConfig, flag, load, names, roles, text
from ai_factory_infra.model_registry import ModelRegistry
from ai_factory_infra.stage import Stage


@dataclass(frozen=True, slots=True)
class Config(StackConfig):
    """Pulumi.yaml and Pulumi.<stage>.yaml."""

    protect: bool = flag()
    two_persons: bool = flag()
    reader_accounts: tuple[str, ...] = names(r"\d{12}", "accounts of twelve digits, commas between")
    group_name: str = text(default="")
    repository_url: str = text(default="")
    repository_arn: str = text(default="")
    role_arns: Mapping[str, str] = roles("flow", "begin")


config = load(Config)
stage = Stage(config)
foundation = stage.reads("foundation")

registry = ModelRegistry(
    stage.prefix,
    {
        "kms_key_arn": foundation["data_key_arn"],
        "alerts_topic_arn": foundation["alerts_topic_arn"],
        "protect": config.protect,
        # All three are given for a registry that exists; they are held to AWS's own shapes by the component.
        "mode": "existing" if config.group_name or config.repository_url or config.repository_arn else "create",
        "group_name": config.group_name,
        "repository_url": config.repository_url,
        "repository_arn": config.repository_arn,
        "reader_accounts": config.reader_accounts,
    },
    stage.options,
)

if config.two_persons:
    ApprovalFlow(
        stage.named("approval"),
        {
            "group": config.group_name or stage.prefix,
            "trainers": [stage.named("training")],
            "alerts_topic_arn": foundation["alerts_topic_arn"],
            "permissions_boundary_arn": foundation.boundary(config.permissions_boundary_arn),
            "role_arns": config.role_arns,
        },
        stage.options,
    )

pulumi.export("model_package_group", registry.group)
pulumi.export("repository_url", registry.repository_url)
pulumi.export("repository_arn", registry.repository_arn)
