"""Registry: the model versions of a project, and which of them is champion. A port, and MLflow on SQLite behind it.

MLflow is imported when something is registered or looked up, never by serving or batch scoring. What another run must
see at once (version, digest, folder, verdict) is written in one transaction; the champion's alias moves after it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ai_factory_spec.naming import slug

from ai_factory_runtime.atomic import replacing
from ai_factory_runtime.errors import RegistryUnavailable, UnknownVersion
from ai_factory_runtime.project import Project

CHAMPION, CHALLENGER = "champion", "challenger"


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
    """What the runtime asks of a model registry. Every method may raise RegistryUnavailable."""

    def register(
        self, folder: Path, *, digest: str, run_id: str, tags: Mapping[str, str], metrics: Mapping[str, float]
    ) -> ModelVersion:
        """Add a package under artifacts/ as the next version; it carries no alias yet."""
        ...

    def champion(self) -> ModelVersion | None:
        """The version with the alias `champion`."""
        ...

    def set_alias(self, alias: str, version: int) -> None:
        """Move an alias to a version. Raises UnknownVersion."""
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


def open_registry(project: Project) -> Registry:
    """The project's registry. Costs nothing until it is used; reading from one that does not exist yet finds no version."""
    return MlflowRegistry(database=project.registry_db, artifacts=project.artifacts, name=slug(project.usecase.name))


class MlflowRegistry:
    """MLflow's registry and tracking store in one SQLite file. Packages stay where they are; MLflow holds their address."""

    def __init__(self, *, database: Path, artifacts: Path, name: str) -> None:
        self._database = database
        self._artifacts = artifacts
        self._name = name
        self._opened: Any = None

    def register(
        self, folder: Path, *, digest: str, run_id: str, tags: Mapping[str, str], metrics: Mapping[str, float]
    ) -> ModelVersion:
        """As the port says; the run's metrics go to MLflow's tracking store, for `mlflow ui`."""
        relative = folder.resolve().relative_to(self._artifacts.resolve()).as_posix()
        with self._client(create=True) as client:
            tracked = self._track(client, run_id, metrics)
            self._ensure_name(client)
            made = client.create_model_version(
                self._name, source=relative, run_id=tracked, tags={**tags, "digest": digest, "run": run_id}
            )
            return self._version(made, {})

    def champion(self) -> ModelVersion | None:
        """As the port says."""
        return next((v for v in self.versions() if CHAMPION in v.aliases), None)

    def set_alias(self, alias: str, version: int) -> None:
        """As the port says."""
        self.get(version)
        with self._client() as client:
            client.set_registered_model_alias(self._name, alias, str(version))

    def set_tag(self, version: int, key: str, value: str) -> None:
        """As the port says."""
        self.get(version)
        with self._client() as client:
            client.set_model_version_tag(self._name, str(version), key, value)

    def get(self, version: int) -> ModelVersion:
        """As the port says."""
        known = self.versions()
        for candidate in known:
            if candidate.version == version:
                return candidate
        raise UnknownVersion(version=version, known=[v.version for v in known])

    def versions(self) -> tuple[ModelVersion, ...]:
        """As the port says."""
        if not self._database.exists():
            return ()
        with self._client() as client:
            if not list(client.search_registered_models(filter_string=f"name = '{self._name}'")):
                return ()
            aliases = client.get_registered_model(self._name).aliases
            found = list(client.search_model_versions(f"name = '{self._name}'"))
            return tuple(sorted((self._version(v, aliases) for v in found), key=lambda v: v.version))

    @property
    def _experiments(self) -> Path:
        return (self._artifacts / "mlflow").resolve()

    def _version(self, found: Any, aliases: Mapping[str, Any]) -> ModelVersion:
        number, tags = int(found.version), dict(found.tags)
        return ModelVersion(
            version=number,
            digest=tags["digest"],
            folder=self._artifacts / found.source,
            run_id=tags["run"],
            aliases=tuple(sorted(alias for alias, version in aliases.items() if int(version) == number)),
            tags=tuple(sorted(tags.items())),
        )

    def _track(self, client: Any, run_id: str, metrics: Mapping[str, float]) -> str:
        """Write the run's metrics and return MLflow's own id of the run."""
        from mlflow.entities import Metric

        found = client.get_experiment_by_name(self._name)
        experiment = (
            found.experiment_id
            if found
            else client.create_experiment(self._name, artifact_location=self._experiments.as_uri())
        )
        run = client.create_run(experiment, run_name=run_id, tags={"run": run_id})
        client.log_batch(run.info.run_id, metrics=[Metric(k, v, run.info.start_time, 0) for k, v in metrics.items()])
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)

    def _ensure_name(self, client: Any) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(self._name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    @contextmanager
    def _client(self, *, create: bool = False) -> Iterator[Any]:
        """MLflow's client; whatever it or its database raises becomes RegistryUnavailable."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self._opened is None:
                if create and not self._database.exists():
                    _create_database(self._database, self._experiments)
                self._opened = _open_client(self._database)
            yield self._opened
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise RegistryUnavailable(address=str(self._database), problem=_problem(error)) from error


def _open_client(database: Path) -> Any:
    _silence()
    from mlflow.tracking import MlflowClient

    address = _address(database)
    return MlflowClient(tracking_uri=address, registry_uri=address)


def _create_database(database: Path, experiments: Path) -> None:
    """Make MLflow's tables in a file that gets its name when it is complete: a kill leaves no half-migrated registry.

    MLflow migrates in some hundred transactions; waiting for the disk after each takes seconds, so it is waited for once.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    _silence()
    _address(database)
    with replacing(database) as partial:
        event.listen(Engine, "connect", _do_not_wait)
        try:
            SqlAlchemyStore(_address(partial), experiments.as_uri()).engine.dispose()
        finally:
            event.remove(Engine, "connect", _do_not_wait)


def _do_not_wait(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=OFF")


def _address(database: Path) -> str:
    path = database.resolve().as_posix()
    if "?" in path:
        raise OSError("its path has a question mark, which no database address can hold; move the project")
    return f"sqlite:///{path}"


def _silence() -> None:
    for noisy in ("mlflow", "alembic"):  # they announce each table, and print errors that are raised anyway
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def _problem(error: Exception) -> str:
    """The line of an error's text that tells a person most: SQLite's own, where there is one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if line.startswith("(sqlite3.")), lines[0])
