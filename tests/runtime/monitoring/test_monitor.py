"""The monitor: data, predictions and quality told apart, a report a person can read, retraining asked for once."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import DataUnreadable, NotApproved, NothingDeployed, WriteFailed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import BatchUnusable, NothingCaptured
from ai_factory_runtime.monitoring.monitor import MonitorResult, _new_folder, monitor
from ai_factory_runtime.monitoring.retraining import asked_for, decision_for
from ai_factory_runtime.monitoring.verdicts import verdicts
from ai_factory_runtime.releases.stages import deploy
from ai_factory_runtime.serving.server import create_app
from ai_factory_spec.errors import EXIT_CHECKS_FAILED
from ai_factory_spec.usecase import Pii, Retraining
from fastapi.testclient import TestClient
from helpers_monitoring import with_monitoring
from helpers_serving import CALLED, SPEND, as_records, make_deployed, make_package, make_rows

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_deployed(tmp_path_factory.mktemp("monitor") / "project")


@pytest.fixture
def project(shared: Project, tmp_path: Path) -> Project:
    shutil.copytree(shared.root, tmp_path / "project")
    return dataclasses.replace(shared, root=tmp_path / "project")


def look(project: Project, rows: pd.DataFrame, *, now: dt.datetime = NOW) -> MonitorResult:
    source = project.root / "window.csv"
    rows.to_csv(source, index=False)
    return monitor(project, source, "dev", now=now)


def unlabelled(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns=["churned", "segment", "value"])


def drifted_columns(result: MonitorResult) -> list[str]:
    return [c.name for c in result.report.drifted_columns]


def test_data_like_the_training_data_is_no_drift(project: Project) -> None:
    result = look(project, make_rows(500, seed=50))
    assert result.kinds == ()
    assert not result.drifted
    assert result.retraining.because == "nothing moved"


def test_data_that_moved_is_named(project: Project) -> None:
    rows = unlabelled(make_rows(500, seed=50))
    result = look(project, rows.assign(age=(rows["age"] + 25).clip(upper=120)))
    assert "data" in result.kinds
    assert drifted_columns(result) == ["age"]


def test_predictions_that_moved_with_the_data_are_told_apart(project: Project) -> None:
    """The share of a boolean that the model never looks at moves: the data drifts, the predictions do not."""
    rows = unlabelled(make_rows(500, seed=50))
    unused = look(project, rows.assign(**{CALLED: True}))
    assert unused.kinds == ("data",)
    assert drifted_columns(unused) == [CALLED]
    used = look(project, rows.assign(plan="gold"))
    assert used.kinds == ("data", "predictions")


def test_quality_that_fell_while_nothing_else_moved_is_told_apart(project: Project) -> None:
    rows = make_rows(500, seed=50)
    flipped = rows.assign(churned=rows["churned"].map({"yes": "no", "no": "yes"}))
    result = look(project, flipped)
    assert result.kinds == ("quality",)
    assert result.quality is not None
    assert result.quality.now.high < result.quality.before.low


def test_rows_without_a_known_target_say_nothing_about_quality(project: Project) -> None:
    rows = make_rows(500, seed=50)
    few = rows.assign(churned=rows["churned"].where(rows.index < 49))
    assert look(project, few).quality is None
    assert look(project, unlabelled(rows)).quality is None
    known = look(project, rows.assign(churned=rows["churned"].where(rows.index < 300, "maybe"))).quality
    assert known is not None
    assert known.rows == 300


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_quality_is_judged_for_every_task(tmp_path: Path, task: str) -> None:
    project = make_deployed(tmp_path / "project", task=task)
    result = look(project, make_rows(300, seed=50))
    assert result.quality is not None
    assert not result.report.drifted_columns


def test_rows_that_break_the_contract_are_schema_drift_and_no_missing_values(project: Project) -> None:
    rows = unlabelled(make_rows(500, seed=50))
    rows["plan"] = rows["plan"].where(rows.index % 10 != 0, "silver")
    result = look(project, rows)
    assert result.kinds == ("schema",)
    assert result.window.skipped == 50
    (rule,) = result.findings.schema.rows.violations
    assert (rule.column, rule.count, rule.examples, rule.rows) == ("plan", 50, ("'silver'",), (0, 10, 20, 30, 40))
    plan = next(c for c in result.report.columns if c.name == "plan")
    assert plan.current_missing == 0
    assert plan.unseen == ()
    assert result.report.predictions
    assert "break the data contract" in result.page.read_text(encoding="utf-8")


@pytest.mark.parametrize("gone", [SPEND, "age"], ids=["may be empty", "must be there"])
def test_a_column_that_is_gone_breaks_the_schema_and_is_not_compared(project: Project, gone: str) -> None:
    result = look(project, unlabelled(make_rows(500, seed=50)).drop(columns=[gone]))
    assert result.kinds == ("schema",)
    assert [str(v) for v in result.findings.schema.rows.violations] == [
        f"{gone!r} is missing from the table (500 rows)"
    ]
    assert {c.name for c in result.report.columns} - {c.name for c in result.report.compared_columns} == {gone}


def test_a_window_of_bad_rows_alone_is_reported_without_predictions(project: Project) -> None:
    result = look(project, make_rows(100, seed=1).assign(plan="silver"))
    assert result.window.skipped == result.window.true_values == 100
    assert result.report.predictions == ()
    assert result.kinds == ("schema",)
    said = {v.kind: v.said for v in verdicts(result)}
    assert said["quality"] == "100 true values have arrived, but their rows break the data contract and got no answer"
    assert "1 not compared" in said["data"]


def test_a_damaged_feed_is_told_and_asks_for_no_retraining(project: Project) -> None:
    """Decimal commas throughout, from a spreadsheet of another country: nothing of it may be learned."""
    watched = with_monitoring(project, notify=[{"kind": "file", "path": "notices.jsonl"}])
    rows = make_rows(300, seed=50).assign(age=lambda f: f["age"].astype(str) + ",5")
    result = look(watched, rows)
    assert result.kinds == ("schema",)
    assert not result.retraining.due
    assert "repair their source first" in result.retraining.because
    assert asked_for(watched, "dev") is None
    notice = json.loads((project.root / "notices.jsonl").read_text(encoding="utf-8"))
    assert "'age' is not a whole number in 300 rows" in notice["text"]
    assert ",5" not in notice["text"], "no value leaves with a notice"
    assert notice["facts"]["rows_skipped"] == 300
    document = json.loads(result.document.read_text(encoding="utf-8"))
    assert document["schema"]["rows"]["broken"] == 300
    assert document["schema"]["severity"] > 1
    page = result.page.read_text(encoding="utf-8")
    assert "What breaks the data contract" in page
    assert ",5&#39;" in page
    assert "Drift in the schema." in page


def test_damage_holds_back_whatever_else_moved(project: Project) -> None:
    rows = make_rows(300, seed=50).assign(plan="gold")
    rows["age"] = rows["age"].where(rows.index % 5 != 0, 500)
    result = look(project, rows)
    assert {"schema", "data"} <= set(result.kinds)
    assert not result.retraining.due


def test_a_few_broken_rows_are_named_and_are_no_drift(project: Project) -> None:
    rows = unlabelled(make_rows(500, seed=50))
    rows.loc[7, "age"] = 130
    result = look(project, rows)
    assert result.kinds == ()
    assert result.window.skipped == 1
    assert [str(v) for v in result.findings.schema.rows.violations] == [
        "'age' is more than 120 (1 row, e.g. 130.0; row 7)"
    ]


def test_a_broken_schema_is_seen_in_a_window_too_small_for_anything_else(project: Project) -> None:
    result = look(project, make_rows(10, seed=50).assign(plan="silver"))
    assert result.report.too_small
    assert result.kinds == ("schema",)


def test_values_of_personal_data_are_not_shown_where_they_break_a_rule(project: Project) -> None:
    data = project.usecase.data
    hidden = data.model_copy(update={"pii": (*data.pii, Pii(column="plan", kind="other", action="hash"))})
    private = dataclasses.replace(project, usecase=project.usecase.model_copy(update={"data": hidden}))
    result = look(private, unlabelled(make_rows(100, seed=50)).assign(plan="silver"))
    assert result.kinds == ("schema",)
    assert "silver" not in result.page.read_text(encoding="utf-8")
    assert "silver" not in result.document.read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_batch_without_rows_is_an_error_and_no_quiet_day(project: Project, tmp_path: Path, suffix: str) -> None:
    nothing = make_rows(10, seed=50).head(0)
    source = tmp_path / f"empty.{suffix}"
    nothing.to_csv(source, index=False) if suffix == "csv" else nothing.to_parquet(source)
    with pytest.raises(BatchUnusable, match="it has no rows") as refused:
        monitor(project, source, "dev")
    assert refused.value.exit_code == EXIT_CHECKS_FAILED
    assert not project.reports.exists()


def test_a_folder_is_monitored_as_it_is_scored(project: Project, tmp_path: Path) -> None:
    rows, parts = unlabelled(make_rows(500, seed=50)), tmp_path / "parts"
    parts.mkdir()
    rows.head(200).to_csv(parts / "a.csv", index=False)
    rows.tail(300).to_parquet(parts / "b.parquet")
    whole = look(project, rows)
    result = monitor(project, parts, "dev", now=NOW)
    assert result.window.rows == 500
    assert result.report == whole.report


def test_a_window_too_small_is_said_to_be_and_asks_for_nothing(project: Project) -> None:
    rows = make_rows(49, seed=50).assign(age=120)
    result = look(project, rows)
    assert result.report.too_small
    assert not result.drifted
    assert not result.retraining.due
    assert "Too few rows" in result.page.read_text(encoding="utf-8")


def test_what_the_endpoint_captured_is_monitored_without_a_file(project: Project) -> None:
    rows = unlabelled(make_rows(300, seed=50))
    with TestClient(create_app(project, "dev", capture_rate=1.0)) as client:
        for start in range(0, 300, 100):
            body = {"records": as_records(rows.iloc[start : start + 100], project)}
            assert client.post("/invocations", json=body).status_code == 200
    result = monitor(project, None, "dev", now=NOW)
    assert result.window.rows == 300
    assert not result.drifted
    same = look(project, rows)
    assert same.report.columns == result.report.columns


def test_the_captures_of_another_model_are_not_taken_for_this_ones(project: Project) -> None:
    with TestClient(create_app(project, "dev", capture_rate=1.0)) as client:
        client.post("/invocations", json={"records": as_records(make_rows(100, seed=50), project)})
    folder, digest = make_package(project, "run-2", seed=2)
    deploy(project, "dev", version=2, digest=digest, folder=folder)
    with pytest.raises(NothingCaptured):
        monitor(project, None, "dev")


def test_nothing_captured_says_what_to_do(project: Project) -> None:
    with pytest.raises(NothingCaptured) as refusal:
        monitor(project, None, "dev")
    assert "Name a file" in refusal.value.hint


def test_a_file_that_cannot_be_monitored_is_refused(project: Project, tmp_path: Path) -> None:
    with pytest.raises(DataUnreadable):
        monitor(project, tmp_path / "absent.csv", "dev")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(BatchUnusable, match="none of the columns"):
        monitor(project, tmp_path / "other.csv", "dev")
    assert not project.reports.exists()


def test_outside_dev_an_unapproved_model_is_not_monitored(project: Project) -> None:
    with pytest.raises(NothingDeployed):
        monitor(project, None, "prod")
    document = json.loads((project.stages / "dev.json").read_text(encoding="utf-8"))
    (project.stages / "prod.json").write_text(json.dumps({**document, "stage": "prod"}), encoding="utf-8")
    with pytest.raises(NotApproved):
        monitor(project, None, "prod")


# Retraining -------------------------------------------------------------------------------------------------------------


def moved(project: Project, hours: float) -> MonitorResult:
    rows = unlabelled(make_rows(300, seed=50)).assign(plan="gold")
    return look(project, rows, now=NOW + dt.timedelta(hours=hours))


def test_drift_asks_for_retraining_once_per_cool_down(project: Project) -> None:
    assert moved(project, 0).retraining.due
    again = moved(project, 23.9).retraining
    assert not again.due
    assert "the cool-down is 24 h" in again.because
    assert moved(project, 24).retraining.due
    assert not moved(project, 47).retraining.due


def test_retraining_on_drift_can_be_switched_off_and_says_so(project: Project) -> None:
    monitoring = project.usecase.monitoring.model_copy(update={"retraining": Retraining(on_drift=False)})
    off = dataclasses.replace(project, usecase=project.usecase.model_copy(update={"monitoring": monitoring}))
    decision = moved(off, 0).retraining
    assert not decision.due
    assert "on_drift is off" in decision.because


@pytest.mark.parametrize(
    "text", ["", "{}", '{"asked_at": 3}', '{"asked_at": "yesterday"}', '{"asked_at": "2026-03-01T11:00:00"}']
)
def test_a_damaged_note_of_the_last_time_does_not_keep_it_from_asking(project: Project, text: str) -> None:
    note = project.reports / "dev" / "retraining.json"
    note.parent.mkdir(parents=True)
    note.write_text(text, encoding="utf-8")
    assert moved(project, 0).retraining.due


def test_a_clock_set_back_does_not_keep_it_from_asking() -> None:
    later = NOW + dt.timedelta(days=400)
    decision = decision_for(
        ["data"], too_small=False, on_drift=True, cooldown=dt.timedelta(hours=24), last=later, now=NOW
    )
    assert decision.due


# The report -------------------------------------------------------------------------------------------------------------


class _Page(HTMLParser):
    """Collects a page's tags and attributes, and checks that elements close in order."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr", "path", "rect", "line"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_loads_nothing_runs_nothing_and_escapes_everything(project: Project) -> None:
    rows = unlabelled(make_rows(300, seed=50))
    rows["plan"] = rows["plan"].where(rows.index % 3 != 0, "<script>alert(1)</script>")
    text = look(project, rows).page.read_text(encoding="utf-8")
    page = _Page(text)
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"(?:src|href|url\()\s*=?\s*[\"']?https?:", text)
    assert "&lt;script&gt;alert(1)" in text
    assert "Who leaves &lt;next&gt; &amp; why" in text
    assert not re.search(r"\b(?:nan|inf)\b", text)


