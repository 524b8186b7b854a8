"""`make infra-cost`: what is counted is what the programs make; the table is dated, checked and replaceable."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ai_factory_infra.__main__ import main
from ai_factory_infra.cost.estimate import Estimate, as_json, estimate, text
from ai_factory_infra.cost.items import items_of, runs_per_month
from ai_factory_infra.cost.price_table import SHIPPED, PriceTable, price_table
from ai_factory_infra.errors import PriceTableInvalid
from helpers_infra import rendered

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


@pytest.mark.parametrize("content", ["", "- 1\n", "as_of: [\n"])
def test_what_is_no_table_is_refused(tmp_path: Path, content: str) -> None:
    bad = tmp_path / "prices.yaml"
    bad.write_text(content, encoding="utf-8")
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
