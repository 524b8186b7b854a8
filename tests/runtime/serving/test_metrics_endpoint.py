"""Metrics: Prometheus can read them, they count what happened, and they hold nothing of a request."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.serving.server import create_app
from fastapi.testclient import TestClient
from helpers_serving import as_records, make_deployed, make_rows
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_deployed(tmp_path_factory.mktemp("metrics") / "project")


def test_what_happened_is_counted(project: Project) -> None:
    records = as_records(make_rows(7, seed=5), project)
    with TestClient(create_app(project, "dev", capture_rate=1.0)) as client:
        for _ in range(3):
            client.post("/invocations", json={"records": records})
        client.post("/invocations", json={"records": [{"plan": "secret plan"}]})
        text = client.get("/metrics").text
        open_text = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}).text
    samples = {(s.name, *sorted(s.labels.items())): s.value for family in parse(text) for s in family.samples}
    version = ("model_version", "1")
    assert samples["ai_factory_requests_total", version, ("status", "200")] == 3
    assert samples["ai_factory_requests_total", version, ("status", "422")] == 1
    assert samples["ai_factory_rows_total", version] == 21
    assert samples["ai_factory_request_seconds_count", version] == 4
    assert samples[("ai_factory_stuck",)] == 0
    (model,) = [key for key in samples if key[0] == "ai_factory_model"]
    assert {("engine", "numpy"), ("features", "numpy"), ("stage", "dev"), ("version", "1")} <= set(model[1:])
    assert "secret" not in text
    assert "process_resident_memory_bytes" in text
    assert {f.name for f in parse_open(open_text)} >= {"ai_factory_requests", "ai_factory_captured"}


def test_two_services_count_apart(project: Project, tmp_path: Path) -> None:
    with TestClient(create_app(project, "dev", capture_rate=0.0)) as one:
        one.post("/invocations", json={"records": as_records(make_rows(1, seed=5), project)})
    with TestClient(create_app(project, "dev", capture_rate=0.0)) as other:
        assert "ai_factory_requests_total{" not in other.get("/metrics").text
