"""The exported pipeline: AWS would take every request in it, and both sides of the factory mean the same steps by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra import pipeline_definition
from ai_factory_infra.pipeline_definition import jobs, pinned, problems
from ai_factory_infra.steps import Machine
from ai_factory_infra.testing import Registered, run_resources, run_stage
from ai_factory_infra.training_pipeline import TrainingPipeline
from ai_factory_runtime.steps import table as steps
from ai_factory_runtime.steps.sagemaker_pipeline import PARAMETERS, definition, definition_text
from ai_factory_spec.usecase import UseCase
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator
from helpers_infra import render, rendered
from helpers_pipeline import Sagemaker
from helpers_runtime import real_rows, usecase_document

MODEL = ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")
VALUES = {
    "Image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/churn-dev:v1",
    "RoleArn": "arn:aws:iam::123456789012:role/churn-dev-training-job",
    "KeyArn": "arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d-0000-0000-0000-000000000000",
    "DataUri": "s3://data/training/",
    "ArtifactsUri": "s3://artifacts/project/",
    "WorkUri": "s3://artifacts/pipelines",
    "ModelPackageGroup": "churn-dev",
}


def usecase(**changes: Any) -> UseCase:
    return UseCase.model_validate(usecase_document(real_rows("wine").head(30), "multiclass", **changes))


LOCAL = definition(usecase(), "churn")
TEXT = definition_text(usecase(), "churn")


def everything(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Every step by name, those behind the condition too."""
    found = {}
    for step in document["Steps"]:
        found[step["Name"]] = step
        if step["Type"] == "Condition":
            found |= {s["Name"]: s for s in [*step["Arguments"]["IfSteps"], *step["Arguments"]["ElseSteps"]]}
    return found