def test_the_page_shows_drift_in_words_worst_column_first(project: Project) -> None:
    rows = unlabelled(make_rows(500, seed=50))
    rows = rows.assign(age=(rows["age"] + 15).clip(upper=120), plan="gold")
    result = look(project, rows)
    text = result.page.read_text(encoding="utf-8")
    assert "Drift in 2 of 4 columns and in the predictions." in text
    assert "Retraining due: yes" in text
    shown = re.findall(r"<h3>([^<]*)</h3>", text)
    assert shown[0] == "predicted churned"
    assert shown[2:4] == [c.name for c in result.report.drifted_columns] == ["plan", "age"]
    assert text.count("▲ drift") == 4
    assert "probability of yes" in text


def test_the_document_is_strict_json_and_says_what_the_page_says(project: Project) -> None:
    result = look(project, make_rows(500, seed=50).assign(age=18))

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is no JSON")

    document = json.loads(result.document.read_text(encoding="utf-8"), parse_constant=refuse)
    assert document["kinds"] == list(result.kinds)
    assert document["columns"][0]["name"] == "age"
    assert document["columns"][0]["drifted"] is True
    assert document["retraining"] == {"due": True, "because": result.retraining.because}
    assert document["quality"]["metric"] == "roc_auc"
    assert document["model"]["digest"] == result.digest


