"""`ai-factory new`, killed at any moment: nothing or the whole project, and the next run cleans up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ai_factory import lock
from helpers_generator import write_usecase

# The command, with a pause before every file, so that a signal meets it in the middle of writing.
SLOWLY = """
import os, sys, time
real = os.fdopen
def slow(*args, **kwargs):
    time.sleep(0.02)
    return real(*args, **kwargs)
os.fdopen = slow
from ai_factory.cli import main
sys.argv = ["ai-factory", *sys.argv[1:]]
main()
"""


def start(spec: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SLOWLY, "new", str(spec), "--out", str(out), "--yes"]
    # Of a shell's job in the background everybody ignores Ctrl-C: the command must not, or nothing would be tested.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)


def wait_for_staging(folder: Path, files: int) -> None:
    """Wait until the command has written that many files into its staging folder."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        staged = [p for s in folder.glob(".*.ai-factory-staging") for p in s.rglob("*") if p.is_file()]
        if len(staged) >= files:
            return
        time.sleep(0.005)
    raise AssertionError("the command wrote nothing")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return write_usecase(tmp_path / "in", stacks=[])


@pytest.mark.parametrize("files", [0, 1, 20])
def test_ctrl_c_while_writing_leaves_nothing_and_says_so_in_one_line(spec: Path, tmp_path: Path, files: int) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    process = start(spec, folder / "p")
    if files:
        wait_for_staging(folder, files)
    else:
        time.sleep(0.15)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    if files:  # before that, Python itself may still be starting
        assert process.returncode == 130
        assert said == "Interrupted. A project is written whole or not at all.\n"
    assert list(folder.iterdir()) == []


def test_a_polite_termination_leaves_nothing_either(spec: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    process = start(spec, folder / "p")
    wait_for_staging(folder, 5)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("files", [1, 15, 40])
def test_a_kill_leaves_no_half_project_and_the_next_run_cleans_up(spec: Path, tmp_path: Path, files: int) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    process = start(spec, folder / "p")
    wait_for_staging(folder, files)
    process.kill()
    process.communicate(timeout=30)
    assert not (folder / "p").exists()
    left = list(folder.iterdir())
    assert [p.name.endswith(".ai-factory-staging") for p in left] == [True]
    again = [sys.executable, "-m", "ai_factory.cli", "new", str(spec), "--out", str(folder / "p"), "--yes"]
    subprocess.run(again, check=True, capture_output=True, env={**os.environ})
    assert [p.name for p in folder.iterdir()] == ["p"]
    assert (folder / "p" / lock.LOCK).is_file()
