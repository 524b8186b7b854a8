"""BatchInference: `<command> score` on a schedule: files in, files out.

Costs when idle: nothing; machine time while a job runs. Limits: 256 characters for a pipeline's name, 5 days for a job.
AWS: "Pipelines overview", "CreateProcessingJob".
"""

from __future__ import annotations

from typing import NotRequired

import pulumi

from ai_factory_infra.container_pipeline import ContainerPipeline
from ai_factory_infra.inputs import CommandInputs
from ai_factory_infra.policies import Folder
from ai_factory_infra.steps import Machine, scoring


class BatchInferenceArgs(CommandInputs):
    """`rows`: what to score. `scores`: where predictions go. `schedule`: five cron fields, UTC, or empty.

    `role_arns`: roles that exist, for the parts `job`, `run` and `start` (the schedule).
    """

    scores: Folder
    schedule: NotRequired[str]


class BatchInference(pulumi.ComponentResource):
    """The pipeline, its roles and its schedule; it stands up with no model, and its schedule is switched on with one."""

    pipeline_name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: BatchInferenceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ai-factory:index:BatchInference", name, {}, opts)
        pipeline = ContainerPipeline(
            name,
            {
                "image": args["image"],
                "repository_arn": args["repository_arn"],
                "script": scoring(args["command"], args["stage"]),
                "inputs": {"rows": args["rows"], "model": args["model"]},
                "outputs": {"scores": args["scores"]},
                "kms_key_arn": args["kms_key_arn"],
                "alerts_topic_arn": args["alerts_topic_arn"],
                "schedule": args.get("schedule", ""),
                "enabled": args.get("enabled", True),
                "machine": args.get("machine", Machine()),
                "network": args.get("network"),
                "permissions_boundary_arn": args.get("permissions_boundary_arn"),
                "role_arns": args.get("role_arns", {}),
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.pipeline_name, self.arn = pipeline.pipeline_name, pipeline.arn
        self.register_outputs({"pipeline_name": self.pipeline_name, "arn": self.arn})
