"""UseCase: what a user asks for, as strict, frozen, documented values. The one schema of `usecase.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from ai_factory_spec import checks
from ai_factory_spec.bounds import Bound, as_bound
from ai_factory_spec.checks import NO_FEATURE_TYPES, Finding
from ai_factory_spec.metrics import DEFAULT_METRIC, Task
from ai_factory_spec.schedule import EXAMPLE, cron_problem
from ai_factory_spec.view import View

API_VERSION = "ai-factory/v1"

Stage = Literal["dev", "staging", "prod"]
STAGES: tuple[Stage, ...] = ("dev", "staging", "prod")
Text = Annotated[str, Field(max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
ColumnName = Annotated[str, Field(min_length=1)]  # as long as the data file has it
Flag = Annotated[bool, Field(strict=True)]  # "yes" and 1 are mistakes, not truth values
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
ColumnType = Literal["integer", "number", "category", "boolean", "datetime", "text"]
PiiKind = Literal["email", "phone", "name", "address", "national_id", "ip_address", "other"]
ModelFamily = Literal["linear", "random_forest", "gradient_boosting"]


_BOUND_SCHEMA = {
    "anyOf": [
        {"type": "number"},
        {"type": "string", "format": "date"},
        {"type": "string", "format": "date-time"},
        {"type": "null"},
    ]
}
ColumnBound = Annotated[
    Bound | None,
    BeforeValidator(lambda value: None if value is None else as_bound(value)),
    WithJsonSchema(_BOUND_SCHEMA),
]


def _cron(text: str) -> str:
    if text and (problem := cron_problem(text)):
        raise ValueError(f"{text!r}: {problem}; {EXAMPLE}")
    return text


_CRON_PATTERN = r"\s*\S+(\s+\S+){4}\s*$"
Cron = Annotated[
    str, Field(min_length=1), AfterValidator(_cron), WithJsonSchema({"type": "string", "pattern": f"^{_CRON_PATTERN}"})
]
CronOrNone = Annotated[
    str, AfterValidator(_cron), WithJsonSchema({"type": "string", "pattern": f"^$|^{_CRON_PATTERN}"})
]


class _Strict(BaseModel):
    """Unknown fields are errors, values are frozen, and fields agree with each other (`checks`) wherever a value is made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = [str(finding) for finding in self._findings()]
        if found:
            raise PydanticCustomError(DISAGREEMENT, "{findings}", {"findings": "; ".join(found)})
        return self

    def _findings(self) -> Iterator[Finding]:
        return iter(())


DISAGREEMENT = "disagreement"
"""The pydantic error type of fields that are valid each and wrong together."""


class Kpi(_Strict):
    """The business number the model is meant to move."""

    name: Name = Field(description="What is measured, in the sponsor's words.")
    unit: Text = Field("", description="The unit of baseline and target, e.g. '% of customers' or 'EUR'.")
    baseline: Number = Field(description="The value today, without the model.")
    target: Number = Field(description="The value that would make the project a success.")


class Business(_Strict):
    """Why the model is built, and for whom."""

    driver: Text = Field("", description="The business driver: what changes when this works.")
    kpi: Kpi | None = Field(None, description="The KPI with its baseline and target.")
    sponsor: Text = Field("", description="Who pays for it and signs it off.")
    consumers: tuple[Name, ...] = Field((), description="The teams or systems that use the predictions.")


class Risk(_Strict):
    """How much harm a wrong prediction can do; decides who must approve a release."""

    tier: Literal["low", "medium", "high"] = Field(
        "medium", description="low: internal convenience; medium: money or customers; high: people's rights or safety."
    )


class Column(_Strict):
    """What one column must look like. Values of a category are text, also where they look like numbers."""

    name: ColumnName = Field(description="The column's name exactly as in the file.")
    type: ColumnType = Field(
        description="integer, number, category (a closed list of values), boolean, datetime (ISO 8601) or text."
    )
    nullable: Flag = Field(False, description="Whether values may be missing.")
    unique: Flag = Field(False, description="Whether every value must be different.")
    min: ColumnBound = Field(
        None,
        description="The smallest value allowed (integer, number) or the earliest (datetime, ISO 8601, UTC where it names no zone).",
    )
    max: ColumnBound = Field(None, description="The largest value allowed (integer, number) or the latest (datetime).")
    categories: tuple[str, ...] | None = Field(None, description="The values allowed; required for a category.")

    def _findings(self) -> Iterator[Finding]:
        return checks.column_agrees(View(self))


