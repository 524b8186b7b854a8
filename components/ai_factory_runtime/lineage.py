"""Lineage: what made a model. Everything a second run needs to make the same one, and nothing that depends on the clock."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from ai_factory_runtime.project import USECASE_FILE, Project

CONSTRAINTS_FILE = "constraints.txt"
_LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy", "skops")
_CODE = ("src", "components/ai_factory_runtime", "components/ai_factory_spec")


@dataclass(frozen=True, slots=True)
class Lineage:
    """Hashes are sha256. `git_commit` is empty outside git; `code` covers the project's source as it was on disk."""

    source: str
    source_sha256: str
    rows_sha256: str
    rows: int
    usecase_sha256: str
    constraints_sha256: str
    code_sha256: str
    git_commit: str
    git_dirty: bool
    seed: int
    python: str
    libraries: Mapping[str, str]


def trace(project: Project, frame: pd.DataFrame) -> Lineage:
    """What a model learned from these (canonical, protected) rows is made of."""
    source = project.root / project.usecase.data.source
    commit, dirty = git_state(project.root)
    return Lineage(
        source=project.usecase.data.source,
        source_sha256=file_sha256(source),
        rows_sha256=rows_sha256(frame),
        rows=len(frame),
        usecase_sha256=file_sha256(project.root / USECASE_FILE),
        constraints_sha256=file_sha256(project.root / CONSTRAINTS_FILE),
        code_sha256=code_sha256(project.root),
        git_commit=commit,
        git_dirty=dirty,
        seed=project.usecase.model.seed,
        python=platform.python_version(),
        libraries={name: _version(name) for name in _LIBRARIES},
    )


def file_sha256(path: Path) -> str:
    """The sha256 of a file; empty where there is none."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def rows_sha256(frame: pd.DataFrame) -> str:
    """The sha256 of canonical rows: column names, values and order."""
    digest = hashlib.sha256(repr([(name, str(dtype)) for name, dtype in frame.dtypes.items()]).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def code_sha256(root: Path) -> str:
    """The sha256 of the Python files that train: the project's own and the runtime's copies in it."""
    digest = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(root).as_posix()}\n{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def git_state(root: Path) -> tuple[str, bool]:
    """(commit, whether tracked files differ from it); ("", False) where there is no git, no repository or no commit."""
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return "", False
    return commit.strip(), bool((_git(root, "status", "--porcelain", "--untracked-files=no") or "").strip())


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
