"""The serving stack follows the use case's mode of serving, and monitoring watches what that mode leaves behind."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest
from ai_factory_infra.testing import Registered, run_program
from helpers_infra import registered, rendered

ENDPOINT, MODEL = "aws:sagemaker/endpoint:Endpoint", "aws:sagemaker/model:Model"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ALARM, SCHEDULE = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:scheduler/schedule:Schedule"
PIPELINE, TARGET = "aws:sagemaker/pipeline:Pipeline", "aws:appautoscaling/target:Target"
MODES = ("realtime", "serverless", "async")


def infra(mode: str, **facts: str) -> Path:
    return rendered(architecture="realtime", serving_mode=mode, **facts) / "infra"


def serving(
    mode: str, stage: str = "prod", *, facts: Mapping[str, str] | None = None, preview: bool = False, **config: str
) -> Registered:
    """The serving program of a mode, with a release unless it is said otherwise, reading real foundations."""
    exports = {r.project: r.outputs for r in registered("realtime", stage).values()}
    given = {"release": "7"} | config
    return run_program(infra(mode, **(facts or {})) / "serving", stage, exports=exports, config=given, preview=preview)


@functools.cache
def watched(mode: str, release: str, rows: str = "") -> tuple[Registered, Registered]:
    """Serving and the monitoring that reads it, in prod."""
    exports = {r.project: r.outputs for r in registered("realtime", "prod").values()}
    first = serving(mode, release=release)
    config = {"rows": rows} if rows else {}
    exports[first.project] = first.outputs
    return first, run_program(infra(mode) / "monitoring", "prod", exports=exports, config=config)


@pytest.mark.parametrize("stage", ["dev", "prod"])
@pytest.mark.parametrize(("mode", "name"), [("realtime", "endpoint"), ("serverless", "serverless"), ("async", "async")])
def test_each_mode_has_its_own_endpoint_under_its_own_name(mode: str, name: str, stage: str) -> None:
    """AWS turns no endpoint with machines into a serverless one, and Pulumi makes the next before it deletes the last."""
    found = serving(mode, stage)
    assert found.only(ENDPOINT).inputs["name"] == found.outputs["endpoint_name"] == f"churn-{stage}-{name}"
    assert found.outputs["endpoint_configuration"] == found.only(ENDPOINT).inputs["endpointConfigName"]
    (variant,) = found.only(CONFIGURATION).inputs["productionVariants"]
    assert ("serverlessConfig" in variant) == (mode == "serverless")
    assert ("asyncInferenceConfig" in found.only(CONFIGURATION).inputs) == (mode == "async")


def test_memory_and_concurrency_are_the_use_cases() -> None:
    facts = {"serverless_memory_mb": "4096", "serverless_max_concurrency": "50"}
    (variant,) = serving("serverless", facts=facts).only(CONFIGURATION).inputs["productionVariants"]
    assert variant["serverlessConfig"] == {"memorySizeInMb": 4096, "maxConcurrency": 50}


def test_an_asynchronous_endpoint_goes_to_zero_unless_a_gradual_rollout_needs_two() -> None:
    assert serving("async").only(TARGET).inputs["minCapacity"] == 0
    gradual = serving("async", facts={"rollout_strategy": "canary"})
    assert gradual.only(TARGET).inputs["minCapacity"] == 2
    policy = gradual.only(ENDPOINT).inputs["deploymentConfig"]["blueGreenUpdatePolicy"]
    assert policy["trafficRoutingConfiguration"]["type"] == "CANARY"


@pytest.mark.parametrize("mode", ["serverless", "async"])
def test_it_stands_up_before_there_is_a_model_and_a_preview_says_the_same(mode: str) -> None:
    bare = serving(mode, release="")
    assert not {ENDPOINT, CONFIGURATION, MODEL} & {r.type for r in bare.resources}
    assert bare.outputs["release"] == ""
    done, planned = serving(mode), serving(mode, preview=True)
    assert sorted((r.type, r.name) for r in planned.resources) == sorted((r.type, r.name) for r in done.resources)


@pytest.mark.parametrize(
    ("mode", "config", "said"),
    [
        ("serverless", {"rollout_strategy": "canary"}, "canary does not fit an endpoint of mode serverless"),
        ("async", {"rollout_strategy": "shadow"}, "shadow does not fit an endpoint of mode async"),
        ("async", {"rollout_strategy": "ab"}, "ab does not fit an endpoint of mode async"),
        ("async", {"instance_type": "ml.g5.xlarge"}, "AWS refuses a volume key"),
        ("serverless", {"region": "ap-southeast-7"}, "AWS has no serverless inference"),
    ],
)
def test_what_a_mode_cannot_do_is_refused_before_anything_is_made(
    mode: str, config: Mapping[str, str], said: str
) -> None:
    with pytest.raises(pulumi.InputPropertiesError, match=said):
        serving(mode, **config)


def test_a_waiver_lets_machines_with_disks_of_their_own_serve() -> None:
    found = serving("realtime", instance_type="ml.g5.xlarge", local_storage_waiver="the disks encrypt themselves")
    assert "kmsKeyArn" not in found.only(CONFIGURATION).inputs


@pytest.mark.parametrize("mode", MODES)
def test_every_alarm_tells_people_or_starts_a_machine(mode: str) -> None:
    found = serving(mode)
    topic = registered("realtime", "prod")["foundation"].outputs["alerts_topic_arn"]
    for alarm in found.of(ALARM):
        (action,) = alarm.inputs["alarmActions"]
        assert action == topic or (alarm.name.endswith("-wake") and ":appautoscaling:" in action)


# ---------------------------------------------------------------- monitoring
@pytest.mark.parametrize("mode", MODES)
def test_the_dashboard_shows_the_modes_endpoint_and_alarms_that_exist(mode: str) -> None:
    first, monitoring = watched(mode, "7")
    body = json.loads(monitoring.only("aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])
    shown = next(w["properties"]["alarms"] for w in body["widgets"] if w["type"] == "alarm")
    names = {str(a.inputs["name"]) for found in (first, monitoring) for a in found.of(ALARM)}
    names |= {str(a.inputs["alarmName"]) for a in first.of("aws:cloudwatch/compositeAlarm:CompositeAlarm")}
    assert {a.rsplit(":", 1)[1] for a in shown} <= names
    own = {n for n in names if n.startswith(first.outputs["endpoint_name"]) and not n.endswith(("-wake", "-idle"))}
    assert own <= {a.rsplit(":", 1)[1] for a in shown}
    assert ("ApproximateBacklogSize" in json.dumps(body)) == (mode == "async")
    assert json.dumps(body).count(first.outputs["endpoint_name"]) > 3


def rows(monitoring: Registered) -> Any:
    (step,) = json.loads(monitoring.only(PIPELINE).inputs["pipelineDefinition"])["Steps"]
    return {i["InputName"]: i["S3Input"]["S3Uri"] for i in step["Arguments"]["ProcessingInputs"]}["rows"]


def test_the_monitor_of_a_queue_looks_at_its_requests() -> None:
    first, monitoring = watched("async", "7")
    assert rows(monitoring) == first.outputs["requests"]
    assert monitoring.only(SCHEDULE).inputs["state"] == "ENABLED"


@pytest.mark.parametrize(
    ("release", "kept", "state"), [("7", "", "DISABLED"), ("7", "true", "ENABLED"), ("", "true", "DISABLED")]
)
def test_the_monitor_of_a_serverless_endpoint_waits_until_rows_are_kept(release: str, kept: str, state: str) -> None:
    """SageMaker captures nothing there, and a job that finds nothing would be one that saw nothing move."""
    _, monitoring = watched("serverless", release, kept)
    assert monitoring.only(SCHEDULE).inputs["state"] == state
    assert rows(monitoring).endswith("/scoring/")
