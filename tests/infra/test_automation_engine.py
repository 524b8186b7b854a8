"""The engine's door: Ctrl-C waits for what is under way; between two operations it ends with a word, not a traceback."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import pytest
from ai_factory_infra import __main__ as command_line
from ai_factory_infra.automation.engine import let_it_finish, pulumi_command
from ai_factory_infra.automation.progress import Screen
from ai_factory_infra.errors import PulumiMissing, UpdateFailed


def test_ctrl_c_does_not_leave_what_is_under_way() -> None:
    out, before = io.StringIO(), signal.getsignal(signal.SIGINT)
    went_on = []

    def interrupted() -> None:
        with let_it_finish(Screen(out)):
            os.kill(os.getpid(), signal.SIGINT)
            went_on.append(True)

    with pytest.raises(KeyboardInterrupt, match="What was under way is finished and saved"):
        interrupted()
    assert went_on
    assert "what is under way is finished first, and saved" in out.getvalue()
    assert signal.getsignal(signal.SIGINT) is before


def test_an_operation_that_fails_because_of_ctrl_c_is_a_stop_and_says_why() -> None:
    out = io.StringIO()

    def interrupted() -> None:
        with let_it_finish(Screen(out)):
            os.kill(os.getpid(), signal.SIGINT)
            raise UpdateFailed(verb="update", stack="serving", reasons=["update canceled"], hint="")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "update canceled" in out.getvalue()


def test_an_operation_that_fails_by_itself_is_no_stop() -> None:
    with pytest.raises(UpdateFailed), let_it_finish(Screen(io.StringIO())):
        raise UpdateFailed(verb="update", stack="serving", reasons=["no capacity"], hint="")


def test_ctrl_c_between_operations_ends_with_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted:
        def parse_args(self, arguments: object) -> object:
            return self

        @property
        def command(self) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "_parser", Interrupted)
    assert command_line.main([]) == 130
    assert "Stopped. Nothing was under way." in capsys.readouterr().err


def test_a_pulumi_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "pulumi"
    program.write_text("#!/bin/sh\necho v2.0.0\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PulumiMissing, match=r"too old: .*2\.0\.0"):
        pulumi_command()
