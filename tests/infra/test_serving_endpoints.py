"""Serverless and asynchronous endpoints, and what they share with real-time ones: each trap of AWS's happens and is avoided."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra import async_endpoint, realtime_endpoint, serverless_endpoint
from ai_factory_infra.async_endpoint import AsyncEndpoint
from ai_factory_infra.realtime_endpoint import RealtimeEndpoint
from ai_factory_infra.regions import SAGEMAKER, SERVERLESS, lacks
from ai_factory_infra.rollout import FITTING, STRATEGIES, Rollout
from ai_factory_infra.serverless_endpoint import ServerlessEndpoint
from ai_factory_infra.testing import Registered, run_resources
from ai_factory_runtime.serving.limits import USUAL
from ai_factory_runtime.serving.settings import read_settings
from botocore.session import get_session

ARN = "arn:aws:x:eu-west-1:123456789012:y"
FOLDER = {"bucket": "bucket", "prefix": "folder"}
COMMON = {
    "stage": "dev", "kms_key_arn": ARN, "logs_key_arn": ARN, "alerts_topic_arn": ARN, "repository_arn": ARN,
    "image": "image:v1", "models": FOLDER, "p99_ms": 200.0, "region": "eu-west-1",
}  # fmt: skip
REALTIME = COMMON | {"model_data": "s3://bucket/releases/1/", "captures": FOLDER, "instances": 2, "max_instances": 4}
ASYNC = COMMON | {
    "model_data": "s3://bucket/releases/1/", "requests": FOLDER, "results": {"bucket": "out", "prefix": "scores"},
    "max_instances": 3,
}  # fmt: skip
SERVERLESS_ARGS = COMMON | {"model_data": "s3://bucket/releases/1.tar.gz"}
KINDS: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "realtime": (RealtimeEndpoint, REALTIME),
    "async": (AsyncEndpoint, ASYNC),
    "serverless": (ServerlessEndpoint, SERVERLESS_ARGS),
}
CHECKS: Mapping[str, Callable[[str, Any], None]] = {
    "realtime": realtime_endpoint.check,
    "async": async_endpoint.check,
    "serverless": serverless_endpoint.check,
}
ALARM, ENDPOINT = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:sagemaker/endpoint:Endpoint"
CONFIGURATION, MODEL = "aws:sagemaker/endpointConfiguration:EndpointConfiguration", "aws:sagemaker/model:Model"
SCALED, POLICY, TOPIC = "aws:appautoscaling/target:Target", "aws:appautoscaling/policy:Policy", "aws:sns/topic:Topic"


def made(mode: str, name: str = "churn-dev-endpoint", **change: Any) -> Registered:
    return built(mode, name, **change) if change or name != "churn-dev-endpoint" else as_it_is(mode)


@functools.cache
def as_it_is(mode: str) -> Registered:
    """The endpoint with the inputs above, made once."""
    return built(mode, "churn-dev-endpoint")


def built(mode: str, name: str, **change: Any) -> Registered:
    component, args = KINDS[mode]

    def build() -> None:
        provider = aws.Provider("aws", region="eu-west-1")
        component(name, {**args, **change}, pulumi.ResourceOptions(provider=provider))

    return run_resources(build)


def refusal(mode: str, name: str = "churn-dev-endpoint", **change: Any) -> dict[str, str]:
    """Property path -> reason, of what the component refuses; nothing was registered."""
    seen: list[Registered] = []
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        seen.append(made(mode, name, **change))
    assert seen == []
    return {e["property_path"]: e["reason"] for e in caught.value.errors or []}


@pytest.fixture(params=KINDS)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# ---------------------------------------------------------------- traps 1 to 4, 6, 7 and 10, in every mode
def test_a_model_and_a_configuration_have_no_name_and_outlive_their_successors(mode: str) -> None:
    """Traps 1 and 2: an explicit name is deleted before its successor exists, and a silent rollback leaves the old one live."""
    found = made(mode)
    for resource in (found.only(MODEL), found.only(CONFIGURATION)):
        assert "name" not in resource.inputs
        assert resource.delete_before_replace is False
        assert resource.retain_on_delete


def test_what_the_endpoint_was_told_to_run_can_be_compared_with_what_it_runs(mode: str) -> None:
    """Trap 2: a rolled-back update reports success."""
    component, args = KINDS[mode]
    told: dict[str, pulumi.Output[str]] = {}

    def build() -> None:
        provider = aws.Provider("aws", region="eu-west-1")
        endpoint = component("e", dict(args), pulumi.ResourceOptions(provider=provider))
        told.update(configuration=endpoint.configuration_name, endpoint=endpoint.endpoint_name)
        for key, value in told.items():
            pulumi.export(key, value)

    found = run_resources(build)
    endpoint = found.only(ENDPOINT)
    assert found.outputs["configuration"] == endpoint.inputs["endpointConfigName"] != ""
    assert found.outputs["endpoint"] == endpoint.inputs["name"]


def test_alarms_exist_before_the_endpoint_and_know_its_name(mode: str) -> None:
    """Trap 3: an alarm that read the name from the endpoint would have to come after it."""
    found = made(mode)
    endpoint = found.only(ENDPOINT)
    watching = [a for a in found.of(ALARM) if a.name.endswith(("-errors", "-latency"))]
    assert len(watching) == 2
    assert {a.urn for a in watching} <= endpoint.dependencies
    for alarm in watching:
        assert alarm.inputs["dimensions"] == {"EndpointName": endpoint.inputs["name"], "VariantName": "AllTraffic"}
        assert not any("endpoint:Endpoint" in d for d in alarm.dependencies)


@pytest.mark.parametrize("mode", ["realtime", "async"])
def test_the_alarms_take_a_version_back_where_sagemaker_can(mode: str) -> None:
    found = made(mode)
    rollback = found.only(ENDPOINT).inputs["deploymentConfig"]["autoRollbackConfiguration"]["alarms"]
    assert sorted(a["alarmName"] for a in rollback) == ["churn-dev-endpoint-errors", "churn-dev-endpoint-latency"]
    assert "deploymentConfig" not in made("serverless").only(ENDPOINT).inputs


@pytest.mark.parametrize(("mode", "low", "initial"), [("realtime", 2, 2), ("async", 0, 1), ("async", 2, 2)])
def test_an_update_never_starts_with_fewer_machines_than_autoscaling_keeps(mode: str, low: int, initial: int) -> None:
    """Trap 4: each new configuration sets the number of machines back to its own."""
    found = made(mode, instances=low)
    (variant,) = found.only(CONFIGURATION).inputs["productionVariants"]
    target = found.only(SCALED)
    assert (variant["initialInstanceCount"], target.inputs["minCapacity"]) == (initial, low)
    assert initial >= low
    assert found.only(ENDPOINT).urn in target.dependencies


@pytest.mark.parametrize("mode", ["realtime", "async"])
def test_a_rollout_longer_than_the_waiter_is_refused(mode: str) -> None:
    """Trap 6: pulumi_aws stops waiting after 60 minutes, whatever the rollout does."""
    found = refusal(mode, instances=2, rollout=Rollout("linear", 10, 6))
    assert "59 minutes; pulumi_aws waits 60" in found["rollout.wait_minutes"]
    made(mode, instances=2, rollout=Rollout("linear", 10, 5))


@pytest.mark.parametrize("mode", ["realtime", "async"])
def test_machines_with_disks_of_their_own_take_no_key_and_need_a_waiver(mode: str) -> None:
    """Trap 7."""
    assert "AWS refuses a volume key" in refusal(mode, instance_type="ml.g4dn.xlarge")["instance_type"]
    waived = made(mode, instance_type="ml.g4dn.xlarge", local_storage_waiver="the disks encrypt themselves")
    assert "kmsKeyArn" not in waived.only(CONFIGURATION).inputs
    assert made(mode).only(CONFIGURATION).inputs["kmsKeyArn"] == ARN


def test_a_serverless_endpoint_is_encrypted_by_the_projects_key() -> None:
    assert made("serverless").only(CONFIGURATION).inputs["kmsKeyArn"] == ARN


def test_all_but_the_endpoint_stands_up_before_there_is_a_model(mode: str) -> None:
    """Trap 10."""
    found = made(mode, model_data=None)
    assert not {ENDPOINT, CONFIGURATION, MODEL, SCALED, POLICY} & {r.type for r in found.resources}
    assert "aws:iam/role:Role" in found
    assert len(found.of(ALARM)) == {"realtime": 3, "serverless": 3, "async": 5}[mode]


def test_the_key_is_for_what_sagemaker_keeps_and_lent_for_that_alone(mode: str) -> None:
    """Disks of machines, or the copy of the image of an endpoint without any; AWS's services use it by a grant."""
    found = made(mode)
    assert found.only(CONFIGURATION).inputs["kmsKeyArn"] == ARN
    (lent,) = (s for _, s in found.statements() if "kms:CreateGrant" in s["Action"])
    assert lent["Sid"] == ("LendKeyToImageCopy" if mode == "serverless" else "LendKeyToDisks")
    assert lent["Resource"] == [ARN]
    assert lent["Condition"]["Bool"] == {"kms:GrantIsForAWSResource": "true"}


