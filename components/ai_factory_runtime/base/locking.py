"""Locks on files: one writer at a time, among processes and threads of one machine. The operating system releases a lock
with its process, so that a kill leaves nothing to delete; the empty file may stay."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ai_factory_runtime.base.errors import WriteFailed


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of this file; whoever else has it is waited for. What is read inside is what is replaced. Raises WriteFailed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise WriteFailed(path=path, problem=error.strerror or str(error)) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise WriteFailed(path=path, problem=error.strerror or str(error)) from error
        yield


def note_holder(file: IO[str], holder: str) -> None:
    """Say in a lock's file who holds it. Whether that fits on the disk is no matter: the lock holds without the note."""
    with contextlib.suppress(OSError):
        os.ftruncate(file.fileno(), 0)
        # Past Python's buffer: what is left in it would be written once more when the file is closed, and raise there.
        os.write(file.fileno(), holder.encode())
