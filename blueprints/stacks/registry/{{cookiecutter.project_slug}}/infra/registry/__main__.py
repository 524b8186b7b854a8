"""Where images and model versions are kept, and the two persons who approve one: repository, package group, approval flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from ai_factory_infra.approval_flow import ApprovalFlow
from ai_factory_infra.config import flag, load, names, roles, text
from ai_factory_infra.model_registry import ModelRegistry
from ai_factory_infra.shared_registry import RegistryPlace, SharedConfig
from ai_factory_infra.stage import Stage


@dataclass(frozen=True, slots=True)
class Config(SharedConfig):
    """Pulumi.yaml and Pulumi.<stage>.yaml."""

    protect: bool = flag()
    two_persons: bool = flag()
    reader_accounts: tuple[str, ...] = names(r"\d{12}", "accounts of twelve digits, commas between")
    writer_accounts: tuple[str, ...] = names(r"\d{12}", "accounts of twelve digits, commas between")
    group_name: str = text(default="")
    repository_url: str = text(default="")
    repository_arn: str = text(default="")
    role_arns: Mapping[str, str] = roles("flow", "begin")


config = load(Config)
stage = Stage(config)
foundation = stage.reads("foundation")

place = RegistryPlace.of(config, stage.name)

# What exists is told by all three, or by the place of the shared registry; the component holds them to AWS's own shapes.
told = {
    "group_name": config.group_name,
    "repository_url": config.repository_url,
    "repository_arn": config.repository_arn,
}
if not any(told.values()) and not place.is_made_here:
    told = {
        "group_name": place.group_arn,
        "repository_url": place.repository_url,
        "repository_arn": place.repository_arn,
    }
made = not any(told.values())
shared_with = place.other_accounts if made else ()

registry = ModelRegistry(
    stage.prefix,
    {
        "kms_key_arn": foundation["data_key_arn"],
        "alerts_topic_arn": foundation["alerts_topic_arn"],
        "protect": config.protect,
        "mode": "create" if made else "existing",
        "group_name": told["group_name"],
        "repository_url": told["repository_url"],
        "repository_arn": told["repository_arn"],
        # Every stage trains: its pipeline adds versions, and its containers are pulled.
        "reader_accounts": (*shared_with, *config.reader_accounts),
        "writer_accounts": (*shared_with, *config.writer_accounts),
    },
    stage.options,
)

if config.two_persons:
    ApprovalFlow(
        stage.named("approval"),
        {
            "group": told["group_name"] or stage.prefix,
            "trainers": place.trainers,
            "alerts_topic_arn": foundation["alerts_topic_arn"],
            "runbooks": foundation.runbooks,
            "permissions_boundary_arn": foundation.boundary(config.permissions_boundary_arn),
            "role_arns": config.role_arns,
        },
        stage.options,
    )

# Its name, or its ARN where it is another account's.
pulumi.export("model_package_group", registry.group)
pulumi.export("repository_url", registry.repository_url)
pulumi.export("repository_arn", registry.repository_arn)