def test_a_role_that_exists_is_used_and_none_is_made(mode: str) -> None:
    role = "arn:aws:iam::123456789012:role/theirs"
    found = made(mode, role_arns={"container": role})
    assert "aws:iam/role:Role" not in found
    assert found.only(MODEL).inputs["executionRoleArn"] == role


# ---------------------------------------------------------------- trap 5: the queue
def test_an_idle_queue_has_no_machines_and_the_first_request_brings_one() -> None:
    found = made("async")
    assert (found.only(SCALED).inputs["minCapacity"], found.only(SCALED).inputs["maxCapacity"]) == (0, 3)
    wake, step = found.named(ALARM, "-wake"), found.named(POLICY, "-wake")
    assert wake.inputs["metricName"] == "HasBacklogWithoutCapacity"
    assert wake.inputs["treatMissingData"] == "missing"
    assert wake.inputs["alarmActions"] == [f"arn:aws:appautoscaling:eu-west-1:123456789012:Policy/{step.name}-1a2b3c4"]
    assert step.urn in wake.dependencies
    rule = step.inputs["stepScalingPolicyConfiguration"]
    assert (rule["adjustmentType"], rule["stepAdjustments"]) == (
        "ChangeInCapacity",
        [{"metricIntervalLowerBound": "0", "scalingAdjustment": 1}],
    )


