"""`rollout start`, `status`, `decide`, `stop`: each says where the rollout stands, and ends with the exit code of what happened."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from ai_factory_runtime.base.errors import NotApproved, RegistryUnavailable, UnknownVersion
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.commands import rollout as commands_rollout
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.releases.stages import deployed
from ai_factory_runtime.rollout.rollout_errors import NoRollout
from ai_factory_runtime.rollout.rollouts import running_rollout
from helpers_rollout import answered, copied, make_registered, put, with_terms


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_registered(tmp_path_factory.mktemp("commands") / "project", "good", "eager")


@pytest.fixture
def project(shared: Project, tmp_path: Path) -> Project:
    return copied(shared, tmp_path / "project")


Call = Callable[..., tuple[int, str]]


@pytest.fixture
def call(project: Project) -> Call:
    """The command with these arguments: exit code and standard output. Refusals are raised."""

    def run(*arguments: str, opened: Project = project) -> tuple[int, str]:
        app = typer.Typer()
        app.callback()(lambda: None)
        commands_rollout.add(app, lambda: opened, "churn")
        out, code = io.StringIO(), 0
        with contextlib.redirect_stdout(out):
            try:
                code = typer.main.get_command(app).main(["rollout", *arguments], standalone_mode=False) or 0
            except typer.Exit as end:
                code = end.exit_code
        return int(code), out.getvalue()

    return run


def document(said: tuple[int, str]) -> Any:
    return json.loads(said[1])


def aliases(project: Project, version: int) -> tuple[str, ...]:
    return open_registry(project).get(version).aliases


def test_a_rollout_from_its_start_to_its_promotion(project: Project, call: Call) -> None:
    code, said = call("start", "2")
    assert (code, aliases(project, 2)) == (0, ("challenger",))
    assert "version 2 against version 1, canary, running" in said
    assert "Version 2 meets 50 % of the requests." in said
    code, said = call("status")
    assert "Decision: hold, 0 of 200 requests seen" in said
    answered(project)
    code, said = call("decide")
    assert code == 0
    assert "error rate: holds, 0 of" in said
    assert "Decision: promote" in said
    assert deployed(project, "dev").version == 2
    assert aliases(project, 2) == ()


def test_a_version_that_goes_back_ends_with_exit_code_4(project: Project, call: Call) -> None:
    call("start", "3")
    answered(project)
    code, said = call("decide", "--json")
    assert code == 4
    found = json.loads(said)
    assert (found["status"], found["decision"]["action"]) == ("rolled back", "roll back")
    assert "PSI of the" in found["decision"]["reason"]
    assert [e["what"] for e in found["events"]] == ["started", "rolled back"]
    assert deployed(project, "dev").version == 1


def test_a_shadow_has_its_own_alias_until_it_is_stopped(project: Project, call: Call) -> None:
    shadowing = with_terms(project, strategy="shadow")
    code, said = call("start", "2", opened=shadowing)
    assert "Version 2 meets a copy of every request." in said
    assert aliases(project, 2) == ("shadow",)
    code, said = call("stop", "--reason", "enough seen", opened=shadowing)
    assert (code, aliases(project, 2)) == (0, ())
    assert "stopped, 0 %: enough seen" in said
    with pytest.raises(NoRollout):
        call("stop")
    assert document(call("status", "--json"))["status"] == "stopped"


def test_an_alias_that_a_server_left_is_taken_back_by_the_next_look(project: Project, call: Call) -> None:
    """Servers decide without the registry."""
    from ai_factory_runtime.rollout.rollouts import decide_now

    call("start", "2")
    answered(project)
    assert decide_now(project, "dev").rollout.status == "promoted"
    assert aliases(project, 2) == ("challenger",)
    call("status")
    assert aliases(project, 2) == ()


def test_unknown_and_unsigned_versions_meet_no_traffic(project: Project, call: Call) -> None:
    with pytest.raises(UnknownVersion):
        call("start", "9")
    from ai_factory_runtime.releases.release import approve

    for role, by in (("owner", "Ada"), ("consumer", "Grace")):
        approve(project, 1, role=role, by=by)
    put(project, 1, "staging")
    with pytest.raises(NotApproved, match="still to sign: owner, consumer"):
        call("start", "2", "--stage", "staging")
    assert running_rollout(project, "staging") is None


def test_without_a_registry_no_rollout_begins(project: Project, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is read-only in the moment between the look-up and the alias."""
    registry = type(open_registry(project))

    def refuse(*_: object) -> None:
        raise RegistryUnavailable(address="registry.db", problem="database is locked")

    monkeypatch.setattr(registry, "set_alias", refuse)
    with pytest.raises(RegistryUnavailable):
        call("start", "2")
    assert running_rollout(project, "dev") is None


def test_the_help_of_the_group_imports_nothing_heavy() -> None:
    import subprocess

    code = (
        "import sys, typer; from ai_factory_runtime.commands import rollout as commands_rollout\n"
        "app = typer.Typer(); commands_rollout.add(app, None, 'churn'); sys.argv = ['churn', 'rollout', '--help']\n"
        "try: app()\nexcept SystemExit: pass\n"
        "sys.stderr.write(' '.join(sorted({'pandas', 'sklearn', 'scipy', 'mlflow', 'fastapi'} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert all(name in done.stdout for name in ("start", "status", "decide", "stop"))
