"""CostGuard: what a stage costs is told before and after the budget is spent, and when it is unlike what it was.

A monthly budget always; a look for anomalies and the activation of cost tags where they are switched on, because an account has
one monitor of its services, whoever made it, and only a payer may activate a tag. Idle endpoints are watched where they are made
(`idle_days` of RealtimeEndpoint and AsyncEndpoint).
Costs when idle: nothing for the first two budgets of an account, then each by the day; anomaly detection and tags nothing.
Limits: a budget's name has at most 100 characters; one monitor of AWS services in an account; a tag can be activated a day after
a resource first carried it. AWS: "Managing your costs with AWS Budgets", "Creating an Amazon SNS topic for anomaly notifications".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from ai_factory_infra.dependency import Mode, check_mode
from ai_factory_infra.problems import Problems

WARN_AT = ((50.0, "FORECASTED"), (80.0, "ACTUAL"), (100.0, "ACTUAL"))  # percent of the budget
MONITOR = r"arn:[\w-]+:ce::\d{12}:anomalymonitor/[\w-]+"


class CostGuardArgs(TypedDict):
    """`monthly_budget`: US dollars. `scope`: `account` counts all of the account, `tag` only what carries `project`.

    `tag` counts nothing until the payer account has activated the cost allocation tag, so `account` is the default:
    a guard that warns too early is better than one that cannot warn.
    `anomalies`: create, a monitor of every service of the account; existing, which takes `anomaly_monitor_arn` and only
    subscribes to it; or skip, the default. `anomaly_dollars`: from what an anomaly has cost it is told, 20 US dollars by default.
    `cost_tags`: tags to activate for cost allocation, none by default; AWS refuses it outside the account that pays.
    """

    monthly_budget: float
    project: str
    alerts_topic_arn: pulumi.Input[str]
    scope: NotRequired[Literal["account", "tag"] | str]
    anomalies: NotRequired[Mode | str]
    anomaly_monitor_arn: NotRequired[str]
    anomaly_dollars: NotRequired[float]
    cost_tags: NotRequired[Sequence[str]]


class CostGuard(pulumi.ComponentResource):
    """Warns the alert topic at half the budget (forecast), at 80 % and at all of it; of anomalies, where it is asked to."""

    def __init__(self, name: str, args: CostGuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        _check(name, args)
        super().__init__("ai-factory:index:CostGuard", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self._budget()
        if args.get("anomalies", "skip") != "skip":
            self._watch_for_anomalies()
        for tag in args.get("cost_tags", ()):
            aws.costexplorer.CostAllocationTag(f"{name}-{tag}", tag_key=tag, status="Active", opts=self._child)
        self.register_outputs({})

    def _budget(self) -> None:
        args = self._args
        tagged: Any = [{"name": "TagKeyValue", "values": [f"user:project${args['project']}"]}]
        aws.budgets.Budget(
            self._name,
            name=self._name,
            budget_type="COST",
            time_unit="MONTHLY",
            limit_amount=f"{args['monthly_budget']:.2f}",
            limit_unit="USD",
            cost_filters=tagged if args.get("scope") == "tag" else None,
            notifications=[
                {
                    "comparison_operator": "GREATER_THAN",
                    "threshold": percent,
                    "threshold_type": "PERCENTAGE",
                    "notification_type": kind,
                    "subscriber_sns_topic_arns": [args["alerts_topic_arn"]],
                }
                for percent, kind in WARN_AT
            ],
            opts=self._child,
        )

    def _watch_for_anomalies(self) -> None:
        """One subscription to the account's monitor. A topic is told at once: AWS sends digests to addresses only."""
        name, args = f"{self._name}-anomalies", self._args
        monitor: pulumi.Input[str] = args.get("anomaly_monitor_arn", "")
        if not monitor:
            monitor = aws.costexplorer.AnomalyMonitor(
                name, name=name, monitor_type="DIMENSIONAL", monitor_dimension="SERVICE", opts=self._child
            ).arn
        aws.costexplorer.AnomalySubscription(
            name,
            name=name,
            frequency="IMMEDIATE",
            monitor_arn_lists=[monitor],
            subscribers=[{"type": "SNS", "address": args["alerts_topic_arn"]}],
            threshold_expression={
                "dimension": {
                    "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
                    "match_options": ["GREATER_THAN_OR_EQUAL"],
                    "values": [f"{args.get('anomaly_dollars', 20):g}"],
                }
            },
            opts=self._child,
        )


def _check(name: str, args: CostGuardArgs) -> None:
    problems = Problems(f"CostGuard {name}")
    problems.unless(
        args["monthly_budget"] > 0, "monthly_budget", f"got {args['monthly_budget']}; more than 0 US dollars"
    )
    problems.matches("scope", args.get("scope", "account"), "account|tag", "account, tag")
    monitor, dollars = args.get("anomaly_monitor_arn", ""), args.get("anomaly_dollars", 20)
    check_mode(problems, args.get("anomalies", "skip"), {"anomaly_monitor_arn": monitor}, path="anomalies")
    if monitor:
        problems.matches("anomaly_monitor_arn", monitor, MONITOR, "the ARN of a monitor of cost anomalies")
    problems.unless(dollars > 0, "anomaly_dollars", f"got {dollars}; more than 0 US dollars")
    for tag in args.get("cost_tags", ()):
        problems.matches("cost_tags", tag, r"[\w .:/=+@-]{1,128}", "the key of a tag, 1 to 128 characters")
    problems.stop()
