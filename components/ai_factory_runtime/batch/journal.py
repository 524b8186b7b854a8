"""Journal: what is done of a long piece of work, in a folder beside its output, so that a killed run is continued.

Each finished part is one file, checked by its sha256 when it is read. A journal belongs to a plan, a text that names everything
that decides the output; where the plan is another one, the parts are thrown away. Output and rejects are written inside the
journal and moved to their places at the end, so that they appear whole or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.errors import RunLocked, WriteFailed
from ai_factory_runtime.base.locking import note_holder
from ai_factory_runtime.releases.scale_errors import WorkerLost

PLAN, LOCK = "plan.json", "lock"
_DIGEST = 32  # bytes of a sha256
# After these the same command goes on where it stopped; every other refusal would come again.
_CONTINUED = (WriteFailed, WorkerLost)


@dataclass(frozen=True, slots=True)
class Journal:
    """An open journal; nobody else has it open. Every method may raise WriteFailed."""

    folder: Path

    def done(self, number: int) -> bytes | None:
        """A finished part; None where it is not finished, or its file is damaged."""
        try:
            body = self._part(number).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise WriteFailed(path=self.folder, problem=error.strerror or str(error)) from error
        whole = hashlib.sha256(body[_DIGEST:]).digest() == body[:_DIGEST]
        return body[_DIGEST:] if whole else None

    def keep(self, number: int, body: bytes) -> None:
        """Note a part as finished. It gets its name when it is written; the disk is not waited for: `done` checks the content."""
        path = self._part(number)
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                file.write(hashlib.sha256(body).digest())
                file.write(body)
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise WriteFailed(path=path, problem=error.strerror or str(error)) from error

    def place(self, name: str) -> Path:
        """Where to write a file of this name, which must not end in .part, until `deliver` moves it to its place."""
        return self.folder / name

    def deliver(self, name: str, final: Path) -> None:
        """Put the file written at `place(name)` in its place, in one step and safe from a power cut."""
        partial = self.place(name)
        try:
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
            partial.chmod(0o644)
            partial.replace(final)
        except OSError as error:
            raise WriteFailed(path=final, problem=error.strerror or str(error)) from error

    @property
    def parts(self) -> int:
        """How many parts are finished."""
        return sum(1 for _ in self.folder.glob("*.part"))

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:08d}.part"


def folder_of(output: Path) -> Path:
    """The journal's folder for an output."""
    return output.with_name(f".{output.name}.scoring")


@contextmanager
def open_journal(output: Path, plan: str) -> Iterator[Journal]:
    """The journal of the work that makes `output` by `plan`, continued if it was begun by the same plan.

    It goes when the block ends, or is refused for a reason that would come again; a kill, an interruption, a full disk or a
    lost worker leave it. Raises RunLocked where another process is at the same output, WriteFailed.
    """
    journal = Journal(folder_of(output))
    with _locked(journal.folder):
        try:
            _begin(journal, plan)
            yield journal
        except _CONTINUED:
            if not journal.parts:
                shutil.rmtree(journal.folder, ignore_errors=True)
            raise
        except FactoryError:
            shutil.rmtree(journal.folder, ignore_errors=True)
            raise
        shutil.rmtree(journal.folder, ignore_errors=True)


def unfinished(folder: Path, plan: str) -> Path | None:
    """An output in `folder` whose work was begun by this plan, stopped, and is nobody's now; None where there is none."""
    for found in sorted(folder.glob(f".*.scoring/{PLAN}")):
        try:
            same = found.read_text(encoding="utf-8") == plan
            with _locked(found.parent):
                if same:
                    return folder / found.parent.name.removeprefix(".").removesuffix(".scoring")
        except (OSError, ValueError, RunLocked, WriteFailed):
            continue
    return None


def _begin(journal: Journal, plan: str) -> None:
    """Throw away what another plan left, and what a kill left half-written."""
    path = journal.folder / PLAN
    try:
        same = path.is_file() and path.read_text(encoding="utf-8", errors="replace") == plan
        for left in journal.folder.iterdir():
            if left.name not in (LOCK, PLAN) and not (same and left.suffix == ".part"):
                left.unlink()
    except OSError as error:
        raise WriteFailed(path=journal.folder, problem=error.strerror or str(error)) from error
    if not same:
        write_atomically(path, plan.encode())


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the operating system releases it with the process. Raises RunLocked, WriteFailed."""
    path = folder / LOCK
    try:
        file = _lock_file(path)
    except BlockingIOError:
        raise RunLocked(lock=path, holder=f"scoring, {_holder(path)}") from None
    except OSError as error:
        raise WriteFailed(path=path, problem=error.strerror or str(error)) from error
    with file:
        note_holder(file, f"process {os.getpid()}")
        yield


def _lock_file(path: Path) -> IO[str]:
    """The locked file that has this path now: one that was deleted while we waited for it locks nobody out."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = path.open("a+", encoding="utf-8")
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") or "starting"
    except OSError:
        return "ending"
