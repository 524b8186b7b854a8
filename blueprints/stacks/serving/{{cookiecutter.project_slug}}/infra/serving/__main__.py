{%- if cookiecutter.architecture == "batch" -%}
"""Batch predictions: files in, files out, on a schedule. Stands up before there is a model."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from ai_factory_infra.batch_inference import BatchInference
from ai_factory_infra.config import COMMAND, IMAGE_TAG, RELEASE, StackConfig, load, text
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
        "permissions_boundary_arn": config.permissions_boundary_arn,
    },
    stage.options,
)

pulumi.export("release", config.release)
pulumi.export("pipeline", scoring.pipeline_name)
{%- else -%}
"""The model behind HTTPS, a challenger beside it, alarms that take a bad version back. Stands up before there is a model."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from ai_factory_infra.config import IMAGE_TAG, RELEASE, StackConfig, choice, load, number, text, whole
from ai_factory_infra.realtime_endpoint import RealtimeEndpoint
from ai_factory_infra.rollout import STRATEGIES, Rollout
from ai_factory_infra.stage import Stage


@dataclass(frozen=True, slots=True)
class Config(StackConfig):
    """Pulumi.yaml and Pulumi.<stage>.yaml."""

    image_tag: str = text(*IMAGE_TAG)
    release: str = text(*RELEASE)
    challenger: str = text(*RELEASE)
    instance_type: str = text()
    instances: int = whole(1, 100)
    max_instances: int = whole(1, 100)
    rollout_strategy: str = choice(*STRATEGIES)
    rollout_step_percent: int = whole(1, 50)
    rollout_wait_minutes: int = whole(0, 60)
    rollout_max_error_rate: float = number(0.0001, 1)
    p99_ms: float = number(0.1, 60_000)
    capture_percent: int = whole(0, 100)
    log_retention_days: int = whole(1, 3653)


config = load(Config)
stage = Stage(config)
foundation, registry = stage.reads("foundation"), stage.reads("registry")
models = foundation["artifacts_bucket"]


def package(folder: str) -> pulumi.Output[str] | None:
    """Where a release is; None for no release."""
    return pulumi.Output.concat("s3://", models, f"/releases/{folder}/") if folder else None


endpoint = RealtimeEndpoint(
    stage.named("endpoint"),
    {
        "stage": stage.name,
        "image": pulumi.Output.concat(registry["repository_url"], ":", config.image_tag),
        "repository_arn": registry["repository_arn"],
        "model_data": package(config.release),
        "challenger_data": package(config.challenger),
        "models": {"bucket": models, "prefix": "releases"},
        "captures": {"bucket": foundation["captures_bucket"], "prefix": "requests"},
        "kms_key_arn": foundation["data_key_arn"],
        "logs_key_arn": foundation["logs_key_arn"],
        "alerts_topic_arn": foundation["alerts_topic_arn"],
        "max_error_rate": config.rollout_max_error_rate,
        "p99_ms": config.p99_ms,
        "rollout": Rollout(config.rollout_strategy, config.rollout_step_percent, config.rollout_wait_minutes),
        "instance_type": config.instance_type,
        "instances": config.instances,
        "max_instances": config.max_instances,
        "capture_percent": config.capture_percent,
        "log_retention_days": config.log_retention_days,
        "network": foundation.network,
        "permissions_boundary_arn": config.permissions_boundary_arn,
    },
    stage.options,
)

pulumi.export("release", config.release)
pulumi.export("challenger", config.challenger)
pulumi.export("endpoint_name", endpoint.endpoint_name)
# What the endpoint was told to run. After an automatic rollback it runs another, and AWS reports no error.
pulumi.export("endpoint_configuration", endpoint.configuration_name)
{%- endif %}