def test_each_report_has_a_folder_of_its_own(project: Project) -> None:
    rows = make_rows(100, seed=50)
    assert len({look(project, rows).page for _ in range(3)}) == 3


def test_a_report_that_cannot_be_written_is_told(project: Project) -> None:
    project.reports.write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(WriteFailed, match="reports"):
        look(project, unlabelled(make_rows(100, seed=50)))


def test_looks_that_begin_in_the_same_second_never_share_a_folder(tmp_path: Path) -> None:
    """All at once, as from a schedule and a person: each finds a folder that is empty and its own."""
    everybody = threading.Barrier(8)

    def begin(_: int) -> Path:
        everybody.wait(10)
        return _new_folder(tmp_path / "dev", NOW)

    with ThreadPoolExecutor(8) as looks:
        folders = list(looks.map(begin, range(8)))
    assert len(set(folders)) == 8


@pytest.mark.parametrize(
    "values",
    [np.full(200, 40), np.where(np.arange(200) % 2 == 0, 0, 120)],
    ids=["constant", "two values"],
)
def test_an_odd_column_still_gives_a_report(project: Project, values: Any) -> None:
    rows = unlabelled(make_rows(200, seed=50)).assign(age=values)
    result = look(project, rows)
    assert "age" in drifted_columns(result)
    assert not re.search(r"\b(?:nan|inf)\b", result.page.read_text(encoding="utf-8"))
