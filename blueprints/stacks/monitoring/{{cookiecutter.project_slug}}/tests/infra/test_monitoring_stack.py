"""Monitoring as Pulumi would be asked to make it, in each stage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from ai_factory_infra.testing import Registered, run_stage_once, stages

INFRA = Path(__file__).resolve().parents[2] / "infra"


@pytest.fixture(params=stages(INFRA))
def stacks(request: pytest.FixtureRequest) -> Mapping[str, Registered]:
    return run_stage_once(INFRA, request.param)


def test_the_job_is_this_repositorys_own_monitor_without_a_network(stacks: Mapping[str, Registered]) -> None:
    definition = json.loads(stacks["monitoring"].only("aws:sagemaker/pipeline:Pipeline").inputs["pipelineDefinition"])
    (step,) = definition["Steps"]
    script = " ".join(step["Arguments"]["AppSpecification"]["ContainerArguments"])
    assert "{{ cookiecutter.command }} monitor" in script
    assert step["Arguments"]["NetworkConfig"]["EnableNetworkIsolation"] is True


def test_drift_is_told_and_heard_by_the_door_to_training(stacks: Mapping[str, Registered]) -> None:
    alarm = stacks["monitoring"].named("aws:cloudwatch/metricAlarm:MetricAlarm", "-drift").inputs
    assert alarm["alarmActions"] == [stacks["foundation"].outputs["alerts_topic_arn"]]
    assert alarm["treatMissingData"] == "ignore"
    rules = stacks["training"].of("aws:cloudwatch/eventRule:EventRule") if "training" in stacks else []
    heard = [json.loads(r.inputs["eventPattern"])["detail"] for r in rules if r.name.endswith("-retrain-drift")]
    assert [detail["alarmName"] for detail in heard] in ([], [[alarm["name"]]])


def test_a_shift_of_the_predictions_is_told_and_takes_no_version_back(stacks: Mapping[str, Registered]) -> None:
    alarm = stacks["monitoring"].named("aws:cloudwatch/metricAlarm:MetricAlarm", "-shift").inputs
    assert alarm["alarmActions"] == [stacks["foundation"].outputs["alerts_topic_arn"]]
    assert (alarm["metricName"], alarm["threshold"]) == ("prediction_shift", 1)
    endpoints = stacks["serving"].of("aws:sagemaker/endpoint:Endpoint")
    assert alarm["name"] not in json.dumps([e.inputs.get("deploymentConfig") for e in endpoints])


def test_rows_that_break_the_contract_are_told_and_start_no_training(stacks: Mapping[str, Registered]) -> None:
    alarm = stacks["monitoring"].named("aws:cloudwatch/metricAlarm:MetricAlarm", "-break").inputs
    assert alarm["alarmActions"] == [stacks["foundation"].outputs["alerts_topic_arn"]]
    assert (alarm["metricName"], alarm["threshold"]) == ("schema_break", 1)
    rules = stacks["training"].of("aws:cloudwatch/eventRule:EventRule") if "training" in stacks else []
    assert not [r for r in rules if alarm["name"] in r.inputs.get("eventPattern", "")]


def test_the_monitor_waits_for_a_release(stacks: Mapping[str, Registered]) -> None:
    schedule = stacks["monitoring"].only("aws:scheduler/schedule:Schedule").inputs
    assert schedule["state"] == ("ENABLED" if stacks["serving"].outputs["release"] else "DISABLED")
