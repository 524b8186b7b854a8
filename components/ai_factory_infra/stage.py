"""Stage: where one stack of one project runs: its provider, its names, its tags, and the stacks it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from ai_factory_infra.config import StackConfig
from ai_factory_infra.emulated import provider_settings
from ai_factory_infra.naming import prefix
from ai_factory_infra.policies import NetworkRef
from ai_factory_infra.runbooks import DOCS

NO_CLOUD = "organization"  # what Pulumi calls the organization of a state that is a bucket or a folder


class Stage:
    """One stage of one project, as a program sees it.

    The provider is explicit: tags are set once, and a wrong account is refused before anything is made. Stacks switch
    the default provider off (`pulumi:disable-default-providers`), so no resource can slip past this one.
    """

    def __init__(self, config: StackConfig) -> None:
        self.name = pulumi.get_stack()
        self.prefix = prefix(config.project, self.name)
        self._config = config
        self.provider = aws.Provider(
            f"{self.prefix}-aws",
            region=config.region,
            allowed_account_ids=[config.account] if config.account else None,
            default_tags={"tags": self.tags},
            **provider_settings(config.emulator),
        )

    @property
    def tags(self) -> Mapping[str, str]:
        """What every resource carries; `project` and `stage` are the tags that costs are split by."""
        return {
            "project": self._config.project,
            "stage": self.name,
            "stack": pulumi.get_project(),
            "risk-tier": self._config.risk_tier,
            "managed-by": "pulumi",
        }

    @property
    def options(self) -> pulumi.ResourceOptions:
        """What every component of the program is made with."""
        return pulumi.ResourceOptions(provider=self.provider)

    def named(self, part: str) -> str:
        """A logical name: `churn-dev-<part>`. Logical names are contract: a change replaces the resource."""
        return f"{self.prefix}-{part}"

    def reads(self, stack: str) -> Exports:
        """What another stack of this project exports in the same stage."""
        project = f"{self._config.project}-{stack}"
        owner = self._config.organization or pulumi.get_organization() or NO_CLOUD
        return Exports(pulumi.StackReference(f"{owner}/{project}/{self.name}"))


class Exports:
    """The exports of another stack. A name that it does not export stops the update, before anything is made."""

    def __init__(self, reference: pulumi.StackReference) -> None:
        self._reference = reference

    @property
    def network(self) -> NetworkRef:
        """Where containers run, as the foundation exports it."""
        return {"subnet_ids": self["subnet_ids"], "security_group_ids": self["security_group_ids"]}

    @property
    def runbooks(self) -> pulumi.Output[str]:
        """Where people read what to do about an alarm, as the foundation says; the folder, where it says nothing yet."""
        return self._reference.get_output("runbooks").apply(lambda where: str(where or DOCS))

    def boundary(self, own: str) -> pulumi.Input[str] | None:
        """The policy that bounds every role: the stack's own setting, else the foundation's; None where there is neither."""
        return own or self._reference.get_output("permissions_boundary_arn").apply(lambda arn: arn or None)

    def __getitem__(self, name: str) -> pulumi.Output[Any]:
        return self._reference.require_output(name)
