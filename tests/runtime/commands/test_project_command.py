"""The project command: each door opens one room, says where the results are, and ends with the exit code of what happened."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from ai_factory_runtime.base.errors import NotAProject, ProjectCodeFailed
from ai_factory_runtime.base.project import Hooks, Project, find_root, open_project
from ai_factory_runtime.cli import build_app, run_project
from helpers_runtime import PACKAGE, SOURCE, default_features, load, make_project, quick, real_rows
from typer.testing import CliRunner

HOOKS = Hooks(load, default_features, quick)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "p"
    make_project(folder, real_rows("breast_cancer"), "binary")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "run"], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout, encoding="utf-8")
    return folder


TESTS = Path(__file__).parents[2]
PROGRAM = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
sys.argv[0] = "churn"
from ai_factory_runtime.cli import run_project
from ai_factory_runtime.base.project import Hooks
from helpers_runtime import PACKAGE, default_features, load, quick
run_project(PACKAGE, Hooks(load, default_features, quick))
"""


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "AI_FACTORY_PROJECT"}


@pytest.fixture
def project(once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    shutil.copytree(once, tmp_path / "p")
    monkeypatch.chdir(tmp_path / "p")
    monkeypatch.delenv("AI_FACTORY_PROJECT", raising=False)
    return open_project(PACKAGE, HOOKS)


def call(*arguments: str) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of the whole command, its one catch included."""
    import contextlib
    import io

    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["churn", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
            run_project(PACKAGE, HOOKS)
    finally:
        sys.argv = before
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


def document(*arguments: str, code: int = 0) -> Any:
    ended, out, err = call(*arguments, "--json")
    assert ended == code, err
    return json.loads(out)


def test_run_ends_with_the_card_and_the_next_command(once: Path) -> None:
    *_, version, card, following = (once / "said.txt").read_text().rstrip().splitlines()
    assert version.startswith("Version 1 is registered; verdict: promote")
    assert (once / card.removeprefix("Model card: ")).is_file()
    assert following == "Next: churn serve"


def test_run_as_json_is_one_document(project: Project) -> None:
    said = document("run")
    assert said["version"] == 2
    assert said["verdict"] == "keep"
    assert {g["name"] for g in said["gates"]} == {"beats-baseline", "data-sheet", "model-card"}
    assert Path(said["card"]).is_file()


def test_a_refused_run_exits_4_and_says_which_number_missed_which_threshold(project: Project) -> None:
    usecase = project.root / "usecase.yaml"
    usecase.write_text(usecase.read_text() + "acceptance:\n  metrics:\n    accuracy: {min: 1.0, confident: true}\n")
    code, _, err = call("run")
    assert code == 4
    assert "metric:accuracy:min" in err
    assert "must be at least 1" in err
    assert "More: docs/errors.md#gate-failed" in err
    said = document("run", code=4)
    assert said["error"]["slug"] == "gate-failed"
    (gate,) = said["error"]["gates"]
    assert (gate["name"], gate["passed"]) == ("metric:accuracy:min", False)
    assert gate["value"] < gate["bound"]
    assert gate["sentence"] in said["error"]["message"]
    assert Path(said["error"]["card"]).parent.name == said["error"]["run"]
    assert Path(said["error"]["card"]).is_file()
    assert [r["version"] for r in document("show")] == [None, None, 1]
    assert [r["refused"] for r in document("show")] == ["gate-failed", "gate-failed", None]


def test_show_lists_the_runs_and_tells_what_made_a_model(project: Project) -> None:
    code, out, _ = call("show")
    assert code == 0
    assert "champion" in out
    code, out, _ = call("show", "1")
    assert code == 0
    for shown in ("Lineage", "rows_sha256", "seed", "beats-baseline", "roc_auc"):
        assert shown in out
    assert document("show", "1")["report"]["lineage"]["seed"] == 7
    code, _, err = call("show", "nothing")
    assert code == 1
    assert "`churn show` without an argument lists them" in err


@pytest.mark.parametrize(
    ("source", "query", "told"),
    [
        ("s3://rows/new/", None, "aws s3 cp s3://rows/new/ data/new/ --recursive"),
        ("s3://rows/new.csv", None, "aws s3 cp s3://rows/new.csv data/new/`"),
        ("sqlite:///rows.db", "SELECT * FROM rows", "Write the query's rows"),
        ("$CHURN_DATABASE", "SELECT * FROM rows", "Write the query's rows"),
    ],
)
def test_score_without_a_file_refuses_rows_that_are_in_no_file_and_says_how_to_bring_them(
    project: Project, source: str, query: str | None, told: str
) -> None:
    usecase = yaml.safe_load((project.root / "usecase.yaml").read_text(encoding="utf-8"))
    usecase["data"] |= {"source": source} | ({} if query is None else {"query": query})
    (project.root / "usecase.yaml").write_text(yaml.safe_dump(usecase), encoding="utf-8")
    code, _, said = call("score")
    assert code == 1
    assert f"{source} is not a file or a folder here" in said
    assert told in said
    assert "docs/errors.md#source-elsewhere" in said
    assert not (project.scores / "dev").exists()
    real_rows("breast_cancer").head(5).to_csv("brought.csv", index=False)
    assert call("score", "brought.csv")[0] == 0, "a file that is named is scored, wherever training reads from"


def test_score_monitor_approve_promote_and_releases_call_their_rooms(project: Project) -> None:
    rows = real_rows("breast_cancer").drop(columns="outcome")
    rows.to_csv("later.csv", index=False)
    scored = document("score", "later.csv", "--out", "scores.csv")
    assert scored["scored"] == len(rows) == len(pd.read_csv("scores.csv"))
    assert document("score")["scored"] == len(rows)  # without a file: the rows that data.source names
    assert document("monitor", "later.csv")["drifted"] is False
    rows.assign(mean_radius=rows["mean_radius"] / 25.4).to_csv("inches.csv", index=False)
    code, out, _ = call("monitor", "inches.csv")
    assert code == 3
    assert "mean_radius" in out
    code, _, err = call("promote", "1", "--stage", "staging")
    assert code == 4
    assert "still to sign" in err
    waiting = document("releases")[0]
    assert waiting["approved"] is False
    for number, role in enumerate(waiting["missing"]):
        assert call("approve", "1", "--role", role, "--by", f"Person {number}")[0] == 0
    assert document("releases")[0]["approved"] is True
    assert document("promote", "1", "--stage", "staging")["version"] == 1
    code, _, err = call("rollback", "--stage", "staging")
    assert code == 1, err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["approve", "99", "--role", "owner", "--by", "A"], 1),
        (["serve", "--stage", "prod"], 1),
        (["score", "none.csv"], 1),
        (["nonsense"], 2),
        (["approve", "0"], 2),
    ],
)
def test_a_mistake_ends_with_its_exit_code_and_no_traceback(project: Project, arguments: list[str], code: int) -> None:
    ended, _, err = call(*arguments)
    assert ended == code
    assert "Traceback" not in err
    assert err.strip()


def test_outside_a_project_the_command_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AI_FACTORY_PROJECT", raising=False)
    code, _, err = call("run")
    assert code == 1
    assert "No usecase.yaml" in err


def test_a_project_is_found_from_below_by_variable_and_by_argument(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project.root / "src" / "deep"
    below.mkdir(parents=True)
    assert find_root(below) == project.root
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AI_FACTORY_PROJECT", str(project.root))
    assert open_project(PACKAGE, HOOKS).root == project.root
    with pytest.raises(NotAProject, match="nowhere"):
        open_project(PACKAGE, HOOKS, root=tmp_path / "nowhere")


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from ai_factory_runtime.cli import build_app\n"
        "from ai_factory_runtime.base.project import Hooks\n"
        "from typer.testing import CliRunner\n"
        "out = CliRunner().invoke(build_app('churn', Hooks(None, None, None)), ['--help']).output\n"
        "print(out, [m for m in ('pandas', 'sklearn', 'mlflow', 'pydantic', 'fastapi', 'numpy') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("[]")
    for command in ("run", "serve", "score", "monitor", "approve", "promote", "rollback", "releases", "show"):
        assert f"\n  {command} " in done.stdout


def test_no_option_switches_a_gate_off() -> None:
    said = CliRunner().invoke(build_app(PACKAGE, HOOKS), ["run", "--help"]).output
    assert {word for word in said.split() if word.startswith("--")} == {"--backend", "--help", "--jobs", "--json"}


def test_a_way_to_train_many_is_refused_for_one_model_and_the_next_command_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(project.artifacts.rglob("*"))
    code, _, err = call("run", "--backend", "nope", "--jobs", "2")
    assert code == 1
    assert "`--backend nope --jobs 2` would change nothing" in err
    assert "loky, sequential, ray" in err
    assert "Next: Leave `--backend` and `--jobs` out: `churn run`." in err
    assert "`--jobs 3` would change nothing" in document("run", "--jobs", "3", code=1)["error"]["message"]
    assert sorted(project.artifacts.rglob("*")) == before
    # The environment's word is for projects with many models: it is the missing rows that stop this one.
    monkeypatch.setenv("AI_FACTORY_BACKEND", "ray")
    (project.root / SOURCE).unlink()
    assert document("run", code=1)["error"]["slug"] == "data-unreadable"


def test_names_that_would_move_the_cursor_are_shown_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = real_rows("breast_cancer").rename(columns={"mean_radius": "mean\x1b[2J_radius"})
    made = make_project(tmp_path / "p", rows, "binary", candidates=quick)
    monkeypatch.chdir(made.root)
    monkeypatch.delenv("AI_FACTORY_PROJECT", raising=False)
    broken = rows.astype({"mean\x1b[2J_radius": object})
    broken.loc[0, "mean\x1b[2J_radius"] = "\x1b[31mred"
    broken.to_csv(made.root / SOURCE, index=False)
    code, _, err = call("run")
    assert code == 4
    assert "\x1b" not in err


def test_help_imports_neither_the_projects_code_nor_a_library_that_takes_its_time() -> None:
    code = f"""
import sys
from ai_factory_runtime.cli import run_project
sys.argv = ["churn", "--help"]
try:
    run_project({PACKAGE!r}, lambda: 1 / 0)
finally:
    heavy = {{"pandas", "sklearn", "numpy", "pydantic", "mlflow", "fastapi", "boto3"}} & set(sys.modules)
    sys.stderr.write(" ".join(sorted(heavy)))
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_code_of_the_projects_that_cannot_be_imported_is_told_with_its_place(project: Project) -> None:
    def broken() -> Hooks:
        raise ImportError("No module named 'lightgbm'")

    with pytest.raises(ProjectCodeFailed, match="src/churn: import failed: ImportError: No module named 'lightgbm'"):
        open_project(PACKAGE, broken)
