"""What each resource costs a month: one function a type, from its inputs, the prices and what is assumed of its use.

A type is priced (`PRICED`), costs nothing or next to nothing by itself (`FREE`), or is named as not estimated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from ai_factory_infra.cost.endpoints import endpoint_configuration
from ai_factory_infra.cost.lines import Inputs, Item, Resource, Rule, machines, of_type
from ai_factory_infra.cost.price_table import PriceTable
from ai_factory_infra.cost.runs import scheduled_runs
from ai_factory_infra.cost.streams import DELIVERY, delivery, stream

ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
OF_AWS = ("AWS/", "/aws/")  # what the namespaces of metrics that cost nothing begin with


def pipeline(name: str, inputs: Inputs, t: PriceTable, stack: Sequence[Resource]) -> Iterator[Item]:
    """Every step's machines, for as long as one is assumed to run, as often as the schedules or the table say."""
    scheduled = scheduled_runs(name, inputs, stack)
    times = t.assume["pipeline_runs_per_month"] if scheduled is None else scheduled
    found = list(_clusters(json.loads(inputs.get("pipelineDefinition") or "{}")))
    for instance_type in sorted({i for i, _ in found}):
        count = sum(n for i, n in found if i == instance_type)
        hours = t.assume["pipeline_step_hours"] * times
        yield machines("pipelines", name, instance_type, count, hours, t)


def _clusters(node: object) -> Iterator[tuple[str, float]]:
    if isinstance(node, dict):
        if isinstance(node.get("InstanceType"), str):
            yield node["InstanceType"], float(node.get("InstanceCount", 1))
        for value in node.values():
            yield from _clusters(value)
    elif isinstance(node, list):
        for value in node:
            yield from _clusters(value)


def vpc_endpoint(name: str, inputs: Inputs, t: PriceTable, _stack: Sequence[Resource]) -> Iterator[Item]:
    """By the hour for each subnet it stands in, and by what passes; a gateway costs nothing."""
    if inputs.get("vpcEndpointType", "Gateway") != "Interface":
        return
    subnets, hours, gb = (
        len(inputs.get("subnetIds") or ()),
        t.assume["hours_per_month"],
        t.assume["endpoint_traffic_gb"],
    )
    amount = subnets * hours * t.unit["vpc_endpoint_hour"] + gb * t.unit["vpc_endpoint_gb"]
    yield Item("network", name, f"{subnets} × {hours:g} h, {gb:g} GB", amount)


def metric_alarm(name: str, inputs: Inputs, t: PriceTable, _stack: Sequence[Resource]) -> Iterator[Item]:
    """For each metric that it looks at: one that calculates looks at several."""
    many = len(_metrics(inputs))
    yield Item("watching", name, "a month" if many == 1 else f"{many} metrics", many * t.unit["alarm_month"])


def _metrics(inputs: Inputs) -> list[tuple[str, str, str]]:
    """Namespace, name and dimensions of every metric of an alarm."""
    asked = [q["metric"] for q in inputs.get("metricQueries") or () if q.get("metric")] or [inputs]
    return [
        (str(m.get("namespace")), str(m.get("metricName")), json.dumps(m.get("dimensions"), sort_keys=True))
        for m in asked
    ]


def _own_metrics(stack: Sequence[Resource], t: PriceTable) -> Iterator[Item]:
    """The metrics that alarms look at and no service of AWS publishes: each costs by the month, however many look at it."""
    watched = {m for _, inputs in of_type(stack, ALARM) for m in _metrics(inputs)}
    if own := [m for m in watched if not m[0].startswith(OF_AWS)]:
        many = len(own)
        yield Item("watching", "metrics of its own", f"{many} a month", many * t.unit["custom_metric_month"])


def each(group: str, price: str, times: str = "", unit: str = "") -> Rule:
    """So much for each, or for what is assumed of each (`times`)."""

    def items(name: str, _inputs: Inputs, t: PriceTable, _stack: Sequence[Resource]) -> Iterator[Item]:
        many = t.assume[times] if times else 1.0
        yield Item(group, name, f"{many:g} {unit}".strip() if times else "a month", many * t.unit[price])

    return items


PRICED: Mapping[str, Rule] = {
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": each("watching", "composite_alarm_month"),
    "aws:cloudwatch/dashboard:Dashboard": each("watching", "dashboard_month"),
    "aws:cloudwatch/logGroup:LogGroup": each("logs", "log_gb", "logs_gb", "GB written"),
    ALARM: metric_alarm,
    "aws:ec2/vpcEndpoint:VpcEndpoint": vpc_endpoint,
    "aws:ecr/repository:Repository": each("storage", "image_gb_month", "image_gb", "GB of images"),
    "aws:glue/crawler:Crawler": each("data in", "glue_dpu_hour", "glue_dpu_hours", "DPU hours"),
    "aws:glue/job:Job": each("data in", "glue_dpu_hour", "glue_dpu_hours", "DPU hours"),
    DELIVERY: delivery,
    "aws:kinesis/stream:Stream": stream,
    "aws:kms/key:Key": each("keys", "kms_key_month"),
    "aws:s3/bucket:Bucket": each("storage", "bucket_gb_month", "stored_gb_per_bucket", "GB"),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": endpoint_configuration,
    "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer": each(
        "tracking", "tracking_server_hour", "hours_per_month", "h"
    ),
    "aws:sagemaker/pipeline:Pipeline": pipeline,
    "aws:secretsmanager/secret:Secret": each("keys", "secret_month"),
}

# By itself free, or fractions of a cent by use: policies, rules, queues, topics, subnets, what only configures another.
FREE = re.compile(
    r"aws:(iam|appautoscaling|scheduler|sns|sqs|budgets|costexplorer|sfn|lambda|ssm)/.*"
    r"|aws:cloudwatch/(event|logResource|logStream|logMetric).*"
    r"|aws:ec2/(vpc|subnet|routeTable|route|securityGroup|flowLog|vpcEndpointRoute|defaultSecurity|networkAcl).*:(?!VpcEndpoint$).*"
    r"|aws:vpc/.*|aws:kms/(alias|keyPolicy|grant).*|aws:ecr/(lifecycle|repositoryPolicy).*|aws:s3/bucket(?!:).*"
    r"|aws:sagemaker/(model|modelPackageGroup|modelPackageGroupPolicy|endpoint):.*"
    r"|aws:glue/(catalog|securityConfiguration|trigger|registry|schema).*|aws:accessanalyzer/.*"
)


def items_of(resources: Sequence[Resource], t: PriceTable) -> tuple[list[Item], list[str]]:
    """The lines of one stack's resources, and the types that have no rule and are not free."""
    lines: list[Item] = []
    unknown: set[str] = set()
    for kind, name, inputs in resources:
        if kind in PRICED:
            lines += PRICED[kind](name, inputs, t, resources)
        elif not FREE.fullmatch(kind):
            unknown.add(kind)
    return [*lines, *_own_metrics(resources, t)], sorted(unknown)
