"""Lineage: what made a model. Everything a second run needs to make the same one, and nothing that depends on the clock."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import pandas as pd
import yaml
from ai_factory_spec.usecase import UseCase

from ai_factory_runtime.base.errors import DataUnreadable
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.data.data_refusals import PartsDisagree, SourceUnavailable
from ai_factory_runtime.data.sources import content_sha256

CONSTRAINTS_FILE = "constraints.txt"
LOCK_FILE = ".ai-factory/lock.yaml"
MOST_CHANGES = 50
_LIBRARIES = ("numpy", "pandas", "scikit-learn", "scipy", "skops")
_CODE = ("src", "components/ai_factory_runtime", "components/ai_factory_spec")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Runs write release records; they make no model.
_NOT_THE_WORK = ":(exclude)governance/releases"


@dataclass(frozen=True, slots=True)
class Lineage:
    """Hashes are sha256. `git_commit` is empty outside git; `code` covers the project's source as it was on disk.

    `git_changed` are the files that git would not bring back: changed since the commit, or never committed (the first
    50). `environment` covers every installed distribution with its version, `constraints` the lock file that asked for
    them; `blueprints` are those that composed the repository, with their versions.
    """

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
    environment_sha256: str = ""
    machine: str = ""
    git_changed: tuple[str, ...] = ()
    factory: str = ""
    blueprints: Mapping[str, str] = field(default_factory=dict)


def trace(project: Project, frame: pd.DataFrame, *, source: str) -> Lineage:
    """What a model learned from these (canonical, protected) rows is made of; `source` is the hash of what they came from."""
    usecase, root = project.usecase, project.root
    commit, changed = git_changes(root)
    factory, blueprints = composed_of(root)
    return Lineage(
        source=usecase.data.source,
        source_sha256=source,
        rows_sha256=rows_sha256(frame),
        rows=len(frame),
        usecase_sha256=usecase_sha256(usecase),
        constraints_sha256=file_sha256(root / CONSTRAINTS_FILE),
        code_sha256=code_sha256(root),
        git_commit=commit,
        git_dirty=bool(changed),
        seed=usecase.model.seed,
        python=platform.python_version(),
        libraries={name: _version(name) for name in _LIBRARIES},
        environment_sha256=environment_sha256(),
        machine=f"{platform.system()} {platform.machine()}",
        git_changed=changed[:MOST_CHANGES],
        factory=factory,
        blueprints=blueprints,
    )


def source_sha256(usecase: UseCase, root: Path, read: pd.DataFrame | None = None) -> str:
    """`sources.content_sha256`; empty where nothing is to be read there, because data.py has the rows from elsewhere."""
    try:
        return content_sha256(usecase, root, read)
    except (DataUnreadable, SourceUnavailable, PartsDisagree):
        return ""


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


def usecase_sha256(usecase: UseCase) -> str:
    """The sha256 of what was asked for. Comments, order and defaults that are written out make no difference."""
    return hashlib.sha256(usecase_json(usecase)).hexdigest()


def usecase_json(usecase: UseCase) -> bytes:
    """The use case as canonical JSON, from which the same one can be read again."""
    asked = usecase.model_dump(mode="json", exclude_defaults=True)
    return (json.dumps(asked, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def code_sha256(root: Path) -> str:
    """The sha256 of the Python files that train: the project's own and the runtime's copies in it."""
    digest = hashlib.sha256()
    for folder in _CODE:
        for path in sorted((root / folder).rglob("*.py")):
            digest.update(f"{path.relative_to(root).as_posix()}\n{file_sha256(path)}\n".encode())
    return digest.hexdigest()


@cache
def environment_sha256() -> str:
    """The sha256 of the names and versions of all that is installed beside the project."""
    found = {f"{d.metadata['Name'].lower().replace('_', '-')}=={d.version}" for d in distributions() if d.metadata}
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()


def composed_of(root: Path) -> tuple[str, dict[str, str]]:
    """(the factory's version, blueprint -> version) as .ai-factory/lock.yaml has them; ("", {}) where it cannot be read."""
    try:
        lock = yaml.load((root / LOCK_FILE).read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - a safe one
        blueprints = {str(b["id"]): str(b["version"]) for b in lock["blueprints"]}
        return str(lock["generator"]["ai-factory"]), blueprints
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
        return "", {}


def git_state(root: Path) -> tuple[str, bool]:
    """(commit, whether files differ from it or were never committed); ("", False) without git, repository or commit."""
    commit, changed = git_changes(root)
    return commit, bool(changed)


def git_changes(root: Path) -> tuple[str, tuple[str, ...]]:
    """(commit, the files under `root` that it does not hold as they are); ("", ()) without git, repository or commit."""
    commit = _git(root, "rev-parse", "--verify", "HEAD")
    if commit is None:
        return "", ()
    found = _git(root, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames", "--", ".", _NOT_THE_WORK)
    return commit.strip(), tuple(sorted(entry[3:] for entry in (found or "").split("\0") if entry))


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
