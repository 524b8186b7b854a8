"""What SageMaker captured becomes what the monitor reads: the rows the model saw, and nothing that cannot be told apart."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.model_package.package import ModelPackage
from ai_factory_runtime.monitoring.capture import read_captures
from ai_factory_runtime.monitoring.request_counts import read_counts
from ai_factory_runtime.releases.stages import load_deployed
from ai_factory_runtime.serving.endpoint_capture import CONVERTED, REFUSED, convert
from ai_factory_runtime.serving.requests import MAX_ROWS
from ai_factory_runtime.serving.server import create_app
from fastapi.testclient import TestClient
from helpers_serving import as_records, make_deployed, make_rows


@pytest.fixture(scope="module", params=["binary", "regression"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_deployed(tmp_path_factory.mktemp("captured") / "project", task=request.param)


@pytest.fixture(scope="module")
def package(project: Project) -> ModelPackage:
    return load_deployed(project, "dev")[1]


def exchange(
    project: Project, body: str, kind: str = "application/json", accept: str = "application/json"
) -> dict[str, Any]:
    """A request to the real service, written down as SageMaker's data capture does."""
    with TestClient(create_app(project, "dev", capture_rate=0)) as client:
        answer = client.post("/invocations", content=body, headers={"content-type": kind, "accept": accept})
    return {
        "captureData": {
            "endpointInput": {"observedContentType": kind, "mode": "INPUT", "data": body, "encoding": "JSON"},
            "endpointOutput": {
                "observedContentType": answer.headers["content-type"], "mode": "OUTPUT", "data": answer.text, "encoding": "JSON",
            },
        },
        "eventMetadata": {"eventId": "e-1", "inferenceTime": "2026-11-21T06:00:00Z"},
        "eventVersion": "0",
    }  # fmt: skip


def store(folder: Path, *records: object) -> Path:
    """SageMaker's layout: endpoint, variant, year, month, day, hour."""
    hour = folder / "churn-dev-endpoint" / "AllTraffic" / "2026" / "11" / "21" / "06"
    hour.mkdir(parents=True)
    text = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in records)
    (hour / "00-00-000-abc.jsonl").write_text(text + "\n", encoding="utf-8")
    return folder


def body(project: Project, rows: pd.DataFrame) -> str:
    return json.dumps({"records": as_records(rows, project)}, ensure_ascii=False)


def test_the_monitor_sees_the_rows_and_answers_of_the_model(
    project: Project, package: ModelPackage, tmp_path: Path
) -> None:
    rows = make_rows(40, seed=7)
    source = store(
        tmp_path / "s3", exchange(project, body(project, rows[:25])), exchange(project, body(project, rows[25:]))
    )
    counts = convert(source, tmp_path / "captures", package.signature, project.usecase)
    window = read_captures(tmp_path / "captures", package.digest, package.signature.features)
    assert counts == {CONVERTED: 2}
    assert window is not None
    expected = package.predict(window.frame)
    assert len(window.frame) == 40
    assert window.prediction.values.tolist() == expected.values.tolist()
    if expected.probabilities is not None:
        assert window.prediction.probabilities is not None
        np.testing.assert_array_equal(window.prediction.probabilities, expected.probabilities)


def test_a_body_that_was_kept_as_base64_is_the_same_body(
    project: Project, package: ModelPackage, tmp_path: Path
) -> None:
    record = exchange(project, body(project, make_rows(3, seed=7)))
    for part in record["captureData"].values():
        part |= {"data": base64.b64encode(part["data"].encode()).decode(), "encoding": "BASE64"}
    assert convert(store(tmp_path / "s3", record), tmp_path / "to", package.signature, project.usecase) == {
        CONVERTED: 1
    }


