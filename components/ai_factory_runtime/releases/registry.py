"""Registry: the model versions of a project, and which of them carries which alias. A port; adapters are behind it.

| address (tracking.address, or $AI_FACTORY_REGISTRY, which wins) | adapter |
|---|---|
| empty | MLflow on artifacts/registry.db |
| sqlite:///file | MLflow on that file |
| http(s)://server, arn:aws:sagemaker:… | an MLflow server; packages are uploaded to it |

An adapter's libraries are imported when something is registered or looked up, never by serving or batch scoring.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ai_factory_spec.naming import slug

from ai_factory_runtime.base.errors import RegistryUnavailable
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.releases.partitions import require_one_model

if TYPE_CHECKING:
    from ai_factory_runtime.releases.registry_mlflow import MlflowRegistry

CHAMPION, CHALLENGER, SHADOW = "champion", "challenger", "shadow"
ADDRESS_VARIABLE = "AI_FACTORY_REGISTRY"
SQLITE = "sqlite:///"
SERVERS = ("http://", "https://", "arn:aws:sagemaker:")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A registered model package. `folder` is absolute; `tags` say how it came about."""

    version: int
    digest: str
    folder: Path
    run_id: str
    aliases: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


class Registry(Protocol):
    """What the runtime asks of a model registry. Every method may raise RegistryUnavailable.

    A package that was registered elsewhere is fetched by `get` and `champion`; `versions` only lists.
    """

    def register(
        self, folder: Path, *, digest: str, run_id: str, tags: Mapping[str, str], metrics: Mapping[str, float]
    ) -> ModelVersion:
        """Add a package under artifacts/ as the next version; it carries no alias yet."""
        ...

    def skip(self, count: int) -> None:
        """Pass over the next `count` numbers (none for 0 or less): no version gets them. For numbers that other models had."""
        ...

    def champion(self) -> ModelVersion | None:
        """The version with the alias `champion`."""
        ...

    def set_alias(self, alias: str, version: int) -> None:
        """Move an alias to a version. Raises UnknownVersion."""
        ...

    def clear_alias(self, alias: str) -> None:
        """Take an alias from whichever version has it; none having it is no error."""
        ...

    def set_tag(self, version: int, key: str, value: str) -> None:
        """Note something about a version. Raises UnknownVersion."""
        ...

    def get(self, version: int) -> ModelVersion:
        """One version. Raises UnknownVersion."""
        ...

    def versions(self) -> tuple[ModelVersion, ...]:
        """All versions, oldest first."""
        ...


def open_registry(project: Project, environment: Mapping[str, str] = os.environ) -> MlflowRegistry:
    """The project's registry. Costs nothing until it is used; reading from one that does not exist yet finds no version.

    A partition has a model name of its own in it. Raises RegistryUnavailable for an address that names none, PartitionNeeded.
    """
    from ai_factory_runtime.releases.registry_mlflow import MlflowRegistry
    from ai_factory_runtime.releases.traces import Traces

    require_one_model(project)
    name, artifacts = f"{slug(project.usecase.name)}-{project.partition}".rstrip("-"), project.shared
    traces = Traces(project)
    address = environment.get(ADDRESS_VARIABLE, "") or project.usecase.tracking.address
    if not address:
        return MlflowRegistry(database=project.registry_db, artifacts=artifacts, name=name, traces=traces)
    if address.startswith(SQLITE):
        database = project.root / address.removeprefix(SQLITE)
        return MlflowRegistry(database=database, artifacts=artifacts, name=name, traces=traces)
    if address.startswith(SERVERS):
        return MlflowRegistry(server=address, artifacts=artifacts, name=name, traces=traces)
    raise RegistryUnavailable(
        address=shown(address),
        problem=f"the address must begin with one of {', '.join((SQLITE, *SERVERS))}",
        hint=f"Correct tracking.address in usecase.yaml, or the variable {ADDRESS_VARIABLE}.",
    )


def shown(text: str) -> str:
    """An address, or a text with addresses in it, without the user names and passwords in them."""
    return re.sub(r"://[^/\s@]*@", "://", text)