def test_machines_follow_what_waits_for_each() -> None:
    found = made("async", backlog_per_instance=7)
    rule = found.named(POLICY, "-endpoint").inputs["targetTrackingScalingPolicyConfiguration"]
    metric = rule["customizedMetricSpecification"]
    assert metric["metricName"] == "ApproximateBacklogSizePerInstance"
    assert metric["dimensions"] == [{"name": "EndpointName", "value": "churn-dev-endpoint"}]
    assert rule["targetValue"] == 7


def test_a_queue_that_keeps_machines_needs_nobody_to_wake_it() -> None:
    found = made("async", instances=2)
    assert [p.name for p in found.of(POLICY)] == ["churn-dev-endpoint"]
    assert [a.name for a in found.of(ALARM) if a.name.endswith("-wake")] == []
    assert SCALED not in made("async", instances=1, max_instances=1)


def test_answers_and_failures_have_places_and_topics_of_their_own() -> None:
    found = made("async")
    output = found.only(CONFIGURATION).inputs["asyncInferenceConfig"]["outputConfig"]
    assert output["s3OutputPath"] == "s3://out/scores/answers/"
    assert output["s3FailurePath"] == "s3://out/scores/failures/"
    assert output["kmsKeyId"] == ARN
    told = output["notificationConfig"]
    assert told["successTopic"] != told["errorTopic"]
    assert [t.inputs["kmsMasterKeyId"] for t in found.of(TOPIC)] == [ARN, ARN]


def test_one_topic_for_successes_and_failures_is_refused() -> None:
    topic = "arn:aws:sns:eu-west-1:123456789012:all"
    assert "the same topic" in refusal("async", success_topic_arn=topic, error_topic_arn=topic)["error_topic_arn"]
    brought = made("async", success_topic_arn=topic, error_topic_arn=topic + "-failed")
    assert TOPIC not in brought


def test_people_are_told_of_requests_that_wait_or_are_lost() -> None:
    found = made("async", max_wait_seconds=120)
    waiting, lost = found.named(ALARM, "-waiting").inputs, found.named(ALARM, "-lost").inputs
    assert (waiting["metricName"], waiting["threshold"]) == ("ApproximateAgeOfOldestRequest", 120)
    assert waiting["dimensions"] == {"EndpointName": "churn-dev-endpoint"}
    counted = {q["metric"]["metricName"] for q in lost["metricQueries"] if "metric" in q}
    assert counted == {"RequestDownloadFailures", "ResponseUploadFailures", "NotificationFailures", "ExpiredRequests"}
    (total,) = [q for q in lost["metricQueries"] if q.get("returnData")]
    assert total["expression"] == "FILL(m0, 0) + FILL(m1, 0) + FILL(m2, 0) + FILL(m3, 0)"


