"""Late labels: joined by request and by id, through the PII policy, the latest wins; what cannot be joined is said."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from ai_factory_runtime.base.errors import DataUnreadable, PiiKeyMissing
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import LabelsUnusable
from ai_factory_runtime.data.pii import KEY_VARIABLE
from ai_factory_runtime.monitoring.labels import find_labels, id_texts, join, label_folder, protected_ids
from ai_factory_spec.usecase import Pii
from helpers_serving import make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def keys(*rows: tuple[str | None, int, object]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["request", "position", "id"])
    return frame.assign(id=pd.Series([r[2] for r in rows], dtype=object))


def written(project: Project, text: str, name: str = "labels.csv") -> Path:
    path = project.root / name
    path.write_text(text, encoding="utf-8")
    return path


def joined(project: Project, path: Path, wanted: pd.DataFrame) -> list[object]:
    labels = find_labels(project, "dev", path)
    assert labels is not None
    truth = join(labels, wanted)
    return [None if pd.isna(v) else v for v in truth]


def test_a_label_by_request_belongs_to_one_row_of_one_request(project: Project) -> None:
    path = written(project, "request_id,row,churned\nq1,0,yes\nq1,2,no\nq2,0,no\n")
    wanted = keys(("q1", 0, "c1"), ("q1", 1, "c1"), ("q1", 2, "c1"), ("q2", 0, None), ("q3", 0, None))
    assert joined(project, path, wanted) == ["yes", None, "no", "no", None]


def test_without_a_row_the_label_is_the_first_rows(project: Project) -> None:
    path = written(project, "request_id,churned\nq1,yes\n")
    assert joined(project, path, keys(("q1", 0, None), ("q1", 1, None))) == ["yes", None]


def test_a_label_by_id_belongs_to_every_answer_about_the_entity_and_a_request_wins_over_it(project: Project) -> None:
    path = written(project, "request_id,customer,churned\n,c1,yes\nq2,c1,no\n,c2,no\n")
    wanted = keys(("q1", 0, "c1"), ("q2", 0, "c1"), ("q3", 0, "c2"), ("q4", 0, "c9"))
    assert joined(project, path, wanted) == ["yes", "no", "no", None]


def test_the_latest_label_wins_and_a_folder_is_read_in_the_order_of_its_names(project: Project) -> None:
    folder = label_folder(project, "dev")
    folder.mkdir(parents=True)
    written(project, "customer,churned\nc1,yes\nc2,yes\nc2,no\n", "artifacts/labels/dev/2026-01.csv")
    pd.DataFrame({"customer": ["c1"], "churned": ["no"]}).to_parquet(folder / "2026-02.parquet")
    (folder / "notes.txt").write_text("not labels", encoding="utf-8")
    labels = find_labels(project, "dev")
    assert labels is not None
    assert join(labels, keys(("q", 0, "c1"), ("q", 1, "c2"))).tolist() == ["no", "no"]


def test_a_value_the_target_cannot_have_is_counted_and_left_out(project: Project) -> None:
    path = written(project, "customer,churned\nc1,maybe\nc2,\nc3,yes\n")
    labels = find_labels(project, "dev", path)
    assert labels is not None
    assert labels.unusable == 2
    assert joined(project, path, keys(("q", 0, "c1"), ("q", 1, "c3"))) == [None, "yes"]


def test_no_labels_are_no_error_unless_they_were_named(project: Project) -> None:
    assert find_labels(project, "dev") is None
    with pytest.raises(LabelsUnusable, match=r"there is no \.csv"):
        find_labels(project, "dev", project.root / "absent")


@pytest.mark.parametrize(
    ("text", "lacks"),
    [("customer,value\nc1,2\n", "'churned'"), ("churned,age\nyes,3\n", "'request_id' or 'customer'")],
)
def test_a_file_that_cannot_be_joined_is_refused_with_the_column_it_lacks(
    project: Project, text: str, lacks: str
) -> None:
    with pytest.raises(LabelsUnusable, match=lacks):
        find_labels(project, "dev", written(project, text))


def test_a_file_that_is_no_table_is_refused(project: Project) -> None:
    path = project.root / "labels.parquet"
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataUnreadable):
        find_labels(project, "dev", path)


@pytest.mark.parametrize("value", ["7", 7, 7.0])
def test_an_id_is_one_whether_written_as_text_or_number(value: object) -> None:
    assert id_texts(pd.Series([value], dtype=object)).tolist() == ["7"]


def test_an_id_that_is_personal_data_is_joined_by_its_hash_and_never_kept(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "a key of sixteen characters")
    hashed = with_rule(project, "hash")
    path = written(hashed, "customer,churned\nc1,yes\n")
    kept = protected_ids(hashed.usecase, pd.Series(["c1"])).iloc[0]
    assert "c1" not in kept
    assert joined(hashed, path, keys(("q", 0, kept), ("q", 1, "c1"))) == ["yes", None]
    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(PiiKeyMissing):
        find_labels(hashed, "dev", path)


def test_an_id_that_the_policy_drops_joins_nothing(project: Project) -> None:
    dropped = with_rule(project, "drop")
    path = written(dropped, "customer,churned\nc1,yes\n")
    assert joined(dropped, path, keys(("q", 0, None))) == [None]


def with_rule(project: Project, action: str) -> Project:
    rule = Pii.model_validate({"column": "customer", "kind": "other", "action": action})
    data = project.usecase.data.model_copy(update={"pii": (*project.usecase.data.pii, rule)})
    return dataclasses.replace(project, usecase=project.usecase.model_copy(update={"data": data}))
