"""Every alarm of every architecture, mode and stage does something and names a page that exists; one of an endpoint speaks for all."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
import yaml
from ai_factory_infra.automation.programs import programs
from ai_factory_infra.idle_alarm import IDLE
from ai_factory_infra.realtime_endpoint import RealtimeEndpoint
from ai_factory_infra.runbooks import DOCS, docs_of
from ai_factory_infra.testing import Registered, Registration, run_program, run_resources
from helpers_infra import ROOT, STAGES, bake, render

METRIC, COMPOSITE = "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:cloudwatch/compositeAlarm:CompositeAlarm"
REPOSITORY = "https://github.com/acme/churn/blob/main/docs"
KINDS: Mapping[str, Mapping[str, str]] = {
    "realtime": {"architecture": "realtime"},
    "serverless": {"architecture": "realtime", "serving_mode": "serverless"},
    "async": {"architecture": "realtime", "serving_mode": "async"},
    "batch": {"architecture": "batch"},
    "streaming": {"architecture": "streaming"},
}


@functools.cache
def project(kind: str, tmp: Path) -> Path:
    """A project whose repository is known, with the ingestion stack where the architecture has one."""
    facts = KINDS[kind] | {"repository": "github.com/acme/churn"}
    folder = render(tmp / kind, **facts)
    if kind in ("batch", "streaming"):
        bake(tmp / kind, "ingestion", **facts)
    return folder


@pytest.fixture(scope="module")
def tmp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runbooks")


@functools.cache
def foundation(kind: str, tmp: Path) -> Registered:
    """It raises no alarm and takes longest, so one stage's stands for all."""
    return run_program(project(kind, tmp) / "infra" / "foundation", "prod")


def alarms(kind: str, stage: str, tmp: Path) -> list[Registration]:
    """Every alarm of a stage that uses everything there is."""
    base = foundation(kind, tmp)
    exports, found = {base.project: base.outputs}, list[Registration]()
    for program in programs(project(kind, tmp) / "infra", stage)[1:]:
        done = run_program(program.folder, stage, exports=exports, config=everything_on(kind).get(program.stack))
        exports[done.project] = done.outputs
        found += [r for of in (METRIC, COMPOSITE) for r in done.of(of)]
    return found


def everything_on(kind: str) -> dict[str, dict[str, str]]:
    serving = {"release": "7-abc123"}
    if kind in ("realtime", "streaming"):
        serving |= {"challenger": "8-def456", "rollout_strategy": "ab", "instances": "2", "max_instances": "4"}
    return {"serving": serving, "training": {"retrain_schedule": "0 3 1 * *"}}


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub and GitLab make them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in found}


def shipped() -> Iterator[str]:
    """The pages that some blueprint puts into a generated repository."""
    for manifest in sorted((ROOT / "blueprints").rglob("blueprint.yaml")):
        yield from yaml.safe_load(manifest.read_text(encoding="utf-8")).get("docs", ())


@pytest.mark.slow
@pytest.mark.parametrize("stage", [pytest.param(s, marks=[] if s == "prod" else pytest.mark.matrix) for s in STAGES])
@pytest.mark.parametrize("kind", KINDS)
def test_every_alarm_has_an_action_and_a_page_that_says_what_to_do(kind: str, stage: str, tmp: Path) -> None:
    found = alarms(kind, stage, tmp)
    assert len(found) >= 5
    pages = set(shipped())
    for alarm in found:
        assert alarm.inputs["alarmActions"], alarm.name
        base, _, linked = str(alarm.inputs["alarmDescription"]).partition(" Runbook: ")[2].partition("/docs/")
        page, _, section = linked.partition("#")
        assert f"{base}/docs" == REPOSITORY, alarm.name
        assert page in pages, alarm.name
        assert section in headings(ROOT / "playbooks" / page), alarm.name


@pytest.mark.parametrize(
    ("repository", "where"),
    [
        ("", DOCS),
        ("github.com/acme/churn", "https://github.com/acme/churn/blob/main/docs"),
        ("gitlab.acme.org/ml/team/churn", "https://gitlab.acme.org/ml/team/churn/-/blob/main/docs"),
    ],
)
def test_the_address_is_the_repositorys_or_else_its_folder(repository: str, where: str) -> None:
    assert docs_of(repository) == where


def test_pages_of_ones_own_win_and_a_foundation_of_before_is_read_as_the_folder(tmp: Path) -> None:
    infra = project("realtime", tmp) / "infra"
    assert run_program(infra / "foundation", "dev").outputs["runbooks"] == REPOSITORY
    wiki = run_program(infra / "foundation", "dev", config={"runbooks": "https://wiki.acme.org/churn"}).outputs
    exports: dict[str, dict[str, Any]] = {"churn-foundation": dict(wiki)}
    exports["churn-registry"] = dict(run_program(infra / "registry", "dev", exports=exports).outputs)

    def said() -> str:
        done = run_program(infra / "serving", "dev", exports=exports)
        return str(done.named(METRIC, "-endpoint-errors").inputs["alarmDescription"]).partition(" Runbook: ")[2]

    assert said() == "https://wiki.acme.org/churn/serve-on-aws.md#what-you-will-be-told"
    del exports["churn-foundation"]["runbooks"]
    assert said() == "docs/serve-on-aws.md#what-you-will-be-told"


