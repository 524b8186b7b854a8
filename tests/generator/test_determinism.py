"""The same input gives the same bytes: in any locale, time zone, folder and hash seed, with a cold or a warm cache."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from helpers_generator import write_usecase


def generated(spec: Path, out: Path, **environment: str) -> dict[str, str]:
    """Digest of every file of a repository that a process of its own generated."""
    cwd = out.parent / f"from-{out.name}"
    cwd.mkdir(parents=True)
    command = [sys.executable, "-m", "ai_factory.cli", "new", str(spec), "--out", str(out), "--yes"]
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return {
        f"{p.relative_to(out).as_posix()} {p.stat().st_mode:o}": sha256(p.read_bytes()).hexdigest()
        for p in sorted(out.rglob("*"))
        if p.is_file()
    }


@pytest.mark.parametrize("stacks", [[], ["serving", "monitoring"]], ids=["no stack", "stacks"])
def test_two_runs_give_identical_bytes(tmp_path: Path, stacks: list[str]) -> None:
    spec = write_usecase(tmp_path / "in", title="Ünï “x” {{ y }}", stacks=stacks)
    cold, other = tmp_path / "cold", tmp_path / "other"
    first = generated(spec, tmp_path / "a", PYTHONHASHSEED="1", TZ="UTC", LC_ALL="C", XDG_CACHE_HOME=str(cold))
    assert len(first) > 40
    warm = generated(
        spec, tmp_path / "b", PYTHONHASHSEED="2", TZ="Asia/Tokyo", LC_ALL="C.UTF-8", XDG_CACHE_HOME=str(cold)
    )
    afresh = generated(spec, tmp_path / "c", PYTHONHASHSEED="3", TZ="America/New_York", XDG_CACHE_HOME=str(other))
    assert first == warm == afresh
