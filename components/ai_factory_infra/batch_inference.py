"""BatchInference: `<command> score` on a schedule: files in, files out. Costs nothing between runs.

AWS: "Pipelines overview", "CreateProcessingJob".
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

import pulumi

from ai_factory_infra.container_pipeline import ContainerPipeline
from ai_factory_infra.policies import Folder, NetworkRef
from ai_factory_infra.steps import Machine, scoring


class BatchInferenceArgs(TypedDict):
    """`rows`: what to score. `model`: a model package. `scores`: where predictions go. `schedule`: five cron fields, UTC."""

    command: str
    stage: str
    image: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    rows: Folder
    model: Folder
    scores: Folder
    kms_key_arn: pulumi.Input[str]
    alerts_topic_arn: pulumi.Input[str]
    schedule: NotRequired[str]
    enabled: NotRequired[pulumi.Input[bool]]
    machine: NotRequired[Machine]
    network: NotRequired[NetworkRef | None]
    permissions_boundary_arn: NotRequired[pulumi.Input[str] | None]


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
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.pipeline_name, self.arn = pipeline.pipeline_name, pipeline.arn
        self.register_outputs({"pipeline_name": self.pipeline_name, "arn": self.arn})
