"""An exported pipeline, made one account's own: parameters become values, machines and network are the stack's. Plain values.

The project command `export-pipeline` writes the definition with a parameter for whatever differs from account to
account. Here each gets its value and is a parameter no more, so that whoever may start the pipeline cannot name another
image, role or bucket. AWS: "Pipeline Definition JSON Schema", version 2020-12-01.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ai_factory_infra.limits import has_local_storage
from ai_factory_infra.steps import Machine

VERSION = "2020-12-01"
# What the stack has a value for; a definition that asks for something else was exported by another version.
PARAMETERS = frozenset(
    {"Image", "RoleArn", "KeyArn", "DataUri", "ArtifactsUri", "WorkUri", "ModelPackageGroup", "InstanceType"}
)

Json = dict[str, Any]


def problems(text: str) -> list[str]:
    """Why a definition cannot be used; empty where it can."""
    try:
        document = json.loads(text)
        version, asked = document["Version"], {p["Name"] for p in document["Parameters"]}
        names = [step["Name"] for step in jobs(document["Steps"])]
    except (ValueError, LookupError, TypeError) as error:
        return [f"it is no pipeline definition ({type(error).__name__}: {error})"]
    found = [] if version == VERSION else [f"its version is {version}; allowed: {VERSION}"]
    if asked != PARAMETERS:
        found.append(f"it asks for {sorted(asked)}; the stack knows {sorted(PARAMETERS)}")
    return found if names else [*found, "it has no job"]


def pinned(
    text: str,
    values: Mapping[str, str],
    machine: Machine,
    *,
    subnet_ids: Sequence[str] = (),
    security_group_ids: Sequence[str] = (),
) -> str:
    """The definition with `values` (of PARAMETERS but InstanceType) in their places, on this machine, in this network."""
    document = _filled(json.loads(text), {**values, "InstanceType": machine.instance_type})
    document["Parameters"] = []
    vpc = {"Subnets": list(subnet_ids), "SecurityGroupIds": list(security_group_ids)} if subnet_ids else None
    for step in jobs(document["Steps"]):
        _place(step["Arguments"], machine, vpc)
    return json.dumps(document, sort_keys=True)


def jobs(steps: Sequence[Json]) -> Iterator[Json]:
    """Every step that starts a machine, those behind a condition too."""
    for step in steps:
        if step["Type"] in ("Processing", "Training"):
            yield step
        elif step["Type"] == "Condition":
            yield from jobs([*step["Arguments"]["IfSteps"], *step["Arguments"]["ElseSteps"]])


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    """The same document with each `{"Get": "Parameters.X"}` replaced by the value of X."""
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Get"} and str(value["Get"]).startswith("Parameters."):
        return values[value["Get"].removeprefix("Parameters.")]
    return {name: _filled(item, values) for name, item in value.items()}


def _place(arguments: Json, machine: Machine, vpc: Json | None) -> None:
    """Give a job's request the machine and the network, in place."""
    training = "ResourceConfig" in arguments
    cluster = arguments["ResourceConfig"] if training else arguments["ProcessingResources"]["ClusterConfig"]
    cluster |= {"VolumeSizeInGB": machine.volume_gb, "InstanceCount": machine.instance_count}
    if has_local_storage(machine.instance_type):  # these encrypt their disks themselves and refuse a key
        cluster.pop("VolumeKmsKeyId", None)
    arguments["StoppingCondition"]["MaxRuntimeInSeconds"] = machine.max_runtime_seconds
    if vpc is not None:
        (arguments if training else arguments["NetworkConfig"])["VpcConfig"] = vpc
