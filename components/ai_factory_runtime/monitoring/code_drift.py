"""Code drift: whether the code that answers is the code that made the model.

A model package says what made it (lineage.json). Against it stand the code hashes that the endpoint wrote into its
captures (the newest counts), or, where rows come from a file, the code that is running now. The hash covers the project's source and its
copies of the runtime, file by file, so it holds without git, in an image too; the commit is told beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ai_factory_runtime.base.project import Project
from ai_factory_runtime.model_package.package import LINEAGE
from ai_factory_runtime.releases.lineage import code_sha256, git_state

COMMIT_VARIABLE = "AI_FACTORY_COMMIT"


@dataclass(frozen=True, slots=True)
class Running:
    """The code that answers: the sha256 of its files; `commit` is empty where it is not known."""

    code_sha256: str
    commit: str
    libraries: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as at registration."""

    what: str
    registered: str
    running: str

    def __str__(self) -> str:
        return f"{self.what}: registered {self.registered}, running {self.running}"


@dataclass(frozen=True, slots=True)
class CodeDrift:
    """`known`: whether the model says what made it; without that nothing can be compared."""

    known: bool
    commit: str
    running_commit: str
    differences: tuple[Difference, ...]

    @property
    def moved(self) -> bool:
        """Whether other code or other libraries answer than made the model."""
        return bool(self.differences)


def running_code(
    project: Project, captured: str = "", libraries: Sequence[str] = (), environment: Mapping[str, str] = os.environ
) -> Running:
    """The code of the captured answers, else of this process. An image has no git: there $AI_FACTORY_COMMIT names the commit."""
    commit = environment.get(COMMIT_VARIABLE, "") or git_state(project.root)[0]
    return Running(captured or code_sha256(project.root), commit, {name: _version(name) for name in libraries})


def code_drift(project: Project, package: Path, captured: str = "") -> CodeDrift:
    """Compare what made the model in the folder `package` with what answers."""
    lineage = read_lineage(package)
    libraries = lineage.get("libraries")
    return compare_code(
        lineage, running_code(project, captured, sorted(libraries) if isinstance(libraries, dict) else ())
    )


def compare_code(lineage: Mapping[str, Any], running: Running) -> CodeDrift:
    """What differs between a model's lineage and the code that answers. Where code hashes are known, a commit alone is no
    drift: it may have changed a text.
    """
    registered, commit = str(lineage.get("code_sha256", "")), str(lineage.get("git_commit", ""))
    found = []
    if registered and running.code_sha256 != registered:
        found.append(Difference("code", registered[:12], running.code_sha256[:12]))
    elif not registered and commit and running.commit and commit != running.commit:
        found.append(Difference("commit", commit[:12], running.commit[:12]))
    libraries = lineage.get("libraries")
    for name, was in sorted(libraries.items() if isinstance(libraries, dict) else ()):
        now = running.libraries.get(name, "")
        if was and now and was != now:
            found.append(Difference(name, str(was), now))
    return CodeDrift(bool(registered or commit), commit, running.commit, tuple(found))


def read_lineage(package: Path) -> dict[str, Any]:
    """A package's lineage; empty where it is damaged (the package was checked when it was loaded)."""
    try:
        found = json.loads((package / LINEAGE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
