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

WIDTH, HEIGHT = 12, 6


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


def dashboard(args: ObservabilityArgs, *, region: str, alarms: str) -> dict[str, Any]:
    """The dashboard's body. `alarms`: what the ARN of an alarm begins with."""
    endpoint, variant = args.get("endpoint_name", ""), args.get("variant", "AllTraffic")
    charts: list[dict[str, Any]] = []
    if endpoint:
        serving = ["AWS/SageMaker", "{}", "EndpointName", endpoint, "VariantName", variant]
        waiting = ["AWS/SageMaker", "{}", "EndpointName", endpoint]  # a queue publishes no Invocations
        charts += [
            _chart("Waiting requests", region, [_metric(waiting, "ApproximateBacklogSize", "Maximum")])
            if args.get("queued")
            else _chart("Requests", region, [_metric(serving, "Invocations", "Sum")]),
            _chart(
                "Errors",
                region,
                [_metric(serving, f"Invocation{kind}Errors", "Sum") for kind in ("4XX", "5XX")],
            ),
            _chart("Latency, µs", region, [_metric(serving, "ModelLatency", s) for s in ("p50", "p99")]),
        ]
    looked = ["AIFactory", "{}", "project", args["project"], "stage", args["stage"]]
    charts += [
        _chart("Drift (1: found)", region, [_metric(looked, "drift", "Maximum")]),
        _chart(
            "Shift of the predictions (1: as much as allowed)", region, [_metric(looked, "prediction_shift", "Maximum")]
        ),
    ]
    for title, pipeline in args.get("pipelines", {}).items():
        runs = ["AWS/Sagemaker/ModelBuildingPipeline", "{}", "PipelineName", pipeline]
        charts.append(
            _chart(
                f"Runs: {title}", region, [_metric(runs, f"Execution{kind}", "Sum") for kind in ("Succeeded", "Failed")]
            )
        )
    widgets = [
        {
            "type": "text",
            "x": 0,
            "y": 0,
            "width": 2 * WIDTH,
            "height": 1,
            "properties": {"markdown": f"# {args['title']}"},
        },
        {
            "type": "alarm",
            "x": 0,
            "y": 1,
            "width": 2 * WIDTH,
            "height": 3,
            "properties": {"title": "Alarms", "alarms": [alarms + n for n in args.get("alarm_names", ())]},
        },
    ]
    for i, chart in enumerate(charts):
        place = {"x": WIDTH * (i % 2), "y": 4 + HEIGHT * (i // 2), "width": WIDTH, "height": HEIGHT}
        widgets.append({"type": "metric", **place, "properties": chart})
    return {"widgets": widgets}


def _metric(parts: Sequence[Any], name: str, stat: str) -> list[Any]:
    return [name if p == "{}" else p for p in parts] + [{"stat": stat}]


def _chart(title: str, region: str, metrics: list[list[Any]]) -> dict[str, Any]:
    return {"title": title, "region": region, "view": "timeSeries", "period": 300, "metrics": metrics}
