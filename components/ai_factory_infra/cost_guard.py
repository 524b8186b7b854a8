"""CostGuard: a monthly budget that warns before and after it is spent.

Costs when idle: nothing for the first two budgets of an account, then each by the day. Limits: a budget's name has at most 100 characters. AWS: "Managing your costs with AWS Budgets".
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from ai_factory_infra.problems import Problems

WARN_AT = ((50.0, "FORECASTED"), (80.0, "ACTUAL"), (100.0, "ACTUAL"))  # percent of the budget


class CostGuardArgs(TypedDict):
    """`monthly_budget`: US dollars. `scope`: `account` counts all of the account, `tag` only what carries `project`.

    `tag` counts nothing until the payer account has activated the cost allocation tag, so `account` is the default:
    a guard that warns too early is better than one that cannot warn.
    """

    monthly_budget: float
    project: str
    alerts_topic_arn: pulumi.Input[str]
    scope: NotRequired[Literal["account", "tag"] | str]


class CostGuard(pulumi.ComponentResource):
    """Warns the alert topic at half the budget (forecast), at 80 % and at all of it."""

    def __init__(self, name: str, args: CostGuardArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        _check(args)
        super().__init__("ai-factory:index:CostGuard", name, {}, opts)
        tagged: Any = [{"name": "TagKeyValue", "values": [f"user:project${args['project']}"]}]
        aws.budgets.Budget(
            name,
            name=name,
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
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})


def _check(args: CostGuardArgs) -> None:
    problems = Problems("CostGuard")
    problems.unless(
        args["monthly_budget"] > 0, "monthly_budget", f"got {args['monthly_budget']}; more than 0 US dollars"
    )
    problems.matches("scope", args.get("scope", "account"), "account|tag", "account, tag")
    problems.stop()
