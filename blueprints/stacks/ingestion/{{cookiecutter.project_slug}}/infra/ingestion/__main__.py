{%- if cookiecutter.architecture == "streaming" -%}
"""Data in: a stream that is kept and answered, its records as a table, and who touched what."""
{%- else -%}
"""Data in: files that land become a table; and who touched what."""
{%- endif %}

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from ai_factory_infra.audit_log import AuditLog
from ai_factory_infra.batch_ingestion import BatchIngestion
{%- if cookiecutter.architecture == "streaming" %}
from ai_factory_infra.config import StackConfig, flag, load, number, roles, text, whole
{%- else %}
from ai_factory_infra.config import StackConfig, flag, load, roles, text, whole
{%- endif %}
from ai_factory_infra.stage import Stage
{%- if cookiecutter.architecture == "streaming" %}
from ai_factory_infra.stream_ingestion import StreamIngestion
from ai_factory_infra.stream_scoring import StreamScoring
{%- endif %}


@dataclass(frozen=True, slots=True)
class Config(StackConfig):
    """Pulumi.yaml and Pulumi.<stage>.yaml."""
{%- if cookiecutter.architecture == "streaming" %}

    shards: int = whole(0, 200)
    retention_hours: int = whole(24, 8760)
    quiet_minutes: int = whole(0, 1440)
    refused_share: float = number(0, 0.999)
{%- else %}
{% endif %}
    curate_schedule: str = text()
    curated: str = text(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", "a folder in the data bucket, such as curated")
    audit: bool = flag()
    audit_days: int = whole(1, 3650)
    log_retention_days: int = whole(1, 3653)
    protect: bool = flag()
    role_arns: Mapping[str, str] = roles({% if cookiecutter.architecture == "streaming" %}"delivery", "function", {% endif %}"job", "crawler", "clock", "trail")


config = load(Config)
stage = Stage(config)
{%- if cookiecutter.architecture == "streaming" %}
foundation, serving = stage.reads("foundation"), stage.reads("serving")
{%- else %}
foundation = stage.reads("foundation")
{%- endif %}
lake, key, logs_key = foundation["data_bucket"], foundation["data_key_arn"], foundation["logs_key_arn"]
{%- if cookiecutter.architecture == "streaming" %}


def stream(folder: str, quiet_minutes: int = 0) -> StreamIngestion:
    """A stream whose records land in a folder of the lake."""
    return StreamIngestion(
        stage.named(folder),
        {
            "lake": {"bucket": lake, "prefix": folder},
            "kms_key_arn": key,
            "logs_key_arn": logs_key,
            "alerts_topic_arn": foundation["alerts_topic_arn"],
            "runbooks": foundation.runbooks,
            "shards": config.shards,
            "retention_hours": config.retention_hours,
            "quiet_minutes": quiet_minutes,
            "log_retention_days": config.log_retention_days,
            "protect": config.protect,
            "permissions_boundary_arn": foundation.boundary(config.permissions_boundary_arn),
            "role_arns": config.role_arns,
        },
        stage.options,
    )


events, answers = stream("events", config.quiet_minutes), stream("answers")
consumer = StreamScoring(
    stage.named("consumer"),
    {
        "project": config.project,
        "stage": stage.name,
        "endpoint_name": serving["endpoint_name"],
        "enabled": serving["release"].apply(bool),
        "stream_arn": events.stream_arn,
        "answers_name": answers.stream_name,
        "answers_arn": answers.stream_arn,
        "refused": {"bucket": lake, "prefix": "refused"},
        "kms_key_arn": key,
        "logs_key_arn": logs_key,
        "alerts_topic_arn": foundation["alerts_topic_arn"],
        "runbooks": foundation.runbooks,
        "max_age_hours": min(config.retention_hours, 169) - 1,
        "refused_share": config.refused_share,
        "log_retention_days": config.log_retention_days,
        "permissions_boundary_arn": foundation.boundary(config.permissions_boundary_arn),
        "role_arns": config.role_arns,
    },
    stage.options,
)
{%- endif %}
table = BatchIngestion(
    stage.named("curate"),
    {
        "lake": lake,
        "landing": "{{ "events" if cookiecutter.architecture == "streaming" else "landing" }}",
        "curated": config.curated,
        "refused": "refused-files",
        "kms_key_arn": key,
        "logs_key_arn": logs_key,
        "alerts_topic_arn": foundation["alerts_topic_arn"],
        "runbooks": foundation.runbooks,
        "schedule": config.curate_schedule,
        "permissions_boundary_arn": foundation.boundary(config.permissions_boundary_arn),
        "role_arns": config.role_arns,
    },
    stage.options,
)
if config.audit:
    evidence = AuditLog(
        stage.named("audit"),
        {
            "buckets": [foundation[f"{name}_bucket"] for name in ("data", "artifacts", "captures")],
            "logs_key_arn": logs_key,
            "keep_days": config.audit_days,
            "log_retention_days": config.log_retention_days,
            "protect": config.protect,
            "permissions_boundary_arn": foundation.boundary(config.permissions_boundary_arn),
            "role_arns": config.role_arns,
        },
        stage.options,
    )
    pulumi.export("audit_bucket", evidence.bucket)
{%- if cookiecutter.architecture == "streaming" %}

pulumi.export("events_stream", events.stream_name)
pulumi.export("answers_stream", answers.stream_name)
pulumi.export("consumer", consumer.function_name)
pulumi.export("letters", consumer.letters_url)
{%- endif %}
pulumi.export("job", table.job_name)
pulumi.export("database", table.database)
