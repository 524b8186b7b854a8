"""Compiled templates, one file per blueprint version, in the user's own cache folder; a lost cache costs time only.

Code objects are read back with `marshal`, which trusts its input. So a cache is read only where nobody else can have
written it: folder and file belong to this user, nobody else has any right to them, neither is a link, and the digest fits.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import marshal
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType

_KEPT = 64  # cache files; older ones go when a new one comes


def folder() -> Path:
    """Where the cache lies: $XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "ai-factory" / "templates"


def key(digest: str, *, jinja_version: str, factory_version: str) -> str:
    """A name for the compiled templates of one blueprint folder: they fit this Python, this Jinja and this renderer only."""
    facts = (digest, jinja_version, factory_version, sys.implementation.cache_tag, importlib.util.MAGIC_NUMBER.hex())
    return hashlib.sha256("\0".join(map(str, facts)).encode()).hexdigest()[:40]


def load(name: str) -> dict[str, CodeType]:
    """The compiled templates stored under a key; empty where there are none that can be trusted."""
    try:
        raw = _read_own(folder() / name)
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return {}
    digest, payload = raw[:32], raw[32:]
    if hashlib.sha256(payload).digest() != digest:
        return {}
    codes = marshal.loads(payload)  # noqa: S302 - the user's own file, see the module's docstring
    return dict(codes)


def save(name: str, codes: Mapping[str, CodeType]) -> None:
    """Store compiled templates under a key; silently nothing where the cache cannot be written or trusted."""
    payload = marshal.dumps(dict(codes))
    with contextlib.suppress(OSError, RuntimeError):
        here = folder()
        here.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_own(here.lstat(), stat.S_ISDIR):
            return
        handle, temporary = tempfile.mkstemp(dir=here)  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(payload).digest() + payload)
            Path(temporary).replace(here / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _prune(here)


def _read_own(path: Path) -> bytes:
    """The bytes of a file that only this user can have written. Raises OSError for any other."""
    if not _is_own(path.parent.lstat(), stat.S_ISDIR):
        raise PermissionError(f"{path.parent} is not this user's alone")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not _is_own(os.fstat(descriptor), stat.S_ISREG):
            raise PermissionError(f"{path} is not this user's alone")
        return file.read()


def _is_own(found: os.stat_result, is_kind: Callable[[int], bool]) -> bool:
    user = getattr(os, "geteuid", None)
    if user is None:  # Windows: a profile folder is private by its access list
        return is_kind(found.st_mode)
    return is_kind(found.st_mode) and found.st_uid == user() and not found.st_mode & 0o077


def _prune(here: Path) -> None:
    files = sorted((p for p in here.iterdir() if p.is_file()), key=lambda p: p.stat().st_mtime, reverse=True)
    for path in files[_KEPT:]:
        path.unlink(missing_ok=True)
