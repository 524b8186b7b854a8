"""The command as a person types it: what it prints, what it exits with, and what it leaves on the disk."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from ai_factory import __version__
from ai_factory.cli import main
from helpers_generator import ROOT, write_usecase

BIN = Path(sys.executable).parent / "ai-factory"


class Ran:
    """What a run printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process."""
    # main() prepares a process of its own; here that must not outlive the test.
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("gc.disable", lambda: None)

    def call(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["ai-factory", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return call


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_usecase(tmp_path / "in", stacks=[])


def test_new_writes_a_repository_and_names_the_three_next_commands(run: Run, spec: Path, tmp_path: Path) -> None:
    out = tmp_path / "with space"
    done = run("new", spec, "--out", out, "--yes")
    assert (done.code, done.err) == (0, "")
    assert [line.strip() for line in done.out.splitlines()[-3:]] == [f"cd '{out}'", "make setup", "make run"]
    assert (out / "data" / "churn.csv").read_bytes() == (spec.parent / "churn.csv").read_bytes()
    assert yaml.safe_load((out / "usecase.yaml").read_text(encoding="utf-8"))["data"]["source"] == "data/churn.csv"


def test_new_without_out_makes_a_folder_of_the_projects_name(
    run: Run, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("new", spec, "--yes").code == 0
    assert (tmp_path / "churn" / "usecase.yaml").is_file()


def test_a_dry_run_lists_exactly_the_files_and_writes_nothing(run: Run, spec: Path, tmp_path: Path) -> None:
    done = run("new", spec, "--out", tmp_path / "p", "--dry-run")
    assert done.code == 0
    assert not (tmp_path / "p").exists()
    listed = {line.split()[0] for line in done.out.split("files:\n")[1].splitlines()[1:]}
    planned = json.loads(run("new", spec, "--out", tmp_path / "p", "--dry-run", "--json").out)
    assert planned["written"] is False
    run("new", spec, "--out", tmp_path / "p", "--yes")
    on_disk = {p.relative_to(tmp_path / "p").as_posix() for p in (tmp_path / "p").rglob("*") if p.is_file()}
    assert listed == set(planned["files"]) == on_disk - {"data/churn.csv"}


def test_new_as_json_says_what_it_wrote(run: Run, spec: Path, tmp_path: Path) -> None:
    said = json.loads(run("new", spec, "--out", tmp_path / "p", "--json").out)
    assert said["written"] is True
    assert said["path"] == str(tmp_path / "p")
    assert said["project"] == {"slug": "churn", "package": "churn", "command": "churn"}
    assert said["next"][1:] == ["make setup", "make run"]
    assert (tmp_path / "p" / "usecase.yaml").is_file()


def test_an_error_has_message_next_command_and_page_and_an_exit_code(run: Run, spec: Path, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "mine").write_text("x")
    done = run("new", spec, "--out", tmp_path / "p", "--yes")
    assert done.code == 1
    assert done.out == ""
    message, hint, page = done.err.splitlines()
    assert message.startswith(f"Error: {tmp_path / 'p'} is not empty; a new project needs")
    assert hint == "Next: Name another one: `--out DIR`."
    assert page == f"More: {ROOT / 'playbooks' / 'errors.md'}, section destination-exists"


def test_an_error_as_json_is_a_document(run: Run, spec: Path, tmp_path: Path) -> None:
    (spec.parent / "churn.csv").unlink()
    done = run("new", spec, "--out", tmp_path / "p", "--json")
    assert done.code == 1
    assert json.loads(done.out)["error"]["slug"] == "data-not-found"
    assert not (tmp_path / "p").exists()


def test_all_problems_of_a_use_case_are_reported_at_once(run: Run, tmp_path: Path) -> None:
    spec = write_usecase(tmp_path, risk={"tier": "hgh"}, owner=5, approval="standard", nonsense=1)
    done = run("new", spec, "--out", tmp_path / "p", "--yes")
    assert done.code == 1
    assert "has 3 problems" in done.err
    assert re.search(rf"{re.escape(str(spec))}:\d+: risk\.tier: ", done.err)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("new", "SPEC", "--data", "x.csv"),
        ("new", "SPEC", "--title", "x"),
        ("new", "--yes"),
        ("new", "--no-such-option"),
        ("plan",),
        ("schema", "nothing"),
        ("nothing",),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(run: Run, spec: Path, arguments: tuple[str, ...]) -> None:
    done = run(*(str(spec) if a == "SPEC" else a for a in arguments))
    assert done.code == 2
    assert done.out == ""
    assert done.err


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data file that leaves open which class is of interest, and whether `zone` orders rows."""
    file = tmp_path / "in" / "who-leaves.csv"
    file.parent.mkdir()
    rows = "".join(
        f"{20 + i % 50},{'north' if i % 3 else 'south'},{'gone' if i % 5 == 0 else 'here'}\n" for i in range(200)
    )
    file.write_text("age,zone,state\n" + rows, encoding="utf-8")
    return file


