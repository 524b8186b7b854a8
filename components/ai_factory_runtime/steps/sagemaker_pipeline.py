"""The training pipeline as SageMaker runs it: a definition in schema 2020-12-01, made from the table of steps. Plain values.

A step is the request of the job it starts (CreateProcessingJob, CreateTrainingJob, CreateModelPackage) in which `Get`
stands for what is known later: a parameter, or another step's output. What differs from account to account is a
parameter; the training stack puts the account's values in their place, so that nobody who starts the pipeline can name
another image or role. AWS: "Pipeline Definition JSON Schema", "Property files and JsonGet".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ai_factory_spec.usecase import UseCase

from ai_factory_runtime.steps import table as steps
from ai_factory_runtime.steps.stepwise import DEFAULT_IO, INPUT_VARIABLE, OUTPUT_VARIABLE
from ai_factory_runtime.steps.table import Step

VERSION = "2020-12-01"
TRAINING_INPUT, TRAINING_OUTPUT = "/opt/ml/input/data", "/opt/ml/model"
PASSED, REFUSED, REGISTER_MODEL = "passed", "refused", "register-model"
VOLUME_GB, MAX_RUNTIME_SECONDS = 30, 4 * 3600

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """What an account decides; `default` where the project can."""

    name: str
    default: str = ""

    def document(self) -> Json:
        """As the schema has it."""
        return {"Name": self.name, "Type": "String", **({"DefaultValue": self.default} if self.default else {})}


PARAMETERS = (
    Parameter("Image"),
    Parameter("RoleArn"),
    Parameter("KeyArn"),
    Parameter("DataUri"),  # s3://bucket/prefix/
    Parameter("ArtifactsUri"),  # s3://bucket/prefix/
    Parameter("WorkUri"),  # s3://bucket/prefix, without a slash at its end
    Parameter("ModelPackageGroup"),
    Parameter("InstanceType", "ml.m5.large"),
)


def definition(usecase: UseCase, command: str) -> Json:
    """The pipeline of this use case; `command` is the project's, as the image has it on its path."""
    plain = [_job(step, usecase, command) for step in steps.in_order() if not step.only_if_passed]
    guarded = [_job(step, usecase, command) for step in steps.in_order() if step.only_if_passed]
    last = guarded[-1]["Name"]
    return {
        "Version": VERSION,
        "Metadata": {},
        "Parameters": [parameter.document() for parameter in PARAMETERS],
        "PipelineExperimentConfig": None,  # without it SageMaker makes an experiment for every execution
        "Steps": [*plain, _condition([*guarded, _register_model(last)])],
    }


def definition_text(usecase: UseCase, command: str) -> str:
    """The definition as a file holds it."""
    return json.dumps(definition(usecase, command), indent=2) + "\n"


def is_remote(usecase: UseCase) -> bool:
    """Whether the rows are fetched over the network by the step itself, and not handed to it as files."""
    source = usecase.data.source
    return source.startswith("$") or source.partition("://")[0] not in (source, "sqlite")


def _isolated(step: Step, usecase: UseCase) -> bool:
    """A container has no network, unless the use case keeps its rows or its registry on a server."""
    if step.name == steps.PREPARE:
        return not is_remote(usecase)
    return not (steps.ARTIFACTS in step.inputs and usecase.tracking.address.partition(":")[0] not in ("", "sqlite"))


def _job(step: Step, usecase: UseCase, command: str) -> Json:
    arguments = _training(step, command) if step.job == "training" else _processing(step, command)
    if step.job == "training":
        arguments["EnableNetworkIsolation"] = _isolated(step, usecase)
    else:
        arguments["NetworkConfig"] = {"EnableNetworkIsolation": _isolated(step, usecase)}
    if step.name == steps.PREPARE and is_remote(usecase):
        arguments["ProcessingInputs"] = []
    document: Json = {"Name": step.name, "Type": step.job.capitalize(), "Arguments": arguments}
    if steps.EVALUATION in step.outputs:
        document["PropertyFiles"] = [
            {
                "PropertyFileName": steps.EVALUATION,
                "OutputName": steps.EVALUATION,
                "FilePath": steps.EVALUATION_FILE,
            }
        ]
    return document