def test_the_container_of_a_queue_is_told_to_take_large_requests_in_words_that_it_understands() -> None:
    """What the stack says is what the service reads: a request that SageMaker sends is not refused for its size."""
    told = made("async").only(MODEL).inputs["primaryContainer"]["environment"]
    limits = read_settings(told).limits
    assert (limits.body, limits.seconds) == (100 * 1024 * 1024, 900)
    assert limits.rows > 100_000
    sent = made("async").only(CONFIGURATION).inputs["asyncInferenceConfig"]["clientConfig"]
    assert sent["maxConcurrentInvocationsPerInstance"] <= limits.threads + limits.waiting
    for other in ("realtime", "serverless"):
        usual = read_settings(made(other).only(MODEL).inputs["primaryContainer"]["environment"]).limits
        assert usual == USUAL


def test_who_knows_the_machine_may_say_otherwise_of_large_requests() -> None:
    found = made("async", environment={"AI_FACTORY_MAX_BODY_MB": "1024"}, requests_at_once=1)
    told = found.only(MODEL).inputs["primaryContainer"]["environment"]
    assert (told["AI_FACTORY_MAX_BODY_MB"], told["AI_FACTORY_REQUEST_SECONDS"]) == ("1024", "900")
    sent = found.only(CONFIGURATION).inputs["asyncInferenceConfig"]["clientConfig"]
    assert sent["maxConcurrentInvocationsPerInstance"] == 1


def test_the_role_of_a_queue_reads_requests_writes_results_and_tells_two_topics() -> None:
    allowed = {s["Sid"]: s["Resource"] for r, s in made("async").statements() if "Sid" in s}
    assert allowed["ReadRequests"] == ["arn:aws:s3:::bucket/folder/*"]
    assert allowed["WriteObjects"] == ["arn:aws:s3:::out/scores/*"]
    assert len(allowed["TellOutcome"]) == 2


# ---------------------------------------------------------------- what serverless is not
def test_a_serverless_model_has_what_sagemaker_allows_it() -> None:
    """No network isolation, no network of ours, no folder, no capture: SageMaker refuses each of them."""
    found = made("serverless")
    model, configuration = found.only(MODEL).inputs, found.only(CONFIGURATION).inputs
    assert not {"enableNetworkIsolation", "vpcConfig"} & set(model)
    assert model["primaryContainer"]["modelDataUrl"] == "s3://bucket/releases/1.tar.gz"
    assert "modelDataSource" not in model["primaryContainer"]
    assert "dataCaptureConfig" not in configuration
    (variant,) = configuration["productionVariants"]
    assert variant["serverlessConfig"] == {"memorySizeInMb": 2048, "maxConcurrency": 20}
    assert not {"instanceType", "initialInstanceCount", "initialVariantWeight"} & set(variant)


def test_requests_kept_warm_are_asked_for() -> None:
    (variant,) = made("serverless", provisioned_concurrency=3).only(CONFIGURATION).inputs["productionVariants"]
    assert variant["serverlessConfig"]["provisionedConcurrency"] == 3


def test_people_are_told_before_requests_are_refused_for_concurrency() -> None:
    alarm = made("serverless").named(ALARM, "-concurrency").inputs
    assert (alarm["metricName"], alarm["threshold"]) == ("ServerlessConcurrentExecutionsUtilization", 0.9)
    assert alarm["alarmActions"] == [ARN]


