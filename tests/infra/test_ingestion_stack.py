"""The ingestion stack, for an architecture with a stream and one without, as the engine would be asked to make it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ai_factory_infra.automation.programs import programs
from ai_factory_infra.config import ConfigError
from ai_factory_infra.landing_job import READABLE
from ai_factory_infra.testing import Registered, run_program
from helpers_infra import STAGES, bake, render

KINDS = ("streaming", "batch")


@dataclass(frozen=True)
class Project:
    """A rendered project, and what the stacks that ingestion reads export once there is a release."""

    folder: Path
    exports: Mapping[str, Mapping[str, Any]]

    @property
    def program(self) -> Path:
        return self.folder / "infra" / "ingestion"

    @property
    def streams(self) -> bool:
        return "StreamScoring" in (self.program / "__main__.py").read_text(encoding="utf-8")

    def run(self, stage: str = "dev", *, preview: bool = False, **config: str) -> Registered:
        asked = {"audit": "true", **({"quiet_minutes": "60"} if self.streams else {}), **config}
        return run_program(self.program, stage, exports=self.exports, config=asked, preview=preview)


@pytest.fixture(scope="module", params=KINDS)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    out = tmp_path_factory.mktemp(request.param)
    folder = render(out, architecture=request.param)
    bake(out, "ingestion", architecture=request.param)
    exports: dict[str, Mapping[str, Any]] = {}
    for stack in ("foundation", "registry", "serving"):
        config = {"release": "7-abc123"} if stack == "serving" else None
        found = run_program(folder / "infra" / stack, "dev", exports=exports, config=config)
        exports[found.project] = found.outputs
    return Project(folder, exports)


@pytest.fixture(scope="module", params=STAGES)
def ingestion(request: pytest.FixtureRequest, project: Project) -> Registered:
    return project.run(request.param)


def test_every_stage_makes_the_stack_and_no_policy_allows_more_than_it_names(
    project: Project, ingestion: Registered
) -> None:
    assert [r.urn for r in ingestion.resources if r.type.startswith("aws:") and "-aws::" not in r.provider] == []
    assert max(len(r.name) for r in ingestion.resources) <= 55
    assert len(ingestion.of("aws:kinesis/stream:Stream")) == (2 if project.streams else 0)
    policies = [s for r, s in ingestion.statements() if r.type == "aws:iam/rolePolicy:RolePolicy"]
    assert len(policies) > 10
    assert [s for s in policies if "*" in s["Resource"] or any("*" in a for a in s["Action"])] == []


def test_a_preview_of_nothing_made_yet_registers_the_same(project: Project) -> None:
    made, planned = project.run().resources, project.run(preview=True).resources
    assert sorted((r.type, r.name) for r in planned) == sorted((r.type, r.name) for r in made)


def test_every_role_of_the_stack_can_be_one_that_exists(project: Project) -> None:
    role = "arn:aws:iam::123456789012:role/mine"
    parts = ["job", "crawler", "clock", "trail", *(["delivery", "function"] if project.streams else [])]
    found = project.run(curate_schedule="0 2 * * *", role_arns=", ".join(f"{part}={role}" for part in parts))
    assert [r.name for r in found.of("aws:iam/role:Role")] == []
    with pytest.raises(ConfigError, match=r"role_arns: .* did you mean 'crawler'\?"):
        project.run(role_arns=f"crawlr={role}")


def test_the_stack_comes_after_what_it_reads(project: Project) -> None:
    order = [p.stack for p in programs(project.folder / "infra", "dev")]
    before = {"foundation", "serving"} if project.streams else {"foundation"}
    assert before <= set(order[: order.index("ingestion")])


def test_records_wait_until_there_is_a_release(project: Project) -> None:
    kind = "aws:lambda/eventSourceMapping:EventSourceMapping"
    without = {**project.exports, "churn-serving": {**project.exports["churn-serving"], "release": ""}}
    before = run_program(project.program, "dev", exports=without)
    assert [r.inputs["enabled"] for r in before.of(kind)] == [False] * project.streams
    assert [r.inputs["enabled"] for r in project.run().of(kind)] == [True] * project.streams


def test_what_lands_and_what_is_refused_stand_apart(project: Project, ingestion: Registered) -> None:
    job = ingestion.only("aws:glue/job:Job").inputs["defaultArguments"]
    assert job["--landing"] == ("events" if project.streams else "landing")
    firehoses = ingestion.of("aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream")
    written = sorted(f.inputs["extendedS3Configuration"]["prefix"].split("/")[0] for f in firehoses)
    assert written == (["answers", "events"] if project.streams else [])
    others = [job["--curated"], job["--refused"], "refused", *({*written} - {job["--landing"]})]
    assert len({job["--landing"], *others}) == 1 + len(others)
    # The job takes what the delivery leaves.
    assert all(READABLE.match("x" + f.inputs["extendedS3Configuration"]["fileExtension"]) for f in firehoses)


def test_evidence_covers_every_bucket_of_the_project(project: Project, ingestion: Registered) -> None:
    trail = ingestion.only("aws:cloudtrail/trail:Trail").inputs
    fields = {f["field"]: f for f in trail["advancedEventSelectors"][0]["fieldSelectors"]}
    buckets = [project.exports["churn-foundation"][f"{n}_bucket"] for n in ("data", "artifacts", "captures")]
    assert fields["resources.ARN"]["startsWiths"] == [f"arn:aws:s3:::{b}/" for b in buckets]


def test_the_python_is_clean_and_nothing_is_left_unrendered(project: Project) -> None:
    monitoring = project.folder / "infra" / "monitoring" / "__main__.py"
    files = [*project.program.glob("*.*"), monitoring, project.folder / "tests" / "infra" / "test_ingestion_stack.py"]
    assert not [f for f in files if "cookiecutter" in f.read_text(encoding="utf-8")]
    rules = ["--isolated", "--line-length", "120", "--target-version", "py311"]
    ruff, python = [sys.executable, "-m", "ruff"], [str(f) for f in files if f.suffix == ".py"]
    checks = ["check", "--select", "B,E,F,I,UP,A,C4,N,PIE,PT,RET,SIM,W", "--ignore", "E501"]
    for command in ([*ruff, *checks, *rules], [*ruff, "format", "--check", *rules]):
        done = subprocess.run([*command, *python], text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_settings_say_is_what_the_program_reads(project: Project) -> None:
    """A misspelt key in a file would otherwise be a setting without effect; wrong ones are refused, all at once."""
    wrong = {"curated": "/x/", "audit": "yes", "audit_days": "0"}
    with pytest.raises(Exception, match="is not valid") as caught:
        project.run(**wrong)
    assert all(f"{key}: got {value!r}" in str(caught.value) for key, value in wrong.items())
    program = (project.program / "__main__.py").read_text(encoding="utf-8")
    for stage in STAGES:
        settings = yaml.safe_load((project.program / f"Pulumi.{stage}.yaml").read_text(encoding="utf-8"))["config"]
        keys = {k.split(":")[1] for k in settings if not k.startswith("pulumi")}
        assert [k for k in keys - {"account"} if f"    {k}: " not in program] == []


def test_the_dashboard_shows_the_streams_alarms_by_the_names_they_have(project: Project) -> None:
    monitoring = run_program(project.folder / "infra" / "monitoring", "dev", exports=project.exports)
    body = json.loads(monitoring.only("aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])
    (shown,) = [w["properties"]["alarms"] for w in body["widgets"] if w["type"] == "alarm"]
    of_streams = {a.rsplit(":", 1)[1] for a in shown if "-events-" in a or "-consumer-" in a}
    assert len(of_streams) == (7 if project.streams else 0)
    assert of_streams <= {r.inputs["name"] for r in project.run().of("aws:cloudwatch/metricAlarm:MetricAlarm")}


@pytest.mark.matrix
def test_the_generated_tests_pass_and_notice_a_broken_stack(project: Project) -> None:
    def own_tests() -> str:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--import-mode=importlib",
            "-p",
            "no:cacheprovider",
            "-k",
            "dev",
        ]
        tests = [*command, "tests/infra/test_ingestion_stack.py"]
        return subprocess.run(tests, cwd=project.folder, text=True, capture_output=True, check=False).stdout

    assert " passed" in (said := own_tests()), said
    assert " failed" not in said
    program = project.program / "__main__.py"
    text = program.read_text(encoding="utf-8")
    old, new = '"alerts_topic_arn": foundation["alerts_topic_arn"]', '"alerts_topic_arn": foundation["data_key_arn"]'
    assert old in text
    program.write_text(text.replace(old, new), encoding="utf-8")
    try:
        assert (
            "FAILED tests/infra/test_ingestion_stack.py::test_every_alarm_and_every_refused_file_is_told" in own_tests()
        )
    finally:
        program.write_text(text, encoding="utf-8")
