"""CostGuard: the budget always, anomalies and cost tags where they are asked for, each told to a topic that hears it."""

from __future__ import annotations

import json
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra.alert_topic import PUBLISHERS, AlertTopic
from ai_factory_infra.cost_guard import CostGuard, CostGuardArgs
from ai_factory_infra.key_set import CLASSES, KeySet
from ai_factory_infra.testing import Registered, run_program, run_resources
from helpers_infra import rendered

BUDGET, TAG = "aws:budgets/budget:Budget", "aws:costexplorer/costAllocationTag:CostAllocationTag"
MONITOR = "aws:costexplorer/anomalyMonitor:AnomalyMonitor"
SUBSCRIPTION = "aws:costexplorer/anomalySubscription:AnomalySubscription"
TOPIC, ONE = "arn:aws:sns:eu-west-1:123456789012:alerts", "arn:aws:ce::123456789012:anomalymonitor/0a1b-2c"


def guarded(**more: Any) -> Registered:
    def build() -> None:
        args: CostGuardArgs = {"monthly_budget": 200.0, "project": "churn", "alerts_topic_arn": TOPIC}
        opts = pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1"))
        CostGuard("churn-dev-budget", args | more, opts)  # type: ignore[typeddict-item]

    return run_resources(build)


def test_a_budget_alone_unless_more_is_asked_for() -> None:
    done = guarded()
    assert BUDGET in done
    assert not any(kind in done for kind in (MONITOR, SUBSCRIPTION, TAG))


def test_an_anomaly_is_told_at_once_from_what_it_costs_on() -> None:
    done = guarded(anomalies="create", anomaly_dollars=35.0)
    assert done.only(MONITOR).inputs["monitorDimension"] == "SERVICE"
    told = done.only(SUBSCRIPTION).inputs
    assert (told["frequency"], told["subscribers"]) == ("IMMEDIATE", [{"type": "SNS", "address": TOPIC}])
    assert told["thresholdExpression"]["dimension"] == {
        "key": "ANOMALY_TOTAL_IMPACT_ABSOLUTE",
        "matchOptions": ["GREATER_THAN_OR_EQUAL"],
        "values": ["35"],
    }


def test_the_monitor_that_an_account_has_is_subscribed_to_and_none_is_made() -> None:
    done = guarded(anomalies="existing", anomaly_monitor_arn=ONE)
    assert MONITOR not in done
    assert done.only(SUBSCRIPTION).inputs["monitorArnLists"] == [ONE]


def test_tags_are_activated_where_they_are_named() -> None:
    found = guarded(cost_tags=("project", "stage")).of(TAG)
    assert [(r.inputs["tagKey"], r.inputs["status"]) for r in found] == [("project", "Active"), ("stage", "Active")]


@pytest.mark.parametrize(
    ("wrong", "path", "reason"),
    [
        ({"anomalies": "always"}, "anomalies", "create, existing, skip"),
        ({"anomalies": "existing"}, "anomaly_monitor_arn", "missing"),
        ({"anomalies": "create", "anomaly_monitor_arn": ONE}, "anomaly_monitor_arn", "fits the mode existing"),
        ({"anomalies": "existing", "anomaly_monitor_arn": "monitor"}, "anomaly_monitor_arn", "the ARN of a monitor"),
        ({"anomalies": "create", "anomaly_dollars": 0}, "anomaly_dollars", "more than 0"),
        ({"cost_tags": ["project", ""]}, "cost_tags", "the key of a tag"),
    ],
)
def test_what_cannot_be_watched_is_refused(wrong: dict[str, Any], path: str, reason: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as refused:
        guarded(**wrong)
    assert path in str(refused.value)
    assert reason in str(refused.value)


def test_whoever_publishes_may_use_the_topic_and_its_key() -> None:
    def build() -> None:
        opts = pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1"))
        keys = KeySet("churn-dev-key", {"classes": ["alerts"]}, opts)
        AlertTopic("churn-dev-alerts", {"kms_key_arn": keys.arns["alerts"]}, opts)

    done = run_resources(build)
    assert set(CLASSES["alerts"][1]) == set(PUBLISHERS)
    for kind in ("aws:kms/key:Key", "aws:sns/topicPolicy:TopicPolicy"):
        statements = json.loads(done.only(kind).inputs["policy"])["Statement"]
        services = [s["Principal"].get("Service", ()) for s in statements]
        assert {one for s in services for one in ([s] if isinstance(s, str) else s)} == set(PUBLISHERS), kind
        costs = next(s for s in statements if "costalerts.amazonaws.com" in s["Principal"].get("Service", ""))
        assert costs["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}, kind


def test_the_foundation_switches_them_on_by_its_configuration() -> None:
    program = rendered() / "infra" / "foundation"
    assert MONITOR not in run_program(program, "prod")
    done = run_program(program, "prod", config={"cost_anomalies": "create", "cost_tags": "project, stage"})
    assert done.only(SUBSCRIPTION).inputs["subscribers"][0]["address"].endswith("churn-prod-alerts-1a2b3c4")
    assert len(done.of(TAG)) == 2
