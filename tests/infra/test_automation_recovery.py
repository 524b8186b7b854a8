"""What a killed update leaves behind: a lock is taken away only where its holder is surely gone, and nothing is made twice."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from ai_factory_infra.automation.recovery import Holder, holders, pending, refresh_arguments

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


@pytest.mark.parametrize(("host", "pid"), [(socket.gethostname(), os.getpid()), ("another-machine", 999_999)])
def test_whoever_may_still_be_at_work_is_left_alone(host: str, pid: int) -> None:
    assert not Holder("me", host, pid, "now").is_gone()


def test_nothing_is_pending_after_an_update_that_ended() -> None:
    assert pending(State({"resources": []})) == ()
    assert pending(State(None)) == ()


def test_what_may_have_been_made_is_looked_for_by_its_name() -> None:
    state = State({"pending_operations": [operation("creating", "aws:sagemaker/endpoint:Endpoint", name="churn-dev")]})
    assert list(refresh_arguments(pending(state))) == [
        "--clear-pending-creates",
        "--import-pending-creates",
        URN,
        "--import-pending-creates",
        "churn-dev",
    ]


def test_what_has_no_name_of_its_own_is_let_go_and_what_was_there_before_is_not_imported() -> None:
    state = State(
        {
            "pending_operations": [
                operation("creating", "aws:kms/key:Key", description="x"),
                operation("updating", "aws:sagemaker/endpoint:Endpoint", name="churn-dev"),
            ]
        }
    )
    assert list(refresh_arguments(pending(state))) == ["--clear-pending-creates"]
