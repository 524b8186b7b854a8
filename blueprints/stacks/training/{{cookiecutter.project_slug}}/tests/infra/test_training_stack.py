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


def definition(training: Registered) -> dict:
    return json.loads(training.only("aws:sagemaker/pipeline:Pipeline").inputs["pipelineDefinition"])


def jobs(training: Registered) -> dict[str, dict]:
    """Step -> the request of its job; those that only a passed gate lets run are among them."""
    steps = definition(training)["Steps"]
    behind = [s for step in steps if step["Type"] == "Condition" for s in step["Arguments"]["IfSteps"]]
    return {s["Name"]: s["Arguments"] for s in [*steps, *behind] if s["Type"] in ("Processing", "Training")}


def test_the_jobs_are_this_repositorys_own_steps_without_a_network(training: Registered) -> None:
    started = {}
    for name, job in jobs(training).items():
        container = job.get("AlgorithmSpecification") or job["AppSpecification"]
        started[name] = container["ContainerEntrypoint"]
        alone = job.get("NetworkConfig", job)["EnableNetworkIsolation"]
        assert alone is (name not in {{ ["prepare"] if cookiecutter.remote_rows == "true" else [] }} + {{ ["evaluate", "register"] if cookiecutter.remote_registry == "true" else [] }})
        assert job.get("OutputDataConfig", job.get("ProcessingOutputConfig"))["KmsKeyId"]
    assert started == {name: ["{{ cookiecutter.command }}", "step", name] for name in ("prepare", "train", "evaluate", "register")}


def test_nothing_is_registered_unless_no_gate_failed(training: Registered) -> None:
    steps = definition(training)["Steps"]
    assert "register" not in {step["Name"] for step in steps}
    (passed,) = [step["Arguments"] for step in steps if step["Type"] == "Condition"]
    assert [c["RightValue"] for c in passed["Conditions"]] == [0]
    assert [step["Name"] for step in passed["IfSteps"]] == ["register", "register-model"]
    assert [step["Type"] for step in passed["ElseSteps"]] == ["Fail"]


def test_who_starts_the_pipeline_cannot_name_another_image_role_or_bucket(training: Registered) -> None:
    assert definition(training)["Parameters"] == []
    assert "Parameters." not in json.dumps(definition(training))


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
