"""Runs: their ids, their folders, and the lock that lets one run at a time work in a project."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.errors import RunLocked, WriteFailed
from ai_factory_runtime.base.jsontext import to_json
from ai_factory_runtime.base.locking import note_holder
from ai_factory_runtime.base.project import Project

LOCK = "run.lock"
REFUSED = "refused.json"

Progress = Callable[[str, str], None]
"""Told each step, and a detail, as it begins."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its id, which sorts by time and is unique, and when it began (UTC)."""

    run_id: str
    made_at: dt.datetime


def new_run() -> Run:
    """A run that begins now."""
    run_id, moment = new_run_id()
    return Run(run_id, moment)


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
        except OSError as error:
            raise WriteFailed(path=path, problem=error.strerror or str(error)) from error
        note_holder(file, f"run {run_id}, process {os.getpid()}\n")
        yield


@contextmanager
def run_folder(project: Project, run_id: str) -> Iterator[Path]:
    """The run's folder: it gets its name when the run ends or is refused; a refusal leaves its reason there."""
    partial, final = project.runs / f".{run_id}.partial", project.runs / run_id
    try:
        _sweep(project)
        partial.mkdir(parents=True)
    except OSError as error:
        raise WriteFailed(path=partial, problem=error.strerror or str(error)) from error
    try:
        yield partial
    except FactoryError as error:
        error.run_id = run_id
        refusal = {"run": run_id, "refused": error.slug, "message": str(error), "hint": error.hint}
        with suppress(WriteFailed):  # on a full disk, say: why the run was refused is told all the same
            write_atomically(partial / REFUSED, to_json(refusal))
        with suppress(WriteFailed):
            _name(partial, final)
        raise
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    _name(partial, final)


def _name(partial: Path, final: Path) -> None:
    """Give the folder its name; where a step is done again, its earlier attempt makes room. Raises WriteFailed."""
    shutil.rmtree(final, ignore_errors=True)
    try:
        partial.rename(final)
    except OSError as error:
        raise WriteFailed(path=final, problem=error.strerror or str(error)) from error


def run_ids(project: Project) -> tuple[str, ...]:
    """The ids of all runs that ended, oldest first."""
    if not project.runs.is_dir():
        return ()
    return tuple(sorted(p.name for p in project.runs.iterdir() if p.is_dir() and not p.name.startswith(".")))


def _sweep(project: Project) -> None:
    """Remove what killed runs left half-written; it has no name that anything reads. The lock says that no run is at work."""
    for folder in (project.artifacts, project.runs, project.models):
        for left in folder.glob(".*.partial*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
