"""A container step: how the project's image runs as a SageMaker processing job, as plain values. No cloud, no Pulumi.

Every job starts in the image's repository. Inputs arrive under /opt/ml/processing/input/<name>, results leave from
/opt/ml/processing/output/<name>; `statements` between them are shell, one an argument, because an argument of a
container holds 256 characters. The container has no network: metrics leave through its log, in CloudWatch's embedded
metric format.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ai_factory_infra import drift_metrics
from ai_factory_infra.limits import CONTAINER_ARGUMENT, CONTAINER_ARGUMENTS, has_local_storage

INPUT = "/opt/ml/processing/input"
OUTPUT = "/opt/ml/processing/output"
ENTRYPOINT = ("/bin/sh", "-euc", 'eval "$*"', "sh")
DRIFT_EXIT = 3  # the project command's exit code for drift


@dataclass(frozen=True, slots=True)
class Script:
    """What a job does: shell statements, and the names of the folders it is given and gives back."""

    statements: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def problems(self) -> list[str]:
        """What SageMaker would refuse; empty where it would not."""
        long = [f"{len(s)} characters: {s}" for s in self.statements if len(s) > CONTAINER_ARGUMENT]
        found = [f"AWS allows {CONTAINER_ARGUMENT} characters in a container's argument; got {s}" for s in long]
        if len(self.statements) > CONTAINER_ARGUMENTS:
            found.append(f"AWS allows {CONTAINER_ARGUMENTS} arguments; got {len(self.statements)}")
        return found


# The image names its repository's folder in this variable; every job begins there.
HOME = 'cd "$AI_FACTORY_PROJECT";'
MODEL = f"export AI_FACTORY_MODEL={INPUT}/model;"


def scoring(command: str, stage: str) -> Script:
    """Score every CSV and Parquet file of the input folder with the release that the job is given."""
    run = shlex.quote(command)
    return Script(
        statements=(
            HOME,
            MODEL,
            f"for f in {INPUT}/rows/*.csv {INPUT}/rows/*.parquet;",
            'do if [ -e "$f" ];',
            f'then {run} score "$f" --stage {stage} --out "{OUTPUT}/scores/$(basename "$f")"; fi;',
            "done;",
        ),
        inputs=("rows", "model"),
        outputs=("scores",),
    )


def monitoring(
    command: str, stage: str, *, project: str, namespace: str, captured: bool, labelled: bool = False
) -> Script:
    """Look for drift in what the endpoint captured, or in the rows that were scored, and publish the answer as metrics.

    Drift is an answer, not a failure: exit code 3 becomes a metric (`drift_metrics`). Any other code fails the job, so a
    monitor that cannot look is never mistaken for one that found nothing. Without rows there is no metric. `labelled`: true
    values come along. Nobody is notified from here, where there is no network: the metric's alarm does it.
    """
    run = f"{shlex.quote(command)} monitor"
    options = f"--stage {stage} --no-notify" + (f" --labels {INPUT}/labels" if labelled else "")
    return Script(
        statements=(
            HOME,
            MODEL,
            "drift=;",
            f'look() {{ c=0; {run} "$@" {options} || c=$?;',
            f'case $c in 0) drift=$((drift + 0)) ;; {DRIFT_EXIT}) drift=1 ;; *) exit "$c" ;; esac; }};',
            *(_captured_rows(stage) if captured else _scored_rows()),
            'if [ -z "$drift" ]; then echo "no rows to look at"; exit 0; fi;',
            *drift_metrics.measure(),
            *drift_metrics.publish(project, stage, namespace),
            f"cp -R artifacts/reports/. {OUTPUT}/reports/;",
        ),
        inputs=("rows", "model", *(("labels",) if labelled else ())),
        outputs=("reports",),
    )


def _captured_rows(stage: str) -> tuple[str, ...]:
    folder = f"artifacts/captures/{stage}"
    return (
        f"python -m ai_factory_runtime.serving.endpoint_capture {INPUT}/rows {folder};",
        f"if ls {folder}/*.json* >/dev/null 2>&1; then look; fi;",  # captures, or the counts of requests that were refused
    )


def _scored_rows() -> tuple[str, ...]:
    return (
        f"for f in {INPUT}/rows/*.csv {INPUT}/rows/*.parquet;",
        'do if [ -e "$f" ]; then look "$f"; fi; done;',
    )


@dataclass(frozen=True, slots=True)
class Machine:
    """What a job runs on."""

    instance_type: str = "ml.m5.large"
    instance_count: int = 1
    volume_gb: int = 30
    max_runtime_seconds: int = 4 * 3600


@dataclass(frozen=True, slots=True)
class Step:
    """A processing step with everything resolved: addresses, role, key, network."""

    name: str
    script: Script
    machine: Machine
    image: str
    role_arn: str
    key_arn: str
    input_uris: Mapping[str, str]
    output_uris: Mapping[str, str]
    subnet_ids: Sequence[str] = ()
    security_group_ids: Sequence[str] = ()


def request(step: Step) -> dict[str, Any]:
    """The step's arguments: the CreateProcessingJob request, but for the job's name, which the pipeline gives."""
    cluster: dict[str, Any] = {
        "InstanceCount": step.machine.instance_count,
        "InstanceType": step.machine.instance_type,
        "VolumeSizeInGB": step.machine.volume_gb,
    }
    if not has_local_storage(step.machine.instance_type):  # these encrypt their disks themselves and refuse a key
        cluster["VolumeKmsKeyId"] = step.key_arn
    network: dict[str, Any] = {"EnableNetworkIsolation": True}
    if step.subnet_ids:
        network["VpcConfig"] = {"Subnets": list(step.subnet_ids), "SecurityGroupIds": list(step.security_group_ids)}
    return {
        "ProcessingResources": {"ClusterConfig": cluster},
        "AppSpecification": {
            "ImageUri": step.image,
            "ContainerEntrypoint": list(ENTRYPOINT),
            "ContainerArguments": list(step.script.statements),
        },
        "RoleArn": step.role_arn,
        "ProcessingInputs": [_input(n, step.input_uris[n]) for n in step.script.inputs],
        "ProcessingOutputConfig": {
            "KmsKeyId": step.key_arn,
            "Outputs": [_output(n, step.output_uris[n]) for n in step.script.outputs],
        },
        "NetworkConfig": network,
        "StoppingCondition": {"MaxRuntimeInSeconds": step.machine.max_runtime_seconds},
    }


def definition(step: Step) -> str:
    """A pipeline of this one step, in SageMaker's schema 2020-12-01."""
    return json.dumps(
        {
            "Version": "2020-12-01",
            "Metadata": {},
            "Parameters": [],
            "PipelineExperimentConfig": None,  # without it SageMaker makes an experiment for every execution
            "Steps": [{"Name": step.name, "Type": "Processing", "Arguments": request(step)}],
        },
        sort_keys=True,
    )


def _input(name: str, uri: str) -> dict[str, Any]:
    return {
        "InputName": name,
        "S3Input": {
            "S3Uri": uri,
            "LocalPath": f"{INPUT}/{name}",
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
            "S3DataDistributionType": "FullyReplicated",
        },
    }


def _output(name: str, uri: str) -> dict[str, Any]:
    return {"OutputName": name, "S3Output": {"S3Uri": uri, "LocalPath": f"{OUTPUT}/{name}", "S3UploadMode": "EndOfJob"}}
