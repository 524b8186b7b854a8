"""The training pipeline, and the one door through which anything starts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi
from ai_factory_infra.config import IMAGE_TAG, StackConfig, flag, load, roles, text, whole
from ai_factory_infra.drift_monitor import alarm_name
from ai_factory_infra.retrain_trigger import RetrainTrigger
from ai_factory_infra.stage import Stage
from ai_factory_infra.steps import Machine
from ai_factory_infra.training_pipeline import TrainingPipeline


@dataclass(frozen=True, slots=True)
class Config(StackConfig):
    """Pulumi.yaml and Pulumi.<stage>.yaml."""

    image_tag: str = text(*IMAGE_TAG)
    instance_type: str = text()
    retrain_schedule: str = text()
    retrain_on_drift: bool = flag()
    cooldown_hours: int = whole(0, 8760)
    max_runs_per_day: int = whole(1, 100)
    role_arns: Mapping[str, str] = roles("job", "run", "door", "drift", "clock")


# Written by the project command `export-pipeline`; `export-pipeline --check` tells when it is out of date.
DEFINITION = Path(__file__).parent / "pipeline.json"

config = load(Config)
stage = Stage(config)
foundation, registry = stage.reads("foundation"), stage.reads("registry")

training = TrainingPipeline(
    stage.named("training"),
    {
        "definition": DEFINITION.read_text(encoding="utf-8"),
        "image": pulumi.Output.concat(registry["repository_url"], ":", config.image_tag),
        "repository_arn": registry["repository_arn"],
        "model_package_group": registry["model_package_group"],
        "data": {"bucket": foundation["data_bucket"], "prefix": "training"},
        "artifacts": {"bucket": foundation["artifacts_bucket"], "prefix": "project"},
        "work": {"bucket": foundation["artifacts_bucket"], "prefix": "pipelines"},
        "kms_key_arn": foundation["data_key_arn"],
        "alerts_topic_arn": foundation["alerts_topic_arn"],
        "machine": Machine(instance_type=config.instance_type),
        "network": foundation.network,
        "permissions_boundary_arn": foundation.boundary(config.permissions_boundary_arn),
        "role_arns": config.role_arns,
    },
    stage.options,
)
pulumi.export("pipeline", training.pipeline_name)

if config.retrain_on_drift or config.retrain_schedule:
    retrain = RetrainTrigger(
        stage.named("retrain"),
        {
            "pipeline_name": stage.named("training"),
            "pipeline_arn": training.arn,
            "alerts_topic_arn": foundation["alerts_topic_arn"],
            "runbooks": foundation.runbooks,
            "drift_alarm": alarm_name(config.project, stage.name) if config.retrain_on_drift else "",
            "schedule": config.retrain_schedule,
            "cooldown_hours": config.cooldown_hours,
            "max_runs_per_day": config.max_runs_per_day,
            "permissions_boundary_arn": foundation.boundary(config.permissions_boundary_arn),
            "role_arns": config.role_arns,
        },
        stage.options,
    )
    pulumi.export("retrain_door_arn", retrain.door_arn)