def test_new_straight_from_a_data_file_infers_the_rest(run: Run, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "p"
    assert run("new", "--data", data, "--target", "state", "--out", out, "--yes").code == 0
    told = yaml.safe_load((out / "usecase.yaml").read_text(encoding="utf-8"))
    assert told["name"] == "who-leaves"
    assert told["data"]["source"] == "data/who-leaves.csv"
    assert told["model"]["positive"] == "gone"
    assert (out / "data" / "who-leaves.csv").read_bytes() == data.read_bytes()


def test_new_takes_name_and_title_from_the_command_line(run: Run, data: Path, tmp_path: Path) -> None:
    title = "Who “leaves”?\n{{ x }}"
    options = ("--name", "class", "--title", title, "--out", tmp_path / "p")
    said = json.loads(run("new", "--data", data, "--target", "state", *options, "--json").out)
    assert said["project"] == {"slug": "class", "package": "class_model", "command": "class"}
    assert yaml.safe_load((tmp_path / "p" / "usecase.yaml").read_text(encoding="utf-8"))["title"] == title


def test_new_without_a_target_and_nobody_to_ask_names_the_option_and_the_columns(
    run: Run, data: Path, tmp_path: Path
) -> None:
    done = run("new", "--data", data, "--out", tmp_path / "p")
    assert done.code == 2
    assert "age, zone, state" in done.err
    assert "--target COLUMN" in done.err
    assert not (tmp_path / "p").exists()


def test_profile_shows_what_it_found_and_writes_a_use_case_that_new_takes(run: Run, data: Path, tmp_path: Path) -> None:
    spec = tmp_path / "usecase.yaml"
    done = run("profile", data, "--target", "state", "--out", spec)
    assert done.code == 0
    assert "200 rows, 3 columns" in done.out
    assert "rarer class (40 rows) (check this)" in done.out
    assert yaml.safe_load(spec.read_text(encoding="utf-8"))["data"]["source"] == "in/who-leaves.csv"
    assert run("new", spec, "--out", tmp_path / "p", "--yes").code == 0


def test_profile_never_overwrites_a_use_case(run: Run, data: Path, tmp_path: Path) -> None:
    spec = tmp_path / "usecase.yaml"
    spec.write_text("mine", encoding="utf-8")
    done = run("profile", data, "--target", "state", "--out", spec)
    assert done.code == 1
    assert "exists already" in done.err
    assert spec.read_text(encoding="utf-8") == "mine"
    assert (
        "its folder does not exist"
        in run("profile", data, "--target", "state", "--out", tmp_path / "no" / "u.yaml").err
    )


def test_profile_without_a_target_writes_nothing_and_names_the_next_step(run: Run, data: Path) -> None:
    assert "`--target COLUMN --out usecase.yaml`" in run("profile", data).out
    assert "`--out usecase.yaml` writes" in run("profile", data, "--target", "state").out


def test_profile_as_json_holds_the_use_case_and_no_example_values(run: Run, data: Path) -> None:
    said = json.loads(run("profile", data, "--target", "state", "--json").out)
    assert (said["rows"], said["task"], said["written"]) == (200, "binary", None)
    assert [c["name"] for c in said["columns"]] == ["age", "zone", "state"]
    assert "examples" not in said["columns"][0]
    assert yaml.safe_load(said["usecase"])["data"]["target"] == "state"


def test_a_target_that_does_not_exist_is_refused_with_the_nearest(run: Run, data: Path, tmp_path: Path) -> None:
    done = run("new", "--data", data, "--target", "stat", "--out", tmp_path / "p", "--yes")
    assert done.code == 1
    assert "'state'" in done.err


def test_plan_explains_why_each_blueprint_was_chosen(run: Run, spec: Path) -> None:
    assert "because" not in run("plan", spec).out
    explained = run("plan", spec, "--explain").out
    assert "`architecture` asks for it" in explained
    assert re.search(r"project_slug\s+churn", explained)
    layers = json.loads(run("plan", spec, "--json").out)["layers"]
    assert layers[0]["id"] == "project/base"
    assert all(layer["reasons"] for layer in layers)


def test_plan_needs_no_data_and_writes_nothing(run: Run, spec: Path) -> None:
    (spec.parent / "churn.csv").unlink()
    before = sorted(spec.parent.iterdir())
    assert run("plan", spec).code == 0
    assert sorted(spec.parent.iterdir()) == before


def test_blueprints_are_listed_and_shown(run: Run) -> None:
    listed = [b["id"] for b in json.loads(run("blueprints", "list", "--json").out)]
    assert "project/base" in listed
    text = run("blueprints", "list").out
    assert all(identity in text for identity in listed)
    shown = run("blueprints", "show", "architectures/realtime").out
    assert "nothing to serve before a model is trained" in shown
    both = json.loads(run("blueprints", "show", "monitoring", "--json").out)
    assert [b["id"] for b in both] == ["pipelines/monitoring", "stacks/monitoring"]


def test_an_unknown_blueprint_is_refused_with_the_nearest(run: Run) -> None:
    done = run("blueprints", "show", "realtme")
    assert done.code == 1
    assert "did you mean 'realtime'" in done.err


def test_the_schemas_are_json_schemas(run: Run) -> None:
    from jsonschema import Draft202012Validator

    for what in ("usecase", "blueprint"):
        Draft202012Validator.check_schema(json.loads(run("schema", what).out))


def test_version(run: Run) -> None:
    import tomllib

    assert run("--version").out == f"ai-factory {__version__}\n"
    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] == __version__


