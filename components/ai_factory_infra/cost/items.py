"""What each resource costs a month: one function a type, from its inputs, the prices and what is assumed of its use.

A type is priced (`PRICED`), costs nothing or next to nothing by itself (`FREE`), or is named as not estimated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ai_factory_infra.cost.price_table import PriceTable

Inputs = Mapping[str, Any]
DAYS_PER_MONTH, WEEKS_PER_MONTH = 30.4, 4.35


@dataclass(frozen=True, slots=True)
class Item:
    """One line: `amount` a month in the table's currency; None where the table has no such price. `by`: what it is counted by."""

    group: str
    what: str
    by: str
    amount: float | None


def endpoint_configuration(name: str, inputs: Inputs, t: PriceTable) -> Iterator[Item]:
    """Machines by the hour, a shadow's too; serverless by memory and time, for the requests assumed."""
    variants = [*(inputs.get("productionVariants") or ()), *(inputs.get("shadowProductionVariants") or ())]
    for variant in variants:
        who = f"{name} {variant.get('variantName', '')}".strip()
        if serverless := variant.get("serverlessConfig"):
            gb, seconds = serverless["memorySizeInMb"] / 1024, t.assume["seconds_per_request"]
            requests = t.assume["requests_per_month"]
            amount = gb * seconds * requests * t.unit["serverless_gb_second"]
            yield Item("endpoints", who, f"{requests:g} requests of {seconds:g} s in {gb:g} GB", amount)
        else:
            machines = variant.get("initialInstanceCount") or 0
            yield _machines("endpoints", who, variant["instanceType"], machines, t.assume["hours_per_month"], t)


def pipeline(name: str, inputs: Inputs, t: PriceTable, runs: float | None = None) -> Iterator[Item]:
    """Every step's machines, for as long as one is assumed to run, as often as the schedule or the table says."""
    times = t.assume["pipeline_runs_per_month"] if runs is None else runs
    found = list(_clusters(json.loads(inputs.get("pipelineDefinition") or "{}")))
    for instance_type in sorted({i for i, _ in found}):
        count = sum(n for i, n in found if i == instance_type)
        hours = t.assume["pipeline_step_hours"] * times
        yield _machines("pipelines", name, instance_type, count, hours, t)


def _clusters(node: object) -> Iterator[tuple[str, float]]:
    if isinstance(node, dict):
        if isinstance(node.get("InstanceType"), str):
            yield node["InstanceType"], float(node.get("InstanceCount", 1))
        for value in node.values():
            yield from _clusters(value)
    elif isinstance(node, list):
        for value in node:
            yield from _clusters(value)


def _machines(group: str, who: str, kind: str, count: float, hours: float, t: PriceTable) -> Item:
    price = t.instance_hour.get(kind)
    return Item(group, who, f"{count:g} × {kind} × {hours:g} h", None if price is None else count * hours * price)


def vpc_endpoint(name: str, inputs: Inputs, t: PriceTable) -> Iterator[Item]:
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


def stream(name: str, inputs: Inputs, t: PriceTable) -> Iterator[Item]:
    """Shards by the hour, or one price by the hour for a stream on demand."""
    hours = t.assume["hours_per_month"]
    if (inputs.get("streamModeDetails") or {}).get("streamMode") == "ON_DEMAND":
        yield Item("streams", name, f"on demand, {hours:g} h", hours * t.unit["stream_on_demand_hour"])
        return
    shards = float(inputs.get("shardCount") or 1)
    yield Item("streams", name, f"{shards:g} shards × {hours:g} h", shards * hours * t.unit["stream_shard_hour"])


def each(
    group: str, price: str, times: str = "", unit: str = ""
) -> Callable[[str, Inputs, PriceTable], Iterator[Item]]:
    """So much for each, or for what is assumed of each (`times`)."""

    def items(name: str, inputs: Inputs, t: PriceTable) -> Iterator[Item]:  # noqa: ARG001 - all rules are called alike
        many = t.assume[times] if times else 1.0
        yield Item(group, name, f"{many:g} {unit}".strip() if times else "a month", many * t.unit[price])

    return items


PRICED: Mapping[str, Callable[[str, Inputs, PriceTable], Iterator[Item]]] = {
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": each("watching", "alarm_month"),
    "aws:cloudwatch/dashboard:Dashboard": each("watching", "dashboard_month"),
    "aws:cloudwatch/logGroup:LogGroup": each("logs", "log_gb", "logs_gb", "GB written"),
    "aws:cloudwatch/metricAlarm:MetricAlarm": each("watching", "alarm_month"),
    "aws:ec2/vpcEndpoint:VpcEndpoint": vpc_endpoint,
    "aws:ecr/repository:Repository": each("storage", "image_gb_month", "image_gb", "GB of images"),
    "aws:glue/crawler:Crawler": each("data in", "glue_dpu_hour", "glue_dpu_hours", "DPU hours"),
    "aws:glue/job:Job": each("data in", "glue_dpu_hour", "glue_dpu_hours", "DPU hours"),
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": each("streams", "firehose_gb", "stream_gb", "GB"),
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


def runs_per_month(expression: str) -> float:
    """How often an EventBridge schedule runs in a mean month: `cron(0 4 * * ? *)` -> 30.4. An unknown form counts as daily."""
    if rate := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        return DAYS_PER_MONTH * {"minute": 1440, "hour": 24, "day": 1}[rate[2]] / int(rate[1])
    parts = expression.removeprefix("cron(").removesuffix(")").split()
    if len(parts) != 6:
        return DAYS_PER_MONTH
    minute, hour, day, month, weekday, _ = parts
    days = len(weekday.split(",")) * WEEKS_PER_MONTH if weekday not in "?*" else _many(day, DAYS_PER_MONTH)
    return _many(minute, 60) * _many(hour, 24) * days * _many(month, 12) / 12


def _many(part: str, every: float) -> float:
    return every if part in ("*", "?") else float(len(part.split(",")))


def items_of(resources: Sequence[tuple[str, str, Inputs]], t: PriceTable) -> tuple[list[Item], list[str]]:
    """The lines of one stack's resources (type, name, inputs), and the types that have no rule and are not free."""
    runs = {
        str((i.get("target") or {}).get("arn")): runs_per_month(str(i.get("scheduleExpression")))
        for kind, _, i in resources
        if kind == "aws:scheduler/schedule:Schedule" and i.get("state") != "DISABLED"
    }
    lines: list[Item] = []
    unknown: set[str] = set()
    for kind, name, inputs in resources:
        if kind == "aws:sagemaker/pipeline:Pipeline":
            own = next((n for arn, n in runs.items() if _is_of(arn, name, inputs)), None)
            lines += pipeline(name, inputs, t, own)
        elif kind in PRICED:
            lines += PRICED[kind](name, inputs, t)
        elif not FREE.fullmatch(kind):
            unknown.add(kind)
    return lines, sorted(unknown)


def _is_of(arn: str, name: str, inputs: Inputs) -> bool:
    """Whether an ARN, as the mocks make it (a given name, or the logical one and seven characters), is this pipeline's."""
    own = arn.rsplit("/", 1)[-1]
    return own == inputs.get("pipelineName") or own.rsplit("-", 1)[0] == name
