"""The library is read from its own sources: what a docstring says of an input reaches the page and the plugin's schema."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import grpc
import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra import provider
from ai_factory_infra.catalogue import Catalogue, Component, catalogue, said
from ai_factory_infra.provider import Library, built
from ai_factory_infra.reference import page
from ai_factory_infra.rollout import Rollout
from ai_factory_infra.testing import run_resources
from pulumi.runtime.proto.provider_pb2 import GetSchemaRequest
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

MODULE = '''
"""Kiln: bakes bricks. One at a time.

Costs when idle: the fire. Limits: 900 degrees. AWS: "Kilns".
"""
class KilnArgs(CommandInputs):
    """`bricks`: how many. `heat` and `time`: how hot, how long; a `lid` is extra. `glaze` (optional): the colour."""

    bricks: int
    heat: NotRequired[float]
    time: NotRequired[pulumi.Input[str] | None]
    kms_key_arn: str

class CommandInputs(TypedDict):
    """`kms_key_arn`: the key. `stage`: the stage."""

    stage: str
    kms_key_arn: str

class Kiln(pulumi.ComponentResource):
    """It bakes."""

    _heat: float
    wall: pulumi.Output[str]

    def __init__(self, name: str, args: KilnArgs, opts: object = None) -> None: ...
'''


@pytest.fixture
def library(tmp_path: Path) -> Catalogue:
    (tmp_path / "kiln.py").write_text(MODULE)
    return catalogue(tmp_path)


def kiln(library: Catalogue) -> Component:
    (component,) = library.components
    return component


def test_a_component_is_found_by_its_module_being_there(library: Catalogue) -> None:
    found = kiln(library)
    assert (found.name, found.module, found.purpose, found.does) == (
        "Kiln",
        "ai_factory_infra.kiln",
        "bakes bricks. One at a time.",
        "It bakes.",
    )
    assert dict(found.sections) == {"Costs when idle": "the fire.", "Limits": "900 degrees.", "AWS": '"Kilns".'}
    assert [o.name for o in found.outputs] == ["wall"]


def test_inputs_are_explained_by_their_class_and_where_it_says_nothing_by_those_in_common(library: Catalogue) -> None:
    inputs = {f.name: f for f in kiln(library).inputs}
    assert inputs["bricks"].says == "how many."
    assert inputs["heat"].says == inputs["time"].says == "how hot, how long; a `lid` is extra."
    assert inputs["stage"].says == "the stage."
    assert inputs["kms_key_arn"].says == "the key."
    assert [n for n, f in inputs.items() if f.required] == ["stage", "kms_key_arn", "bricks", "kms_key_arn"][:3]


def test_an_input_that_is_only_mentioned_has_the_sentence_that_mentions_it() -> None:
    assert said("It bakes. The mode hot takes `wood`.") == {"wood": "The mode hot takes `wood`."}


def test_a_text_that_speaks_of_no_input_says_nothing() -> None:
    assert said("It bakes. See `Kiln`.") == {}
    assert said("") == {}


def test_the_page_shows_every_component_and_bars_do_not_end_its_cells(library: Catalogue) -> None:
    text = page(library)
    assert "| [Kiln](#kiln) | bakes bricks. |" in text
    assert "- **Costs when idle**: the fire." in text
    assert "| `time` | `Input[str]` |  | how hot, how long; a `lid` is extra. |" in text


@dataclass(frozen=True)
class Oven:
    heat: int
    racks: tuple[str, ...] = ()


class Order(TypedDict):
    oven: Oven
    kind: NotRequired[Literal["brick", "tile"] | str]
    note: pulumi.Input[str] | None
    parts: NotRequired[Mapping[str, Oven]]
    tags: NotRequired[Sequence[str]]


def test_what_a_host_sends_becomes_the_librarys_own_values() -> None:
    given = {"oven": {"heat": 900.0, "racks": ["a"]}, "kind": "tile", "parts": {"x": {"heat": 1.0}}, "tags": ["t"]}
    assert built(Order, given) == {
        "oven": Oven(900, ("a",)),
        "kind": "tile",
        "note": None,
        "parts": {"x": Oven(1)},
        "tags": ["t"],
    }


ENDPOINT: Mapping[str, Any] = {
    "stage": "dev", "image": "image:v1", "repositoryArn": "arn:aws:ecr:eu-west-1:1:repository/x", "modelData": "s3://bucket/releases/1/",
    "models": {"bucket": "bucket", "prefix": "releases"}, "captures": {"bucket": "bucket", "prefix": "requests"}, "kmsKeyArn": "arn:k",
    "logsKeyArn": "arn:l", "alertsTopicArn": "arn:t", "p99Ms": 200.0, "instances": 2.0, "rollout": {"strategy": "canary", "stepPercent": 20.0},
}  # fmt: skip


@functools.cache
def library_of_today() -> Library:
    return Library()


def constructed(inputs: Mapping[str, Any]) -> Any:
    """What a program of another language would register."""

    def build() -> None:
        options = pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1"))
        library_of_today().construct("churn-dev", "ai-factory:index:RealtimeEndpoint", dict(inputs), options)

    return run_resources(build)


def test_a_host_of_another_language_gets_the_component_from_a_plain_object() -> None:
    found = constructed(ENDPOINT)
    traffic = found.only("aws:sagemaker/endpoint:Endpoint").inputs["deploymentConfig"]["blueGreenUpdatePolicy"]
    assert traffic["trafficRoutingConfiguration"]["canarySize"] == {"type": "CAPACITY_PERCENT", "value": 20}
    assert "aws:sagemaker/endpoint:Endpoint" not in constructed({k: v for k, v in ENDPOINT.items() if k != "modelData"})


def test_a_host_of_another_language_is_refused_with_every_problem() -> None:
    with pytest.raises(Exception, match="cannot be made") as caught:
        constructed({**ENDPOINT, "instances": 0.0, "capturePercent": 101.0})
    assert "instances" in str(caught.value)
    assert "capture_percent" in str(caught.value)


def test_the_schema_says_what_an_input_means_and_which_must_be_given() -> None:
    entry = json.loads(library_of_today().schema or "")["resources"]["ai-factory:index:RealtimeEndpoint"]
    assert "a second version" in entry["inputProperties"]["challengerData"]["description"]
    assert "image" in entry["requiredInputs"]
    assert "modelData" not in entry["requiredInputs"]
    assert Rollout.__name__ in entry["inputProperties"]["rollout"]["$ref"]


def test_the_plugin_answers_pulumi_over_the_wire() -> None:
    """As the engine starts it: it prints its port, and gives its schema to whoever asks there."""
    plugin = Path(provider.__file__).with_name("plugin")
    with subprocess.Popen([sys.executable, plugin, "127.0.0.1:1"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            port = process.stdout.readline().strip()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                answer = ResourceProviderStub(channel).GetSchema(GetSchemaRequest(), timeout=60)  # type: ignore[no-untyped-call]
        finally:
            process.kill()
    assert "ai-factory:index:RealtimeEndpoint" in json.loads(answer.schema)["resources"]
