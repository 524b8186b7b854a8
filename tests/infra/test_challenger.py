"""Two versions behind one endpoint: a shadow answers nobody, a share is taken away by an alarm, nothing else changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
from ai_factory_infra.challenger_guard import ChallengerGuard, guard_definition
from ai_factory_infra.rollout import SIDE_BY_SIDE, STRATEGIES, Rollout
from ai_factory_infra.testing import Registered, run_program, run_resources
from botocore.session import get_session
from botocore.validate import ParamValidator
from helpers_infra import registered, rendered

ALARM, ENDPOINT = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:sagemaker/endpoint:Endpoint"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
MODEL, MACHINE = "aws:sagemaker/model:Model", "aws:sfn/stateMachine:StateMachine"
TARGET = "aws:appautoscaling/target:Target"


def serving(strategy: str, stage: str = "prod", **config: str) -> Registered:
    """The serving program with a release and, unless it is said otherwise, a challenger beside it."""
    infra = rendered(architecture="realtime", rollout_strategy=strategy, rollout_step_percent="20") / "infra"
    exports = {r.project: r.outputs for r in registered("realtime", stage).values()}
    given = {"release": "7", "challenger": "8", "rollout_strategy": strategy} | config
    return run_program(infra / "serving", stage, exports=exports, config=given)


def variants(found: Registered, kind: str = "productionVariants") -> list[Mapping[str, Any]]:
    return list(found.only(CONFIGURATION).inputs.get(kind) or [])


def test_a_shadow_gets_a_copy_of_every_request_and_answers_none() -> None:
    found = serving("shadow")
    (champion,), (shadow,) = variants(found), variants(found, "shadowProductionVariants")
    assert (champion["variantName"], shadow["variantName"]) == ("AllTraffic", "Challenger")
    assert champion["initialVariantWeight"] == shadow["initialVariantWeight"] == 1
    assert MACHINE not in found


def test_a_b_test_shares_the_requests_as_the_use_case_says() -> None:
    found = serving("ab")
    assert {v["variantName"]: v["initialVariantWeight"] for v in variants(found)} == {
        "AllTraffic": 80,
        "Challenger": 20,
    }
    assert variants(found, "shadowProductionVariants") == []


@pytest.mark.parametrize("strategy", SIDE_BY_SIDE)
def test_each_variant_has_its_own_model_and_the_same_isolation(strategy: str) -> None:
    found = serving(strategy)
    folders = {}
    for model in found.of(MODEL):
        (source,) = model.inputs["primaryContainer"]["modelDataSource"]["s3DataSources"]
        folders[model.name] = source["s3Uri"].rsplit("/", 2)[1]
        assert model.inputs["enableNetworkIsolation"] is True
        assert model.inputs["primaryContainer"]["environment"]["AI_FACTORY_STAGE"] == "prod"
        assert model.retain_on_delete
        assert model.delete_before_replace is False
        assert "name" not in model.inputs
    assert sorted(folders.values()) == ["7", "8"]
    assert folders["churn-prod-endpoint-new"] == "8"


@pytest.mark.parametrize("strategy", SIDE_BY_SIDE)
def test_a_challenger_has_alarms_of_its_own(strategy: str) -> None:
    found = serving(strategy, rollout_max_error_rate="0.02", p99_ms="80")
    watched: dict[str, dict[str, float]] = {}
    for alarm in (a.inputs for a in found.of(ALARM) if "VariantName" in a.inputs.get("dimensions", {})):
        watched.setdefault(alarm["dimensions"]["VariantName"], {})[alarm["metricName"]] = alarm["threshold"]
    bounds = {"Invocation5XXErrors": 0.02, "ModelLatency": 80_000}
    assert watched == {"AllTraffic": bounds, "Challenger": bounds}


def test_an_alarm_of_the_challenger_takes_its_share_away() -> None:
    found = serving("ab")
    rule = found.named("aws:cloudwatch/eventRule:EventRule", "-guard").inputs
    pattern = json.loads(rule["eventPattern"])["detail"]
    alarms = {
        a.inputs["name"] for a in found.of(ALARM) if a.inputs.get("dimensions", {}).get("VariantName") == "Challenger"
    }
    assert set(pattern["alarmName"]) == alarms
    assert pattern["state"] == {"value": ["ALARM"]}
    target = found.named("aws:cloudwatch/eventTarget:EventTarget", "-guard")
    assert found.only(MACHINE).urn in target.dependencies
    call = json.loads(found.only(MACHINE).inputs["definition"])["States"]["TakeShareAway"]
    assert call["Arguments"]["EndpointName"] == found.only(ENDPOINT).inputs["name"]
    assert call["Arguments"]["DesiredWeightsAndCapacities"] == [{"VariantName": "Challenger", "DesiredWeight": 0}]


def test_what_the_guard_asks_of_sagemaker_is_a_request_that_it_knows() -> None:
    call = guard_definition("churn-prod-endpoint", "Challenger")["States"]["TakeShareAway"]
    assert call["Resource"].endswith(":aws-sdk:sagemaker:updateEndpointWeightsAndCapacities")
    shape = (
        get_session().get_service_model("sagemaker").operation_model("UpdateEndpointWeightsAndCapacities").input_shape
    )
    report = ParamValidator().validate(call["Arguments"], shape)
    assert not report.has_errors(), report.generate_report()


def test_the_guard_may_change_this_endpoint_and_nothing_else() -> None:
    found = serving("ab")
    allowed = [s for r, s in found.statements() if "guard" in r.name and s["Effect"] == "Allow" and "Resource" in s]
    actions = {a for s in allowed for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])}
    assert actions == {"sagemaker:UpdateEndpointWeightsAndCapacities", "states:StartExecution"}
    (change,) = [s for s in allowed if "sagemaker" in str(s["Action"])]
    assert str(change["Resource"]).strip("[]'").endswith(":endpoint/churn-prod-endpoint")


def test_guardrails_do_not_move_what_runs_side_by_side() -> None:
    """They ask for the same variants before and after; a challenger comes and goes."""
    for strategy in SIDE_BY_SIDE:
        assert "deploymentConfig" not in serving(strategy).only(ENDPOINT).inputs
    for strategy in set(STRATEGIES) - set(SIDE_BY_SIDE):
        inputs = serving(strategy, challenger="").only(ENDPOINT).inputs
        assert inputs["deploymentConfig"]["autoRollbackConfiguration"]["alarms"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_without_a_challenger_there_is_one_version(strategy: str) -> None:
    found = serving(strategy, challenger="")
    assert [v["variantName"] for v in variants(found)] == ["AllTraffic"]
    assert variants(found, "shadowProductionVariants") == []
    assert (len(found.of(MODEL)), len(found.of(ALARM))) == (1, 3)


def test_a_challenger_that_answers_is_scaled_as_the_champion() -> None:
    found = serving("ab", max_instances="4")
    assert {t.inputs["resourceId"].rsplit("/", 1)[1] for t in found.of(TARGET)} == {"AllTraffic", "Challenger"}
    assert len(serving("shadow", max_instances="4").of(TARGET)) == 1


@pytest.mark.parametrize(
    ("strategy", "config", "path", "said"),
    [
        ("canary", {}, "challenger_data", "shadow or ab; canary replaces"),
        ("all-at-once", {}, "challenger_data", "shadow or ab; all-at-once replaces"),
        ("ab", {"release": ""}, "challenger_data", "no model that it could challenge"),
    ],
)
def test_a_challenger_that_could_not_run_is_refused_before_anything_is_made(
    strategy: str, config: dict[str, str], path: str, said: str
) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as refused:
        serving(strategy, **config)
    assert [(e["property_path"], said in e["reason"]) for e in refused.value.errors or []] == [(path, True)]


def test_a_guard_that_hears_nothing_is_refused() -> None:
    args: Any = {"endpoint_name": "e", "variant": "Challenger", "alarms": [], "alerts_topic_arn": "arn"}
    with pytest.raises(pulumi.InputPropertiesError, match="nothing would start it"):
        run_resources(lambda: ChallengerGuard("guard", args))


def test_the_share_of_a_b_test_has_bounds() -> None:
    from ai_factory_infra.problems import Problems

    problems = Problems("x")
    Rollout("ab", 60).check(problems, "rollout", 1)
    with pytest.raises(pulumi.InputPropertiesError, match=r"rollout\.step_percent: got 60; AWS allows 1 to 50"):
        problems.stop()


def test_the_guard_runs_as_roles_that_exist() -> None:
    role = "arn:aws:iam::123456789012:role/mine"
    found = serving("ab", role_arns=f"container={role}, hand={role}, ear={role}")
    assert [r.name for r in found.of("aws:iam/role:Role")] == []
    assert found.only(MACHINE).inputs["roleArn"] == role
    assert role in [t.inputs.get("roleArn") for t in found.of("aws:cloudwatch/eventTarget:EventTarget")]