def resolved(document: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Every step's request with values in place of what is known later."""
    world = Sagemaker(Path("/nowhere"), Path("/nowhere"), {**VALUES, "InstanceType": "ml.m5.large"})
    done = {}
    for name, step in everything(document).items():
        if step["Type"] in ("Processing", "Training", "RegisterModel"):
            done[name] = world.resolve(step["Arguments"])
        if step["Type"] == "Processing":
            outputs = {o["OutputName"]: o for o in done[name]["ProcessingOutputConfig"]["Outputs"]}
            world.outputs[name] = {"ProcessingOutputConfig": {"Outputs": outputs}}
        if step["Type"] == "Training":
            world.outputs[name] = {"ModelArtifacts": {"S3ModelArtifacts": "s3://artifacts/model.tar.gz"}}
    return done


OPERATIONS = {
    "Processing": ("CreateProcessingJob", "ProcessingJobName"),
    "Training": ("CreateTrainingJob", "TrainingJobName"),
    "RegisterModel": ("CreateModelPackage", None),
}


def complaint(kind: str, asked: Mapping[str, Any]) -> str:
    """What botocore says to a request; empty where it takes it."""
    operation, name = OPERATIONS[kind]
    named = {**asked, **({name: "pipelines-x"} if name else {})}
    report = ParamValidator().validate(named, MODEL.operation_model(operation).input_shape)
    return report.generate_report() if report.has_errors() else ""


@pytest.mark.parametrize("stacked", [False, True], ids=["exported", "in the stack"])
@pytest.mark.parametrize("name", ["prepare", "train", "evaluate", "register", "register-model"])
def test_each_step_is_a_request_that_aws_takes(name: str, stacked: bool) -> None:
    network = {"subnet_ids": ["subnet-1"], "security_group_ids": ["sg-1"]}
    document = json.loads(pinned(TEXT, VALUES, Machine(), **network)) if stacked else LOCAL
    kind, asked = everything(document)[name]["Type"], resolved(document)[name]
    assert complaint(kind, asked) == ""
    assert complaint(kind, {**asked, "Unheard": 1})


def test_the_definition_follows_the_schema_and_its_order() -> None:
    assert LOCAL["Version"] == "2020-12-01"
    assert LOCAL["PipelineExperimentConfig"] is None
    assert [s["Type"] for s in LOCAL["Steps"]] == ["Processing", "Training", "Processing", "Condition"]
    then = LOCAL["Steps"][-1]["Arguments"]["IfSteps"]
    assert [(s["Name"], s["Type"]) for s in then] == [("register", "Processing"), ("register-model", "RegisterModel")]
    assert then[1]["DependsOn"] == ["register"]


def test_the_table_of_steps_is_the_pipeline_of_both_sides() -> None:
    """The infrastructure may not import the runtime, so that they agree is a test's business."""
    assert [s.name for s in steps.in_order()] == [step["Name"] for step in jobs(LOCAL["Steps"])]
    assert {p.name for p in PARAMETERS} == pipeline_definition.PARAMETERS
    assert problems(TEXT) == []


def test_every_step_is_given_only_what_comes_from_outside_or_from_a_step_before_it() -> None:
    made = {steps.DATA, steps.ARTIFACTS}
    for step in steps.in_order():
        assert set(step.inputs) <= made, step.name
        made |= set(step.outputs)


def isolation(document: Mapping[str, Any]) -> dict[str, bool]:
    return {
        s["Name"]: s["Arguments"].get("NetworkConfig", s["Arguments"])["EnableNetworkIsolation"]
        for s in jobs(document["Steps"])
    }


def test_only_what_must_reach_a_server_has_a_network() -> None:
    assert set(isolation(LOCAL).values()) == {True}
    bucket = {
        "data": {**usecase_document(real_rows("wine").head(30), "multiclass")["data"], "source": "s3://rows/all/"}
    }
    far = definition(usecase(**bucket), "churn")
    assert isolation(far) == {"prepare": False, "train": True, "evaluate": True, "register": True}
    assert everything(far)["prepare"]["Arguments"]["ProcessingInputs"] == []
    served = definition(usecase(tracking={"address": "https://mlflow.example.com"}), "churn")
    assert isolation(served) == {"prepare": True, "train": True, "evaluate": False, "register": False}
    near = {"data": {**bucket["data"], "source": "sqlite:///data/x.db", "query": "SELECT * FROM t"}}
    assert isolation(definition(usecase(**near), "churn"))["prepare"] is True


@pytest.mark.parametrize("rows", ["local", "remote"])
@pytest.mark.parametrize("registry", ["local", "remote"])
def test_the_blueprints_definition_is_what_the_project_would_export(tmp_path: Path, rows: str, registry: str) -> None:
    facts = {"remote_rows": str(rows == "remote").lower(), "remote_registry": str(registry == "remote").lower()}
    found = (render(tmp_path, **facts) / "infra/training/pipeline.json").read_text(encoding="utf-8")
    data = usecase_document(real_rows("wine").head(30), "multiclass")["data"]
    changes: dict[str, Any] = {"data": {**data, "source": "s3://rows/all/"}} if rows == "remote" else {}
    if registry == "remote":
        changes["tracking"] = {"address": "https://mlflow.example.com"}
    assert found == definition_text(usecase(**changes), "churn")


# --- the stack's part


def test_a_pinned_definition_has_no_parameter_left() -> None:
    document = json.loads(pinned(TEXT, VALUES, Machine("ml.m5.xlarge", volume_gb=50)))
    assert document["Parameters"] == []
    assert "Parameters." not in json.dumps(document)
    clusters = [
        s["Arguments"].get("ResourceConfig") or s["Arguments"]["ProcessingResources"]["ClusterConfig"]
        for s in jobs(document["Steps"])
    ]
    assert {(c["InstanceType"], c["VolumeSizeInGB"]) for c in clusters} == {("ml.m5.xlarge", 50)}
    assert all("VolumeKmsKeyId" in c for c in clusters)


def test_a_volume_key_is_left_out_where_aws_refuses_one() -> None:
    assert "VolumeKmsKeyId" not in pinned(TEXT, VALUES, Machine("ml.g5.xlarge"))


def test_jobs_in_a_network_are_isolated_all_the_same() -> None:
    document = json.loads(pinned(TEXT, VALUES, Machine(), subnet_ids=["subnet-1"], security_group_ids=["sg-1"]))
    assert set(isolation(document).values()) == {True}
    for step in jobs(document["Steps"]):
        place = step["Arguments"].get("NetworkConfig", step["Arguments"])["VpcConfig"]
        assert place == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}


