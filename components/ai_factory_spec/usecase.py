"""UseCase: what a user asks for, as strict, frozen, documented values. The one schema of `usecase.yaml`."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ai_factory_spec.metrics import DEFAULT_METRIC, METRICS, Task, metrics_for

API_VERSION = "ai-factory/v1"

Stage = Literal["dev", "staging", "prod"]
STAGES: tuple[Stage, ...] = ("dev", "staging", "prod")
Text = Annotated[str, Field(max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
ColumnType = Literal["integer", "number", "category", "boolean", "datetime", "text"]
PiiKind = Literal["email", "phone", "name", "address", "national_id", "ip_address", "other"]
ModelFamily = Literal["linear", "random_forest", "gradient_boosting"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Kpi(_Strict):
    """The business number the model is meant to move."""

    name: Name = Field(description="What is measured, in the sponsor's words.")
    unit: Text = Field("", description="The unit of baseline and target, e.g. '% of customers' or 'EUR'.")
    baseline: float = Field(description="The value today, without the model.")
    target: float = Field(description="The value that would make the project a success.")


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

    name: Annotated[str, Field(min_length=1)] = Field(description="The column's name exactly as in the file.")
    type: ColumnType = Field(
        description="integer, number, category (a closed list of values), boolean, datetime (ISO 8601) or text."
    )
    nullable: bool = Field(False, description="Whether values may be missing.")
    unique: bool = Field(False, description="Whether every value must be different.")
    min: float | dt.date | dt.datetime | None = Field(
        None, description="The smallest value allowed (integer, number) or the earliest (datetime)."
    )
    max: float | dt.date | dt.datetime | None = Field(
        None, description="The largest value allowed (integer, number) or the latest (datetime)."
    )
    categories: tuple[str, ...] | None = Field(None, description="The values allowed; required for a category.")

    @model_validator(mode="after")
    def _consistent(self) -> Column:
        if self.type == "category" and not self.categories:
            raise ValueError("a category column needs `categories`, the list of values allowed")
        if self.type != "category" and self.categories is not None:
            raise ValueError(f"`categories` fits only type category, not {self.type}")
        if self.type not in ("integer", "number", "datetime") and (self.min is not None or self.max is not None):
            raise ValueError(f"`min` and `max` fit integer, number and datetime, not {self.type}")
        for bound in (self.min, self.max):
            if bound is not None and (self.type == "datetime") == isinstance(bound, float):
                raise ValueError(f"{bound!r} is no bound for type {self.type}")
        return self


class Contract(_Strict):
    """What the data must look like; checked on every read."""

    min_rows: int = Field(1, ge=1, description="Fewer rows than this stop the run.")
    max_rows: int | None = Field(None, ge=1, description="More rows than this stop the run; empty: no limit.")
    max_bad_rows: float = Field(
        0.0, ge=0.0, le=1.0, description="The share of rows that may break the contract; they are set aside. Above it the run stops."
    )
    columns: tuple[Column, ...] = Field(min_length=2, description="Every column the pipeline reads, the target too.")

    @model_validator(mode="after")
    def _unique_names(self) -> Contract:
        names = [c.name for c in self.columns]
        twice = sorted({n for n in names if names.count(n) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise ValueError(f"columns listed twice: {', '.join(map(repr, twice))}")
        return self


class Pii(_Strict):
    """A column that identifies a person. It is never a feature."""

    column: Name = Field(description="The column's name.")
    kind: PiiKind = Field(description="What it holds.")
    action: Literal["drop", "hash"] = Field(
        "drop", description="drop: removed on read; hash: replaced by a keyed hash (key in AI_FACTORY_PII_KEY)."
    )


class Data(_Strict):
    """Where the rows are and what they mean."""

    source: Name = Field(description="A CSV or Parquet file, relative to usecase.yaml.")
    target: Name = Field(description="The column to predict.")
    id: Name | None = Field(None, description="The column that names the entity; its rows stay together in a split.")
    time: Name | None = Field(None, description="The column that orders rows; the newest are held out.")
    sensitive: tuple[Name, ...] = Field((), description="Columns whose groups must be treated alike (fairness).")
    pii: tuple[Pii, ...] = Field((), description="Columns that identify a person.")
    ignore: tuple[Name, ...] = Field((), description="Columns that are read but are no features.")
    contract: Contract = Field(description="What the data must look like.")

    @model_validator(mode="after")
    def _columns_exist(self) -> Data:
        known = {c.name for c in self.contract.columns}
        named = {
            "target": (self.target,),
            "id": (self.id,),
            "time": (self.time,),
            "sensitive": self.sensitive,
            "pii": tuple(p.column for p in self.pii),
            "ignore": self.ignore,
        }
        missing = [(field, name) for field, names in named.items() for name in names if name and name not in known]
        if missing:
            from ai_factory_spec.suggest import did_you_mean

            raise ValueError(
                "; ".join(f"`{f}` names {n!r}, which is no column of the contract{did_you_mean(n, known)}" for f, n in missing)
            )
        if self.target in {self.id, self.time, *self.ignore, *(p.column for p in self.pii)}:
            raise ValueError(f"the target {self.target!r} cannot also be id, time, pii or ignored")
        if self.time and self.column(self.time).type not in ("datetime", "integer", "number"):
            raise ValueError(f"`time` names {self.time!r}, of type {self.column(self.time).type}; it must be datetime or a number")
        if not self.features:
            raise ValueError("no column is left as a feature: all are target, id, time, pii, text or ignored")
        return self

    def column(self, name: str) -> Column:
        """The contract of one column. Raises KeyError if there is none of that name."""
        for column in self.contract.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns a model may learn from: not target, id, time, PII, text or ignored."""
        never = {self.target, self.id, self.time, *self.ignore, *(p.column for p in self.pii)}
        return tuple(c for c in self.contract.columns if c.name not in never and c.type not in ("text", "datetime"))


