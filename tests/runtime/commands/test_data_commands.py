"""Personal data in a whole run: no file of it holds a name; `reveal` reads a token; `check-data` says what a run would say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ai_factory_runtime.base.errors import ContractBroken, PiiKeyMissing
from ai_factory_runtime.base.project import Hooks, Project
from ai_factory_runtime.cli import build_app
from ai_factory_runtime.data.data_refusals import DuplicateRows, TokenUnreadable
from ai_factory_runtime.steps.pipeline import run
from ai_factory_runtime.steps.prepare import QUARANTINE
from helpers_runtime import PACKAGE, SOURCE, columns_of, default_features, load, make_project, quick, real_rows
from typer.testing import CliRunner

KEY = "a key of sixteen characters"
HOOKS = Hooks(load, default_features, quick)
PEOPLE = [
    {"column": "mail", "kind": "email", "action": "tokenise"},
    {"column": "phone", "kind": "phone", "action": "hash"},
    {"column": "name", "kind": "name", "action": "drop"},
]


def people(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows, each of a person, with two that break the contract and two that are copies."""
    frame = frame.head(300).copy()
    frame["mail"] = [f"person{n}@secret.example" for n in range(len(frame))]
    frame["phone"] = [f"+44 555 {n:04d}" for n in range(len(frame))]
    frame["name"] = [f"Ann Secret {n}" for n in range(len(frame))]
    frame = frame.astype({"mean_radius": object})
    frame.loc[[5, 9], "mean_radius"] = ["wide", "wider"]
    return pd.concat([frame, frame.iloc[[20, 21]]], ignore_index=True)


def project_of(folder: Path, frame: pd.DataFrame, **data: Any) -> Project:
    clean = frame.drop(index=[5, 9]).astype({"mean_radius": float})
    columns = columns_of(clean)
    for column in columns:
        if column["name"] in ("mail", "phone", "name"):
            column.pop("categories", None)
            column["type"] = "text"
    contract = {"columns": columns, "max_bad_rows": 0.05}
    section = {"source": SOURCE, "target": "outcome", "id": "mail", "pii": PEOPLE, "contract": contract, **data}
    return make_project(folder, frame, "binary", candidates=quick, data=section)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AI_FACTORY_PII_KEY", KEY)
        project = project_of(tmp_path_factory.mktemp("pii"), people(real_rows("breast_cancer")))
        run(project)
    return project


def call(project: Project, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.chdir(project.root)
    return CliRunner().invoke(build_app(PACKAGE, HOOKS), list(arguments))


def test_no_file_of_a_run_holds_personal_data(once: Project) -> None:
    written = [p for p in once.artifacts.rglob("*") if p.is_file()] + list(once.root.glob("governance/**/*.yaml"))
    assert len(written) > 10
    leaked = [
        p for p in written if any(secret in p.read_bytes() for secret in (b"secret.example", b"Ann Secret", b"+44 555"))
    ]
    assert leaked == []


def test_the_quarantine_of_a_run_holds_tokens_and_reasons(once: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_FACTORY_PII_KEY", KEY)
    stored = pd.read_csv(next(once.runs.glob(f"*/{QUARANTINE}")))
    assert stored["row"].tolist() == [5, 9]
    assert stored["reasons"].tolist() == ["'mean_radius' is not a finite number"] * 2
    assert "name" not in stored
    done = call(once, monkeypatch, "reveal", stored["mail"][0])
    assert (done.exit_code, done.stdout) == (0, "person5@secret.example\n")
    as_json = call(once, monkeypatch, "reveal", stored["mail"][1], "--json")
    assert json.loads(as_json.stdout) == {"column": "mail", "value": "person9@secret.example"}
    assert isinstance(call(once, monkeypatch, "reveal", stored["phone"][0]).exception, TokenUnreadable)


def test_a_token_cannot_be_read_without_the_key(once: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AI_FACTORY_PII_KEY", raising=False)
    assert isinstance(call(once, monkeypatch, "reveal", "tok_x").exception, PiiKeyMissing)


def test_the_copies_of_a_run_are_counted_where_it_can_be_read(once: Project) -> None:
    folder = next(p for p in once.runs.iterdir() if p.is_dir())
    cleansing = json.loads((folder / "cleansing.json").read_text())
    assert (cleansing["exact_copies"], cleansing["exact_dropped"]) == (2, 2)
    contract = json.loads((folder / "contract.json").read_text())
    assert (contract["rows"], contract["bad_rows"]) == (302, 2)
    assert contract["violations"][0]["first_rows"] == [5, 9]
    assert "2 of 300 rows are copies" in (folder / "card.md").read_text()


def test_check_data_tells_what_a_run_would_say_and_writes_nothing(
    once: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_of(tmp_path, people(real_rows("breast_cancer")))
    done = call(project, monkeypatch, "check-data")
    assert done.exit_code == 0, done.output
    assert "302 rows read from data/rows.csv; 2 break the data contract." in done.stdout
    assert "'mean_radius' is not a finite number (2 rows, e.g. 'wide', 'wider'; rows 5, 9)" in done.stdout
    assert "copies of an earlier row in every column; they were dropped" in done.stdout
    assert "secret" not in done.output
    assert not project.artifacts.exists()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"duplicates": {"exact": "stop"}}, DuplicateRows),
        ({"contract": {"max_bad_rows": 0.0}}, ContractBroken),
    ],
)
def test_what_stops_a_run_is_told_by_check_data_with_exit_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], error: type[Exception]
) -> None:
    monkeypatch.setenv("AI_FACTORY_PII_KEY", KEY)
    frame = people(real_rows("breast_cancer"))
    project = project_of(tmp_path, frame)
    contract = project.usecase.data.contract.model_copy(update=change.get("contract", {}))
    data = project.usecase.data.model_dump() | {k: v for k, v in change.items() if k != "contract"}
    data["contract"] = contract.model_dump()
    project = make_project(tmp_path, frame, "binary", candidates=quick, data=data)
    done = call(project, monkeypatch, "check-data", "--json")
    assert done.exit_code == 4, done.output
    assert json.loads(done.stdout)["stops"]
    with pytest.raises(error):
        run(project)
    assert not project.models.exists()
