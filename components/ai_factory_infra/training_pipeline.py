"""TrainingPipeline: the project's steps in SageMaker: prepare, train, evaluate, and where every gate was passed, register.

The definition is the one that the project command `export-pipeline` writes; a failed gate ends the execution as failed.
It has no schedule of its own: every start, on a clock or on drift, goes through RetrainTrigger, so that there is one
door and one run at a time. The registry's file travels with the run; two runs at once would each lose the other's.
Costs when idle: nothing; machine time while a job runs. Limits: 256 characters for a pipeline's name, 1 MiB for its
definition. AWS: "Pipelines overview".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.account import Account
from ai_factory_infra.execution_role import ExecutionRole
from ai_factory_infra.inputs import JobInputs
from ai_factory_infra.limits import LOGICAL_NAME, PIPELINE_DEFINITION_BYTES, PIPELINE_NAME, PROCESSING_RUNTIME_SECONDS
from ai_factory_infra.pipeline_definition import pinned
from ai_factory_infra.pipeline_definition import problems as definition_problems
from ai_factory_infra.pipeline_parts import PROCESSING_LOGS, TRAINING_LOGS, role, tell_failures, touch_data
from ai_factory_infra.policies import Folder, uri
from ai_factory_infra.problems import Problems
from ai_factory_infra.steps import Machine
from ai_factory_infra.training_policies import announce_models, never_approve, run_training


class TrainingPipelineArgs(JobInputs):
    """`definition`: the text that `export-pipeline` wrote. `model_package_group`: the name of the group, or its
    ARN where it is another account's, which must let this one add versions. `data`: where the rows are. `artifacts`: registry, models and runs, read before a run and written after it. `work`: what the
    steps of an execution hand to each other, its packages among them, which the model package group refers to.
    `role_arns`: roles that exist, for the parts `job` and `run`.
    """

    definition: str
    model_package_group: pulumi.Input[str]
    data: Folder
    artifacts: Folder
    work: Folder


class TrainingPipeline(pulumi.ComponentResource):
    """The pipeline and its two roles: its own may start jobs, the jobs' may touch data. The alert topic hears of a failure."""

    pipeline_name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: TrainingPipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        _check(name, args)
        super().__init__("ai-factory:index:TrainingPipeline", name, {}, opts)
        self._name, self._args, self._account = name, args, Account.of(self)
        job = self._job_role()
        pipeline = aws.sagemaker.Pipeline(
            name,
            pipeline_name=name,
            pipeline_display_name=name,
            role_arn=self._runner_role(job).arn,
            pipeline_definition=self._definition(job),
            parallelism_configuration={"max_parallel_execution_steps": 1},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.pipeline_name, self.arn = pipeline.pipeline_name, pipeline.arn
        tell_failures(self, name, self.arn, args["alerts_topic_arn"])
        self.register_outputs({"pipeline_name": self.pipeline_name, "arn": self.arn})

    def _job_role(self) -> ExecutionRole:
        args = self._args
        statements = touch_data(
            self._account,
            reads=[args["data"], args["artifacts"], args["work"]],
            writes=[args["artifacts"], args["work"]],
            key_arn=args["kms_key_arn"],
            repository_arn=args["repository_arn"],
            network=args.get("network"),
            logs=(PROCESSING_LOGS, TRAINING_LOGS),
        )
        return role(self, self._name, "job", statements, args)

    def _runner_role(self, job: ExecutionRole) -> ExecutionRole:
        """It reads the evaluation, on which the condition stands, and announces the model; it sees neither rows nor registry."""
        args, account = self._args, self._account
        statements = [
            *policies.run_processing(account, job.arn),
            run_training(account),
            announce_models(account, args["model_package_group"]),
            *never_approve(account, args["model_package_group"]),
            *policies.pull_image(args["repository_arn"]),
            *policies.read_folders(account, [args["work"]]),
            policies.use_key(args["kms_key_arn"]),
        ]
        return role(self, self._name, "run", statements, args)

    def _definition(self, job: ExecutionRole) -> pulumi.Output[str]:
        args = self._args
        network: Any = args.get("network") or {"subnet_ids": [], "security_group_ids": []}

        def build(known: Mapping[str, Any]) -> str:
            text = pinned(
                args["definition"],
                known["values"],
                args.get("machine", Machine()),
                subnet_ids=known["subnet_ids"],
                security_group_ids=known["security_group_ids"],
            )
            if len(text.encode()) > PIPELINE_DEFINITION_BYTES:
                raise pulumi.InputPropertyError("definition", "AWS allows 1 MiB for a pipeline's definition")
            return text

        values = {
            "Image": args["image"],
            "RoleArn": job.arn,
            "KeyArn": args["kms_key_arn"],
            "DataUri": uri(args["data"]),
            "ArtifactsUri": uri(args["artifacts"]),
            "WorkUri": uri(args["work"]).apply(lambda text: text.rstrip("/")),
            "ModelPackageGroup": args["model_package_group"],
        }
        return pulumi.Output.all(
            values=values, subnet_ids=network["subnet_ids"], security_group_ids=network["security_group_ids"]
        ).apply(build)


def _check(name: str, args: TrainingPipelineArgs) -> None:
    """Refuse what AWS would refuse. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"TrainingPipeline {name}")
    problems.fits(
        "name", name, min(PIPELINE_NAME, LOGICAL_NAME - len("-failed")), "a pipeline with its roles and rules"
    )
    for reason in definition_problems(args["definition"]):
        problems.add("definition", f"{reason}; the project command `export-pipeline` writes it")
    machine = args.get("machine", Machine())
    problems.matches(
        "machine.instance_type", machine.instance_type, r"ml\.[a-z0-9-]+\.[a-z0-9]+", "a type such as ml.m5.large"
    )
    count = machine.instance_count
    problems.unless(count == 1, "machine.instance_count", f"got {count}; a step works on 1 machine")
    problems.between("machine.volume_gb", machine.volume_gb, 1, 16_384, unit="GB")
    problems.between(
        "machine.max_runtime_seconds", machine.max_runtime_seconds, 1, PROCESSING_RUNTIME_SECONDS, unit="s"
    )
    problems.stop()
