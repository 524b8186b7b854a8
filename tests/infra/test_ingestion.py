"""Data in: what the components register, whom they trust with what, and what they refuse before anything is made."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra.audit_log import AuditLog
from ai_factory_infra.batch_ingestion import BatchIngestion
from ai_factory_infra.feature_store import FeatureStore
from ai_factory_infra.stream_ingestion import StreamIngestion
from ai_factory_infra.stream_scoring import StreamScoring
from ai_factory_infra.testing import ACCOUNT, Registered, run_resources
from ai_factory_infra.tracking import Tracking

ARN = "arn:aws:x:eu-west-1:123456789012:y"
FOLDER = {"bucket": "lake", "prefix": "events"}
KEYS = {"kms_key_arn": ARN, "logs_key_arn": ARN, "alerts_topic_arn": ARN}
STREAM = {**KEYS, "lake": FOLDER}
SCORING = {
    **KEYS, "project": "churn", "stage": "dev", "endpoint_name": "churn-dev-endpoint", "stream_arn": ARN,
    "answers_name": "answers", "answers_arn": ARN, "refused": {"bucket": "lake", "prefix": "refused"},
}  # fmt: skip
BATCH = {**KEYS, "lake": "lake", "schedule": "0 2 * * *"}
GROUP = {"features": {"id": "String", "at": "Fractional", "age": "Integral"}, "record_id": "id", "event_time": "at"}
STORE = {"groups": {"rows": GROUP}, "offline": FOLDER, "kms_key_arn": ARN}
AUDIT = {"buckets": ["lake"], "logs_key_arn": ARN}
TRACKING = {"artifacts": FOLDER, "kms_key_arn": ARN}
ALL = [
    (StreamIngestion, STREAM, 43), (StreamScoring, SCORING, 46), (BatchIngestion, BATCH, 43), (FeatureStore, STORE, 49),
    (AuditLog, AUDIT, 49), (Tracking, TRACKING, 48),
]  # fmt: skip
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"


def made(component: Any, args: Mapping[str, Any], name: str = "churn-dev-x") -> Registered:
    def build() -> None:
        component(name, dict(args), pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1")))

    return run_resources(build)


def refusal(component: Any, args: Mapping[str, Any], name: str = "churn-dev-x") -> dict[str, str]:
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        made(component, args, name)
    return {e["property_path"]: e["reason"] for e in caught.value.errors or []}


def allowed(found: Registered, action: str) -> list[Any]:
    """The resources that any role may do this to."""
    return [r for _, s in found.statements() if action in s["Action"] for r in s.get("Resource", [])]


Case = tuple[Any, Mapping[str, Any], Mapping[str, Any], str, str]
CASES: list[Case] = [
    (StreamIngestion, STREAM, {"retention_hours": 23}, "retention_hours", "24 to 8760 hours"),
    (StreamIngestion, STREAM, {"shards": -1}, "shards", "0 to 200"),
    (StreamIngestion, STREAM, {"collect_mb": 129}, "collect_mb", "1 to 128 MiB"),
    (StreamIngestion, STREAM, {"collect_seconds": 901}, "collect_seconds", "0 to 900 s"),
    (StreamIngestion, STREAM, {"lake": {"bucket": "b", "prefix": "/x/"}}, "lake.prefix", "without slashes"),
    (StreamIngestion, STREAM, {"lake": {"bucket": "b", "prefix": "!{x}"}}, "lake.prefix", "an expression"),
    (StreamIngestion, STREAM, {"log_retention_days": 31}, "log_retention_days", "AWS allows (1, 3"),
    (StreamScoring, SCORING, {"batch": 10_001}, "batch", "1 to 10000 records"),
    (StreamScoring, SCORING, {"rows": 501}, "rows", "at most a batch (500)"),
    (StreamScoring, SCORING, {"wait_seconds": 0}, "wait_seconds", "waits for 1 s or more"),
    (StreamScoring, SCORING, {"at_once": 11}, "at_once", "1 to 10"),
    (StreamScoring, SCORING, {"attempts": 10_001}, "attempts", "0 to 10000"),
    (StreamScoring, SCORING, {"max_age_hours": 169}, "max_age_hours", "1 to 168 hours"),
    (StreamScoring, SCORING, {"timeout_seconds": 901}, "timeout_seconds", "1 to 900 s"),
    (StreamScoring, SCORING, {"memory_mb": 64}, "memory_mb", "128 to 10240 MB"),
    (StreamScoring, SCORING, {"refused_share": 1.0}, "refused_share", "less than 1"),
    (BatchIngestion, BATCH, {"schedule": "0 2 1 * 1"}, "schedule", "not both"),
    (BatchIngestion, BATCH, {"landing": "in/"}, "landing", "without slashes"),
    (BatchIngestion, BATCH, {"curated": "landing/curated"}, "curated", "three folders apart"),
    (BatchIngestion, BATCH, {"timeout_minutes": 3000}, "timeout_minutes", "1 to 2880 minutes"),
    (FeatureStore, STORE, {"groups": {}}, "groups", "got none"),
    (FeatureStore, STORE, {"groups": {"r": {**GROUP, "record_id": "no"}}}, "groups.r.record_id", "none of its features"),
    (FeatureStore, STORE, {"groups": {"r": {**GROUP, "event_time": "age"}}}, "groups.r.event_time", "String (ISO 8601)"),
    (FeatureStore, STORE, {"groups": {"r": {**GROUP, "keep_days": 3}}}, "groups.r.keep_days", "switch online on"),
    (FeatureStore, STORE, {"groups": {"r": {**GROUP, "features": {**GROUP["features"], "write_time": "String"}}}}, "groups.r.features", "adds itself"),  # type: ignore[dict-item]
    (FeatureStore, STORE, {"groups": {"r": {**GROUP, "features": {**GROUP["features"], "x": "Text"}}}}, "groups.r.features.x", "String, Fractional, Integral"),  # type: ignore[dict-item]
    (AuditLog, AUDIT, {"buckets": []}, "buckets", "1 to 250 buckets"),
    (AuditLog, AUDIT, {"keep_days": 0}, "keep_days", "1 day or more"),
    (Tracking, TRACKING, {"kind": "notebook"}, "kind", "app, server"),
    (Tracking, TRACKING, {"size": "Small"}, "size", "an app has none"),
    (Tracking, TRACKING, {"kind": "server", "size": "Huge"}, "size", "Small, Medium, Large"),
    (Tracking, TRACKING, {"maintenance": "Sunday"}, "maintenance", "Sun:03:00"),
]  # fmt: skip


@pytest.mark.parametrize(("component", "args", "change", "path", "said"), CASES, ids=lambda v: str(v)[:40])
def test_what_aws_would_refuse_is_refused_first(
    component: Any, args: Mapping[str, Any], change: Mapping[str, Any], path: str, said: str
) -> None:
    found = refusal(component, {**args, **change})
    assert list(found) == [path]
    assert said in found[path]


def test_all_problems_are_said_at_once() -> None:
    assert set(refusal(StreamScoring, {**SCORING, "batch": 0, "at_once": 0, "memory_mb": 1}, "n" * 60)) == {
        "name", "batch", "rows", "at_once", "memory_mb",
    }  # fmt: skip


@pytest.mark.parametrize(("component", "args", "limit"), ALL, ids=lambda v: str(v)[:60])
def test_every_role_is_bounded_or_one_that_exists_and_every_name_fits(
    component: Any, args: Mapping[str, Any], limit: int
) -> None:
    found = made(component, {**args, "permissions_boundary_arn": ARN}, "n" * limit)
    assert max(len(r.name) for r in found.resources) <= 55
    assert f"AWS allows 1 to {limit} letters" in refusal(component, args, "n" * (limit + 1))["name"]
    roles = found.of("aws:iam/role:Role")
    assert roles
    assert {r.inputs["permissionsBoundary"] for r in roles} == {ARN}
    parts = [r.name.removeprefix("n" * limit + "-") for r in roles]
    brought = made(component, {**args, "role_arns": dict.fromkeys(parts, "arn:aws:iam::123456789012:role/mine")})
    assert brought.of("aws:iam/role:Role") == []


# ---------------------------------------------------------------- streams
def test_a_stream_is_encrypted_kept_and_lands_by_the_hour_a_record_a_line() -> None:
    found = made(StreamIngestion, STREAM)
    stream = found.only("aws:kinesis/stream:Stream")
    assert stream.protect
    assert (stream.inputs["encryptionType"], stream.inputs["kmsKeyId"]) == ("KMS", ARN)
    assert stream.inputs["streamModeDetails"] == {"streamMode": "ON_DEMAND"}
    assert "shardCount" not in stream.inputs
    s3 = found.only("aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream").inputs["extendedS3Configuration"]
    assert s3["kmsKeyArn"] == ARN
    assert s3["prefix"].startswith("events/year=!{timestamp:yyyy}/")
    assert s3["errorOutputPrefix"].startswith("events-failed/!{firehose:error-output-type}/")
    (processor,) = s3["processingConfiguration"]["processors"]
    assert processor["parameters"] == [{"parameterName": "Delimiter", "parameterValue": "\\n"}]
    assert made(StreamIngestion, {**STREAM, "shards": 2}).only("aws:kinesis/stream:Stream").inputs["shardCount"] == 2


def test_only_the_delivery_writes_the_lake_and_only_its_two_folders() -> None:
    found = made(StreamIngestion, STREAM)
    assert allowed(found, "s3:PutObject") == ["arn:aws:s3:::lake/events/*", "arn:aws:s3:::lake/events-failed/*"]
    assert allowed(found, "kinesis:PutRecords") == []


def test_a_stream_tells_refused_late_failing_and_missing_records() -> None:
    found = made(StreamIngestion, {**STREAM, "quiet_minutes": 60, "collect_seconds": 60})
    alarms = {a.name.removeprefix("churn-dev-x-"): a.inputs for a in found.of(ALARM)}
    assert set(alarms) == {"refused", "late", "undelivered", "quiet"}
    assert all(a["alarmActions"] == [ARN] == a["okActions"] for a in alarms.values())
    assert alarms["late"]["threshold"] == 420
    assert (alarms["quiet"]["treatMissingData"], alarms["quiet"]["period"]) == ("breaching", 3600)
    assert len(made(StreamIngestion, STREAM).of(ALARM)) == 3


def test_a_batch_that_fails_is_halved_tried_again_from_where_it_failed_and_given_up_to_a_queue() -> None:
    found = made(StreamScoring, SCORING)
    reading = found.only("aws:lambda/eventSourceMapping:EventSourceMapping").inputs
    assert reading["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert reading["bisectBatchOnFunctionError"] is True
    assert 0 <= reading["maximumRetryAttempts"] < 10_000
    assert reading["maximumRecordAgeInSeconds"] == 23 * 3600
    queue = found.only("aws:sqs/queue:Queue")
    assert "queue/churn-dev-x-letters" in reading["destinationConfig"]["onFailure"]["destinationArn"].lower()
    assert queue.inputs["sqsManagedSseEnabled"] is True
    assert reading["startingPosition"] == "TRIM_HORIZON"


def test_the_function_may_ask_one_endpoint_and_write_two_places() -> None:
    found = made(StreamScoring, SCORING)
    asked = allowed(found, "sagemaker:InvokeEndpoint")
    assert asked == [f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:endpoint/churn-dev-endpoint"]
    assert allowed(found, "kinesis:PutRecords") == [ARN]
    assert allowed(found, "s3:PutObject") == ["arn:aws:s3:::lake/refused/*"]
    assert allowed(found, "s3:GetObject") == []


def test_the_function_is_the_consumer_with_what_it_reads_from_its_environment() -> None:
    from ai_factory_infra import stream_consumer

    function = made(StreamScoring, SCORING).only("aws:lambda/function:Function").inputs
    assert function["handler"] == "stream_consumer.handler"
    source = Path(stream_consumer.__file__).read_text(encoding="utf-8")
    given = function["environment"]["variables"]
    assert all(name in source for name in given)
    assert function["kmsKeyArn"] == ARN


def test_the_alarm_on_refused_records_reads_the_metrics_that_the_function_writes() -> None:
    from ai_factory_infra.stream_consumer import Outcome, metrics

    written = json.loads(metrics(Outcome(), "churn", "dev"))["_aws"]["CloudWatchMetrics"][0]
    queries = made(StreamScoring, SCORING).named(ALARM, "-refused").inputs["metricQueries"]
    read = [q["metric"] for q in queries if "metric" in q]
    assert {m["namespace"] for m in read} == {written["Namespace"]}
    assert {m["metricName"] for m in read} == {m["Name"] for m in written["Metrics"]}
    assert all(m["dimensions"] == {"project": "churn", "stage": "dev"} for m in read)


# ---------------------------------------------------------------- files
def test_a_refused_file_and_a_start_that_fails_are_told() -> None:
    found = made(BatchIngestion, BATCH)
    pattern = json.loads(found.only("aws:cloudwatch/eventRule:EventRule").inputs["eventPattern"])
    assert pattern["detail"]["state"] == ["ERROR", "FAILED", "TIMEOUT"]
    assert found.only("aws:cloudwatch/eventTarget:EventTarget").inputs["arn"] == ARN
    target = found.only("aws:scheduler/schedule:Schedule").inputs["target"]
    assert target["arn"] == "arn:aws:scheduler:::aws-sdk:glue:startJobRun"
    assert json.loads(target["input"])["JobName"].startswith("churn-dev-x")
    assert target["deadLetterConfig"]["arn"]
    assert found.only(ALARM).inputs["alarmActions"] == [ARN]


def test_the_parts_are_catalogued_after_every_run_also_one_that_refused_a_file() -> None:
    found = made(BatchIngestion, BATCH)
    trigger = found.only("aws:glue/trigger:Trigger").inputs
    assert {c["state"] for c in trigger["predicate"]["conditions"]} == {"SUCCEEDED", "FAILED"}
    assert found.only("aws:glue/catalogDatabase:CatalogDatabase").inputs["name"] == "churn_dev_x"
    (target,) = found.only("aws:glue/crawler:Crawler").inputs["s3Targets"]
    assert target == {"path": "s3://lake/curated/", "exclusions": ["_*"]}


def test_the_job_may_not_change_what_landed() -> None:
    found = made(BatchIngestion, BATCH)
    assert "arn:aws:s3:::lake/landing/*" in allowed(found, "s3:GetObject")
    assert allowed(found, "s3:PutObject") == ["arn:aws:s3:::lake/curated/*", "arn:aws:s3:::lake/refused/*"]
    assert not [a for _, s in found.statements() for a in s["Action"] if "Delete" in a]


def test_the_job_gets_every_argument_that_it_asks_for() -> None:
    given = made(BatchIngestion, BATCH).only("aws:glue/job:Job").inputs["defaultArguments"]
    assert {"--lake", "--landing", "--curated", "--refused"} < set(given)


def test_a_program_needs_nothing_of_what_its_job_and_its_function_run_on() -> None:
    """Lambda and Glue bring boto3 and Arrow; importing them would cost every run of a program a second."""
    modules = "ai_factory_infra.batch_ingestion, ai_factory_infra.stream_scoring, ai_factory_infra.stream_rehearsal"
    script = f"import {modules}, sys; sys.exit(' '.join(m for m in ('boto3', 'pyarrow') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, check=False)
    assert done.stderr.strip() == ""


# ---------------------------------------------------------------- features, evidence, experiments
def test_no_update_replaces_a_feature_group_whatever_becomes_of_its_features() -> None:
    """To the provider a feature more is another group: the one with the rows would be deleted."""
    group = made(FeatureStore, STORE).only("aws:sagemaker/featureGroup:FeatureGroup")
    assert group.protect
    assert group.ignore_changes == ("featureDefinitions",)
    assert "onlineStoreConfig" not in group.inputs
    online = {**STORE, "groups": {"rows": {**GROUP, "online": True, "keep_days": 30}}}
    config = made(FeatureStore, online).only("aws:sagemaker/featureGroup:FeatureGroup").inputs["onlineStoreConfig"]
    assert config["securityConfig"] == {"kmsKeyId": ARN}
    assert config["ttlDuration"] == {"unit": "Days", "value": 30}


def test_evidence_is_digested_encrypted_kept_and_written_by_this_trail_alone() -> None:
    found = made(AuditLog, AUDIT)
    trail = found.only("aws:cloudtrail/trail:Trail").inputs
    assert trail["enableLogFileValidation"] is True
    fields = {f["field"]: f for f in trail["advancedEventSelectors"][0]["fieldSelectors"]}
    assert fields["resources.ARN"]["startsWiths"] == ["arn:aws:s3:::lake/"]
    arn = f"arn:aws:cloudtrail:eu-west-1:{ACCOUNT}:trail/{trail['name']}"
    others = [
        s for _, s in found.statements() if "cloudtrail" in str(s.get("Principal")) and s["Action"] != "sts:AssumeRole"
    ]
    assert len(others) == 3
    assert all(s["Condition"]["StringEquals"]["aws:SourceArn"] == arn for s in others)
    assert found.only("aws:s3/bucket:Bucket").protect
    assert found.only("aws:kms/key:Key").protect


def test_experiments_are_kept_in_an_app_or_a_server() -> None:
    app = made(Tracking, TRACKING).only("aws:sagemaker/mlflowApp:MlflowApp")
    assert app.protect
    assert app.inputs["artifactStoreUri"] == "s3://lake/events"
    assert app.inputs["modelRegistrationMode"] == "AutoModelRegistrationDisabled"
    args = {**TRACKING, "kind": "server", "size": "Medium", "register_models": True, "group_prefix": "churn"}
    found = made(Tracking, args)
    server = found.only("aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer")
    assert (server.protect, server.inputs["trackingServerSize"]) == (True, "Medium")
    groups = allowed(found, "sagemaker:CreateModelPackage")
    assert [g.rsplit(":", 1)[1] for g in groups] == ["model-package-group/churn*", "model-package/churn*"]
