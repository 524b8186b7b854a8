"""A job's step: AWS would take the request, and the script between its folders does what it says, under a real shell."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ai_factory_infra.limits import CONTAINER_ARGUMENT
from ai_factory_infra.steps import (
    ENTRYPOINT,
    INPUT,
    OUTPUT,
    Machine,
    Script,
    Step,
    definition,
    monitoring,
    request,
    scoring,
)
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

LONGEST = "a" * 34 + "-model"  # a command has at most 40 characters
SCRIPTS = {
    "scoring": scoring(LONGEST, "staging"),
    "captures": monitoring(LONGEST, "staging", project="b" * 40, namespace="AIFactory", captured=True, labelled=True),
    "rows": monitoring(LONGEST, "staging", project="b" * 40, namespace="AIFactory", captured=False),
}


def step(script: Script) -> Step:
    return Step(
        name="run",
        script=script,
        machine=Machine(),
        image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/churn-dev:v1",
        role_arn="arn:aws:iam::123456789012:role/churn-dev-training-job",
        key_arn="arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d-0000-0000-0000-000000000000",
        input_uris={name: f"s3://bucket/{name}/" for name in script.inputs},
        output_uris={name: f"s3://bucket/{name}/" for name in script.outputs},
    )


@pytest.fixture(scope="module")
def shape() -> object:
    model = ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")
    return model.operation_model("CreateProcessingJob").input_shape


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_step_is_a_request_that_aws_takes(name: str, shape: object) -> None:
    asked = request(step(SCRIPTS[name])) | {"ProcessingJobName": "pipelines-x-run"}
    report = ParamValidator().validate(asked, shape)
    assert not report.has_errors(), report.generate_report()
    broken = ParamValidator().validate(asked | {"NetworkConfig": {"EnableIsolation": True}}, shape)
    assert broken.has_errors()


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_argument_fits_a_container_even_with_the_longest_names(name: str) -> None:
    assert SCRIPTS[name].problems() == []
    assert all("${" not in s for s in SCRIPTS[name].statements)


def test_an_argument_that_is_too_long_is_refused_with_the_limit() -> None:
    long = Script(("x" * (CONTAINER_ARGUMENT + 1),), (), ())
    assert long.problems() == [f"AWS allows 256 characters in a container's argument; got 257 characters: {'x' * 257}"]


def test_a_pipeline_follows_the_schema_and_makes_no_experiment() -> None:
    document = json.loads(definition(step(SCRIPTS["scoring"])))
    assert document["Version"] == "2020-12-01"
    assert document["PipelineExperimentConfig"] is None
    assert [s["Type"] for s in document["Steps"]] == ["Processing"]


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_container_has_no_network(name: str) -> None:
    assert request(step(SCRIPTS[name]))["NetworkConfig"] == {"EnableNetworkIsolation": True}


def test_a_job_in_a_network_is_isolated_all_the_same() -> None:
    asked = request(replace(step(SCRIPTS["scoring"]), subnet_ids=["subnet-1"], security_group_ids=["sg-1"]))
    assert asked["NetworkConfig"]["EnableNetworkIsolation"] is True
    assert asked["NetworkConfig"]["VpcConfig"] == {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}


def test_a_volume_key_is_left_out_where_aws_refuses_one() -> None:
    plain = request(step(SCRIPTS["scoring"]))["ProcessingResources"]["ClusterConfig"]
    with_disks = replace(step(SCRIPTS["scoring"]), machine=Machine(instance_type="ml.g5.xlarge"))
    assert "VolumeKmsKeyId" in plain
    assert "VolumeKmsKeyId" not in request(with_disks)["ProcessingResources"]["ClusterConfig"]


class Container:
    """The folders of a job's container, with stand-ins for the project command and Python that record how they were called."""

    def __init__(self, root: Path) -> None:
        self.root, self.home = root, root / "program"
        self.input, self.output = root / "input", root / "output"
        for folder in (self.home / "data", self.home / "artifacts", root / "bin"):
            folder.mkdir(parents=True)
        self.python("exit 1")

    def python(self, script: str) -> None:
        """A stand-in for modules of the runtime; what a step asks of Python itself is answered by Python."""
        self.program("python", script, first=f'if [ "$1" = -c ]; then exec {sys.executable} "$@"; fi')

    def program(self, name: str, script: str, *, first: str = "") -> None:
        path = self.root / "bin" / name
        path.write_text(f'#!/bin/sh\n{first}\necho "{name} $*" >> "{self.root}/calls"\n{script}\n', encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def file(self, path: str, text: str = "x") -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def run(self, script: Script) -> subprocess.CompletedProcess[str]:
        """The step's own entry point and arguments; only SageMaker's two fixed folders are moved under the test's."""
        for name in script.inputs:
            (self.input / name).mkdir(parents=True, exist_ok=True)
        for name in script.outputs:
            (self.output / name).mkdir(parents=True, exist_ok=True)
        moved = [s.replace(INPUT, str(self.input)).replace(OUTPUT, str(self.output)) for s in script.statements]
        environment = {"PATH": f"{self.root / 'bin'}:{os.environ['PATH']}", "AI_FACTORY_PROJECT": str(self.home)}
        return subprocess.run(
            [*ENTRYPOINT, *moved], env=environment, cwd="/", text=True, capture_output=True, check=False
        )

    @property
    def calls(self) -> list[str]:
        file = self.root / "calls"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


def metric(output: str) -> dict[str, object]:
    """The one line in the embedded metric format."""
    (line,) = [x for x in output.splitlines() if x.startswith("{")]
    found: dict[str, object] = json.loads(line)
    return found


def test_scoring_scores_every_table_and_nothing_else(container: Container) -> None:
    for name in ("a.csv", "b c.csv", "d.parquet", "README.txt"):
        container.file(f"input/rows/{name}")
    container.program("churn", 'test "$AI_FACTORY_MODEL" = "' + str(container.input / "model") + '"; echo > "$6"')
    done = container.run(scoring("churn", "prod"))
    assert done.returncode == 0, done.stderr
    assert [c.split(" --stage ")[0].rsplit("/", 1)[1] for c in container.calls] == ["a.csv", "b c.csv", "d.parquet"]
    assert sorted(p.name for p in (container.output / "scores").iterdir()) == ["a.csv", "b c.csv", "d.parquet"]


def test_one_table_that_cannot_be_scored_fails_the_job(container: Container) -> None:
    container.file("input/rows/a.csv")
    container.program("churn", "exit 1")
    assert container.run(scoring("churn", "prod")).returncode == 1


EMPTY = """'{"too_small": false, "predictions": []}'"""
CAPTURED = monitoring("churn", "dev", project="churn", namespace="AIFactory", captured=True)
MONITOR = monitoring("churn", "dev", project="churn", namespace="AIFactory", captured=False)


@pytest.mark.parametrize(("code", "drift"), [(0, 0), (3, 1)])
def test_the_monitors_answer_becomes_a_metric(container: Container, code: int, drift: int) -> None:
    container.file("input/rows/a.csv")
    container.program(
        "churn", f"mkdir -p artifacts/reports/dev; echo {EMPTY} > artifacts/reports/dev/drift.json; exit {code}"
    )
    done = container.run(MONITOR)
    assert done.returncode == 0, done.stderr
    found = metric(done.stdout)
    about = found.pop("_aws")
    assert isinstance(about, dict)
    assert found == {"project": "churn", "stage": "dev", "drift": drift}
    assert about["CloudWatchMetrics"] == [
        {"Namespace": "AIFactory", "Dimensions": [["project", "stage"]], "Metrics": [{"Name": "drift"}]}
    ]
    assert re.fullmatch(r"\d{13}", str(about["Timestamp"]))
    assert (container.output / "reports/dev/drift.json").exists()


def report(*shifts: tuple[float, float], small: bool = False) -> str:
    """A report whose predictions moved by (value, limit) each."""
    findings = [{"statistic": "psi", "value": value, "limit": limit} for value, limit in shifts]
    return json.dumps({"too_small": small, "predictions": [{"name": "prediction", "findings": findings}]})


WRITES = (
    'n=$(ls artifacts/reports | wc -l); mkdir artifacts/reports/$n; cp "$2" artifacts/reports/$n/drift.json; exit 3'
)


@pytest.mark.parametrize(
    ("reports", "shift"),
    [
        ([report((0.1, 0.2))], 0.5),
        ([report((0.1, 0.2), (0.5, 0.25)), report((0.3, 0.3))], 2.0),
        ([report((0.9, 0.1), small=True), report((0.05, 0.2))], 0.25),
        ([report((0.1, 0.0))], 2),
        ([report((0.0, 0.0))], 0),
    ],
)
def test_the_shift_of_the_predictions_becomes_a_metric_of_its_own(
    container: Container, reports: list[str], shift: float
) -> None:
    """As a multiple of what the use case allows, so that one alarm fits every use case and every window."""
    (container.home / "artifacts" / "reports").mkdir()
    for i, text in enumerate(reports):
        container.file(f"input/rows/{i}.csv", text)
    container.program("churn", WRITES)
    done = container.run(MONITOR)
    assert done.returncode == 0, done.stderr
    drift, moved = (json.loads(x) for x in done.stdout.splitlines() if x.startswith("{"))
    about = moved.pop("_aws")
    assert (drift["drift"], moved) == (1, {"project": "churn", "stage": "dev", "prediction_shift": shift})
    assert about["CloudWatchMetrics"][0]["Metrics"] == [{"Name": "prediction_shift"}]
    assert about["CloudWatchMetrics"][0]["Dimensions"] == [["project", "stage"]]


@pytest.mark.parametrize("text", [report(), report((9, 1), small=True), '{"too_small": false, "predictions": []}'])
def test_without_answers_to_judge_nothing_is_said_of_their_shift(container: Container, text: str) -> None:
    (container.home / "artifacts" / "reports").mkdir()
    container.file("input/rows/a.csv", text)
    container.program("churn", WRITES)
    assert "prediction_shift" not in container.run(MONITOR).stdout


def test_a_report_that_cannot_be_read_fails_the_job(container: Container) -> None:
    (container.home / "artifacts" / "reports").mkdir()
    container.file("input/rows/a.csv", '{"predictions"')
    container.program("churn", WRITES)
    done = container.run(MONITOR)
    assert done.returncode != 0
    assert "drift" not in done.stdout


def test_drift_in_one_of_several_tables_is_drift(container: Container) -> None:
    for name in ("a.csv", "b.csv", "c.csv"):
        container.file(f"input/rows/{name}")
    container.program("churn", 'mkdir -p artifacts/reports; case "$2" in *b.csv) exit 3;; esac')
    assert metric(container.run(MONITOR).stdout)["drift"] == 1
    assert len(container.calls) == 3


def test_a_monitor_that_cannot_look_fails_and_says_nothing_about_drift(container: Container) -> None:
    container.file("input/rows/a.csv")
    container.program("churn", "exit 1")
    done = container.run(MONITOR)
    assert done.returncode == 1
    assert "drift" not in done.stdout


def test_without_rows_there_is_no_answer(container: Container) -> None:
    container.program("churn", "exit 1")
    done = container.run(MONITOR)
    assert (done.returncode, done.stdout) == (0, "no rows to look at\n")
    assert container.calls == []


def test_captured_requests_are_converted_and_looked_at(container: Container) -> None:
    container.python('mkdir -p "$4"; echo {} > "$4/endpoint.jsonl"')
    container.program("churn", "mkdir -p artifacts/reports; exit 3")
    done = container.run(CAPTURED)
    assert done.returncode == 0, done.stderr
    assert container.calls[0].startswith("python -m ai_factory_runtime.serving.endpoint_capture")
    assert container.calls[1] == "churn monitor --stage dev --no-notify"
    assert metric(done.stdout)["drift"] == 1


def test_requests_that_were_all_refused_are_looked_at_too(container: Container) -> None:
    container.python('mkdir -p "$4"; echo {} > "$4/endpoint.counts.json"')
    container.program("churn", "mkdir -p artifacts/reports")
    assert container.run(CAPTURED).returncode == 0
    assert container.calls[1] == "churn monitor --stage dev --no-notify"


def test_true_values_come_along_where_there_are_some(container: Container) -> None:
    container.python('mkdir -p "$4"; echo {} > "$4/endpoint.jsonl"')
    container.program("churn", "mkdir -p artifacts/reports")
    script = monitoring("churn", "dev", project="churn", namespace="AIFactory", captured=True, labelled=True)
    assert container.run(script).returncode == 0
    assert container.calls[1] == f"churn monitor --stage dev --no-notify --labels {container.input}/labels"
    assert script.inputs == ("rows", "model", "labels")
    assert script.problems() == []


def test_an_endpoint_that_nobody_asked_is_not_reported_as_drifting_or_broken(container: Container) -> None:
    container.python("exit 0")
    container.program("churn", "exit 1")
    done = container.run(CAPTURED)
    assert (done.returncode, done.stdout) == (0, "no rows to look at\n")