class ModelSpec(_Strict):
    """What is learned."""

    task: Task = Field(description="binary, multiclass or regression.")
    positive: str | None = Field(None, description="The class of interest (binary only), as text.")
    metric: Name | None = Field(None, description="The metric that picks the best candidate; empty: the task's default.")
    candidates: tuple[ModelFamily, ...] = Field(
        ("linear", "random_forest", "gradient_boosting"), min_length=1, description="The model families to try."
    )
    seed: int = Field(20_240_229, ge=0, lt=2**32, description="Everything random is derived from it.")
    test_size: float = Field(0.2, gt=0.0, lt=0.9, description="The share of rows held out for evaluation.")

    @property
    def primary_metric(self) -> str:
        """The metric that ranks candidates and decides champion against challenger."""
        return self.metric or DEFAULT_METRIC[self.task]

    @model_validator(mode="after")
    def _fits_task(self) -> ModelSpec:
        allowed = [m.name for m in metrics_for(self.task)]
        if self.metric is not None and self.metric not in allowed:
            raise ValueError(f"metric {self.metric!r} does not fit a {self.task} task; allowed: {', '.join(allowed)}")
        if (self.positive is not None) != (self.task == "binary"):
            raise ValueError("`positive` names the class of interest: needed for a binary task, and only there")
        return self


class Threshold(_Strict):
    """A bound on a metric on the held-out rows. `confident` asks it of the confidence interval's worse end."""

    min: float | None = Field(None, description="The smallest value accepted.")
    max: float | None = Field(None, description="The largest value accepted.")
    confident: bool = Field(False, description="true: the 95 % confidence interval must clear the bound, not only the estimate.")

    @model_validator(mode="after")
    def _one_bound(self) -> Threshold:
        if self.min is None and self.max is None:
            raise ValueError("a threshold needs `min` or `max`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is greater than max {self.max}: no value passes")
        return self


class Fairness(_Strict):
    """Bounds on differences between the groups of each sensitive column."""

    max_selection_rate_difference: float | None = Field(
        None, ge=0.0, le=1.0, description="Demographic parity: largest difference in the rate of positive predictions."
    )
    max_error_difference: float | None = Field(
        None, ge=0.0, description="Largest difference of the primary metric between groups."
    )
    min_group_size: int = Field(30, ge=1, description="Smaller groups are reported, not judged.")


class Robustness(_Strict):
    """How much worse the primary metric may get on damaged input."""

    max_drop: float = Field(
        0.2, ge=0.0, le=1.0,
        description="The share of the gain over the baseline that may be lost when a feature is missing or noisy.",
    )  # fmt: skip


class Latency(_Strict):
    """How fast one row must be answered."""

    p99_ms: float = Field(200.0, gt=0.0, description="99th percentile of one row's prediction, in milliseconds.")


class Acceptance(_Strict):
    """What a model must reach before it is registered. Beating the baseline is always asked."""

    metrics: dict[str, Threshold] = Field(
        {}, description="Metric name to bounds. Empty: the model must beat the dummy baseline with a 95 % interval that excludes it."
    )
    fairness: Fairness | None = Field(None, description="Bounds on group differences; needs `data.sensitive`.")
    robustness: Robustness | None = Field(None, description="Bounds on damage by bad input.")
    latency: Latency | None = Field(None, description="Bounds on prediction time.")
    allowed_leakage: tuple[Name, ...] = Field(
        (), description="Features that may predict the target almost perfectly; others stop the run as leaks."
    )


class Rollout(_Strict):
    """How a new version meets traffic."""

    strategy: Literal["all-at-once", "canary", "linear"] = Field("all-at-once", description="How traffic moves to a new version.")
    step_percent: int = Field(10, ge=1, le=50, description="canary: the first share; linear: each step. In percent.")
    wait_minutes: int = Field(5, ge=0, le=30, description="Minutes between steps, while alarms are watched.")


