"""Requests that an endpoint refused: counted by the rule they broke, without their content, and seen by the monitor."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import shutil
from pathlib import Path

import pytest
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import NothingCaptured
from ai_factory_runtime.monitoring.monitor import monitor
from ai_factory_runtime.monitoring.request_counts import KEPT_FILES, OTHER, RequestCounter, read_counts, write_counts
from ai_factory_runtime.monitoring.verdicts import told, verdicts
from ai_factory_runtime.serving.server import create_app
from fastapi.testclient import TestClient
from helpers_disk import full_disk
from helpers_monitoring import NOW
from helpers_serving import as_records, make_deployed, make_rows

AGE = ("age", "is more than 120")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_deployed(tmp_path_factory.mktemp("counts") / "project")


@pytest.fixture
def project(shared: Project, tmp_path: Path) -> Project:
    shutil.copytree(shared.root, tmp_path / "project")
    return dataclasses.replace(shared, root=tmp_path / "project")


def ask(project: Project, *, good: int, bad: int) -> None:
    """Requests of two rows each; the bad ones tell a name and an age that nobody has."""
    records = as_records(make_rows(2 * (good + bad), seed=50), project)
    with TestClient(create_app(project, "dev", capture_rate=1.0)) as client:
        for i in range(good + bad):
            rows = records[2 * i : 2 * i + 2]
            if i < bad:
                rows = [{**rows[0], "age": 997}, {**rows[1], "age": 998, "Erika Mustermann": 1}]
            assert client.post("/invocations", json={"records": rows}).status_code == (422 if i < bad else 200)


def test_a_client_that_broke_is_schema_drift_and_asks_for_no_retraining(project: Project) -> None:
    ask(project, good=60, bad=20)
    result = monitor(project, None, "dev", now=NOW)
    assert result.kinds == ("schema",)
    assert not result.retraining.due
    requests = result.findings.schema.requests
    assert requests is not None
    assert (requests.total, requests.broken) == (80, 20)
    assert {told(requests, v) for v in requests.violations} == {
        "'age' is more than 120 (20 requests)",
        f"{OTHER} (20 requests)",
    }
    assert result.window.refused == 20
    assert "20 of 80" in result.page.read_text(encoding="utf-8")
    assert json.loads(result.document.read_text(encoding="utf-8"))["schema"]["requests"]["broken"] == 20


def test_an_endpoint_that_refused_everything_is_looked_at_although_nothing_is_captured(project: Project) -> None:
    with pytest.raises(NothingCaptured):
        monitor(project, None, "dev", now=NOW)
    ask(project, good=0, bad=20)
    result = monitor(project, None, "dev", now=NOW)
    assert result.kinds == ("schema",)
    said = {v.kind: v.said for v in verdicts(result)}
    assert said["schema"] == "20 of 20 requests were refused, limit 5.0%"
    assert said["data"] == "too few rows to judge"


def test_nothing_of_a_refused_request_is_kept_but_the_rules_it_broke(project: Project) -> None:
    ask(project, good=1, bad=3)
    kept = b"".join(p.read_bytes() for p in (project.captures / "dev").iterdir())
    assert b"Mustermann" not in kept
    assert b"997" not in kept
    assert b"is more than 120" in kept


def test_a_body_that_cannot_be_read_counts_and_one_that_is_misaddressed_does_not(project: Project) -> None:
    with TestClient(create_app(project, "dev", capture_rate=1.0)) as client:
        assert (
            client.post("/invocations", content=b"{", headers={"content-type": "application/json"}).status_code == 400
        )
        assert client.post("/invocations", content=b"x", headers={"content-type": "image/png"}).status_code == 415
        assert client.post("/invocations", json={"records": ["Erika Mustermann"]}).status_code == 422
        assert client.get("/invocations").status_code == 405
    counted = read_counts(project.captures / "dev", None)
    assert counted is not None
    assert (counted.answered, counted.refused) == (0, 3)
    assert counted.rules == {
        ("", "a body that cannot be read"): 1, ("", "neither JSON nor CSV"): 1, ("", "is not an object"): 1,
    }  # fmt: skip


def test_a_service_that_captures_nothing_counts_nothing(project: Project) -> None:
    with TestClient(create_app(project, "dev", capture_rate=0.0)) as client:
        client.post("/invocations", json={"records": [{}]})
    assert not (project.captures / "dev").exists()


def test_each_hour_has_counts_of_its_own_and_they_add_up(tmp_path: Path) -> None:
    counter, first = RequestCounter(tmp_path), dt.datetime(2026, 3, 1, 11, 59, tzinfo=dt.UTC)
    counter.answered("d")
    counter.refused("d", [AGE])
    counter._write(first)
    counter.refused("d", [AGE])
    counter._write(first + dt.timedelta(seconds=30))
    counter.refused("d", [AGE])
    counter._write(first + dt.timedelta(minutes=2))
    counter.answered("d")
    counter.answered("other")
    counter._write(first + dt.timedelta(minutes=3))
    assert len(list(tmp_path.iterdir())) == 2
    both = read_counts(tmp_path, "d")
    assert both is not None
    assert (both.answered, both.refused, both.rules) == (2, 3, {AGE: 3})
    later = read_counts(tmp_path, "d", since="2026-03-01T12:02:00.000+00:00")
    assert later is not None
    assert (later.answered, later.refused) == (1, 0)
    assert read_counts(tmp_path, "nobody's") is None


def test_a_service_that_is_started_again_adds_to_what_was_counted_in_that_hour(tmp_path: Path) -> None:
    """In a container the next process has the number of the one before."""
    for _ in range(2):
        counter = RequestCounter(tmp_path)
        counter.refused("d", [AGE])
        counter._write(NOW)
    counted = read_counts(tmp_path, "d")
    assert counted is not None
    assert (counted.refused, counted.rules) == (2, {AGE: 2})


def test_a_full_disk_does_not_end_the_counting(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    counter = RequestCounter(tmp_path)
    counter.refused("d", [AGE])
    with full_disk():
        counter._write_changed()
        counter._write_changed()
    assert caplog.text.count("requests are not counted") == 1
    assert read_counts(tmp_path, "d") is None
    counter._write_changed()
    counted = read_counts(tmp_path, "d")
    assert counted is not None
    assert counted.refused == 1


def test_a_partition_counts_what_its_own_service_and_that_of_all_refused(project: Project) -> None:
    own = dataclasses.replace(project, partition="at")
    own.artifacts.parent.mkdir()
    shutil.copytree(project.artifacts, own.artifacts, ignore=shutil.ignore_patterns("partitions"))
    ask(own, good=10, bad=5)
    assert monitor(own, None, "dev", now=NOW).window.refused == 5
    fleet = {"answered": 3, "refused": 2, "rules": [{"column": AGE[0], "rule": AGE[1], "requests": 2}]}
    write_counts(own.shared / "captures" / "dev" / "fleet.counts.json", dt.datetime.now(dt.UTC), {"all": fleet})
    requests = monitor(own, None, "dev", now=NOW).findings.schema.requests
    assert requests is not None
    assert (requests.total, requests.broken, max(v.count for v in requests.violations)) == (20, 7, 7)


def test_a_damaged_file_is_passed_over_and_the_oldest_are_deleted(tmp_path: Path) -> None:
    for n in range(KEPT_FILES + 2):
        (tmp_path / f"2026{n:05}.counts.json").write_text("{", encoding="utf-8")
    write_counts(tmp_path / "2027.counts.json", NOW, {"": {"answered": 1, "refused": 2, "rules": []}})
    write_counts(tmp_path / "2028.counts.json", NOW, {"": {"answered": 1}})
    assert len(list(tmp_path.iterdir())) == KEPT_FILES
    counted = read_counts(tmp_path, "any model's")
    assert counted is not None
    assert (counted.answered, counted.refused) == (1, 2)


def test_a_disk_that_takes_nothing_stops_no_answer(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    project.captures.mkdir(parents=True)
    (project.captures / "dev").write_text("a file where the folder should be", encoding="utf-8")
    ask(project, good=1, bad=1)
    assert "requests are not counted" in caplog.text
