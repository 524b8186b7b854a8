"""Where the images and model versions of a stage are kept: in its own account, or in the one account that all stages share.

A shared registry is made by the registry stack of one stage, whose account is the registry's. Every other stage brings it along
by ARN: its pipeline adds versions to the group over there, its containers are pulled from there, and nothing of it can be
changed from here. A version refers to files in the bucket of the stage that trained it, so each stage lets the other accounts
read those. Approving stays where the group is: AWS tells of a version on the event bus of the group's account only.
AWS: "Register a Model Version from a Different Account", "Deploy a Model Version from a Different Account".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ai_factory_spec.naming import STAGES

from ai_factory_infra.config import ConfigError, StackConfig, choice, pairs, text
from ai_factory_infra.naming import prefix

PACKAGES = "pipelines"  # the folder of the artifacts bucket that model versions refer to


@dataclass(frozen=True, slots=True)
class SharedConfig(StackConfig):
    """What the stacks read that have a part in a shared registry. Empty: each stage keeps its own."""

    registry_account: str = text(r"|\d{12}", "the twelve digits of the registry's account, or empty", default="")
    registry_stage: str = choice("", *STAGES, default="")
    stage_accounts: Mapping[str, str] = pairs(r"\d{12}", "accounts by stage, such as dev=111122223333", *STAGES)


@dataclass(frozen=True, slots=True)
class RegistryPlace:
    """Where one stage's images and versions are. `account`: the shared registry's, empty for the stage's own.

    `home`: the stage whose stack makes the shared registry; empty where somebody else keeps it, named as the project.
    `accounts`: stage -> account, of those that are known.
    """

    project: str
    stage: str
    region: str
    account: str = ""
    home: str = ""
    accounts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: SharedConfig, stage: str) -> RegistryPlace:
        """The place that a configuration says. Raises ConfigError where it contradicts itself."""
        place = cls(
            config.project,
            stage,
            config.region,
            config.registry_account,
            config.registry_stage,
            {**({stage: config.account} if config.account else {}), **config.stage_accounts},
        )
        if place.home and place.accounts.get(place.home) != place.account:
            raise ConfigError(
                f"registry_stage: got {place.home!r}, whose account is {place.accounts.get(place.home, 'not told')}, but "
                f"registry_account is {place.account or 'empty'}; allowed: the stage in whose account the registry is, or empty "
                "where its account is no stage's"
            )
        return place

    @property
    def is_shared(self) -> bool:
        """Whether all stages have one registry."""
        return bool(self.account)

    @property
    def is_made_here(self) -> bool:
        """Whether this stage's registry stack makes it."""
        return not self.is_shared or self.stage == self.home

    @property
    def name(self) -> str:
        """What group and repository are called."""
        if self.is_shared and not self.home:
            return self.project
        return prefix(self.project, self.home if self.is_shared else self.stage)

    @property
    def group_arn(self) -> str:
        """The shared group's ARN; regions of other partitions are refused before (`regions`)."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:model-package-group/{self.name}"

    @property
    def repository_arn(self) -> str:
        """The shared repository's ARN."""
        return f"arn:aws:ecr:{self.region}:{self.account}:repository/{self.name}"

    @property
    def repository_url(self) -> str:
        """The shared repository's address."""
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{self.name}"

    @property
    def brought_arns(self) -> tuple[str, ...]:
        """What roles of this stage reach that is called otherwise than the stage's own things."""
        return () if self.is_made_here else (self.group_arn, self.repository_arn)

    @property
    def other_accounts(self) -> tuple[str, ...]:
        """Every account that shares the registry with this stage's; empty where nothing is shared."""
        if not self.is_shared:
            return ()
        own = self.accounts.get(self.stage)
        return tuple(sorted({self.account, *self.accounts.values()} - {own}))

    @property
    def trainers(self) -> tuple[str, ...]:
        """What the names of the roles begin with that add versions, in whichever account."""
        return tuple(f"{prefix(self.project, s)}-training" for s in (STAGES if self.is_shared else (self.stage,)))
