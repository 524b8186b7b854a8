"""Data in as Pulumi would be asked to make it, in each stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
{%- if cookiecutter.architecture == "streaming" %}
from ai_factory_infra.testing import Registered, run_stage, run_stage_once, stages
{%- else %}
from ai_factory_infra.testing import Registered, run_stage_once, stages
{%- endif %}

INFRA = Path(__file__).resolve().parents[2] / "infra"


@pytest.fixture(params=stages(INFRA))
def stacks(request: pytest.FixtureRequest) -> Mapping[str, Registered]:
    return run_stage_once(INFRA, request.param)


def test_every_alarm_and_every_refused_file_is_told(stacks: Mapping[str, Registered]) -> None:
    topic = stacks["foundation"].outputs["alerts_topic_arn"]
    alarms = stacks["ingestion"].of("aws:cloudwatch/metricAlarm:MetricAlarm")
    assert alarms
    assert all(alarm.inputs["alarmActions"] == [topic] for alarm in alarms)
    targets = stacks["ingestion"].of("aws:cloudwatch/eventTarget:EventTarget")
    assert [target.inputs["arn"] for target in targets] == [topic]


def test_what_landed_is_never_changed(stacks: Mapping[str, Registered]) -> None:
    ingestion = stacks["ingestion"]
    job = ingestion.only("aws:glue/job:Job").inputs["defaultArguments"]
    landing = f"{job['--lake']}/{job['--landing']}/*"
    puts = [(r.name, s["Resource"]) for r, s in ingestion.statements() if "s3:PutObject" in s["Action"]]
    writers = [name for name, places in puts if any(place.endswith(landing) for place in places)]
    assert [name for name in writers if name.endswith("-curate-job")] == []
    assert not [a for _, s in ingestion.statements() for a in s["Action"] if "DeleteObject" in a]
{%- if cookiecutter.architecture == "streaming" %}


def test_both_streams_are_encrypted_and_kept(stacks: Mapping[str, Registered]) -> None:
    streams = stacks["ingestion"].of("aws:kinesis/stream:Stream")
    assert {s.name.rsplit("-", 1)[-1] for s in streams} == {"events", "answers"}
    for stream in streams:
        assert stream.protect
        assert stream.inputs["kmsKeyId"] == stacks["foundation"].outputs["data_key_arn"]


def test_records_wait_until_there_is_a_release_and_are_then_answered(stacks: Mapping[str, Registered]) -> None:
    kind = "aws:lambda/eventSourceMapping:EventSourceMapping"
    reading = stacks["ingestion"].only(kind).inputs
    assert reading["enabled"] is bool(stacks["serving"].outputs["release"])
    assert reading["functionResponseTypes"] == ["ReportBatchItemFailures"]
    assert reading["destinationConfig"]["onFailure"]["destinationArn"]


@pytest.mark.parametrize("stage", stages(INFRA)[:1])
def test_the_consumer_asks_this_stages_endpoint_and_no_other(stage: str) -> None:
    live = run_stage(INFRA, stage, config={"serving": {"release": "1"}})
    endpoint = live["serving"].outputs["endpoint_name"]
    ingestion = live["ingestion"]
    function = ingestion.only("aws:lambda/function:Function").inputs
    assert function["environment"]["variables"]["AI_FACTORY_ENDPOINT"] == endpoint
    asked = [s["Resource"] for _, s in ingestion.statements() if "sagemaker:InvokeEndpoint" in s["Action"]]
    assert [arn.split("/")[-1] for (arn,) in asked] == [endpoint]
    assert ingestion.only("aws:lambda/eventSourceMapping:EventSourceMapping").inputs["enabled"] is True


def test_a_record_waits_longer_on_the_stream_than_it_is_tried(stacks: Mapping[str, Registered]) -> None:
    hours = {s.inputs["retentionPeriod"] for s in stacks["ingestion"].of("aws:kinesis/stream:Stream")}
    reading = stacks["ingestion"].only("aws:lambda/eventSourceMapping:EventSourceMapping").inputs
    assert reading["maximumRecordAgeInSeconds"] < min(hours) * 3600
{%- endif %}