ARN = "arn:aws:x:eu-west-1:123456789012:y"
FOLDER = {"bucket": "bucket", "prefix": "folder"}
PLACE = {"kms_key_arn": ARN, "alerts_topic_arn": ARN, "repository_arn": ARN, "image": "image:v1"}
ARGS = {**PLACE, "definition": TEXT, "model_package_group": "g", "data": FOLDER, "artifacts": FOLDER, "work": FOLDER}


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        ({"definition": "{"}, "definition", "it is no pipeline definition"),
        ({"definition": TEXT.replace("2020-12-01", "2019")}, "definition", "its version is 2019; allowed: 2020-12-01"),
        ({"definition": TEXT.replace('"Name": "WorkUri"', '"Name": "Elsewhere"')}, "definition", "the stack knows"),
        ({"machine": Machine(instance_count=2)}, "machine.instance_count", "a step works on 1 machine"),
        ({"machine": Machine(instance_type="m5.large")}, "machine.instance_type", "a type such as ml.m5.large"),
        ({"machine": Machine(volume_gb=0)}, "machine.volume_gb", "AWS allows 1 to 16384 GB"),
    ],
    ids=str,
)
def test_a_definition_or_machine_that_cannot_be_used_is_refused_first(
    change: Mapping[str, Any], path: str, said: str
) -> None:
    def build() -> None:
        provider = pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1"))
        TrainingPipeline("churn-dev", {**ARGS, **change}, provider)  # type: ignore[typeddict-item]

    with pytest.raises(pulumi.InputPropertiesError) as refusal:
        run_resources(build)
    (found,) = refusal.value.errors or []
    assert found["property_path"] == path
    assert said in found["reason"]


@pytest.fixture(scope="module")
def training() -> Registered:
    config = {"foundation": {"network": "create"}}
    return run_stage(rendered() / "infra", "dev", config=config)["training"]


def actions(stack: Registered, role: str, effect: str = "Allow") -> set[str]:
    found: set[str] = set()
    for registration, statement in stack.statements():
        if registration.name.endswith(role) and statement["Effect"] == effect:
            found |= {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])
    return found


def test_the_jobs_may_touch_data_and_the_pipeline_may_start_jobs_and_neither_may_approve(training: Registered) -> None:
    job, run = actions(training, "-training-job"), actions(training, "-training-run")
    assert {"s3:GetObject", "s3:PutObject"} <= job
    assert not any(a.startswith("sagemaker:") for a in job)
    assert {"sagemaker:CreateProcessingJob", "sagemaker:CreateTrainingJob", "sagemaker:CreateModelPackage"} <= run
    assert "s3:PutObject" not in run
    assert "sagemaker:UpdateModelPackage" not in job | run
    assert "sagemaker:UpdateModelPackage" in actions(training, "-training-run", "Deny")


def test_the_stack_deploys_the_exported_definition_with_its_own_values(training: Registered) -> None:
    text = training.only("aws:sagemaker/pipeline:Pipeline").inputs["pipelineDefinition"]
    assert "Parameters." not in text
    document = json.loads(text)
    assert list(everything(document)) == list(everything(LOCAL))
    for name, asked in resolved(document).items():
        assert complaint(everything(document)[name]["Type"], asked) == "", name
    places = {step["Arguments"]["RoleArn"] for step in jobs(document["Steps"])}
    assert len(places) == 1
