"""Traces: what versions leave behind in a project beside the registry, so that a registry that is gone is not taken for a new one.

Stage files and packages of runs that ended are such traces. Release records alone are none: they are kept in git, so a fresh
clone or an image has them where nothing was ever registered; there the numbers go on after the highest that is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.runs import REFUSED
from ai_factory_runtime.model_package.package import MANIFEST
from ai_factory_runtime.releases.release_record import RELEASES, Record, parse


@dataclass(frozen=True, slots=True)
class Traces:
    """What is here of a project's versions; of a partition's, its own."""

    project: Project

    def found(self, besides: Path | None = None) -> tuple[str, ...]:
        """What says that versions were registered, in words; empty where nothing does. `besides` is a package that is not counted."""
        stages = [p for p in self.project.stages.glob("*.json") if "." not in p.stem]  # a rollout's file is none
        packages = [p for p in packages_of(self.project) if p != besides and self._ended(p.name)]
        counted = ((len(packages), "model package"), (len(stages), "stage file"))
        return tuple(f"{count} {what}{'s' if count != 1 else ''}" for count, what in counted if count)

    def highest_recorded(self) -> int:
        """The highest version of a release record; 0 where there is none, or it cannot be told whose the records are."""
        if self.project.partition:
            return 0
        return max((record.version for _, record in records_of(self.project)), default=0)

    def _ended(self, run_id: str) -> bool:
        """Whether the run came to its end: a package of one that was killed or refused may never have been registered."""
        folder = self.project.runs / run_id
        return folder.is_dir() and not (folder / REFUSED).exists()


def packages_of(project: Project) -> tuple[Path, ...]:
    """The folders of the project's model packages, in the order of their runs."""
    found = (m.parent for m in project.models.glob(f"*/{MANIFEST}"))
    return tuple(sorted(p for p in found if not p.name.startswith(".")))


def records_of(project: Project) -> tuple[tuple[Path, Record], ...]:
    """The release records of the use case that can be read."""
    parsed = [(path, parse(path, Record)[1]) for path in sorted((project.root / RELEASES).glob("*.yaml"))]
    return tuple((p, record) for p, record in parsed if record is not None and record.usecase == project.usecase.name)
