"""UseCase: what a user asks for, as strict, frozen, documented values. The one schema of `usecase.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ai_factory_spec import checks
from ai_factory_spec.acceptance_section import (
    Acceptance,
    CalibrationBound,
    Explainability,
    Fairness,
    Latency,
    Robustness,
    SliceBounds,
    Threshold,
)
from ai_factory_spec.data_section import (
    Column,
    ColumnType,
    Contract,
    Data,
    Duplicates,
    Pii,
    PiiKind,
)
from ai_factory_spec.fields import (
    DISAGREEMENT,
    STAGES,
    Name,
    Number,
    Section,
    Stage,
    Text,
)
from ai_factory_spec.findings import Finding
from ai_factory_spec.model_section import (
    Costs,
    ModelFamily,
    ModelSpec,
    Search,
)
from ai_factory_spec.operation_sections import (
    AccountId,
    Channel,
    Cloud,
    Cost,
    Deployment,
    DriftThresholds,
    Monitoring,
    Retraining,
    Rollout,
    Serving,
    Tracking,
)
from ai_factory_spec.view import View

__all__ = [
    "API_VERSION",
    "DISAGREEMENT",
    "STAGES",
    "Acceptance",
    "AccountId",
    "Business",
    "CalibrationBound",
    "Channel",
    "Cloud",
    "Column",
    "ColumnType",
    "Contract",
    "Cost",
    "Costs",
    "Data",
    "Deployment",
    "DriftThresholds",
    "Duplicates",
    "Explainability",
    "Fairness",
    "Kpi",
    "Latency",
    "ModelFamily",
    "ModelSpec",
    "Monitoring",
    "Pii",
    "PiiKind",
    "Retraining",
    "Risk",
    "Robustness",
    "Rollout",
    "Search",
    "Serving",
    "SliceBounds",
    "Stage",
    "Threshold",
    "Tracking",
    "UseCase",
]

API_VERSION = "ai-factory/v1"


class Kpi(Section):
    """The business number the model is meant to move."""

    name: Name = Field(description="What is measured, in the sponsor's words.")
    unit: Text = Field("", description="The unit of baseline and target, e.g. '% of customers' or 'EUR'.")
    baseline: Number = Field(description="The value today, without the model.")
    target: Number = Field(description="The value that would make the project a success.")


class Business(Section):
    """Why the model is built, and for whom."""

    driver: Text = Field("", description="The business driver: what changes when this works.")
    kpi: Kpi | None = Field(None, description="The KPI with its baseline and target.")
    sponsor: Text = Field("", description="Who pays for it and signs it off.")
    consumers: tuple[Name, ...] = Field((), description="The teams or systems that use the predictions.")


class Risk(Section):
    """How much harm a wrong prediction can do; decides who must approve a release."""

    tier: Literal["low", "medium", "high"] = Field(
        "medium", description="low: internal convenience; medium: money or customers; high: people's rights or safety."
    )


class UseCase(Section):
    """One ML use case."""

    apiVersion: Literal["ai-factory/v1"] = Field(description="The version of this file's schema.")
    name: Name = Field(description="A short name; the project's folder, package and command are derived from it.")
    title: Text = Field("", description="One line for people; empty: the name.")
    description: Text = Field("", description="What the model does, for the README and the model card.")
    owner: Text = Field("", description="Who answers for the model: a name or an e-mail address.")
    business: Business = Field(Business(), description="Why the model is built, and for whom.")
    risk: Risk = Field(Risk(), description="How much harm a wrong prediction can do.")
    data: Data = Field(description="Where the rows are and what they mean.")
    model: ModelSpec = Field(description="What is learned.")
    acceptance: Acceptance = Field(Acceptance(), description="What a model must reach before it is registered.")
    architecture: Name = Field("realtime", description="The reference architecture: a blueprint of kind architectures.")
    pipelines: tuple[Name, ...] = Field(("training", "batch-scoring", "monitoring"), description="Pipeline blueprints.")
    stacks: tuple[Name, ...] = Field(
        ("foundation", "registry", "training", "serving", "monitoring"), description="Infrastructure stack blueprints."
    )
    approval: Name = Field("standard", description="The approval workflow: a blueprint of kind approvals.")
    ci: Name = Field("github", description="The continuous integration: a blueprint of kind ci.")
    deployment: Deployment = Field(Deployment(), description="Where the model runs, stage after stage.")
    monitoring: Monitoring = Field(Monitoring(), description="What is watched once the model runs.")
    tracking: Tracking = Field(Tracking(), description="Where runs and model versions are recorded.")
    cloud: Cloud = Field(Cloud(), description="Where `pulumi up` puts it.")
    cost: Cost = Field(Cost(), description="What it may cost.")

    def _findings(self) -> Iterator[Finding]:
        return checks.sections_agree(View(self))
