"""History: the runs of a project, and what made each model. Read from the runs' own folders; the registry names versions.

A version that another machine registered has no run folder here; its package tells the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_factory_runtime.base.errors import UnknownRun
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.runs import REFUSED, run_ids
from ai_factory_runtime.documents.report import REPORT
from ai_factory_runtime.model_package.package import CARD_HTML, LINEAGE, METRICS
from ai_factory_runtime.releases.registry import ModelVersion, open_registry


@dataclass(frozen=True)
class PastRun:
    """A run that ended. `refused` is the slug of what stopped it; `report` is empty where it stopped before there was one."""

    run_id: str
    folder: Path
    version: ModelVersion | None
    refused: str
    message: str
    report: Mapping[str, Any]

    @property
    def card(self) -> Path | None:
        """The model card, where the run came that far."""
        folders = [self.folder, *([self.version.folder] if self.version else [])]
        return next((folder / CARD_HTML for folder in folders if (folder / CARD_HTML).is_file()), None)

    @property
    def outcome(self) -> str:
        """What became of it, in few words: its version's aliases, and what refused it; a registered run may have been refused after that."""
        version = (", ".join(self.version.aliases) or "registered") if self.version else ""
        return "; ".join(filter(None, (version, self.refused))) or "not registered"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "run": self.run_id,
            "version": self.version.version if self.version else None,
            "digest": self.version.digest if self.version else None,
            "aliases": list(self.version.aliases) if self.version else [],
            "refused": self.refused or None,
            "message": self.message or None,
            "card": str(self.card) if self.card else None,
            "report": dict(self.report),
        }


def list_runs(project: Project) -> tuple[PastRun, ...]:
    """Every run that ended here or registered a version, the newest first."""
    versions = {v.run_id: v for v in open_registry(project).versions()}
    every = sorted({*run_ids(project), *versions}, reverse=True)
    return tuple(_past_run(project, run_id, versions.get(run_id)) for run_id in every)


def find_run(project: Project, name: str) -> PastRun:
    """A run by its id, by the unique beginning of its id, or by the model version it registered. Raises UnknownRun."""
    registry = open_registry(project)
    versions = registry.versions()
    by_version = {str(v.version): v.run_id for v in versions}
    known = sorted({*run_ids(project), *by_version.values()})
    matches = [r for r in known if r == by_version.get(name.removeprefix("v"))] or [
        r for r in known if r.startswith(name)
    ]
    if len(matches) != 1:
        raise UnknownRun(run_id=name, known=known)
    version = next((v for v in versions if v.run_id == matches[0]), None)
    if version is not None and not (project.runs / matches[0]).is_dir():
        version = registry.get(version.version)  # fetches the package
    return _past_run(project, matches[0], version)


def _past_run(project: Project, run_id: str, version: ModelVersion | None) -> PastRun:
    folder = project.runs / run_id
    refusal, report = _read(folder / REFUSED), _read(folder / REPORT)
    if not report and version is not None:
        report = {**_read(version.folder / METRICS), "lineage": _read(version.folder / LINEAGE)}
    return PastRun(run_id, folder, version, refusal.get("refused", ""), refusal.get("message", ""), report)


def _read(path: Path) -> dict[str, Any]:
    """A JSON document; empty where the file is missing or damaged: an old run's loss must not hide the others."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
