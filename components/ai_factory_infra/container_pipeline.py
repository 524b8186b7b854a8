"""ContainerPipeline: the project's image as a SageMaker pipeline of one step, on a schedule or on demand.

What scoring and monitoring have in common. Costs when idle: nothing; machine time while a job runs.
Limits: 256 characters for a pipeline's name, 1 MiB for its definition, 5 days for a job. AWS: "Define a pipeline",
"CreateProcessingJob".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.account import Account
from ai_factory_infra.execution_role import ExecutionRole
from ai_factory_infra.inputs import JobInputs
from ai_factory_infra.limits import LOGICAL_NAME, PIPELINE_DEFINITION_BYTES, PIPELINE_NAME, PROCESSING_RUNTIME_SECONDS
from ai_factory_infra.pipeline_parts import role, tell_failures, touch_data
from ai_factory_infra.policies import Folder, Statement, uri
from ai_factory_infra.problems import Problems
from ai_factory_infra.schedules import ScheduleError, eventbridge
from ai_factory_infra.steps import Machine, Script, Step, definition


class ContainerPipelineArgs(JobInputs):
    """`script`: what the job does. `inputs` and `outputs`: the script's folder names -> places; the job's role reaches no others.

    `schedule`: a cron expression of five fields, UTC, or empty. `enabled`: whether the schedule runs, decided later
    where it depends on another stack. `role_arns`: roles that exist, for the parts `job`, `run` and `start` (the schedule).
    """

    script: Script
    inputs: Mapping[str, Folder]
    outputs: Mapping[str, Folder]
    schedule: NotRequired[str]
    enabled: NotRequired[pulumi.Input[bool]]


class ContainerPipeline(pulumi.ComponentResource):
    """Two roles: the pipeline's may start jobs, the job's may touch data. A failed execution is told to the alert topic."""

    pipeline_name: pulumi.Output[str]
    arn: pulumi.Output[str]

    def __init__(self, name: str, args: ContainerPipelineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:ContainerPipeline", name, {}, opts)
        self._name, self._args, self._account = name, args, Account.of(self)
        job = self._role("job", self._may_touch_data())
        runner = self._role("run", policies.run_processing(self._account, job.arn))
        pipeline = aws.sagemaker.Pipeline(
            name,
            pipeline_name=name,
            pipeline_display_name=name,
            role_arn=runner.arn,
            pipeline_definition=self._definition(job.arn),
            parallelism_configuration={"max_parallel_execution_steps": 1},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.pipeline_name, self.arn = pipeline.pipeline_name, pipeline.arn
        tell_failures(self, name, self.arn, args["alerts_topic_arn"])
        if args.get("schedule"):
            self._start_on_schedule(str(args.get("schedule")))
        self.register_outputs({"pipeline_name": self.pipeline_name, "arn": self.arn})

    def _role(self, part: str, statements: list[Statement]) -> ExecutionRole:
        service = "scheduler.amazonaws.com" if part == "start" else "sagemaker.amazonaws.com"
        return role(self, self._name, part, statements, self._args, service)

    def _may_touch_data(self) -> list[Statement]:
        args = self._args
        return touch_data(
            self._account,
            reads=list(args["inputs"].values()),
            writes=list(args["outputs"].values()),
            key_arn=args["kms_key_arn"],
            repository_arn=args["repository_arn"],
            network=args.get("network"),
        )

    def _definition(self, role_arn: pulumi.Output[str]) -> pulumi.Output[str]:
        args = self._args
        network: Any = args.get("network") or {"subnet_ids": [], "security_group_ids": []}

        def build(known: Mapping[str, Any]) -> str:
            step = Step(
                name="run",
                script=args["script"],
                machine=args.get("machine", Machine()),
                **known,
            )
            text = definition(step)
            if len(text.encode()) > PIPELINE_DEFINITION_BYTES:
                raise pulumi.InputPropertyError("script", "AWS allows 1 MiB for a pipeline's definition")
            return text

        return pulumi.Output.all(
            image=args["image"],
            role_arn=role_arn,
            key_arn=args["kms_key_arn"],
            input_uris={k: uri(v) for k, v in args["inputs"].items()},
            output_uris={k: uri(v) for k, v in args["outputs"].items()},
            subnet_ids=network["subnet_ids"],
            security_group_ids=network["security_group_ids"],
        ).apply(build)

    def _start_on_schedule(self, cron: str) -> None:
        role = self._role("start", [policies.start_pipeline(self.arn)])
        enabled = pulumi.Output.from_input(self._args.get("enabled", True))
        aws.scheduler.Schedule(
            self._name,
            schedule_expression=eventbridge(cron),
            schedule_expression_timezone="UTC",
            state=enabled.apply(lambda on: "ENABLED" if on else "DISABLED"),
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": self.arn,
                "role_arn": role.arn,
                "retry_policy": {"maximum_retry_attempts": 3, "maximum_event_age_in_seconds": 3600},
            },
            opts=pulumi.ResourceOptions(parent=self),
        )


def check(name: str, args: ContainerPipelineArgs) -> None:
    """Refuse what AWS would refuse. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"ContainerPipeline {name}")
    problems.fits(
        "name", name, min(PIPELINE_NAME, LOGICAL_NAME - len("-failed")), "a pipeline with its roles and rules"
    )
    script, machine = args["script"], args.get("machine", Machine())
    for reason in script.problems():
        problems.add("script", reason)
    for path, given, wanted in (
        ("inputs", args["inputs"], script.inputs),
        ("outputs", args["outputs"], script.outputs),
    ):
        problems.unless(set(given) == set(wanted), path, f"got {sorted(given)}; the script needs {sorted(wanted)}")
    problems.matches(
        "machine.instance_type", machine.instance_type, r"ml\.[a-z0-9-]+\.[a-z0-9]+", "a type such as ml.m5.large"
    )
    problems.between("machine.instance_count", machine.instance_count, 1, 100)
    problems.between("machine.volume_gb", machine.volume_gb, 1, 16_384, unit="GB")
    problems.between(
        "machine.max_runtime_seconds", machine.max_runtime_seconds, 1, PROCESSING_RUNTIME_SECONDS, unit="s"
    )
    try:
        _ = eventbridge(args.get("schedule") or "0 0 * * *")
    except ScheduleError as reason:
        problems.add("schedule", str(reason))
    problems.stop()
