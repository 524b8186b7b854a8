"""DriftMonitor: `<command> monitor` on a schedule, its answer as a CloudWatch metric, an alarm on the metric.

SageMaker Model Monitor is closed to new customers; this needs only a processing job of the project's own image.
Costs when idle: one metric and one alarm. Limits: 256 characters for a pipeline's name, 255 for an alarm's. AWS: "Embedding metrics within logs", "Using Amazon CloudWatch alarms".
"""

from __future__ import annotations

from typing import NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra.container_pipeline import ContainerPipeline
from ai_factory_infra.inputs import CommandInputs
from ai_factory_infra.naming import prefix
from ai_factory_infra.policies import Folder
from ai_factory_infra.steps import Machine, monitoring

NAMESPACE = "AIFactory"


class DriftMonitorArgs(CommandInputs):
    """`rows`: what the endpoint captured (`captured`), or what was scored. `schedule`: five cron fields, UTC.

    `labels`: true values that arrive later; the folder must hold some, for SageMaker starts no job whose input is empty.
    `reports`: where the pages go. `role_arns`: roles that exist, for the parts `job`, `run` and `start` (the schedule).
    """

    project: str
    captured: bool
    labels: NotRequired[Folder | None]
    reports: Folder
    schedule: str


def alarm_name(project: str, stage: str) -> str:
    """The name of a stage's drift alarm. Contract: RetrainTrigger, in another stack, listens for it."""
    return f"{prefix(project, stage)}-drift"


class DriftMonitor(pulumi.ComponentResource):
    """The monitor's pipeline and the drift alarm.

    The alarm keeps its state between two looks: one look that finds drift raises it once, and the next that finds none
    clears it. It never fires again and again while drift lasts.
    """

    pipeline_name: pulumi.Output[str]
    alarm: pulumi.Output[str]

    def __init__(self, name: str, args: DriftMonitorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ai-factory:index:DriftMonitor", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        inputs, labels = {"rows": args["rows"], "model": args["model"]}, args.get("labels")
        if labels is not None:
            inputs["labels"] = labels
        script = monitoring(
            args["command"],
            args["stage"],
            project=args["project"],
            namespace=NAMESPACE,
            captured=args["captured"],
            labelled=labels is not None,
        )
        pipeline = ContainerPipeline(
            name,
            {
                "image": args["image"],
                "repository_arn": args["repository_arn"],
                "script": script,
                "inputs": inputs,
                "outputs": {"reports": args["reports"]},
                "kms_key_arn": args["kms_key_arn"],
                "alerts_topic_arn": args["alerts_topic_arn"],
                "schedule": args["schedule"],
                "enabled": args.get("enabled", True),
                "machine": args.get("machine", Machine()),
                "network": args.get("network"),
                "permissions_boundary_arn": args.get("permissions_boundary_arn"),
                "role_arns": args.get("role_arns", {}),
            },
            opts=child,
        )
        alarm = aws.cloudwatch.MetricAlarm(
            f"{name}-drift",
            name=alarm_name(args["project"], args["stage"]),
            alarm_description="Data, predictions, quality, relation or code drifted. See the newest report; playbook: monitor-a-model.",
            namespace=NAMESPACE,
            metric_name="drift",
            dimensions={"project": args["project"], "stage": args["stage"]},
            statistic="Maximum",
            period=3600,
            evaluation_periods=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            threshold=1,
            treat_missing_data="ignore",
            alarm_actions=[args["alerts_topic_arn"]],
            ok_actions=[args["alerts_topic_arn"]],
            opts=child,
        )
        self.pipeline_name, self.alarm = pipeline.pipeline_name, alarm.name
        self.register_outputs({"pipeline_name": self.pipeline_name, "alarm": self.alarm})
