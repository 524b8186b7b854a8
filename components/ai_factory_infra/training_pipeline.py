"""TrainingPipeline: `<command> run` in SageMaker: check the data, train, evaluate, gate, register. Costs nothing when idle.

It has no schedule of its own: every start, on a clock or on drift, goes through RetrainTrigger, so that there is one
door and one run at a time. The registry's file travels with the run; two runs at once would each lose the other's.
AWS: "Pipelines overview".
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

import pulumi

from ai_factory_infra.container_pipeline import ContainerPipeline
from ai_factory_infra.policies import Folder, NetworkRef
from ai_factory_infra.steps import Machine, training


class TrainingPipelineArgs(TypedDict):
    """`data`: where the rows are. `artifacts`: registry, models and runs, read before a run and written after it."""

    command: str
    image: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    data: Folder
    artifacts: Folder
    kms_key_arn: pulumi.Input[str]
    alerts_topic_arn: pulumi.Input[str]
    machine: NotRequired[Machine]
    network: NotRequired[NetworkRef | None]
    permissions_boundary_arn: NotRequired[pulumi.Input[str] | None]


class TrainingPipeline(pulumi.ComponentResource):
    """The pipeline and its roles; a failed gate fails the execution, and the alert topic hears of it."""

    pipeline_name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: TrainingPipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ai-factory:index:TrainingPipeline", name, {}, opts)
        pipeline = ContainerPipeline(
            name,
            {
                "image": args["image"],
                "repository_arn": args["repository_arn"],
                "script": training(args["command"]),
                "inputs": {"data": args["data"], "artifacts": args["artifacts"]},
                "outputs": {"artifacts": args["artifacts"]},
                "kms_key_arn": args["kms_key_arn"],
                "alerts_topic_arn": args["alerts_topic_arn"],
                "machine": args.get("machine", Machine()),
                "network": args.get("network"),
                "permissions_boundary_arn": args.get("permissions_boundary_arn"),
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.pipeline_name, self.arn = pipeline.pipeline_name, pipeline.arn
        self.register_outputs({"pipeline_name": self.pipeline_name, "arn": self.arn})
