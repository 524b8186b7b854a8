"""A project's folder: staged beside its place, then put there with one rename. Killed at any moment, nothing or the whole.

A staging folder is locked (flock) by the process that fills it. The lock goes with the process, however it ends; so a
staging folder nobody has locked was left by a process that was killed, and the next run removes it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ai_factory.errors import CannotWrite, DataNotFound, DestinationExists, OutputExists
from ai_factory.tree import FileTree

try:
    import fcntl
except ImportError:  # Windows: no flock; staging folders are never taken for stale
    fcntl = None  # type: ignore[assignment]

_MARK = ".ai-factory-staging"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file copied from the user's disk into the project as it is, such as the data; not part of the tree."""

    source: Path
    path: str


def check_target(target: Path) -> Path:
    """The absolute target, links resolved. Raises DestinationExists unless it is absent or an empty folder."""
    try:
        resolved = target.resolve()
        if resolved.is_dir():
            if any(resolved.iterdir()):
                raise DestinationExists(path=str(target), found="is not empty")
        elif resolved.exists() or target.is_symlink():
            raise DestinationExists(path=str(target), found="is not a folder")
    except (OSError, RuntimeError, ValueError) as error:
        raise _cannot_write(target, error) from error
    return resolved


def create(
    target: Path, tree: FileTree, incoming: tuple[Incoming, ...], last: Callable[[Mapping[str, str]], FileTree]
) -> None:
    """Write a project. `last` makes the files that are written last, from the sha256 of each incoming file.

    Raises DestinationExists, DataNotFound or CannotWrite, and leaves nothing behind.
    """
    resolved = check_target(target)
    made: list[Path] = []
    try:
        _make_parents(resolved.parent, made)
        with _staging(resolved) as staging:
            _write(staging, tree)
            digests = {file.path: _copy(file, staging / file.path) for file in incoming}
            _write(staging, last(digests))
            _flush(staging)
            _put(staging, resolved)
    except BaseException as error:
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError | ValueError):
            raise _cannot_write(target, error) from error
        raise


def write_new_file(path: Path, text: str) -> None:
    """Write a text file that is not there yet. Raises OutputExists or CannotWrite, and leaves no half of it behind."""
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            try:
                file.write(text)
            except BaseException:
                path.unlink(missing_ok=True)
                raise
    except FileExistsError as error:
        raise OutputExists(path=str(path)) from error
    except (OSError, ValueError) as error:
        raise _cannot_write(path, error) from error


def relative(path: Path, folder: Path) -> str:
    """The path as seen from a folder, with forward slashes; absolute where no relative way exists (another drive)."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()


def check_source(data: Path) -> None:
    """Raises DataNotFound unless the data file can be read."""
    with _opened(data):
        pass


def _make_parents(folder: Path, made: list[Path]) -> None:
    """Make the missing folders above the target, the outermost first, and note each in `made`."""
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    for path in reversed(missing):
        path.mkdir()
        made.append(path)


@contextlib.contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A locked folder beside the target; gone afterwards unless it was renamed."""
    _remove_stale(target.parent)
    path, lock = _new_staging(target)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _new_staging(target: Path) -> tuple[Path, int | None]:
    """Make and lock a staging folder. Another run may take it for stale before it is locked: then make another."""
    while True:
        path = target.parent / f".{secrets.token_hex(6)}{_MARK}"
        path.mkdir(mode=0o755)
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            lock = _lock(path)
            if lock is None or path.stat().st_ino == os.fstat(lock).st_ino:
                return path, lock
            os.close(lock)


def _remove_stale(parent: Path) -> None:
    """Remove the staging folders of runs that were killed; those of running ones are locked."""
    for path in parent.glob(f".*{_MARK}"):
        with contextlib.suppress(OSError):
            lock = _lock(path)
            if lock is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _lock(path: Path) -> int | None:
    """Hold a folder's lock until the descriptor is closed. None: this system has none. Raises BlockingIOError: it is held."""
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:  # a file system without locks
        os.close(descriptor)
        return None
    return descriptor


def _write(folder: Path, tree: FileTree) -> None:
    for name in tree.folders():
        (folder / name).mkdir(exist_ok=True)
    for path, entry in tree.items():
        descriptor = os.open(folder / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, entry.mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(entry.data)


def _copy(file: Incoming, to: Path) -> str:
    """Copy one file in chunks; returns the sha256 of what was copied. Raises DataNotFound where the source cannot be opened."""
    total = hashlib.sha256()
    to.parent.mkdir(parents=True, exist_ok=True)
    with _opened(file.source) as source, to.open("xb") as target:
        while chunk := source.read(_CHUNK):
            total.update(chunk)
            target.write(chunk)
    return total.hexdigest()


def _opened(data: Path) -> BinaryIO:
    try:
        return data.open("rb")
    except (OSError, ValueError) as error:
        raise DataNotFound(path=str(data), asked_by="the use case") from error


def _flush(folder: Path) -> None:
    """Bring the folder's files to the disk before the rename, so that a power cut finds nothing or the whole, too.

    `syncfs` is one journal commit; an fsync per file is 150 of them. `os.sync` would wait for other file systems as well.
    """
    if sys.platform == "linux":
        import ctypes

        descriptor = os.open(folder, os.O_RDONLY)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.syncfs(descriptor) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        finally:
            os.close(descriptor)
        return
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _put(staging: Path, target: Path) -> None:
    """One rename. An empty folder in the target's place is replaced; anything else there is left alone."""
    if os.name == "nt" and target.is_dir():
        target.rmdir()
    try:
        staging.rename(target)
    except (FileExistsError, NotADirectoryError) as error:
        raise DestinationExists(path=str(target), found="was filled meanwhile") from error
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise DestinationExists(path=str(target), found="was filled meanwhile") from error
        raise


_REASONS = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.ENOENT: "its folder does not exist",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.ENOTDIR: "a part of its path is a file",
    errno.ENAMETOOLONG: "its name is too long",
    errno.EBUSY: "it is a mount point; name a new folder inside it",
}


def _cannot_write(target: Path, error: Exception) -> CannotWrite:
    number = error.errno if isinstance(error, OSError) else None
    reason = _REASONS.get(number or 0) or (error.strerror if isinstance(error, OSError) else None) or str(error)
    return CannotWrite(path=str(target), reason=reason)
