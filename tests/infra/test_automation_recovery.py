"""What a killed update leaves behind: a lock is taken away only where its holder is surely gone, and nothing is made twice."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ai_factory_infra.automation.engine import Engine, pulumi_command
from ai_factory_infra.automation.half_made import Found
from ai_factory_infra.automation.programs import programs
from ai_factory_infra.automation.progress import Screen
from ai_factory_infra.automation.recovery import (
    Holder,
    as_asked_for,
    creations,
    holders,
    known_ids,
    left_over,
    pending,
    settled,
    to_look_at,
)
from ai_factory_infra.errors import StateUnusable
from helpers_automation import emulator, pulumi_that_acts, signed_in, write_programs

LOCKED = """error: the stack is currently locked by 2 lock(s). Either wait for the other process(es) to end or delete the lock
  file:///s/.pulumi/locks/organization/churn-serving/dev/1.json: created by ada@here (pid 12) at 2026-01-02T03:04:05Z
  file:///s/.pulumi/locks/organization/churn-serving/dev/2.json: created by bob@there (pid 34) at 2026-01-02T03:04:06Z"""
URN = "urn:pulumi:dev::churn-serving::aws:sagemaker/endpoint:Endpoint::churn-dev-endpoint"


@dataclass
class State:
    deployment: dict[str, Any] | None


def operation(action: str, kind: str, **inputs: str) -> dict[str, Any]:
    return {
        "type": action,
        "resource": {"urn": URN.replace("aws:sagemaker/endpoint:Endpoint", kind), "type": kind, "inputs": inputs},
    }


def a_process_that_ended() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_everybody_who_holds_a_lock_is_named() -> None:
    assert [str(h) for h in holders(LOCKED)] == [
        "by ada on here (process 12) since 2026-01-02T03:04:05Z",
        "by bob on there (process 34) since 2026-01-02T03:04:06Z",
    ]


def test_a_process_of_this_machine_that_ended_is_gone() -> None:
    assert Holder("me", socket.gethostname(), a_process_that_ended(), "now").is_gone()


@pytest.mark.parametrize(
    ("host", "pid"), [(socket.gethostname(), os.getpid()), ("another-machine", 999_999)], ids=["here", "elsewhere"]
)
def test_whoever_may_still_be_at_work_is_left_alone(host: str, pid: int) -> None:
    assert not Holder("me", host, pid, "now").is_gone()


def test_nothing_is_pending_after_an_update_that_ended() -> None:
    assert pending(State({"resources": []})) == ()
    assert pending(State(None)) == ()


def test_what_may_have_been_made_is_taken_over_by_its_id_for_aws_to_be_asked() -> None:
    state = {"pending_operations": [operation("creating", "aws:sagemaker/endpoint:Endpoint", name="churn-dev")]}
    (taken,) = settled(state, {URN: "churn-dev"})["resources"]
    assert (taken["urn"], taken["id"], taken["outputs"]) == (URN, "churn-dev", {})
    assert settled(state, {URN: "churn-dev"})["pending_operations"] == []
    assert to_look_at(state, {URN: "churn-dev"}) == [URN]


def test_what_was_taken_over_keeps_the_inputs_that_the_program_gave_it() -> None:
    asked = operation("creating", "aws:sagemaker/endpoint:Endpoint", name="churn-dev", __defaults="name")
    before = {"resources": [], "pending_operations": [asked]}
    other = {"urn": "other", "inputs": {"read": "back"}}
    refreshed = {"resources": [other, {"urn": URN, "inputs": {"name": "churn-dev"}, "outputs": {"arn": "a"}}]}
    assert as_asked_for(refreshed, before)["resources"] == [
        other,
        {"urn": URN, "inputs": {"name": "churn-dev", "__defaults": "name"}, "outputs": {"arn": "a"}},
    ]


def test_what_has_no_id_is_let_go() -> None:
    state = {"resources": [], "pending_operations": [operation("creating", "aws:kms/key:Key", description="x")]}
    assert settled(state, {}) == {"resources": [], "pending_operations": []}
    assert to_look_at(state, {}) == []