class Deployment(_Strict):
    """Where the model runs, stage after stage."""

    stages: tuple[Stage, ...] = Field(STAGES, min_length=1, description="The stages, in order: dev first, prod last.")
    rollout: Rollout = Field(Rollout(), description="How a new version meets traffic.")

    @model_validator(mode="after")
    def _ordered(self) -> Deployment:
        if list(self.stages) != [s for s in STAGES if s in self.stages] or self.stages[0] != "dev":
            raise ValueError(f"stages must be dev, then staging, then prod, each at most once; got {', '.join(self.stages)}")
        return self


class DriftThresholds(_Strict):
    """When a window of data counts as drifted."""

    psi: float = Field(0.2, gt=0.0, description="Population stability index of a column or of the prediction.")
    ks: float = Field(0.1, gt=0.0, le=1.0, description="Kolmogorov-Smirnov distance of a numeric column.")
    missing: float = Field(0.05, gt=0.0, le=1.0, description="Rise in the share of missing values.")
    unseen: float = Field(0.01, ge=0.0, le=1.0, description="Share of categories never seen in training.")


class Retraining(_Strict):
    """What starts a retraining run."""

    on_drift: bool = Field(True, description="Retrain when the monitor reports drift.")
    schedule: Text = Field("", description="Retrain on this schedule as well: a cron expression of five fields, UTC.")
    cooldown_hours: int = Field(24, ge=0, description="Hours that must pass between two runs started by drift.")


class Monitoring(_Strict):
    """What is watched once the model runs."""

    schedule: Text = Field("0 6 * * *", description="When the monitor runs: a cron expression of five fields, UTC.")
    min_rows: int = Field(50, ge=1, description="A window of fewer rows is reported as too small, never as drift.")
    thresholds: DriftThresholds = Field(DriftThresholds(), description="When a window counts as drifted.")
    retraining: Retraining = Field(Retraining(), description="What starts a retraining run.")


AccountId = Annotated[str, Field(pattern=r"^\d{12}$")]


class Cloud(_Strict):
    """Where `pulumi up` puts it. Nothing here is needed on a laptop."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] = Field("eu-west-1", description="The AWS region.")
    accounts: dict[Stage, AccountId] = Field({}, description="The AWS account of each stage: twelve digits, quoted.")


class Cost(_Strict):
    """What it may cost."""

    monthly_budget: float = Field(200.0, gt=0.0, description="US dollars a month and stage; the budget alarm's limit.")


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
    pipelines: tuple[Name, ...] = Field(
        ("training", "batch-scoring", "monitoring"), description="Pipeline blueprints."
    )
    stacks: tuple[Name, ...] = Field(
        ("foundation", "registry", "training", "serving", "monitoring"), description="Infrastructure stack blueprints."
    )
    approval: Name = Field("standard", description="The approval workflow: a blueprint of kind approvals.")
    ci: Name = Field("github", description="The continuous integration: a blueprint of kind ci.")
    deployment: Deployment = Field(Deployment(), description="Where the model runs, stage after stage.")
    monitoring: Monitoring = Field(Monitoring(), description="What is watched once the model runs.")
    cloud: Cloud = Field(Cloud(), description="Where `pulumi up` puts it.")
    cost: Cost = Field(Cost(), description="What it may cost.")

    @model_validator(mode="after")
    def _fields_agree(self) -> UseCase:
        problems = list(_disagreements(self))
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _disagreements(u: UseCase) -> list[str]:
    """What no single section can see: task against target, metrics against task, fairness against columns."""
    problems = []
    target = u.data.column(u.data.target)
    allowed = [m.name for m in metrics_for(u.model.task)]
    if u.model.task == "regression":
        if target.type not in ("integer", "number"):
            problems.append(f"model.task regression needs a numeric target; {target.name!r} is of type {target.type}")
    elif target.type != "category":
        problems.append(f"model.task {u.model.task} needs a target of type category; {target.name!r} is of type {target.type}")
    else:
        classes = target.categories or ()
        if (len(classes) == 2) != (u.model.task == "binary") or len(classes) < 2:
            problems.append(f"model.task {u.model.task} does not fit a target of {len(classes)} classes")
        if u.model.positive is not None and u.model.positive not in classes:
            problems.append(f"model.positive {u.model.positive!r} is none of the classes {', '.join(map(repr, classes))}")
    for name in u.acceptance.metrics:
        if name not in METRICS or name not in allowed:
            problems.append(f"acceptance.metrics.{name} does not fit a {u.model.task} task; allowed: {', '.join(allowed)}")
    if u.acceptance.fairness and not u.data.sensitive:
        problems.append("acceptance.fairness needs data.sensitive: which columns' groups to compare")
    return problems
