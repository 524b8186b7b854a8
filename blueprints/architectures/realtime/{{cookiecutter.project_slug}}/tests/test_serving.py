"""The endpoint: SageMaker's contract, the same answers as the model itself, and no answer to what breaks the contract."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from ai_factory_runtime.base.errors import NothingDeployed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.model_package.package import load_package
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.serving.server import create_app
from fastapi.testclient import TestClient


@pytest.fixture
def client(trained: Project):
    with TestClient(create_app(trained, "dev")) as client:
        yield client


def records(project: Project, rows: pd.DataFrame, count: int) -> list[dict[str, object]]:
    features = [c.name for c in project.usecase.data.features]
    return json.loads(rows[features].head(count).to_json(orient="records", date_format="iso"))


def test_ping_is_healthy_once_a_model_is_loaded(client: TestClient) -> None:
    assert client.get("/ping").status_code == 200


def test_the_endpoint_answers_as_the_model_does(client: TestClient, trained: Project, rows: pd.DataFrame) -> None:
    answer = client.post("/invocations", json={"records": records(trained, rows, 25)})
    assert answer.status_code == 200, answer.text
    champion = open_registry(trained).champion()
    assert champion is not None
    package = load_package(champion.folder, trusted_package=trained.package)
    direct = package.predict(to_canonical(rows.head(25), package.signature.features))
    served = [p["prediction"] for p in answer.json()["predictions"]]
    expected = direct.values.tolist()
    assert served == (expected if direct.probabilities is not None else pytest.approx(expected))
    assert answer.json()["model"]["digest"] == champion.digest


def test_each_bad_value_is_refused_with_its_column(client: TestClient, trained: Project, rows: pd.DataFrame) -> None:
    for column in trained.usecase.data.features:
        record = records(trained, rows, 1)[0] | {column.name: {"not": "a value"}}
        answer = client.post("/invocations", json={"records": [record]})
        assert answer.status_code == 422, column.name
        assert json.dumps(column.name)[1:-1] in json.dumps(answer.json())


def test_a_missing_column_is_refused_with_its_name(client: TestClient, trained: Project, rows: pd.DataFrame) -> None:
    required = [c.name for c in trained.usecase.data.features if not c.nullable]
    for name in required[:3]:
        record = {k: v for k, v in records(trained, rows, 1)[0].items() if k != name}
        answer = client.post("/invocations", json={"records": [record]})
        assert answer.status_code == 422, name
        assert json.dumps(name)[1:-1] in json.dumps(answer.json())


def test_what_answers_few_rows_was_compared_with_the_model(client: TestClient, trained: Project) -> None:
    champion = open_registry(trained).champion()
    assert champion is not None
    record = json.loads((champion.folder / "accelerator.json").read_text(encoding="utf-8"))
    assert record["rows"] > 0, record["reason"]
    assert record["labels_changed"] == 0
    assert record["largest_difference"] <= record["tolerance"]


def test_reasons_come_with_the_answer_when_asked_for(client: TestClient, trained: Project, rows: pd.DataFrame) -> None:
    body = {"records": records(trained, rows, 2), "reasons": 2}
    answer = client.post("/invocations", json=body).json()
    names = {c.name for c in trained.usecase.data.features}
    for prediction in answer["predictions"]:
        assert len(prediction["reasons"]) <= 2
        assert {r["column"] for r in prediction["reasons"]} <= names
    assert any(p["reasons"] for p in answer["predictions"])


def test_it_is_ready_and_tells_prometheus_what_it_did(client: TestClient, trained: Project, rows: pd.DataFrame) -> None:
    client.post("/invocations", json={"records": records(trained, rows, 1)})
    assert client.get("/ready").status_code == 200
    assert 'ai_factory_requests_total{model_version="1",status="200"} 1.0' in client.get("/metrics").text


def test_what_is_no_request_is_refused(client: TestClient) -> None:
    refused = client.post("/invocations", content=b"{", headers={"Content-Type": "application/json"})
    assert refused.status_code == 400
    refused = client.post("/invocations", content=b"x", headers={"Content-Type": "image/png"})
    assert refused.status_code == 415


def test_a_stage_without_a_release_serves_nothing(trained: Project) -> None:
    with pytest.raises(NothingDeployed), TestClient(create_app(trained, "staging")):
        pass