def test_only_what_was_being_made_is_looked_for_and_what_is_noted_is_known() -> None:
    there = {"urn": URN, "type": "aws:sagemaker/endpoint:Endpoint", "id": "churn-dev"}
    changing, making = (operation(a, "aws:ec2/vpc:Vpc", cidrBlock="10.0.0.0/16") for a in ("updating", "creating"))
    state = {"resources": [there, {"urn": "component"}], "pending_operations": [changing, making]}
    (creation,) = creations(state)
    assert (creation.type, creation.inputs, creation.name) == (
        "aws:ec2/vpc:Vpc",
        {"cidrBlock": "10.0.0.0/16"},
        "churn-dev-endpoint",
    )
    assert known_ids(state) == {"churn-dev"}


def test_what_was_being_changed_is_asked_about_and_kept() -> None:
    there = {"urn": URN, "type": "aws:sagemaker/endpoint:Endpoint", "id": "churn-dev"}
    changing = operation("updating", "aws:sagemaker/endpoint:Endpoint", name="churn-dev")
    state = {"resources": [there], "pending_operations": [changing]}
    assert settled(state, {}) == state
    assert to_look_at(state, {}) == [URN]


def test_a_replacement_never_takes_the_place_of_what_it_replaces() -> None:
    there = {"urn": URN, "type": "aws:sagemaker/endpoint:Endpoint", "id": "old"}
    anew = operation("creating", "aws:sagemaker/endpoint:Endpoint", name="new")
    assert settled({"resources": [there], "pending_operations": [anew]}, {URN: "new"})["resources"] == [there]


def test_what_somebody_must_look_for_is_what_nothing_tells_of_and_what_was_to_replace_something() -> None:
    there = {"urn": URN, "type": "aws:sagemaker/endpoint:Endpoint", "id": "old"}
    anew = operation("creating", "aws:sagemaker/endpoint:Endpoint", name="new")
    key = operation("creating", "aws:kms/key:Key")
    state = {"resources": [there], "pending_operations": [anew, key]}
    endpoint, lost = creations(state)
    found = Found({URN: "new"}, frozenset({lost.urn}))
    assert left_over(endpoint, state, found) == "may exist beside the one that it was to replace"
    assert left_over(lost, state, found) == "may exist; nobody can tell by its name"
    assert left_over(endpoint, {**state, "resources": []}, found) == ""


# ------------------------------------------------------------------ with a `pulumi` whose last update was killed


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Engine, Path, io.StringIO]]:
    """A stack whose update was killed while it made a role and a key; the program's folder, and what is shown."""
    busy = [operation("creating", "aws:iam/role:Role", name="runs"), operation("creating", "aws:kms/key:Key")]
    folder = pulumi_that_acts(tmp_path / "bin", pending=busy).parent
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "x")
    (program,) = programs(write_programs(tmp_path / "infra", reads={"foundation": ()}), "dev")
    shown = io.StringIO()
    with emulator() as address, pytest.MonkeyPatch.context() as patch:
        for key, value in signed_in(address).items():
            patch.setenv(key, value)
        yield Engine(program, pulumi_command(), Screen(shown), {}), folder, shown


def test_what_an_update_was_making_is_taken_over_asked_about_and_said(
    killed: tuple[Engine, Path, io.StringIO],
) -> None:
    engine, folder, shown = killed
    engine.recover()
    (role,) = json.loads((folder / "state").read_text(encoding="utf-8"))
    assert (role["id"], role["inputs"]) == ("runs", {"name": "runs"})
    assert json.loads((folder / "pending").read_text(encoding="utf-8")) == []
    calls = (folder / "calls").read_text(encoding="utf-8").splitlines()
    assert f"refresh --yes --skip-preview --target {role['urn']} --stack dev" in calls
    said = shown.getvalue()
    assert "creating aws:iam/role:Role runs\n" in said
    assert "creating aws:kms/key:Key churn-dev-endpoint  (may exist;" in said


def test_a_state_that_pulumi_does_not_take_is_an_error_of_ours_and_nothing_is_lost(
    killed: tuple[Engine, Path, io.StringIO],
) -> None:
    engine, folder, _ = killed
    before = (folder / "pending").read_text(encoding="utf-8")
    (folder / "refuses").touch()
    with pytest.raises(StateUnusable, match="refers to missing resource"):
        engine.recover()
    assert (folder / "pending").read_text(encoding="utf-8") == before
