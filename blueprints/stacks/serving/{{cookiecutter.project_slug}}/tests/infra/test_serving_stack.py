"""Serving as Pulumi would be asked to make it, in each stage, before there is a model and with one."""

from __future__ import annotations

{% if cookiecutter.architecture == "batch" or cookiecutter.serving_mode == "realtime" -%}
import json
{% endif -%}
from pathlib import Path

import pytest
from ai_factory_infra.testing import {% if cookiecutter.architecture == 'batch' %}Registered, run_stage_once, stages{% else %}Registered, run_stage, run_stage_once, stages{% endif %}

INFRA = Path(__file__).resolve().parents[2] / "infra"


@pytest.fixture(params=stages(INFRA))
def serving(request: pytest.FixtureRequest) -> Registered:
    return run_stage_once(INFRA, request.param)["serving"]


{%- if cookiecutter.architecture == "batch" %}


def test_the_job_is_this_repositorys_own_score_without_a_network(serving: Registered) -> None:
    definition = json.loads(serving.only("aws:sagemaker/pipeline:Pipeline").inputs["pipelineDefinition"])
    (step,) = definition["Steps"]
    script = " ".join(step["Arguments"]["AppSpecification"]["ContainerArguments"])
    assert '{{ cookiecutter.command }} score "$f"' in script
    assert step["Arguments"]["NetworkConfig"]["EnableNetworkIsolation"] is True


def test_scoring_waits_for_a_release(serving: Registered) -> None:
    schedule = serving.only("aws:scheduler/schedule:Schedule").inputs
    assert schedule["state"] == ("ENABLED" if serving.outputs["release"] else "DISABLED")


def test_a_failed_run_is_told(serving: Registered) -> None:
    rule = serving.named("aws:cloudwatch/eventRule:EventRule", "-scoring-failed")
    assert json.loads(rule.inputs["eventPattern"])["detail"]["currentPipelineExecutionStatus"] == ["Failed"]
{%- else %}
{%- set mode = cookiecutter.serving_mode %}


@pytest.fixture(params=stages(INFRA))
def live(request: pytest.FixtureRequest) -> Registered:
    return run_stage(INFRA, request.param, config={"serving": {"release": "1"}})["serving"]


def test_all_but_the_endpoint_stands_up_before_there_is_a_release(serving: Registered) -> None:
    whole = serving.only("aws:cloudwatch/compositeAlarm:CompositeAlarm")
    assert whole.inputs["alarmRule"].count("ALARM(") == {{ {"realtime": 2, "serverless": 3, "async": 4}[mode] }}
    assert len(serving.of("aws:sagemaker/endpoint:Endpoint")) == (1 if serving.outputs["release"] else 0)


{% if mode == "serverless" -%}
def test_alarms_that_tell_of_a_bad_version_exist_before_the_endpoint(live: Registered) -> None:
    """SageMaker takes no version back here: whoever is told names the release before."""
    endpoint = live.only("aws:sagemaker/endpoint:Endpoint")
    assert {alarm.urn for alarm in live.of("aws:cloudwatch/metricAlarm:MetricAlarm")} <= endpoint.dependencies
    assert "deploymentConfig" not in endpoint.inputs
{%- else -%}
def test_a_bad_version_is_taken_back_by_alarms_that_exist_before_the_endpoint(live: Registered) -> None:
    endpoint = live.only("aws:sagemaker/endpoint:Endpoint")
    kind = "aws:cloudwatch/metricAlarm:MetricAlarm"
    alarms = [live.named(kind, "-{{ "endpoint" if mode == "realtime" else mode }}-errors"), live.named(kind, "-{{ "endpoint" if mode == "realtime" else mode }}-latency")]
    assert {alarm.urn for alarm in alarms} <= endpoint.dependencies
    rollback = endpoint.inputs["deploymentConfig"]["autoRollbackConfiguration"]["alarms"]
    assert {a["alarmName"] for a in rollback} == {alarm.inputs["name"] for alarm in alarms}
{%- endif %}


def test_a_model_and_its_configuration_are_kept_when_they_are_replaced(live: Registered) -> None:
    """After an automatic rollback the old ones are live, and AWS reports no error."""
    for kind in ("model:Model", "endpointConfiguration:EndpointConfiguration"):
        resource = live.only(f"aws:sagemaker/{kind}")
        assert resource.retain_on_delete
        assert resource.delete_before_replace is False
        assert "name" not in resource.inputs


{% if mode == "realtime" -%}
@pytest.mark.parametrize("stage", stages(INFRA))
def test_a_challenger_that_shares_the_requests_loses_its_share_by_an_alarm(stage: str) -> None:
    config = {"release": "1", "challenger": "2", "rollout_strategy": "ab"}
    found = run_stage(INFRA, stage, config={"serving": config})["serving"]
    watched = {a.inputs["name"] for a in found.of("aws:cloudwatch/metricAlarm:MetricAlarm") if a.name.count("-new-")}
    heard = json.loads(found.named("aws:cloudwatch/eventRule:EventRule", "-guard").inputs["eventPattern"])["detail"]
    assert set(heard["alarmName"]) == watched
    assert '"DesiredWeight": 0' in found.only("aws:sfn/stateMachine:StateMachine").inputs["definition"]


{% elif mode == "async" -%}
def test_the_first_request_brings_a_machine_where_there_is_none(live: Registered) -> None:
    target = live.only("aws:appautoscaling/target:Target").inputs
    waking = [a for a in live.of("aws:cloudwatch/metricAlarm:MetricAlarm") if a.name.endswith("-wake")]
    assert len(waking) == (1 if target["minCapacity"] == 0 else 0)
    assert all(a.inputs["metricName"] == "HasBacklogWithoutCapacity" for a in waking)
    (variant,) = live.only("aws:sagemaker/endpointConfiguration:EndpointConfiguration").inputs["productionVariants"]
    assert variant["initialInstanceCount"] == max(1, target["minCapacity"])


def test_answers_and_failures_are_told_apart(live: Registered) -> None:
    asked = live.only("aws:sagemaker/endpointConfiguration:EndpointConfiguration").inputs["asyncInferenceConfig"]
    output = asked["outputConfig"]
    assert output["s3OutputPath"] != output["s3FailurePath"]
    assert len({output["notificationConfig"][topic] for topic in ("successTopic", "errorTopic")}) == 2


{% endif -%}
{% if mode == "serverless" -%}
def test_the_container_knows_its_stage_and_gets_one_archive(live: Registered) -> None:
    container = live.only("aws:sagemaker/model:Model").inputs["primaryContainer"]
    assert container["modelDataUrl"].endswith("/releases/1.tar.gz")
    assert f"-{container['environment']['AI_FACTORY_STAGE']}-" in live.only("aws:iam/role:Role").name
{%- else -%}
def test_the_container_has_no_network_and_knows_its_stage(live: Registered) -> None:
    model = live.only("aws:sagemaker/model:Model").inputs
    assert model["enableNetworkIsolation"] is True
    assert f"-{model['primaryContainer']['environment']['AI_FACTORY_STAGE']}-" in live.only("aws:iam/role:Role").name
{%- endif %}
{%- endif %}
