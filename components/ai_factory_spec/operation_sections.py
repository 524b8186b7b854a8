"""Operation: where the model runs, how a version meets traffic, what is watched, what it may cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from ai_factory_spec import operation_checks as checks
from ai_factory_spec.fields import STAGES, Cron, CronOrNone, Flag, Name, Number, Section, Stage, Text, Whole
from ai_factory_spec.findings import Finding
from ai_factory_spec.view import View


class Rollout(Section):
    """How a new version meets traffic, and what sends it back."""

    strategy: Literal["all-at-once", "shadow", "canary", "linear", "ab"] = Field(
        "all-at-once",
        description="shadow: the new version sees a copy of the traffic and never answers; canary: a first share, then all; linear: step by step; ab: both answer until a test decides.",
    )
    step_percent: Whole = Field(
        10,
        ge=1,
        le=50,
        description="canary: the first share; linear: each step; ab: the new version's share. In percent.",
    )
    wait_minutes: Whole = Field(5, ge=0, le=30, description="Minutes between steps, while alarms are watched.")
    min_requests: Whole = Field(
        200, ge=1, description="Requests the new version must have seen before anything is decided."
    )
    max_error_rate: Number = Field(
        0.01, gt=0.0, le=1.0, description="Failed requests of the new version, above the old one's."
    )
    max_p99_ms: Number | None = Field(
        None,
        gt=0.0,
        description="99th percentile of an answer, in milliseconds; empty: `acceptance.latency`, if given.",
    )
    max_prediction_shift: Number = Field(
        0.2, gt=0.0, description="Population stability index between the two versions' predictions."
    )
    max_quality_drop: Number | None = Field(
        None, ge=0.0, description="Loss in the primary metric where true values arrive in time; empty: none is asked."
    )
    false_alarm_rate: Number = Field(
        0.05, gt=0.0, lt=0.5, description="ab: how often the test may find a difference where there is none."
    )


class Serving(Section):
    """How an endpoint in the cloud is kept: always there, made for each request, or fed from a queue."""

    mode: Literal["realtime", "serverless", "async"] = Field(
        "realtime",
        description="realtime: machines that wait; serverless: nothing while idle, slower at first, not captured for the monitor; async: requests queue in S3, machines down to none.",
    )
    memory_mb: Whole = Field(
        2048, ge=1024, le=6144, multiple_of=1024, description="serverless: memory, in steps of 1,024 MB."
    )
    max_concurrency: Whole = Field(20, ge=1, le=200, description="serverless: requests answered at once.")


class Deployment(Section):
    """Where the model runs, stage after stage."""

    stages: tuple[Stage, ...] = Field(STAGES, min_length=1, description="The stages, in order: dev first, prod last.")
    serving: Serving = Field(Serving(), description="How an endpoint in the cloud is kept.")
    rollout: Rollout = Field(Rollout(), description="How a new version meets traffic.")

    def _findings(self) -> Iterator[Finding]:
        return checks.deployment_agrees(View(self))


class DriftThresholds(Section):
    """When a window of data counts as drifted."""

    psi: Number = Field(0.2, gt=0.0, description="Population stability index of a column or of the prediction.")
    ks: Number = Field(0.1, gt=0.0, le=1.0, description="Kolmogorov-Smirnov distance of a numeric column.")
    missing: Number = Field(0.05, gt=0.0, le=1.0, description="Rise in the share of missing values.")
    unseen: Number = Field(0.01, ge=0.0, le=1.0, description="Share of categories never seen in training.")


class Retraining(Section):
    """What starts a retraining run."""

    on_drift: Flag = Field(True, description="Retrain when the monitor reports drift.")
    schedule: CronOrNone = Field(
        "", description="Retrain on this schedule as well: a cron expression of five fields, UTC; empty: no schedule."
    )
    cooldown_hours: Whole = Field(24, ge=0, description="Hours that must pass between two runs started by drift.")
    max_age_days: Number | None = Field(None, gt=0.0, description="Retrain a model that is older; empty: never by age.")


class Channel(Section):
    """One way in which people hear of drift, of retraining and of a rollout that went back."""

    kind: Literal["file", "webhook", "email"] = Field(description="file, webhook (JSON by POST) or email (SMTP).")
    path: Text = Field("", description="file: where lines are appended, relative to usecase.yaml.")
    address_variable: Annotated[str, Field(pattern=r"^$|^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        "", description="webhook: the environment variable that holds the address, which is a secret."
    )
    to: tuple[Name, ...] = Field((), description="email: who gets it.")
    sender: Text = Field("", description="email: from whom it comes.")
    host: Text = Field(
        "", description="email: the SMTP server. User and password: AI_FACTORY_SMTP_USER, AI_FACTORY_SMTP_PASSWORD."
    )
    port: Whole = Field(587, ge=1, le=65_535, description="email: the server's port.")
    starttls: Flag = Field(True, description="email: encrypt the connection before anything is said.")

    def _findings(self) -> Iterator[Finding]:
        return checks.channel_agrees(View(self))


class Monitoring(Section):
    """What is watched once the model runs."""

    schedule: Cron = Field("0 6 * * *", description="When the monitor runs: a cron expression of five fields, UTC.")
    min_rows: Whole = Field(50, ge=1, description="A window of fewer rows is reported as too small, never as drift.")
    thresholds: DriftThresholds = Field(DriftThresholds(), description="When a window counts as drifted.")
    notify: tuple[Channel, ...] = Field((), description="Who is told, and how.")
    retraining: Retraining = Field(Retraining(), description="What starts a retraining run.")


class Tracking(Section):
    """Where runs and model versions are recorded."""

    address: Annotated[str, Field(max_length=4096)] = Field(
        "", description="An MLflow server; empty: a SQLite file under artifacts/. AI_FACTORY_REGISTRY wins over it."
    )

    def _findings(self) -> Iterator[Finding]:
        return checks.tracking_agrees(View(self))


AccountId = Annotated[str, Field(pattern=r"^\d{12}$")]


class Cloud(Section):
    """Where `pulumi up` puts it. Nothing here is needed on a laptop."""

    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] = Field(
        "eu-west-1", description="The AWS region."
    )
    registry_account: AccountId | None = Field(
        None, description="The account that holds images and model versions for all stages; empty: each stage its own."
    )
    repository: Annotated[str, Field(pattern=r"^$|^[a-z0-9.-]+(/[A-Za-z0-9_.-]+){2,}$")] = Field(
        "", description="Where this repository is hosted, e.g. github.com/acme/churn; its CI may deploy without keys."
    )
    state: Annotated[str, Field(pattern=r"^$|^(s3|file)://.*$")] = Field(
        "", description="Where Pulumi keeps its state: s3://bucket, file://~ for a folder; empty: Pulumi Cloud."
    )
    accounts: dict[Stage, AccountId] = Field({}, description="The AWS account of each stage: twelve digits, quoted.")


class Cost(Section):
    """What it may cost."""

    monthly_budget: Number = Field(200.0, gt=0.0, description="US dollars a month and stage; the budget alarm's limit.")
