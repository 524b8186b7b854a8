"""The six kinds of drift, each really made to happen and told apart from the others; news is told once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import NothingCaptured
from ai_factory_runtime.monitoring.monitor import KINDS, MonitorResult, monitor
from ai_factory_runtime.monitoring.verdicts import reading, verdicts
from ai_factory_runtime.serving.server import create_app
from ai_factory_spec.usecase import Column
from fastapi.testclient import TestClient
from helpers_monitoring import CODE, NOW, make_watched, unlabelled, webhook, with_monitoring
from helpers_serving import as_records, make_rows

FILE = {"kind": "file", "path": "notices.jsonl"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_watched(tmp_path_factory.mktemp("kinds") / "project")


@pytest.fixture
def project(shared: Project, tmp_path: Path) -> Project:
    shutil.copytree(shared.root, tmp_path / "project")
    return dataclasses.replace(shared, root=tmp_path / "project")


def look(project: Project, rows: pd.DataFrame, hours: float = 0, labels: Path | None = None) -> MonitorResult:
    source = project.root / "window.csv"
    rows.to_csv(source, index=False)
    return monitor(project, source, "dev", labels=labels, now=NOW + dt.timedelta(hours=hours))


def flipped(rows: pd.DataFrame, which: np.ndarray) -> pd.DataFrame:
    """Rows in which the outcome of `which` is the opposite."""
    other = rows["churned"].map({"yes": "no", "no": "yes"})
    return rows.assign(churned=rows["churned"].where(~which, other))


def changed_midway(rows: pd.DataFrame) -> pd.DataFrame:
    """From the middle on, a third of the outcomes is the other one, whatever the features say."""
    which = (np.arange(len(rows)) >= len(rows) // 2) & (np.random.default_rng(0).random(len(rows)) < 0.35)
    return flipped(rows, which)


def timed(project: Project) -> Project:
    """The project whose rows say when they were asked."""
    data = project.usecase.data
    contract = data.contract.model_copy(
        update={"columns": (*data.contract.columns, Column(name="asked", type="datetime"))}
    )
    usecase = project.usecase.model_copy(
        update={"data": data.model_copy(update={"contract": contract, "time": "asked"})}
    )
    return dataclasses.replace(project, usecase=usecase)


def asked(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that came one an hour."""
    return rows.assign(asked=pd.date_range("2026-01-01", periods=len(rows), freq="h"))


def said(result: MonitorResult) -> dict[str, str]:
    return {v.kind: v.answer for v in verdicts(result)}


def test_nothing_moved_is_said_of_each_kind(project: Project) -> None:
    result = look(project, make_rows(1000, seed=50))
    assert said(result) == dict.fromkeys(KINDS, "did not move")
    assert not result.drifted


def test_without_true_values_quality_and_concept_are_unknown_and_not_fine(project: Project) -> None:
    result = look(project, unlabelled(make_rows(1000, seed=50)))
    answers = said(result)
    assert answers == {**dict.fromkeys(KINDS, "did not move"), "quality": "unknown", "concept": "unknown"}
    document = json.loads(result.document.read_text(encoding="utf-8"))
    assert document["quality"] is None
    assert document["concept"] is None


def test_a_relation_that_changed_while_the_rows_stayed_is_concept_drift(project: Project) -> None:
    result = look(timed(project), asked(changed_midway(make_rows(2000, seed=50))))
    assert "concept" in result.kinds
    assert not {"data", "predictions", "code"} & set(result.kinds)
    assert result.findings.concept is not None
    assert 800 <= (result.findings.concept.changed_at or 0) <= 1200
    page = result.page.read_text(encoding="utf-8")
    assert "Errors over time" in page
    assert "train on newer rows" in page


def test_rows_that_moved_to_harder_places_are_data_drift_and_no_concept_drift(project: Project) -> None:
    """Rows near the boundary, labelled by the same law: worse answers that the model itself expects to be worse."""
    rows = make_rows(6000, seed=50)
    score = (rows["age"] - 50) / 20 - rows["spend, monthly"].fillna(40) / 60 + (rows["plan"] == "gold")
    near = rows[score.abs() < 0.35].reset_index(drop=True)
    result = look(project, near)
    assert "data" in result.kinds
    assert "quality" in result.kinds
    assert "concept" not in result.kinds


def test_rows_are_judged_in_the_order_of_time_and_not_of_the_file(project: Project) -> None:
    mixed = asked(changed_midway(make_rows(2000, seed=50))).sample(frac=1.0, random_state=1)
    ordered = look(timed(project), mixed)
    assert ordered.findings.concept is not None
    assert 800 <= (ordered.findings.concept.changed_at or 0) <= 1200