ENDINGS = {
    "realtime": ["errors", "latency"],
    "serverless": ["errors", "latency", "concurrency"],
    "async": ["errors", "latency", "waiting", "lost"],
}


@pytest.mark.parametrize("kind", ENDINGS)
def test_one_alarm_of_an_endpoint_speaks_for_those_that_mean_it_is_not_well(kind: str, tmp: Path) -> None:
    serving = served(kind, "prod", tmp)
    whole = serving.only(COMPOSITE)
    name = whole.inputs["alarmName"].removesuffix("-unhealthy")
    assert whole.inputs["alarmRule"] == " OR ".join(f'ALARM("{name}-{ending}")' for ending in ENDINGS[kind])
    topic = serving.named(METRIC, "-errors").inputs["alarmActions"]
    assert whole.inputs["alarmActions"] == whole.inputs["okActions"] == topic
    made_of = {r.urn for r in serving.of(METRIC) if r.name.rpartition("-")[2] in ENDINGS[kind]}
    assert made_of <= whole.dependencies  # AWS refuses an alarm on alarms that are not there


@functools.cache
def served(kind: str, stage: str, tmp: Path, **config: str) -> Registered:
    infra, base = project(kind, tmp) / "infra", foundation(kind, tmp)
    exports = {base.project: base.outputs}
    registry = run_program(infra / "registry", stage, exports=exports)
    exports[registry.project] = registry.outputs
    return run_program(infra / "serving", stage, exports=exports, config={"release": "7-abc123"} | config)


# ---------------------------------------------------------------- machines that nobody asks
@pytest.mark.parametrize(("stage", "days"), [("dev", 2), ("staging", 3), ("prod", 7)])
def test_machines_that_nobody_asks_are_told_after_the_stages_days(stage: str, days: int, tmp: Path) -> None:
    idle = served("realtime", stage, tmp).named(METRIC, "-idle").inputs
    assert idle["evaluationPeriods"] == days * 24
    periods = {q["metric"]["period"] for q in idle["metricQueries"] if "metric" in q}
    assert periods == {3600}
    assert 3600 * idle["evaluationPeriods"] <= 604_800  # what AWS allows
    assert idle["treatMissingData"] == "notBreaching"
    assert "nobody asked" in idle["alarmDescription"]


def test_an_hour_without_machines_is_nobodys_fault(tmp: Path) -> None:
    """One that is new, has let its machines go or has no model yet publishes no use of machines: missing, and so not idle."""
    idle = served("realtime", "dev", tmp).named(METRIC, "-idle").inputs
    metrics = {q["id"]: q.get("metric", {}).get("metricName") or q["expression"] for q in idle["metricQueries"]}
    assert metrics == {"asked": "Invocations", "machines": "CPUUtilization", "idle": IDLE}
    assert "machines > 0" in IDLE
    assert "datapointsToAlarm" not in idle  # all of them
    assert idle["treatMissingData"] == "notBreaching"


def test_a_queue_counts_its_requests_by_the_latency_it_publishes(tmp: Path) -> None:
    idle = served("async", "dev", tmp).named(METRIC, "-idle").inputs
    metrics = {q["id"]: q["metric"] for q in idle["metricQueries"] if "metric" in q}
    assert (metrics["asked"]["metricName"], metrics["asked"]["stat"]) == ("ModelLatency", "SampleCount")
    assert metrics["machines"]["namespace"] == "/aws/sagemaker/Endpoints"


def test_it_can_be_switched_off_and_is_no_reason_to_take_a_version_back(tmp: Path) -> None:
    serving = served("realtime", "dev", tmp)
    endpoint = serving.only("aws:sagemaker/endpoint:Endpoint").inputs
    back = [a["alarmName"] for a in endpoint["deploymentConfig"]["autoRollbackConfiguration"]["alarms"]]
    assert back == ["churn-dev-endpoint-errors", "churn-dev-endpoint-latency"]
    off = served("realtime", "dev", tmp, idle_days="0")
    assert not [r.name for r in off.of(METRIC) if r.name.endswith("-idle")]


def test_more_than_a_week_is_refused() -> None:
    def build() -> None:
        folder = {"bucket": "b", "prefix": "p"}
        args: Any = {
            "stage": "dev", "image": "i", "repository_arn": "r", "model_data": None, "models": folder, "captures": folder,
            "kms_key_arn": "k", "logs_key_arn": "l", "alerts_topic_arn": "t", "p99_ms": 200.0, "idle_days": 8,
        }  # fmt: skip
        RealtimeEndpoint("e", args, pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1")))

    with pytest.raises(pulumi.InputPropertiesError, match="idle_days: got 8; AWS allows 0 to 7 days"):
        run_resources(build)
