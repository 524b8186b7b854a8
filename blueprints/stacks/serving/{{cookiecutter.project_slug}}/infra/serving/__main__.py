{%- set mode = "batch" if cookiecutter.architecture == "batch" else cookiecutter.serving_mode -%}
{%- if mode == "batch" -%}
"""Batch predictions: files in, files out, on a schedule. Stands up before there is a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from ai_factory_infra.batch_inference import BatchInference
from ai_factory_infra.config import COMMAND, IMAGE_TAG, RELEASE, StackConfig, load, roles, text
from ai_factory_infra.stage import Stage
from ai_factory_infra.steps import Machine


@dataclass(frozen=True, slots=True)
class Config(StackConfig):
    """Pulumi.yaml and Pulumi.<stage>.yaml."""

    command: str = text(*COMMAND)
    image_tag: str = text(*IMAGE_TAG)
    release: str = text(*RELEASE)
    score_schedule: str = text()
    instance_type: str = text()
    role_arns: Mapping[str, str] = roles("job", "run", "start")


config = load(Config)
stage = Stage(config)
foundation, registry = stage.reads("foundation"), stage.reads("registry")

scoring = BatchInference(
    stage.named("scoring"),
    {
        "command": config.command,
        "stage": stage.name,
        "image": pulumi.Output.concat(registry["repository_url"], ":", config.image_tag),
        "repository_arn": registry["repository_arn"],
        "rows": {"bucket": foundation["data_bucket"], "prefix": "scoring"},
        "model": {"bucket": foundation["artifacts_bucket"], "prefix": "releases", "below": config.release or "none"},
        "scores": {"bucket": foundation["artifacts_bucket"], "prefix": "scores"},
        "kms_key_arn": foundation["data_key_arn"],
        "alerts_topic_arn": foundation["alerts_topic_arn"],
        "schedule": config.score_schedule,
        "enabled": bool(config.release),
        "machine": Machine(instance_type=config.instance_type),
        "network": foundation.network,
        "permissions_boundary_arn": foundation.boundary(config.permissions_boundary_arn),
        "role_arns": config.role_arns,
    },
    stage.options,
)

pulumi.export("release", config.release)
pulumi.export("pipeline", scoring.pipeline_name)
{%- else -%}
{% if mode == "realtime" -%}
"""The model behind HTTPS, a challenger beside it, alarms that take a bad version back. Stands up before there is a model."""
{%- elif mode == "async" -%}
"""The model behind a queue: requests and answers in S3, machines that come with requests. Stands up before there is a model."""
{%- else -%}
"""The model behind HTTPS, without machines of its own, paid by the request. Stands up before there is a model."""
{%- endif %}

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
{%- if mode == "async" %}
from ai_factory_infra.async_endpoint import AsyncEndpoint
{%- endif %}
from ai_factory_infra.config import IMAGE_TAG, RELEASE, StackConfig, choice, load, number, roles, text, whole
{%- if mode == "realtime" %}
from ai_factory_infra.realtime_endpoint import RealtimeEndpoint
{%- endif %}
from ai_factory_infra.rollout import STRATEGIES, Rollout
{%- if mode == "serverless" %}
from ai_factory_infra.serverless_endpoint import ServerlessEndpoint
{%- endif %}
from ai_factory_infra.stage import Stage


@dataclass(frozen=True, slots=True)
class Config(StackConfig):
    """Pulumi.yaml and Pulumi.<stage>.yaml."""

    image_tag: str = text(*IMAGE_TAG)
    release: str = text(*RELEASE)
{%- if mode == "serverless" %}
    memory_mb: int = whole(1024, 6144)
    max_concurrency: int = whole(1, 200)
    provisioned_concurrency: int = whole(0, 200, default="0")
    rollout_strategy: str = choice(*STRATEGIES, default="all-at-once")
{%- else %}
{%- if mode == "realtime" %}
    challenger: str = text(*RELEASE)
{%- endif %}
    instance_type: str = text()
    instances: int = whole({{ "1" if mode == "realtime" else "0" }}, 100)
    max_instances: int = whole(1, 100)
{%- if mode == "async" %}
    max_wait_seconds: int = whole(60, 21_600)
{%- endif %}
    idle_days: int = whole(0, 7, default="3")
    local_storage_waiver: str = text(default="")
    rollout_strategy: str = choice(*STRATEGIES)
    rollout_step_percent: int = whole(1, 50)
    rollout_wait_minutes: int = whole(0, 60)
{%- endif %}
    rollout_max_error_rate: float = number(0.0001, 1)
    p99_ms: float = number(0.1, 60_000)
{%- if mode == "realtime" %}
    capture_percent: int = whole(0, 100)
{%- endif %}
    log_retention_days: int = whole(1, 3653)
    role_arns: Mapping[str, str] = roles("container"{% if mode == "realtime" %}, "hand", "ear"{% endif %})


config = load(Config)
stage = Stage(config)
foundation, registry = stage.reads("foundation"), stage.reads("registry")
models = foundation["artifacts_bucket"]


def package(folder: str) -> pulumi.Output[str] | None:
    """Where a release is; None for no release."""
{%- if mode == "serverless" %}
    return pulumi.Output.concat("s3://", models, f"/releases/{folder}.tar.gz") if folder else None
{%- else %}
    return pulumi.Output.concat("s3://", models, f"/releases/{folder}/") if folder else None
{%- endif %}


endpoint = {{ {"realtime": "Realtime", "async": "Async", "serverless": "Serverless"}[mode] }}Endpoint(
    stage.named("{{ "endpoint" if mode == "realtime" else mode }}"),
    {
        "stage": stage.name,
        "region": config.region,
        "image": pulumi.Output.concat(registry["repository_url"], ":", config.image_tag),
        "repository_arn": registry["repository_arn"],
        "model_data": package(config.release),
{%- if mode == "realtime" %}
        "challenger_data": package(config.challenger),
{%- endif %}
        "models": {"bucket": models, "prefix": "releases"},
{%- if mode == "realtime" %}
        "captures": {"bucket": foundation["captures_bucket"], "prefix": "requests"},
{%- elif mode == "async" %}
        "requests": {"bucket": foundation["data_bucket"], "prefix": "scoring"},
        "results": {"bucket": models, "prefix": "scores"},
{%- endif %}
        "kms_key_arn": foundation["data_key_arn"],
        "logs_key_arn": foundation["logs_key_arn"],
        "alerts_topic_arn": foundation["alerts_topic_arn"],
        "runbooks": foundation.runbooks,
        "max_error_rate": config.rollout_max_error_rate,
        "p99_ms": config.p99_ms,
{%- if mode == "serverless" %}
        "rollout": Rollout(config.rollout_strategy),
        "memory_mb": config.memory_mb,
        "max_concurrency": config.max_concurrency,
        "provisioned_concurrency": config.provisioned_concurrency,
{%- else %}
        "rollout": Rollout(config.rollout_strategy, config.rollout_step_percent, config.rollout_wait_minutes),
        "instance_type": config.instance_type,
        "instances": config.instances,
        "max_instances": config.max_instances,
        "idle_days": config.idle_days,
        "local_storage_waiver": config.local_storage_waiver,
        "network": foundation.network,
{%- endif %}
{%- if mode == "realtime" %}
        "capture_percent": config.capture_percent,
{%- elif mode == "async" %}
        "max_wait_seconds": config.max_wait_seconds,
{%- endif %}
        "log_retention_days": config.log_retention_days,
        "permissions_boundary_arn": foundation.boundary(config.permissions_boundary_arn),
        "role_arns": config.role_arns,
    },
    stage.options,
)

pulumi.export("release", config.release)
{%- if mode == "realtime" %}
pulumi.export("challenger", config.challenger)
{%- endif %}
pulumi.export("endpoint_name", endpoint.endpoint_name)
# What the endpoint was told to run. After an automatic rollback it runs another, and AWS reports no error.
pulumi.export("endpoint_configuration", endpoint.configuration_name)
{%- if mode == "async" %}
# Put a request here, name it to InvokeEndpointAsync, and hear from one of the topics where the answer is.
pulumi.export("requests", pulumi.Output.concat("s3://", foundation["data_bucket"], "/scoring/"))
pulumi.export("success_topic_arn", endpoint.success_topic_arn)
pulumi.export("error_topic_arn", endpoint.error_topic_arn)
{%- endif %}
{%- endif %}
