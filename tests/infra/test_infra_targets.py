"""`make infra-up` and its siblings, until the first thing is made: what is missing or wrong is refused before that."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ai_factory_infra.automation.backend import refuse_without_passphrase
from ai_factory_infra.automation.programs import programs
from ai_factory_infra.errors import StateUnusable
from helpers_automation import ACCOUNT, command, emulator, pulumi_that_counts, signed_in, write_programs
from helpers_infra import STACKS

FRAGMENT = STACKS / "foundation" / "{{cookiecutter.project_slug}}" / "Makefile"
NO_STATE = {"PULUMI_BACKEND_URL": "file:///nowhere", "PULUMI_CONFIG_PASSPHRASE": "x"}


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with emulator() as address:
        yield address


def test_without_pulumi_it_says_how_to_get_it(tmp_path: Path) -> None:
    write_programs(tmp_path / "infra")
    done = command("check", cwd=tmp_path, path=str(tmp_path))
    assert done.returncode == 1
    assert "The program pulumi is missing." in done.stderr
    assert "brew install pulumi/tap/pulumi" in done.stderr
    assert "https://www.pulumi.com/docs/install/" in done.stderr


@pytest.mark.parametrize("verb", ["up", "destroy"])
def test_a_wrong_account_is_refused_before_anything_is_made(tmp_path: Path, aws: str, verb: str) -> None:
    write_programs(tmp_path / "infra", account="999900001111")
    calls = pulumi_that_counts(tmp_path / "bin")
    done = command(verb, cwd=tmp_path, path=str(tmp_path / "bin"), **signed_in(aws), **NO_STATE)
    assert done.returncode == 1
    assert f"These credentials are of account {ACCOUNT}" in done.stderr
    for stack in ("foundation", "registry", "serving", "monitoring"):
        assert f"  {stack}: account 999900001111" in done.stderr
    assert calls.read_text(encoding="utf-8").split() == ["version"], "pulumi was asked for more than its version"


def test_the_right_account_goes_on_to_the_state(tmp_path: Path, aws: str) -> None:
    write_programs(tmp_path / "infra", account=ACCOUNT)
    calls = pulumi_that_counts(tmp_path / "bin")
    done = command("check", cwd=tmp_path, path=str(tmp_path / "bin"), **signed_in(aws), **NO_STATE)
    assert done.returncode == 0, done.stderr
    assert "In order: foundation, registry, serving, monitoring." in done.stdout
    assert calls.read_text(encoding="utf-8").split() == ["version"]


def test_nobody_signed_in_is_told_how(tmp_path: Path) -> None:
    write_programs(tmp_path / "infra", account=ACCOUNT)
    pulumi_that_counts(tmp_path / "bin")
    empty = {"AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_CONFIG_FILE": os.devnull}
    done = command("up", cwd=tmp_path, path=str(tmp_path / "bin"), **empty, **NO_STATE)
    assert done.returncode == 1
    assert "aws sso login" in done.stderr


def test_a_bucket_for_the_state_needs_something_that_encrypts_secrets(tmp_path: Path, aws: str) -> None:
    write_programs(tmp_path / "infra")
    calls = pulumi_that_counts(tmp_path / "bin")
    state = {"PULUMI_BACKEND_URL": "s3://state"}
    done = command("up", cwd=tmp_path, path=str(tmp_path / "bin"), **signed_in(aws), **state)
    assert done.returncode == 1
    assert "nothing encrypts the secrets of foundation" in done.stderr
    assert "PULUMI_CONFIG_PASSPHRASE" in done.stderr
    assert calls.read_text(encoding="utf-8").split() == ["version"]


@pytest.mark.parametrize("also", [{}, {"PULUMI_CONFIG_PASSPHRASE_FILE": "/etc/hostname"}], ids=["alone", "with a file"])
def test_an_empty_passphrase_is_none(tmp_path: Path, aws: str, also: dict[str, str]) -> None:
    """What a workflow hands on for a secret that was never set; the variable wins over the file even then."""
    write_programs(tmp_path / "infra")
    calls = pulumi_that_counts(tmp_path / "bin")
    state = {"PULUMI_BACKEND_URL": "s3://state", "PULUMI_CONFIG_PASSPHRASE": "", **also}
    done = command("up", cwd=tmp_path, path=str(tmp_path / "bin"), **signed_in(aws), **state)
    assert done.returncode == 1
    bare = "foundation, registry, serving, monitoring"
    assert f"nothing encrypts the secrets of {bare}: PULUMI_CONFIG_PASSPHRASE is empty." in done.stderr
    assert calls.read_text(encoding="utf-8").split() == ["version"]


@pytest.mark.parametrize(("holds", "said"), [(None, "holds no passphrase"), ("\n", "holds no passphrase"), ("x", "")])
def test_a_passphrase_may_come_from_a_file_that_holds_one(tmp_path: Path, holds: str | None, said: str) -> None:
    found = programs(write_programs(tmp_path / "infra"), "dev")
    file = tmp_path / "passphrase"
    if holds is not None:
        file.write_text(holds, encoding="utf-8")
    given = {"PULUMI_BACKEND_URL": "s3://state", "PULUMI_CONFIG_PASSPHRASE_FILE": str(file)}
    if not said:
        refuse_without_passphrase(found, given)
        return
    with pytest.raises(StateUnusable, match=said):
        refuse_without_passphrase(found, given)


def test_a_passphrase_file_is_looked_for_where_pulumi_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs in the folder of each program, wherever the command was given."""
    found = programs(write_programs(tmp_path / "infra"), "dev")
    (tmp_path / "passphrase").write_text("x", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    state = {"PULUMI_BACKEND_URL": "s3://state"}
    bare = "secrets of foundation, registry, serving, monitoring: .*/foundation/passphrase holds no passphrase"
    with pytest.raises(StateUnusable, match=bare):
        refuse_without_passphrase(found, {**state, "PULUMI_CONFIG_PASSPHRASE_FILE": "passphrase"})
    refuse_without_passphrase(found, {**state, "PULUMI_CONFIG_PASSPHRASE_FILE": "../../passphrase"})


@pytest.mark.parametrize("target", ["infra-preview", "infra-up", "infra-destroy"])
def test_the_make_targets_call_the_commands(tmp_path: Path, target: str) -> None:
    import subprocess

    text = FRAGMENT.read_text(encoding="utf-8")
    assert "{{" not in text
    (tmp_path / "Makefile").write_text(f"VENV := .venv\nPY := {sys.executable}\nSTAGE ?= dev\n{text}", encoding="utf-8")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".ready").touch()
    write_programs(tmp_path / "infra")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to(str(shutil.which("sh")))
    environment = {"PATH": str(tmp_path / "bin"), "HOME": os.environ.get("HOME", "/")}
    done = subprocess.run(
        [str(shutil.which("make")), target, "STAGE=prod"],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert "The program pulumi is missing." in done.stderr
