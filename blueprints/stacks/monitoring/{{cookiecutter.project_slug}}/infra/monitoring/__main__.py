{%- set mode = "batch" if cookiecutter.architecture == "batch" else cookiecutter.serving_mode -%}
"""What watches the model: a scheduled look for drift, its alarm, and one dashboard for the stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from ai_factory_infra.config import COMMAND, IMAGE_TAG, StackConfig, flag, load, roles, text
from ai_factory_infra.drift_monitor import DriftMonitor, alarm_name, schema_alarm_name, shift_alarm_name
from ai_factory_infra.observability import Observability
from ai_factory_infra.stage import Stage
from ai_factory_infra.steps import Machine


@dataclass(frozen=True, slots=True)
class Config(StackConfig):
    """Pulumi.yaml and Pulumi.<stage>.yaml."""

    command: str = text(*COMMAND)
    image_tag: str = text(*IMAGE_TAG)
    monitor_schedule: str = text()
    instance_type: str = text()
    labels: bool = flag(default="false")
{%- if mode == "serverless" %}
    rows: bool = flag(default="false")
{%- endif %}
    role_arns: Mapping[str, str] = roles("job", "run", "start")


config = load(Config)
stage = Stage(config)
foundation, registry, serving = stage.reads("foundation"), stage.reads("registry"), stage.reads("serving")
release = serving["release"]

monitor = DriftMonitor(
    stage.named("monitor"),
    {
        "command": config.command,
        "project": config.project,
        "stage": stage.name,
        "image": pulumi.Output.concat(registry["repository_url"], ":", config.image_tag),
        "repository_arn": registry["repository_arn"],
{%- if mode != "realtime" %}
        "rows": {"bucket": foundation["data_bucket"], "prefix": "scoring"},
        "captured": False,
{%- else %}
        "rows": {"bucket": foundation["captures_bucket"], "prefix": "requests"},
        "captured": True,
{%- endif %}
        "model": {
            "bucket": foundation["artifacts_bucket"],
            "prefix": "releases",
            "below": release.apply(lambda r: r or "none"),
        },
        "labels": {"bucket": foundation["data_bucket"], "prefix": "labels"} if config.labels else None,
        "reports": {"bucket": foundation["artifacts_bucket"], "prefix": "reports"},
        "kms_key_arn": foundation["data_key_arn"],
        "alerts_topic_arn": foundation["alerts_topic_arn"],
        "runbooks": foundation.runbooks,
        "schedule": config.monitor_schedule,
{%- if mode == "serverless" %}
        "enabled": release.apply(lambda r: bool(r) and config.rows),
{%- else %}
        "enabled": release.apply(bool),
{%- endif %}
        "machine": Machine(instance_type=config.instance_type),
        "network": foundation.network,
        "permissions_boundary_arn": foundation.boundary(config.permissions_boundary_arn),
        "role_arns": config.role_arns,
    },
    stage.options,
)
dashboard = Observability(
    stage.prefix,
    {
        "title": f"{config.project}, {stage.name}",
        "project": config.project,
        "stage": stage.name,
{%- if mode == "batch" %}
        "pipelines": {name: stage.named(name) for name in ("training", "scoring", "monitor")},
        "alarm_names": [
            alarm_name(config.project, stage.name),
            shift_alarm_name(config.project, stage.name),
            schema_alarm_name(config.project, stage.name),
        ],
{%- else %}
        "endpoint_name": stage.named("{{ "endpoint" if mode == "realtime" else mode }}"),
{%- if mode == "async" %}
        "queued": True,
{%- endif %}
        "pipelines": {name: stage.named(name) for name in ("training", "monitor")},
        "alarm_names": [
            alarm_name(config.project, stage.name),
            shift_alarm_name(config.project, stage.name),
            schema_alarm_name(config.project, stage.name),
{%- for alarm in {"realtime": ["unhealthy", "errors", "latency"], "serverless": ["unhealthy", "errors", "latency", "concurrency"], "async": ["unhealthy", "errors", "latency", "waiting", "lost"]}[mode] %}
            stage.named("{{ "endpoint" if mode == "realtime" else mode }}-{{ alarm }}"),
{%- endfor %}
{%- if cookiecutter.architecture == "streaming" %}
{%- for alarm in ["events-late", "events-refused", "events-undelivered", "consumer-behind", "consumer-failing", "consumer-given-up", "consumer-refused"] %}
            stage.named("{{ alarm }}"),
{%- endfor %}
{%- endif %}
        ],
{%- endif %}
    },
    stage.options,
)

pulumi.export("drift_alarm", monitor.alarm)
pulumi.export("prediction_shift_alarm", monitor.shift_alarm)
pulumi.export("pipeline", monitor.pipeline_name)
pulumi.export("dashboard", dashboard.dashboard)
