"""What a killed update leaves behind: a lock is taken away only where its holder is surely gone, and nothing is made twice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from ai_factory_infra.automation.recovery import Holder, as_asked_for, holders, pending, settled, to_look_at

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


def test_what_may_have_been_made_is_taken_over_by_its_name_for_aws_to_be_asked() -> None:
    state = {"pending_operations": [operation("creating", "aws:sagemaker/endpoint:Endpoint", name="churn-dev")]}
    (taken,) = settled(state)["resources"]
    assert (taken["urn"], taken["id"], taken["outputs"]) == (URN, "churn-dev", {})
    assert settled(state)["pending_operations"] == []
    assert to_look_at(state) == [URN]


def test_what_was_taken_over_keeps_the_inputs_that_the_program_gave_it() -> None:
    asked = operation("creating", "aws:sagemaker/endpoint:Endpoint", name="churn-dev", __defaults="name")
    before = {"resources": [], "pending_operations": [asked]}
    other = {"urn": "other", "inputs": {"read": "back"}}
    refreshed = {"resources": [other, {"urn": URN, "inputs": {"name": "churn-dev"}, "outputs": {"arn": "a"}}]}
    assert as_asked_for(refreshed, before)["resources"] == [
        other,
        {"urn": URN, "inputs": {"name": "churn-dev", "__defaults": "name"}, "outputs": {"arn": "a"}},
    ]


def test_what_has_no_name_of_its_own_is_let_go_and_said_to_be_lost() -> None:
    state = {"resources": [], "pending_operations": [operation("creating", "aws:kms/key:Key", description="x")]}
    assert settled(state) == {"resources": [], "pending_operations": []}
    assert to_look_at(state) == []
    assert [p.is_lost for p in pending(State(state))] == [True]


def test_what_was_being_changed_is_asked_about_and_kept() -> None:
    there = {"urn": URN, "type": "aws:sagemaker/endpoint:Endpoint", "id": "churn-dev"}
    changing = operation("updating", "aws:sagemaker/endpoint:Endpoint", name="churn-dev")
    state = {"resources": [there], "pending_operations": [changing]}
    assert settled(state) == state
    assert to_look_at(state) == [URN]


def test_a_replacement_never_takes_the_place_of_what_it_replaces() -> None:
    there = {"urn": URN, "type": "aws:sagemaker/endpoint:Endpoint", "id": "old"}
    anew = operation("creating", "aws:sagemaker/endpoint:Endpoint", name="new")
    assert settled({"resources": [there], "pending_operations": [anew]})["resources"] == [there]
