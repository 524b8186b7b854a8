"""DriftMonitor: `<command> monitor` on a schedule, its answer as CloudWatch metrics, an alarm on each.

SageMaker Model Monitor is closed to new customers; this needs only a processing job of the project's own image.
Costs when idle: three metrics and three alarms. Limits: 256 characters for a pipeline's name, 255 for an alarm's.
AWS: "Embedding metrics within logs", "Using Amazon CloudWatch alarms".
"""

from __future__ import annotations

from typing import NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra.container_pipeline import ContainerPipeline
from ai_factory_infra.drift_metrics import DRIFT, PREDICTION_SHIFT, SCHEMA_BREAK
from ai_factory_infra.inputs import CommandInputs, RunbookInputs
from ai_factory_infra.metric_alarms import told
from ai_factory_infra.naming import prefix
from ai_factory_infra.policies import Folder
from ai_factory_infra.runbooks import MONITORING
from ai_factory_infra.steps import Machine, monitoring

NAMESPACE = "AIFactory"


class DriftMonitorArgs(CommandInputs, RunbookInputs):
    """`rows`: what the endpoint captured (`captured`), or what was scored. `schedule`: five cron fields, UTC.

    `labels`: true values that arrive later; the folder must hold some, for SageMaker starts no job whose input is empty.
    `project`: by which the metric is known. `reports`: where the pages go. `role_arns`: roles that exist, for the parts `job`, `run` and `start` (the schedule).
    """

    project: str
    captured: bool
    labels: NotRequired[Folder | None]
    reports: Folder
    schedule: str


def alarm_name(project: str, stage: str) -> str:
    """The name of a stage's drift alarm. Contract: RetrainTrigger, in another stack, listens for it."""
    return f"{prefix(project, stage)}-drift"


def shift_alarm_name(project: str, stage: str) -> str:
    """The name of a stage's alarm on the shift of its predictions; not one that takes a version back.

    A look comes once a day, a rollout is over within the hour: an alarm that is still raised for the last model would refuse
    the next one, which is to put it right.
    """
    return f"{prefix(project, stage)}-prediction-shift"


def schema_alarm_name(project: str, stage: str) -> str:
    """The name of a stage's alarm on rows and requests that break the data contract. No retraining listens for it."""
    return f"{prefix(project, stage)}-schema-break"


class DriftMonitor(pulumi.ComponentResource):
    """The monitor's pipeline, the alarm on drift that training answers, and those on the predictions' shift and on a broken contract.

    An alarm keeps its state between two looks: one look that finds drift raises it once, and the next that finds none
    clears it. It never fires again and again while drift lasts.
    """

    pipeline_name: pulumi.Output[str]
    alarm: pulumi.Output[str]
    shift_alarm: pulumi.Output[str]

    def __init__(self, name: str, args: DriftMonitorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ai-factory:index:DriftMonitor", name, {}, opts)
        self._name = name
        pipeline = self._looks(args)
        found = self._alarm(
            args,
            alarm_name(args["project"], args["stage"]),
            "Data, predictions, quality, relation or code drifted.",
            metric=DRIFT,
            comparison="GreaterThanOrEqualToThreshold",
        )
        shifted = self._alarm(
            args,
            shift_alarm_name(args["project"], args["stage"]),
            "The predictions moved further than the use case allows: another population, or another model than was meant.",
            metric=PREDICTION_SHIFT,
            comparison="GreaterThanThreshold",
        )
        self._alarm(
            args,
            schema_alarm_name(args["project"], args["stage"]),
            "Rows or requests break the data contract: repair their source or the client. Nothing is trained.",
            metric=SCHEMA_BREAK,
            comparison="GreaterThanThreshold",
        )
        self.pipeline_name, self.alarm, self.shift_alarm = pipeline.pipeline_name, found.name, shifted.name
        self.register_outputs(
            {"pipeline_name": self.pipeline_name, "alarm": self.alarm, "shift_alarm": self.shift_alarm}
        )

    def _looks(self, args: DriftMonitorArgs) -> ContainerPipeline:
        """The pipeline whose one job looks at what came since, on a schedule."""
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
        return ContainerPipeline(
            self._name,
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
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _alarm(
        self, args: DriftMonitorArgs, name: str, what: str, *, metric: str, comparison: str
    ) -> aws.cloudwatch.MetricAlarm:
        """An alarm on a metric that only a look publishes; between two looks it keeps its state."""
        whom = told(args, MONITORING)
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{metric.rpartition('_')[2]}",
            name=name,
            alarm_description=whom.words(f"{what} See the newest report."),
            namespace=NAMESPACE,
            metric_name=metric,
            dimensions={"project": args["project"], "stage": args["stage"]},
            statistic="Maximum",
            period=3600,
            evaluation_periods=1,
            comparison_operator=comparison,
            threshold=1,
            treat_missing_data="ignore",
            alarm_actions=[whom.topic_arn],
            ok_actions=[whom.topic_arn],
            opts=pulumi.ResourceOptions(parent=self),
        )
