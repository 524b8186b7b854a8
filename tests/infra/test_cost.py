"""`make infra-cost`: what is counted is what the programs make; the table is dated, checked and replaceable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from ai_factory_infra.__main__ import main
from ai_factory_infra.cost.estimate import Estimate, as_json, estimate, text
from ai_factory_infra.cost.items import items_of
from ai_factory_infra.cost.lines import Item, is_named
from ai_factory_infra.cost.price_table import SHIPPED, PriceTable, price_table
from ai_factory_infra.cost.runs import runs_per_month
from ai_factory_infra.errors import PriceTableInvalid
from ai_factory_infra.testing import run_program
from helpers_infra import bake, registered, rendered

CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"


@pytest.fixture(scope="module")
def prod() -> Estimate:
    return estimate(rendered() / "infra", "prod")


@pytest.fixture
def table() -> PriceTable:
    return price_table(SHIPPED, "eu-west-1")


def test_an_endpoints_machines_are_counted_by_the_hour(prod: Estimate, table: PriceTable) -> None:
    serving = next(s for s in prod.stacks if s.stack == "serving")
    endpoint = next(i for i in serving.items if i.group == "endpoints")
    assert endpoint.by == "2 × ml.m5.large × 730 h"
    assert endpoint.amount == pytest.approx(2 * 730 * table.instance_hour["ml.m5.large"])


def test_every_stack_is_priced_and_the_sum_is_of_its_lines(prod: Estimate) -> None:
    assert {"foundation", "registry", "serving", "training", "monitoring"} <= {s.stack for s in prod.stacks}
    assert prod.amount == pytest.approx(sum(i.amount or 0 for s in prod.stacks for i in s.items))
    assert all(s.amount > 0 for s in prod.stacks)


def test_no_type_of_the_stacks_is_forgotten(prod: Estimate) -> None:
    assert {u for s in prod.stacks for u in s.unknown} == set()


def test_the_text_says_its_date_what_it_assumes_and_what_it_leaves_out(prod: Estimate) -> None:
    said = text(prod)
    assert f"prices of {prod.table.as_of}" in said
    assert "Priced as if a release were live in: serving." in said
    assert "requests_per_month 100000" in said
    assert "Left out: data transfer" in said


def test_the_same_as_json(prod: Estimate) -> None:
    read = json.loads(as_json(prod))
    assert read["as_of"] == str(prod.table.as_of)
    assert read["amount"] == pytest.approx(prod.amount)


def test_a_table_of_ones_own_wins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    whole["as_of"] = "2031-02-03"
    own = tmp_path / "prices.yaml"
    own.write_text(yaml.safe_dump(whole).replace("'2031-02-03'", "2031-02-03"), encoding="utf-8")
    assert main(["cost", "--infra", str(rendered() / "infra"), "--prices", str(own)]) == 0
    said = capsys.readouterr().out
    assert "prices of 2031-02-03" in said
    assert str(own) in said


def test_the_shipped_table_can_be_printed_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--print-table"]) == 0
    own = tmp_path / "prices.yaml"
    own.write_text(capsys.readouterr().out, encoding="utf-8")
    assert price_table(own, "us-east-1").unit == price_table(SHIPPED, "us-east-1").unit


def test_a_region_without_prices_takes_the_others_and_says_whose(prod: Estimate) -> None:
    far = price_table(SHIPPED, "ap-south-2")
    assert far.region == "other"
    from dataclasses import replace

    assert "The table has no prices of ap-south-2" in text(replace(prod, region="ap-south-2", table=far))


def test_a_bad_table_is_refused_with_all_problems(tmp_path: Path) -> None:
    whole: dict[str, Any] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    whole["as_of"] = "lately"
    whole["assume"]["logs_gb"] = -1
    del whole["regions"]["other"]["kms_key_month"]
    whole["regions"]["other"]["ml_instance_hour"]["ml.m5.large"] = "cheap"
    bad = tmp_path / "prices.yaml"
    bad.write_text(yaml.safe_dump(whole), encoding="utf-8")
    with pytest.raises(PriceTableInvalid) as refused:
        price_table(bad, "xx-nowhere-1")
    for part in (
        "as_of: got 'lately'",
        "assume.logs_gb: got -1",
        "regions.other.kms_key_month: missing",
        "regions.other.ml_instance_hour.ml.m5.large: got 'cheap'",
    ):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("hours_per_month", 0), ("stream_record_kb", 0), ("logs_gb", float("nan")), ("logs_gb", float("inf"))],
)
def test_a_number_that_nothing_can_be_counted_by_is_refused(tmp_path: Path, name: str, value: float) -> None:
    whole = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    whole["assume"][name] = value
    bad = tmp_path / "prices.yaml"
    bad.write_text(yaml.safe_dump(whole), encoding="utf-8")
    with pytest.raises(PriceTableInvalid, match=f"assume.{name}: got {value}"):
        price_table(bad, "eu-west-1")


@pytest.mark.parametrize("content", [b"", b"- 1\n", b"as_of: [\n", b"as_of: \xff\n"])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "prices.yaml"
    bad.write_bytes(content)
    with pytest.raises(PriceTableInvalid):
        price_table(bad, "eu-west-1")


def test_a_shadow_costs_what_the_champion_costs(table: PriceTable) -> None:
    variant = {"instanceType": "ml.c5.large", "initialInstanceCount": 1.0}
    alone, _ = items_of([(CONFIGURATION, "e", {"productionVariants": [variant]})], table)
    both, _ = items_of(
        [(CONFIGURATION, "e", {"productionVariants": [variant], "shadowProductionVariants": [variant]})], table
    )
    assert sum(i.amount or 0 for i in both) == pytest.approx(2 * sum(i.amount or 0 for i in alone))


def test_serverless_is_counted_by_memory_time_and_requests(table: PriceTable) -> None:
    variant = {"serverlessConfig": {"memorySizeInMb": 2048.0, "maxConcurrency": 5.0}}
    (item,), _ = items_of([(CONFIGURATION, "e", {"productionVariants": [variant]})], table)
    assert item.amount == pytest.approx(2 * 0.1 * 100_000 * 0.00002)


def test_a_machine_without_a_price_is_shown_and_counted_as_nothing(table: PriceTable) -> None:
    variant = {"instanceType": "ml.p9.huge", "initialInstanceCount": 1.0}
    (item,), _ = items_of([(CONFIGURATION, "e", {"productionVariants": [variant]})], table)
    assert item.amount is None


def test_a_type_without_a_rule_is_named(table: PriceTable) -> None:
    assert items_of([("aws:rds/instance:Instance", "db", {})], table) == ([], ["aws:rds/instance:Instance"])


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("cron(0 4 * * ? *)", 30.4),
        ("cron(0 3 1 * ? *)", 1.0),
        ("cron(0 6,18 ? * MON,FRI *)", 2 * 2 * 4.35),
        ("rate(12 hours)", 60.8),
    ],
)
def test_schedules_are_counted(expression: str, times: float) -> None:
    assert runs_per_month(expression) == pytest.approx(times)


def test_an_interface_endpoint_costs_by_the_hour_in_each_subnet_and_a_gateway_nothing(table: PriceTable) -> None:
    kind = "aws:ec2/vpcEndpoint:VpcEndpoint"
    interface = {"vpcEndpointType": "Interface", "subnetIds": ["a", "b", "c"]}
    (item,), _ = items_of([(kind, "sts", interface), (kind, "s3", {"vpcEndpointType": "Gateway"})], table)
    assert item.amount == pytest.approx(3 * 730 * 0.011 + 5 * 0.01)


KINESIS = "aws:kinesis/stream:Stream"


def lines(*resources: tuple[str, str, dict[str, Any]], table: PriceTable) -> list[Item]:
    return items_of(resources, table)[0]


def training_hours(schedule: str, most: int) -> str:
    """How long the training pipeline is said to run, where `schedule` asks the door, which allows `most` runs a day."""
    config = {"retrain_schedule": schedule, "max_runs_per_day": str(most)}
    exports = {done.project: done.outputs for done in registered("realtime", "dev").values()}
    done = run_program(rendered(architecture="realtime") / "infra" / "training", "dev", exports=exports, config=config)
    found = [(r.type, r.name, r.inputs) for r in done.resources]
    (item,) = (i for i in items_of(found, price_table(SHIPPED, "eu-west-1"))[0] if i.group == "pipelines")
    return item.by


def test_a_schedule_that_asks_the_door_is_counted_as_often_as_the_door_opens() -> None:
    steps = float(training_hours("", 4).split(" ×")[0])
    assert training_hours("", 4) == f"{steps:g} × ml.m5.large × 2 h"  # no schedule: 4 runs of half an hour are assumed
    assert training_hours("0 3 1 * *", 4) == f"{steps:g} × ml.m5.large × 0.5 h"  # once a month
    assert training_hours("0 * * * *", 4) == f"{steps:g} × ml.m5.large × 60.8 h"  # 4 of 24 a day: 4 × 30.4 × 0.5
    assert training_hours("0 * * * *", 100) == f"{steps:g} × ml.m5.large × 364.8 h"  # 24 × 30.4 × 0.5


def test_a_longer_name_is_not_taken_for_the_one_it_begins_with() -> None:
    assert is_named("arn:x:pipeline/churn-dev-1a2b3c4", "churn-dev", {})
    assert is_named("arn:x:pipeline/p", "churn-dev", {"pipelineName": "p"})
    assert not is_named("arn:x:pipeline/churn-dev-scoring", "churn-dev", {})


def test_two_schedules_of_one_pipeline_are_added(table: PriceTable) -> None:
    definition = json.dumps({"Steps": [{"InstanceType": "ml.m5.large", "InstanceCount": 2}]})
    schedules = [
        (
            "aws:scheduler/schedule:Schedule",
            f"s{i}",
            {"scheduleExpression": rate, "target": {"arn": "arn:x:pipeline/p"}},
        )
        for i, rate in enumerate(("rate(1 day)", "rate(2 days)"))
    ]
    asked = ("aws:sagemaker/pipeline:Pipeline", "p", {"pipelineName": "p", "pipelineDefinition": definition})
    (item,) = lines(asked, *schedules, table=table)
    assert item.amount == pytest.approx(2 * 0.5 * (30.4 + 15.2) * 0.128)


def test_what_a_serverless_endpoint_keeps_warm_costs_by_the_hour(table: PriceTable) -> None:
    variant = {"serverlessConfig": {"memorySizeInMb": 2048.0, "maxConcurrency": 20.0, "provisionedConcurrency": 3.0}}
    asked, warm = lines((CONFIGURATION, "e", {"productionVariants": [variant]}), table=table)
    assert asked.amount == pytest.approx(2 * 0.1 * 100_000 * 0.00002)
    assert warm.by == "3 × 2 GB kept warm × 730 h"
    assert warm.amount == pytest.approx(3 * 2 * 730 * 3600 * 0.00001)


@pytest.mark.parametrize(
    ("fewest", "by", "hours"), [(0, "1 × ml.m5.large × 60 h asked, else none", 60), (1, "1 × ml.m5.large × 730 h", 730)]
)
def test_an_endpoint_without_machines_while_idle_is_counted_for_the_hours_it_is_asked_in(
    fewest: int, by: str, hours: int
) -> None:
    facts = {"architecture": "realtime", "serving_mode": "async"}
    exports = {done.project: done.outputs for done in registered("realtime", "dev").values()}
    config = {"release": "7-abc123", "instances": str(fewest), "max_instances": "2"}
    done = run_program(rendered(**facts) / "infra" / "serving", "dev", exports=exports, config=config)
    found = [(r.type, r.name, r.inputs) for r in done.resources if r.type.startswith("aws:")]
    (item,) = (i for i in items_of(found, price_table(SHIPPED, "eu-west-1"))[0] if i.group == "endpoints")
    assert (item.by, item.amount) == (by, pytest.approx(hours * 0.128))


@pytest.fixture(scope="module")
def ingestion(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Item]:
    """What the streams of an architecture that has some cost in prod, and what watches them."""
    out = tmp_path_factory.mktemp("streaming")
    bake(out, "ingestion", architecture="streaming")
    exports = {done.project: done.outputs for done in registered("realtime", "dev").values()}
    done = run_program(out / "churn" / "infra" / "ingestion", "prod", exports=exports)
    resources = [(r.type, r.name, r.inputs) for r in done.resources if r.type.startswith("aws:")]
    return items_of(resources, price_table(SHIPPED, "eu-west-1"))[0]


def of(items: Sequence[Item], who: str) -> list[tuple[str, float | None]]:
    return [(i.by, i.amount) for i in items if i.what == who and i.group == "streams"]


def test_a_stream_on_demand_costs_by_the_hour_the_gigabyte_and_what_it_keeps(ingestion: Sequence[Item]) -> None:
    delivered, hours, moved, kept = of(ingestion, "churn-prod-events")
    assert hours == ("on demand, 730 h", pytest.approx(730 * 0.045))
    assert moved == ("5 GB in, read by 2", pytest.approx(5 * 0.09 + 2 * 5 * 0.045))  # the delivery and the consumer
    assert kept == ("0.986 GB kept over a day", pytest.approx(5 * (168 - 24) / 730 * 0.113))  # 168 h in prod
    assert delivered == ("25 GB, records of 1 KB counted as 5s", pytest.approx(5 * 5 * 0.031))
    assert ("5 GB in, read by 1", pytest.approx(5 * 0.09 + 5 * 0.045)) in of(ingestion, "churn-prod-answers")


def test_the_metrics_that_only_this_project_publishes_cost_and_those_of_aws_do_not(
    ingestion: Sequence[Item], prod: Estimate
) -> None:
    own = {s.stack: i.amount for s in prod.stacks for i in s.items if i.what == "metrics of its own"}
    assert own == {"monitoring": pytest.approx(3 * 0.30)}
    assert [i.amount for i in ingestion if i.what == "metrics of its own"] == [pytest.approx(2 * 0.30)]


def test_shards_cost_by_the_hour_by_the_write_and_by_what_they_keep(table: PriceTable) -> None:
    inputs = {"streamModeDetails": {"streamMode": "PROVISIONED"}, "shardCount": 2.0, "retentionPeriod": 720.0}
    hours, writes, kept, long = lines((KINESIS, "s", inputs), table=table)
    assert hours.amount == pytest.approx(2 * 730 * 0.017)
    assert (writes.by, writes.amount) == ("5 million writes", pytest.approx(5 * 0.0165))  # 5 GB in records of 1 KB
    assert kept.amount == pytest.approx(2 * 730 * 0.023)
    assert long.amount == pytest.approx(5 * (720 - 168) / 730 * 0.026)
    day = {"streamModeDetails": {"streamMode": "PROVISIONED"}, "shardCount": 2.0, "retentionPeriod": 24.0}
    assert len(lines((KINESIS, "s", day), table=table)) == 2


def test_an_alarm_costs_for_each_metric_it_looks_at(table: PriceTable) -> None:
    kind = "aws:cloudwatch/metricAlarm:MetricAlarm"
    queries = [{"id": f"m{i}", "metric": {"namespace": "AWS/SageMaker", "metricName": f"M{i}"}} for i in range(4)]
    one, four = lines(
        (kind, "one", {"namespace": "AWS/SQS", "metricName": "Age"}),
        (kind, "four", {"metricQueries": [*queries, {"id": "sum", "expression": "m0 + m1 + m2 + m3"}]}),
        table=table,
    )
    assert (one.amount, four.amount) == (pytest.approx(0.10), pytest.approx(0.40))


def test_what_is_not_priced_is_named(prod: Estimate) -> None:
    said = text(prod)
    for part in ("serverless endpoints", "metrics that no alarm looks at", "runs that drift or a person starts"):
        assert part in said