class Contract(_Strict):
    """What the data must look like; checked on every read."""

    min_rows: Whole = Field(1, ge=1, description="Fewer rows than this stop the run.")
    max_rows: Whole | None = Field(None, ge=1, description="More rows than this stop the run; empty: no limit.")
    max_bad_rows: Number = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="The share of rows that may break the contract; they are set aside. Above it the run stops.",
    )
    columns: tuple[Column, ...] = Field(min_length=2, description="Every column the pipeline reads, the target too.")

    def _findings(self) -> Iterator[Finding]:
        return checks.contract_agrees(View(self))


class Pii(_Strict):
    """A column that identifies a person. It is never a feature."""

    column: ColumnName = Field(description="The column's name.")
    kind: PiiKind = Field(description="What it holds.")
    action: Literal["drop", "hash"] = Field(
        "drop", description="drop: removed on read; hash: replaced by a keyed hash (key in AI_FACTORY_PII_KEY)."
    )


class Data(_Strict):
    """Where the rows are and what they mean."""

    source: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="A CSV or Parquet file, relative to usecase.yaml."
    )
    target: ColumnName = Field(description="The column to predict.")
    id: ColumnName | None = Field(
        None, description="The column that names the entity; its rows stay together in a split."
    )
    time: ColumnName | None = Field(None, description="The column that orders rows; the newest are held out.")
    sensitive: tuple[ColumnName, ...] = Field((), description="Columns whose groups must be treated alike (fairness).")
    pii: tuple[Pii, ...] = Field((), description="Columns that identify a person.")
    ignore: tuple[ColumnName, ...] = Field((), description="Columns that are read but are no features.")
    contract: Contract = Field(description="What the data must look like.")

    def _findings(self) -> Iterator[Finding]:
        return checks.data_agrees(View(self))

    def column(self, name: str) -> Column:
        """The contract of one column. Raises KeyError if there is none of that name."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.contract.columns}

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """The columns a model may learn from: not target, id, time, PII, text, datetime or ignored."""
        never = {self.target, self.id, self.time, *self.ignore, *(p.column for p in self.pii)}
        return tuple(c for c in self.contract.columns if c.name not in never and c.type not in NO_FEATURE_TYPES)


class ModelSpec(_Strict):
    """What is learned."""

    task: Task = Field(description="binary, multiclass or regression.")
    positive: str | None = Field(None, description="The class of interest (binary only), as text.")
    metric: Name | None = Field(
        None, description="The metric that picks the best candidate; empty: the task's default."
    )
    candidates: tuple[ModelFamily, ...] = Field(
        ("linear", "random_forest", "gradient_boosting"), min_length=1, description="The model families to try."
    )
    seed: Whole = Field(20_240_229, ge=0, lt=2**32, description="Everything random is derived from it.")
    test_size: Number = Field(0.2, gt=0.0, lt=0.9, description="The share of rows held out for evaluation.")

    @property
    def primary_metric(self) -> str:
        """The metric that ranks candidates and decides champion against challenger."""
        return self.metric or DEFAULT_METRIC[self.task]

    def _findings(self) -> Iterator[Finding]:
        return checks.model_agrees(View(self))


class Threshold(_Strict):
    """A bound on a metric on the held-out rows. `confident` asks it of the confidence interval's worse end."""

    min: Number | None = Field(None, description="The smallest value accepted.")
    max: Number | None = Field(None, description="The largest value accepted.")
    confident: Flag = Field(
        False, description="true: the 95 % confidence interval must clear the bound, not only the estimate."
    )

    def _findings(self) -> Iterator[Finding]:
        return checks.threshold_agrees(View(self))


class Fairness(_Strict):
    """Bounds on differences between the groups of each sensitive column."""

    max_selection_rate_difference: Number | None = Field(
        None, ge=0.0, le=1.0, description="Demographic parity: largest difference in the rate of positive predictions."
    )
    max_error_difference: Number | None = Field(
        None, ge=0.0, description="Largest difference of the primary metric between groups."
    )
    min_group_size: Whole = Field(30, ge=1, description="Smaller groups are reported, not judged.")

    def _findings(self) -> Iterator[Finding]:
        return checks.fairness_agrees(View(self))