# ---------------------------------------------------------------- bad input
BAD: list[tuple[str, Mapping[str, Any], str, str]] = [
    ("serverless", {"memory_mb": 1500}, "memory_mb", "1024, 2048, 3072, 4096, 5120, 6144 MB"),
    ("serverless", {"memory_mb": 8192}, "memory_mb", "got 8192"),
    ("serverless", {"max_concurrency": 201}, "max_concurrency", "AWS allows 1 to 200 requests"),
    ("serverless", {"max_concurrency": 0}, "max_concurrency", "AWS allows 1 to 200"),
    ("serverless", {"provisioned_concurrency": 21}, "provisioned_concurrency", "1 to max_concurrency (20)"),
    ("serverless", {"model_data": "s3://bucket/releases/1/"}, "model_data", "a serverless endpoint takes no folder"),
    ("serverless", {"rollout": Rollout("canary")}, "rollout.strategy", "canary does not fit an endpoint of mode serverless"),
    ("serverless", {"region": "eu-central-2"}, "region", "no serverless inference in eu-central-2; nearest: eu-central-1"),
    ("async", {"rollout": Rollout("shadow")}, "rollout.strategy", "shadow does not fit an endpoint of mode async"),
    ("async", {"rollout": Rollout("canary")}, "rollout.strategy", "needs 2 or more; got 0"),
    ("async", {"max_instances": 0}, "max_instances", "at least 1: each update starts with one machine"),
    ("async", {"instances": -1}, "instances", "AWS allows 0 or more for an asynchronous endpoint"),
    ("async", {"instances": 4}, "max_instances", "at least instances (4)"),
    ("async", {"backlog_per_instance": 0}, "backlog_per_instance", "AWS allows 1 to"),
    ("async", {"max_wait_seconds": 5}, "max_wait_seconds", "AWS allows 60 to 21600 s"),
    ("async", {"requests_at_once": 1001}, "requests_at_once", "AWS allows 1 to 1000"),
    ("async", {"model_data": "s3://bucket/model.tar.gz"}, "model_data", "a folder"),
    ("async", {"region": "mars-north-1"}, "region", "AWS has no SageMaker"),
    ("realtime", {"instances": 0}, "instances", "AWS allows 1 or more"),
    ("realtime", {"region": "mars-north-1"}, "region", "AWS has no SageMaker"),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "change", "path", "said"), BAD, ids=lambda v: str(v)[:40])
def test_what_aws_would_refuse_is_refused_before_anything_is_made(
    mode: str, change: Mapping[str, Any], path: str, said: str
) -> None:
    found = refusal(mode, **change)
    assert list(found) == [path]
    assert said in found[path]


def test_everything_that_is_wrong_is_said_at_once(mode: str) -> None:
    wrong = {
        "realtime": {"instances": 0, "instance_type": "ml.g5.xlarge", "capture_percent": 101},
        "async": {"rollout": Rollout("shadow"), "instance_type": "ml.g5.xlarge", "instances": -1},
        "serverless": {"rollout": Rollout("canary"), "memory_mb": 1, "max_concurrency": 0},
    }[mode]
    common = {"p99_ms": 0.0, "max_error_rate": 2.0, "log_retention_days": 2, "region": "mars-north-1"}
    found = refusal(mode, "n" * 60, **common, **wrong)
    paths = {"name", *common, *(p if p != "rollout" else "rollout.strategy" for p in wrong)}
    assert paths <= set(found)


@pytest.mark.parametrize(("mode", "limit"), [("realtime", 43), ("async", 43), ("serverless", 43)])
def test_a_name_may_be_as_long_as_aws_allows_and_no_longer(mode: str, limit: int) -> None:
    found = made(mode, "n" * limit)
    assert max(len(r.name) for r in found.resources if r.type != "pulumi:providers:aws") <= 55
    assert f"AWS allows 1 to {limit} letters" in refusal(mode, "n" * (limit + 1))["name"]


def test_every_strategy_is_judged_for_every_mode() -> None:
    for mode, fitting in FITTING.items():
        wide = {"instances": 2} if mode != "serverless" else {}
        for strategy in STRATEGIES:
            asked = {**KINDS[mode][1], "rollout": Rollout(strategy), **wide}
            if strategy in fitting:
                CHECKS[mode]("e", asked)
            else:
                with pytest.raises(pulumi.InputPropertiesError, match="does not fit"):
                    CHECKS[mode]("e", asked)


def test_no_region_that_has_the_service_is_refused() -> None:
    assert set(get_session().get_available_regions("sagemaker", partition_name="aws")) <= SAGEMAKER
    assert SERVERLESS < SAGEMAKER


def test_a_region_of_another_partition_is_refused_with_the_reason() -> None:
    session = get_session()
    for partition in ("aws-cn", "aws-us-gov", "aws-eusc"):
        for region in session.get_available_regions("sagemaker", partition_name=partition):
            assert f"is of the partition {partition}" in lacks(region, SAGEMAKER, "SageMaker")
    assert "components are written for the partition aws" in refusal("realtime", region="cn-north-1")["region"]
