"""Observability: one dashboard for one stage: traffic, errors, latency, drift, runs, and the alarms.

Costs when idle: one dashboard. Limits: 255 characters for its name. AWS: "Dashboard body structure and syntax".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.problems import Problems

WIDTH, HEIGHT = 12, 6  # of a chart; a dashboard is 24 wide
TITLE_HEIGHT, ALARMS_HEIGHT = 1, 3

Json = dict[str, Any]


class ObservabilityArgs(TypedDict):
    """`title`: what the page is called. `project` and `stage`: whose metrics it shows. `variant`: of the endpoint.

    `endpoint_name`: empty for a batch architecture. `queued`: requests wait for it in a queue, as an asynchronous endpoint's
    do. `pipelines`: title to pipeline name. `alarm_names`: shown on top.
    """

    title: str
    project: str
    stage: str
    endpoint_name: NotRequired[str]
    variant: NotRequired[str]
    queued: NotRequired[bool]
    pipelines: NotRequired[Mapping[str, str]]
    alarm_names: NotRequired[Sequence[str]]


class Observability(pulumi.ComponentResource):
    """The stage on one page."""

    dashboard: pulumi.Output[str]

    def __init__(self, name: str, args: ObservabilityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        problems = Problems(f"Observability {name}")
        problems.matches("name", name, r"[A-Za-z0-9_-]{1,255}", "1 to 255 letters, digits, hyphens and underscores")
        problems.stop()
        super().__init__("ai-factory:index:Observability", name, {}, opts)
        account = Account.of(self)
        body = pulumi.Output.all(account.region, account.arn("cloudwatch", "alarm:")).apply(
            lambda known: json.dumps(dashboard(args, region=known[0], alarms=known[1]), sort_keys=True)
        )
        made = aws.cloudwatch.Dashboard(
            name, dashboard_name=name, dashboard_body=body, opts=pulumi.ResourceOptions(parent=self)
        )
        self.dashboard = made.dashboard_name
        self.register_outputs({"dashboard": self.dashboard})


def dashboard(args: ObservabilityArgs, *, region: str, alarms: str) -> Json:
    """The dashboard's body: title and alarms on top, below them the charts, two in a row. `alarms`: what an alarm's ARN begins with."""
    charts = [*_serving(args, region), *_drift(args, region), *_runs(args, region)]
    shown = [alarms + name for name in args.get("alarm_names", ())]
    top = [
        _widget("text", 0, 0, 2 * WIDTH, TITLE_HEIGHT, {"markdown": f"# {args['title']}"}),
        _widget("alarm", 0, TITLE_HEIGHT, 2 * WIDTH, ALARMS_HEIGHT, {"title": "Alarms", "alarms": shown}),
    ]
    below = TITLE_HEIGHT + ALARMS_HEIGHT
    placed = [
        _widget("metric", WIDTH * (i % 2), below + HEIGHT * (i // 2), WIDTH, HEIGHT, chart)
        for i, chart in enumerate(charts)
    ]
    return {"widgets": [*top, *placed]}


def _serving(args: ObservabilityArgs, region: str) -> list[Json]:
    endpoint = args.get("endpoint_name", "")
    if not endpoint:
        return []
    waiting = ["AWS/SageMaker", "{}", "EndpointName", endpoint]  # a queue publishes no Invocations
    serving = [*waiting, "VariantName", args.get("variant", "AllTraffic")]
    asked = (
        _chart("Waiting requests", region, [_metric(waiting, "ApproximateBacklogSize", "Maximum")])
        if args.get("queued")
        else _chart("Requests", region, [_metric(serving, "Invocations", "Sum")])
    )
    errors = [_metric(serving, f"Invocation{kind}Errors", "Sum") for kind in ("4XX", "5XX")]
    latency = [_metric(serving, "ModelLatency", share) for share in ("p50", "p99")]
    return [asked, _chart("Errors", region, errors), _chart("Latency, µs", region, latency)]


def _drift(args: ObservabilityArgs, region: str) -> list[Json]:
    looked = ["AIFactory", "{}", "project", args["project"], "stage", args["stage"]]
    wanted = {
        "Drift (1: found)": "drift",
        "Shift of the predictions (1: as much as allowed)": "prediction_shift",
        "Rows and requests that break the contract (1: as many as allowed)": "schema_break",
    }
    return [_chart(title, region, [_metric(looked, name, "Maximum")]) for title, name in wanted.items()]


def _runs(args: ObservabilityArgs, region: str) -> list[Json]:
    found = []
    for title, pipeline in args.get("pipelines", {}).items():
        runs = ["AWS/Sagemaker/ModelBuildingPipeline", "{}", "PipelineName", pipeline]
        ends = [_metric(runs, f"Execution{end}", "Sum") for end in ("Succeeded", "Failed")]
        found.append(_chart(f"Runs: {title}", region, ends))
    return found


def _widget(kind: str, x: int, y: int, width: int, height: int, properties: Json) -> Json:
    return {"type": kind, "x": x, "y": y, "width": width, "height": height, "properties": properties}


def _metric(parts: Sequence[Any], name: str, stat: str) -> list[Any]:
    return [name if p == "{}" else p for p in parts] + [{"stat": stat}]


def _chart(title: str, region: str, metrics: list[list[Any]]) -> Json:
    return {"title": title, "region": region, "view": "timeSeries", "period": 300, "metrics": metrics}