def test_a_sorted_file_without_times_has_no_change_on_its_way(project: Project) -> None:
    """All "no" first, then all "yes": as a file is sorted, not as the world changed. Its level is judged, and it says so."""
    rows = make_rows(2000, seed=50).sort_values("churned", kind="stable")
    result = look(project, rows)
    assert result.kinds == ()
    assert result.findings.concept is not None
    assert not result.findings.concept.ordered
    assert "no change within the window was looked for" in {v.kind: v.said for v in verdicts(result)}["concept"]
    assert "Errors over time" not in result.page.read_text(encoding="utf-8")
    unreadable = look(timed(project), rows.assign(asked="some day"))
    assert unreadable.findings.concept is not None
    assert not unreadable.findings.concept.ordered
    assert "concept" in look(project, flipped(rows, np.random.default_rng(0).random(2000) < 0.2)).kinds


def test_code_that_is_not_the_models_is_code_drift_and_nothing_else(project: Project) -> None:
    (project.root / CODE).write_text("FEATURES = 4\n", encoding="utf-8")
    result = look(project, make_rows(1000, seed=50))
    assert result.kinds == ("code",)
    assert result.retraining.due
    assert "other code answers" in result.retraining.because
    assert "▲ moved" in result.page.read_text(encoding="utf-8")


def test_code_drift_is_seen_in_a_window_too_small_for_anything_else(project: Project) -> None:
    (project.root / CODE).write_text("FEATURES = 4\n", encoding="utf-8")
    result = look(project, make_rows(10, seed=50).assign(age=120))
    assert result.report.too_small
    assert result.kinds == ("code",)
    assert said(result)["data"] == "unknown"


@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        ((), ""),
        (("schema", "data", "concept"), "repair their source or the client"),
        (("concept",), "train on newer rows"),
        (("data", "concept"), "repair the source"),
        (("data", "quality"), "as it expects itself"),
        (("quality",), "look at the groups"),
        (("code", "data"), "Other code answers"),
    ],
)
def test_what_the_kinds_mean_together_is_said(kinds: tuple[str, ...], says: str) -> None:
    assert says in reading(kinds, truth_known=True)
    assert bool(reading(kinds, truth_known=False)) == bool(kinds)


# Captured requests and labels that arrive later --------------------------------------------------------------------------


def ask(project: Project, rows: pd.DataFrame, *, batch: int = 50) -> list[str]:
    """Send rows to the service in requests of `batch` rows; the id of each request."""
    names = [*(c.name for c in project.usecase.data.features), "customer"]
    ids = []
    with TestClient(create_app(project, "dev", capture_rate=1.0)) as client:
        for start in range(0, len(rows), batch):
            part = rows.iloc[start : start + batch]
            records = [
                {**record, "customer": customer}
                for record, customer in zip(as_records(part, project), part["customer"], strict=True)
            ]
            assert {*records[0]} == {*names}
            answer = client.post("/invocations", json={"records": records})
            assert answer.status_code == 200, answer.text
            ids.append(answer.json()["request_id"])
    return ids


def test_labels_that_arrive_later_are_joined_by_request_and_row(project: Project) -> None:
    rows = flipped(make_rows(300, seed=50), np.ones(300, dtype=bool))
    ids = ask(project, rows)
    before = monitor(project, None, "dev", now=NOW)
    assert before.quality is None
    labels = pd.DataFrame(
        {"request_id": np.repeat(ids, 50), "row": np.tile(np.arange(50), 6), "churned": rows["churned"]}
    ).sample(frac=1.0, random_state=0)
    labels.to_csv(project.root / "labels.csv", index=False)
    result = monitor(project, None, "dev", labels=project.root / "labels.csv", now=NOW)
    assert result.window.labelled == 300
    assert set(result.kinds) == {"quality", "concept"}
    agreeing = flipped(labels, np.ones(300, dtype=bool))
    agreeing.to_csv(project.root / "labels.csv", index=False)
    assert monitor(project, None, "dev", labels=project.root / "labels.csv", now=NOW).kinds == ()


def test_labels_left_in_the_stages_folder_are_joined_by_the_id_column(project: Project) -> None:
    rows = make_rows(200, seed=50)
    ask(project, rows)
    folder = project.artifacts / "labels" / "dev"
    folder.mkdir(parents=True)
    rows.head(120)[["customer", "churned"]].to_csv(folder / "2026-03.csv", index=False)
    result = monitor(project, None, "dev", now=NOW)
    assert result.window.labelled == 120
    assert result.kinds == ()


def test_a_file_without_outcomes_gets_them_from_the_labels_by_id(project: Project) -> None:
    rows = make_rows(200, seed=50)
    labels = project.root / "labels.csv"
    flipped(rows, np.ones(200, dtype=bool))[["customer", "churned"]].to_csv(labels, index=False)
    result = look(project, unlabelled(rows), labels=labels)
    assert result.window.labelled == 200
    assert "quality" in result.kinds


