"""Training as Pulumi would be asked to make it, in each stage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ai_factory_infra.testing import Registered, run_stage_once, stages

INFRA = Path(__file__).resolve().parents[2] / "infra"


@pytest.fixture(params=stages(INFRA))
def training(request: pytest.FixtureRequest) -> Registered:
    return run_stage_once(INFRA, request.param)["training"]


def test_the_job_is_this_repositorys_own_run_without_a_network(training: Registered) -> None:
    definition = json.loads(training.only("aws:sagemaker/pipeline:Pipeline").inputs["pipelineDefinition"])
    (step,) = definition["Steps"]
    arguments = step["Arguments"]
    assert "{{ cookiecutter.command }} run;" in arguments["AppSpecification"]["ContainerArguments"]
    assert arguments["NetworkConfig"]["EnableNetworkIsolation"] is True
    assert arguments["ProcessingOutputConfig"]["KmsKeyId"]


def test_a_failed_run_is_told(training: Registered) -> None:
    rule = training.named("aws:cloudwatch/eventRule:EventRule", "-training-failed")
    assert json.loads(rule.inputs["eventPattern"])["detail"]["currentPipelineExecutionStatus"] == ["Failed"]


def test_only_the_door_may_start_the_pipeline(training: Registered) -> None:
    starters = [r.name for r, s in training.statements() if "sagemaker:StartPipelineExecution" in s["Action"]]
    assert all(name.endswith("-retrain-door") for name in starters)
    assert len(starters) == len(training.of("aws:sfn/stateMachine:StateMachine"))


def test_the_door_looks_at_what_has_run_before_it_starts_anything(training: Registered) -> None:
    for door in training.of("aws:sfn/stateMachine:StateMachine"):
        machine = json.loads(door.inputs["definition"])
        assert machine["StartAt"] == "LookForRunUnderWay"
        refusals = [choice["Next"] for choice in machine["States"]["Decide"]["Choices"]]
        assert refusals == ["RunUnderWay", "CoolingDown", "EnoughForToday"]