def _processing(step: Step, command: str) -> Json:
    return {
        "ProcessingResources": {"ClusterConfig": _cluster()},
        "AppSpecification": {"ImageUri": _parameter("Image"), "ContainerEntrypoint": [command, "step", step.name]},
        "RoleArn": _parameter("RoleArn"),
        "ProcessingInputs": [
            {
                "InputName": name,
                "S3Input": {
                    "S3Uri": _place(name),
                    "LocalPath": f"{DEFAULT_IO}/input/{name}",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                    "S3DataDistributionType": "FullyReplicated",
                },
            }
            for name in step.inputs
        ],
        "ProcessingOutputConfig": {
            "KmsKeyId": _parameter("KeyArn"),
            "Outputs": [
                {
                    "OutputName": name,
                    "S3Output": {
                        "S3Uri": _destination(name),
                        "LocalPath": f"{DEFAULT_IO}/output/{name}",
                        "S3UploadMode": "EndOfJob",
                    },
                }
                for name in step.outputs
            ],
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": MAX_RUNTIME_SECONDS},
    }


def _training(step: Step, command: str) -> Json:
    return {
        "AlgorithmSpecification": {
            "TrainingImage": _parameter("Image"),
            "TrainingInputMode": "File",
            "ContainerEntrypoint": [command, "step", step.name],
        },
        "RoleArn": _parameter("RoleArn"),
        "InputDataConfig": [
            {
                "ChannelName": name,
                "InputMode": "File",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": _place(name),
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for name in step.inputs
        ],
        "OutputDataConfig": {"S3OutputPath": _destination(step.outputs[0]), "KmsKeyId": _parameter("KeyArn")},
        "ResourceConfig": _cluster(),
        "StoppingCondition": {"MaxRuntimeInSeconds": MAX_RUNTIME_SECONDS},
        "Environment": {INPUT_VARIABLE: TRAINING_INPUT, OUTPUT_VARIABLE: TRAINING_OUTPUT},
    }


def _cluster() -> Json:
    return {
        "InstanceCount": 1,
        "InstanceType": _parameter("InstanceType"),
        "VolumeSizeInGB": VOLUME_GB,
        "VolumeKmsKeyId": _parameter("KeyArn"),
    }


def _condition(then: list[Json]) -> Json:
    file = {"Get": f"Steps.{steps.EVALUATE}.PropertyFiles.{steps.EVALUATION}"}
    failed = {"Std:JsonGet": {"PropertyFile": file, "Path": steps.FAILED_GATES}}
    message = _join(
        "", "A gate failed, so nothing is registered. The card and every figure: ", _place(steps.EVALUATION)
    )
    return {
        "Name": PASSED,
        "Type": "Condition",
        "Arguments": {
            "Conditions": [{"Type": "Equals", "LeftValue": failed, "RightValue": 0}],
            "IfSteps": then,
            "ElseSteps": [{"Name": REFUSED, "Type": "Fail", "Arguments": {"ErrorMessage": message}}],
        },
    }


def _register_model(after: str) -> Json:
    """Announce the package in SageMaker's registry, where it waits for approval like any other."""
    source = {
        "S3Uri": _join("/", _place(steps.PACKAGE), steps.MODEL, ""),
        "S3DataType": "S3Prefix",
        "CompressionType": "None",
    }
    metrics = {"ContentType": "application/json", "S3Uri": _join("/", _place(steps.EVALUATION), "metrics.json")}
    return {
        "Name": REGISTER_MODEL,
        "Type": "RegisterModel",
        "DependsOn": [after],
        "Arguments": {
            "ModelPackageGroupName": _parameter("ModelPackageGroup"),
            "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [{"Image": _parameter("Image"), "ModelDataSource": {"S3DataSource": source}}],
                "SupportedContentTypes": ["application/json", "text/csv"],
                "SupportedResponseMIMETypes": ["application/json"],
            },
            "ModelMetrics": {"ModelQuality": {"Statistics": metrics}},
            "CustomerMetadataProperties": {"execution": {"Get": "Execution.PipelineExecutionId"}},
        },
    }


def _place(name: str) -> Json:
    """Where a step finds a folder: outside, or where the step that makes it leaves it."""
    if name in (steps.DATA, steps.ARTIFACTS):
        return _parameter({steps.DATA: "DataUri", steps.ARTIFACTS: "ArtifactsUri"}[name])
    maker = steps.maker_of(name)
    made_by: Mapping[str, str] = {step.name: step.job for step in steps.TABLE}
    if made_by[str(maker)] == "training":
        return {"Get": f"Steps.{maker}.ModelArtifacts.S3ModelArtifacts"}
    return {"Get": f"Steps.{maker}.ProcessingOutputConfig.Outputs['{name}'].S3Output.S3Uri"}


def _destination(name: str) -> Json:
    """Where a step leaves a folder: every execution has its own, but for the registry and its models."""
    if name == steps.ARTIFACTS:
        return _parameter("ArtifactsUri")
    return _join("/", _parameter("WorkUri"), {"Get": "Execution.PipelineExecutionId"}, name)


def _parameter(name: str) -> Json:
    return {"Get": f"Parameters.{name}"}


def _join(on: str, *values: str | Json) -> Json:
    return {"Std:Join": {"On": on, "Values": list(values)}}
