"""Runs: their ids, and the lock that lets one run at a time work in a project."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from ai_factory_runtime.errors import RunLocked, WriteFailed
from ai_factory_runtime.project import Project

LOCK = "run.lock"


def new_run_id(now: dt.datetime | None = None) -> tuple[str, dt.datetime]:
    """An id that sorts by time and is unique, such as 20260228T101500123Z-9f2c01ab, and the moment in it."""
    moment = now or dt.datetime.now(dt.UTC)
    stamp = f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z"
    return f"{stamp}-{secrets.token_hex(4)}", moment


@contextmanager
def exclusive(project: Project, run_id: str) -> Iterator[None]:
    """Hold the project's run lock. The operating system releases it with the process. Raises RunLocked, WriteFailed."""
    path = project.artifacts / LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise WriteFailed(path=path, problem=error.strerror or str(error)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunLocked(lock=path, holder=file.read().strip() or "starting") from None
        file.truncate(0)
        file.write(f"run {run_id}, process {os.getpid()}\n")
        file.flush()
        yield


def run_ids(project: Project) -> tuple[str, ...]:
    """The ids of all runs that ended, oldest first."""
    if not project.runs.is_dir():
        return ()
    return tuple(sorted(p.name for p in project.runs.iterdir() if p.is_dir() and not p.name.startswith(".")))
