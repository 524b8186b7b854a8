"""What each partition has: its versions, its champion, the models of the stages, and how its newest run ended."""

from __future__ import annotations

from dataclasses import dataclass

from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.base.errors import NothingDeployed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.runs import run_ids
from ai_factory_runtime.releases.partitions import partition_of, values_of
from ai_factory_runtime.releases.registry import CHAMPION, open_registry
from ai_factory_runtime.releases.stages import deployed
from ai_factory_runtime.steps.history import find_run


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition. `stages` maps a stage to what answers there, or to the slug of why nothing may; `last` is how its newest run ended."""

    value: str
    versions: int
    champion: int | None
    stages: dict[str, str]
    last: str


def list_partitions(project: Project) -> tuple[PartitionStatus, ...]:
    """Every partition of the data contract, in its order. Raises RegistryUnavailable."""
    return tuple(_status(partition_of(project, value), value) for value in values_of(project))


def _status(project: Project, value: str) -> PartitionStatus:
    versions = open_registry(project).versions()
    champion = next((v.version for v in versions if CHAMPION in v.aliases), None)
    stages: dict[str, str] = {}
    for stage in project.usecase.deployment.stages:
        try:
            stages[stage] = f"version {deployed(project, stage).version}"
        except NothingDeployed:
            continue
        except FactoryError as error:
            stages[stage] = error.slug
    ids = run_ids(project)
    newest = find_run(project, ids[-1]) if ids else None
    last = "never trained" if newest is None else newest.refused or "registered"
    return PartitionStatus(value, len(versions), champion, stages, last)