def test_a_request_with_more_rows_than_are_usual_is_read_where_the_service_took_it(
    project: Project, package: ModelPackage, tmp_path: Path
) -> None:
    """As AI_FACTORY_MAX_BODY_MB lets it."""
    record = exchange(project, body(project, make_rows(1, seed=7)))
    for part, member in (("endpointInput", "records"), ("endpointOutput", "predictions")):
        document = json.loads(record["captureData"][part]["data"])
        document[member] *= MAX_ROWS + 1
        record["captureData"][part]["data"] = json.dumps(document)
    source = store(tmp_path / "s3", record)
    assert convert(source, tmp_path / "to", package.signature, project.usecase) == {CONVERTED: 1}


def test_what_cannot_be_told_apart_is_counted_and_passed_over(
    project: Project, package: ModelPackage, tmp_path: Path
) -> None:
    good = body(project, make_rows(3, seed=7))
    records = [
        exchange(project, good, accept="text/csv"),
        exchange(project, '{"records": [{"age": "old"}]}'),
        {"captureData": {}},
        '{"captureData": {"endpointInput"',
    ]
    counts = convert(store(tmp_path / "s3", *records), tmp_path / "to", package.signature, project.usecase)
    assert sum(counts.values()) == 4
    assert CONVERTED not in counts
    assert not list((tmp_path / "to").glob("*.jsonl"))


def test_what_the_service_refused_is_counted_by_its_rules_for_the_monitor(
    project: Project, package: ModelPackage, tmp_path: Path
) -> None:
    good = body(project, make_rows(3, seed=7))
    records = [
        exchange(project, good),
        *(exchange(project, good.replace('"plan"', name)) for name in ('"Erika"', '"x"')),
    ]
    counts = convert(store(tmp_path / "s3", *records), tmp_path / "to", package.signature, project.usecase)
    assert counts == {CONVERTED: 1, REFUSED: 2}
    found = read_counts(tmp_path / "to", package.digest)
    assert found is not None
    assert (found.answered, found.refused) == (1, 2)
    assert found.rules[("plan", "has no value")] == 2
    assert "Erika" not in "".join(p.read_text(encoding="utf-8") for p in (tmp_path / "to").iterdir())


def test_the_job_starts_it_as_a_module(project: Project, package: ModelPackage, tmp_path: Path) -> None:
    source = store(tmp_path / "s3", exchange(project, body(project, make_rows(3, seed=7))))
    command = [sys.executable, "-m", "ai_factory_runtime.serving.endpoint_capture", str(source), str(tmp_path / "to")]
    asked = project.usecase.model_dump_json(exclude_none=True, exclude_defaults=True, by_alias=True)
    (project.root / "usecase.yaml").write_text(asked, encoding="utf-8")  # JSON is YAML
    environment = {"AI_FACTORY_MODEL": str(package.folder), "AI_FACTORY_PROJECT": str(project.root)}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, f"1 {CONVERTED}\n")
    assert len((tmp_path / "to" / "endpoint.jsonl").read_text(encoding="utf-8").splitlines()) == 3


def test_true_values_find_their_rows_by_the_request_the_caller_knows_and_by_the_id(
    project: Project, package: ModelPackage, tmp_path: Path
) -> None:
    rows = make_rows(3, seed=7)
    records = [{**r, "customer": c} for r, c in zip(as_records(rows, project), rows["customer"], strict=True)]
    own = exchange(project, json.dumps({"records": records}))
    named = exchange(project, json.dumps({"records": records, "reasons": 1}))
    named["eventMetadata"]["inferenceId"] = "order-7"
    convert(store(tmp_path / "s3", own, named), tmp_path / "captures", package.signature, project.usecase)
    window = read_captures(tmp_path / "captures", package.digest, package.signature.features)
    assert window is not None
    answered = json.loads(own["captureData"]["endpointOutput"]["data"])["request_id"]
    assert window.keys["request"].tolist() == [answered] * 3 + ["order-7"] * 3
    assert window.keys["position"].tolist() == [0, 1, 2] * 2
    assert window.keys["id"].tolist() == rows["customer"].tolist() * 2