def test_every_command_has_help_with_an_example_or_a_sentence(run: Run) -> None:
    for command in ((), ("new",), ("profile",), ("plan",), ("blueprints",), ("blueprints", "show"), ("schema",)):
        done = run(*command, "--help")
        assert done.code == 0
        assert "Usage: ai-factory" in done.out
    assert "ai-factory new --data churn.csv --target churned --out churn --yes" in run("new", "--help").out
    assert "sync" not in run("blueprints", "--help").out


def test_a_title_cannot_move_the_cursor_of_a_terminal(run: Run, tmp_path: Path) -> None:
    spec = write_usecase(tmp_path / "in", title="\x1b[2J\x1b]0;evil\x07", stacks=[])
    assert "\x1b" not in run("plan", spec, "--explain").out


def test_a_bug_keeps_its_traceback(run: Run, spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_factory.loading.read_text", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("plan", spec)


def test_sync_writes_only_what_changed(tmp_path: Path) -> None:
    from ai_factory.baking import sync
    from helpers_generator import write_minimum

    write_minimum(tmp_path)
    assert len(sync(tmp_path)) == 4
    assert sync(tmp_path) == []
    baked = json.loads((tmp_path / "project" / "base" / "cookiecutter.json").read_text(encoding="utf-8"))
    assert baked == {"project_slug": "demo", "__prompts__": {"project_slug": "The folder."}}


def on_a_terminal(command: list[str], answers: dict[str, str], cwd: Path) -> tuple[int, str]:
    """Run a command on a pseudo-terminal and type an answer to each question; returns the exit code and everything shown."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.environ.update({"TERM": "xterm", "COLUMNS": "200", "PROMPT_TOOLKIT_NO_CPR": "1"})
        os.execv(command[0], command)
    shown, pending, end = b"", list(answers.items()), time.monotonic() + 60
    while True:
        if not select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
            os.kill(
                pid, signal.SIGKILL
            )  # it waits for something else than what it was told; the caller sees what was shown
            break
        try:
            shown += os.read(descriptor, 65536)
        except OSError:  # the terminal is closed: the command has ended
            break
        if pending and pending[0][0].encode() in shown:
            os.write(descriptor, pending.pop(0)[1].encode())
    os.close(descriptor)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode(errors="replace")


def test_on_a_terminal_the_plan_is_shown_and_agreed_to_before_anything_is_written(spec: Path, tmp_path: Path) -> None:
    command = [str(BIN), "new", str(spec), "--out", str(tmp_path / "p")]
    code, shown = on_a_terminal(command, {"Write this to": "y"}, tmp_path)
    assert code == 0, shown
    assert shown.index("project/base") < shown.index("Write this to") < shown.index("make setup")
    assert (tmp_path / "p" / "usecase.yaml").is_file()


def test_on_a_terminal_it_asks_for_what_it_cannot_infer_and_only_for_that(data: Path, tmp_path: Path) -> None:
    command = [str(BIN), "new", "--data", str(data), "--out", str(tmp_path / "p")]
    # The last column is preselected as the target; then down from the rarer class to the other; then yes.
    answers = {"Which column": "\r", "Which class": "\x1b[A\r", "Write this to": "y"}
    code, shown = on_a_terminal(command, answers, tmp_path)
    assert code == 0, shown
    assert "it is the rarer class" in shown
    told = yaml.safe_load((tmp_path / "p" / "usecase.yaml").read_text(encoding="utf-8"))
    assert (told["data"]["target"], told["model"]["positive"]) == ("state", "here")


@pytest.mark.parametrize(("keys", "code", "said"), [("n", 1, "Nothing was written"), ("\x03", 130, "Interrupted")])
def test_on_a_terminal_no_and_ctrl_c_write_nothing(spec: Path, tmp_path: Path, keys: str, code: int, said: str) -> None:
    ended, shown = on_a_terminal(
        [str(BIN), "new", str(spec), "--out", str(tmp_path / "p")], {"Write this to": keys}, tmp_path
    )
    assert ended == code, shown
    assert said in shown
    assert [p.name for p in tmp_path.iterdir()] == ["in"]


def test_a_reader_that_goes_away_causes_no_traceback(spec: Path) -> None:
    with subprocess.Popen([str(BIN), "blueprints", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_the_shell_completes_commands() -> None:
    asked = {"_AI_FACTORY_COMPLETE": "complete_bash", "COMP_WORDS": "ai-factory pl", "COMP_CWORD": "1"}
    done = subprocess.run([str(BIN)], env={**os.environ, **asked}, text=True, capture_output=True, check=False)
    assert done.stdout.split() == ["plan"]