class Robustness(_Strict):
    """How much worse the primary metric may get on damaged input."""

    max_drop: Number = Field(
        0.2, ge=0.0, le=1.0,
        description="The share of the gain over the baseline that may be lost when a feature is missing or noisy.",
    )  # fmt: skip


class Latency(_Strict):
    """How fast one row must be answered."""

    p99_ms: Number = Field(200.0, gt=0.0, description="99th percentile of one row's prediction, in milliseconds.")


class Acceptance(_Strict):
    """What a model must reach before it is registered. Beating the baseline is always asked."""

    metrics: dict[str, Threshold] = Field(
        {},
        description="Metric name to bounds. Empty: the model must beat the dummy baseline with a 95 % interval that excludes it.",
    )
    fairness: Fairness | None = Field(None, description="Bounds on group differences; needs `data.sensitive`.")
    robustness: Robustness | None = Field(None, description="Bounds on damage by bad input.")
    latency: Latency | None = Field(None, description="Bounds on prediction time.")
    allowed_leakage: tuple[ColumnName, ...] = Field(
        (), description="Features that may predict the target almost perfectly; others stop the run as leaks."
    )

    def _findings(self) -> Iterator[Finding]:
        return checks.acceptance_agrees(View(self))


class Rollout(_Strict):
    """How a new version meets traffic."""

    strategy: Literal["all-at-once", "canary", "linear"] = Field(
        "all-at-once", description="How traffic moves to a new version."
    )
    step_percent: Whole = Field(10, ge=1, le=50, description="canary: the first share; linear: each step. In percent.")
    wait_minutes: Whole = Field(5, ge=0, le=30, description="Minutes between steps, while alarms are watched.")


class Deployment(_Strict):
    """Where the model runs, stage after stage."""

    stages: tuple[Stage, ...] = Field(STAGES, min_length=1, description="The stages, in order: dev first, prod last.")
    rollout: Rollout = Field(Rollout(), description="How a new version meets traffic.")

    def _findings(self) -> Iterator[Finding]:
        return checks.deployment_agrees(View(self))


class DriftThresholds(_Strict):
    """When a window of data counts as drifted."""

    psi: Number = Field(0.2, gt=0.0, description="Population stability index of a column or of the prediction.")
    ks: Number = Field(0.1, gt=0.0, le=1.0, description="Kolmogorov-Smirnov distance of a numeric column.")
    missing: Number = Field(0.05, gt=0.0, le=1.0, description="Rise in the share of missing values.")
    unseen: Number = Field(0.01, ge=0.0, le=1.0, description="Share of categories never seen in training.")


class Retraining(_Strict):
    """What starts a retraining run."""

    on_drift: Flag = Field(True, description="Retrain when the monitor reports drift.")
    schedule: CronOrNone = Field(
        "", description="Retrain on this schedule as well: a cron expression of five fields, UTC; empty: no schedule."
    )
    cooldown_hours: Whole = Field(24, ge=0, description="Hours that must pass between two runs started by drift.")


class Monitoring(_Strict):
    """What is watched once the model runs."""

    schedule: Cron = Field("0 6 * * *", description="When the monitor runs: a cron expression of five fields, UTC.")
    min_rows: Whole = Field(50, ge=1, description="A window of fewer rows is reported as too small, never as drift.")
    thresholds: DriftThresholds = Field(DriftThresholds(), description="When a window counts as drifted.")
    retraining: Retraining = Field(Retraining(), description="What starts a retraining run.")


AccountId = Annotated[str, Field(pattern=r"^\d{12}$")]


class Cloud(_Strict):
    """Where `pulumi up` puts it. Nothing here is needed on a laptop."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] = Field(
        "eu-west-1", description="The AWS region."
    )
    accounts: dict[Stage, AccountId] = Field({}, description="The AWS account of each stage: twelve digits, quoted.")


class Cost(_Strict):
    """What it may cost."""

    monthly_budget: Number = Field(200.0, gt=0.0, description="US dollars a month and stage; the budget alarm's limit.")


class UseCase(_Strict):
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
    cloud: Cloud = Field(Cloud(), description="Where `pulumi up` puts it.")
    cost: Cost = Field(Cost(), description="What it may cost.")

    def _findings(self) -> Iterator[Finding]:
        return checks.sections_agree(View(self))