def test_answers_of_other_code_than_the_models_are_noticed_in_the_captures(project: Project) -> None:
    """The service runs in an image that somebody patched; the monitor runs in the right one."""
    right = (project.root / CODE).read_text(encoding="utf-8")
    (project.root / CODE).write_text("FEATURES = 4  # patched\n", encoding="utf-8")
    ask(project, make_rows(100, seed=50))
    (project.root / CODE).write_text(right, encoding="utf-8")
    assert monitor(project, None, "dev", now=NOW).kinds == ("code",)


# Who is told ------------------------------------------------------------------------------------------------------------


def notices(project: Project) -> list[tuple[str, list[str]]]:
    path = project.root / "notices.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [(n["event"], n["facts"]["kinds"]) for n in map(json.loads, lines)]


def test_drift_is_told_once_then_when_it_is_another_and_when_it_is_over(project: Project) -> None:
    watched = with_monitoring(project, notify=[FILE])
    quiet = unlabelled(make_rows(500, seed=50))
    moved, worse = quiet.assign(plan="gold"), quiet.assign(plan="gold", age=80)
    look(watched, quiet)
    assert notices(project) == []
    for hours, rows in enumerate((moved, moved, worse, worse, quiet, quiet)):
        look(watched, rows, hours=hours)
    assert [event for event, _ in notices(project)] == ["drift", "drift", "drift-over"]
    assert notices(project)[2][1] == []


def test_a_rule_that_is_broken_now_and_then_is_no_other_drift_and_one_that_is_broken_often_is(project: Project) -> None:
    watched = with_monitoring(project, notify=[FILE])
    rows = unlabelled(make_rows(500, seed=50))
    broken = rows.assign(plan=rows["plan"].where(rows.index % 5 != 0, "silver"))
    once = broken.assign(age=rows["age"].where(rows.index != 7, 500))
    often = broken.assign(age=rows["age"].where(rows.index % 3 != 0, 500))
    for hours, found in enumerate((broken, once, broken, often)):
        assert look(watched, found, hours=hours).kinds == ("schema",)
    assert notices(project) == [("drift", ["schema"])] * 2


def test_drift_that_lasts_is_told_again_after_the_cool_down(project: Project) -> None:
    watched = with_monitoring(project, notify=[FILE])
    moved = unlabelled(make_rows(500, seed=50)).assign(plan="gold")
    for hours in (0, 23.9, 24.1, 25):
        look(watched, moved, hours=hours)
    assert len(notices(project)) == 2


def test_a_small_window_does_not_end_a_drift(project: Project) -> None:
    watched = with_monitoring(project, notify=[FILE])
    look(watched, unlabelled(make_rows(500, seed=50)).assign(plan="gold"))
    look(watched, unlabelled(make_rows(10, seed=50)), hours=1)
    assert [event for event, _ in notices(project)] == ["drift"]


def test_what_a_channel_did_not_take_is_in_the_report_and_is_sent_by_the_next_look(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = with_monitoring(project, notify=[{"kind": "webhook", "address_variable": "HOOK"}])
    moved = unlabelled(make_rows(500, seed=50)).assign(plan="gold")
    failed = look(watched, moved)
    assert failed.drifted
    assert [d.sent for d in failed.told] == [False]
    assert "FAILED" in failed.page.read_text(encoding="utf-8")
    document = json.loads(failed.document.read_text(encoding="utf-8"))
    assert document["told"] == [{"channel": "webhook $HOOK", "problem": "the variable HOOK is not set", "sent": False}]
    with webhook(200) as server:
        monkeypatch.setenv("HOOK", server.address)
        assert [d.sent for d in look(watched, moved, hours=1).told] == [True]
        assert look(watched, moved, hours=2).told == ()
    (body,) = server.bodies
    assert body["notice"]["facts"]["columns"] == ["plan"]


def test_nobody_is_told_where_that_is_asked(project: Project) -> None:
    watched = with_monitoring(project, notify=[FILE])
    source = project.root / "window.csv"
    unlabelled(make_rows(500, seed=50)).assign(plan="gold").to_csv(source, index=False)
    assert monitor(watched, source, "dev", tell=False, now=NOW).told == ()
    assert notices(project) == []


def test_nothing_captured_stays_an_error_with_labels(project: Project) -> None:
    labels = project.root / "labels.csv"
    labels.write_text("customer,churned\nc1,yes\n", encoding="utf-8")
    with pytest.raises(NothingCaptured):
        monitor(project, None, "dev", labels=labels, now=NOW)
