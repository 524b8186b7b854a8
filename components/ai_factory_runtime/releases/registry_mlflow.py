"""The registry on MLflow: a SQLite file of the project, or a server that others share.

With a file, packages stay where they are under artifacts/ and MLflow holds their place. A server gets the package's files
as artifacts of the run, and a project that lacks them fetches them; their digest is checked when they are loaded.
What another run must see at once (version, digest, folder, verdict) is written in one transaction; an alias moves after it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.base.atomic import replacing
from ai_factory_runtime.base.errors import UnknownVersion
from ai_factory_runtime.releases.registry import CHAMPION, ModelVersion, shown
from ai_factory_runtime.releases.registry_file import (
    create_database,
    ensure_database,
    has_tables,
    silence,
    sqlite_address,
)
from ai_factory_runtime.releases.registry_refusals import RegistryGone, refusal
from ai_factory_runtime.releases.traces import Traces

PACKAGE = "package"
SKIPPED = "skipped"
# A registry that is locked or gone is told within seconds, not after MLflow's doubling pauses.
BUSY_SECONDS = 5.0
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
# A connection that is kept would go on with a file that was moved away or replaced meanwhile.
NO_POOL = {"MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool"}


class MlflowRegistry:
    """MLflow's registry and tracking store: in the SQLite file `database`, or on the server at the address `server`."""

    def __init__(
        self,
        *,
        artifacts: Path,
        name: str,
        database: Path | None = None,
        server: str = "",
        traces: Traces | None = None,
    ) -> None:
        self._database = database
        self._traces = traces
        self._server = server
        self._artifacts = artifacts
        self._name = name
        self._opened: Any = None

    def register(
        self, folder: Path, *, digest: str, run_id: str, tags: Mapping[str, str], metrics: Mapping[str, float]
    ) -> ModelVersion:
        """As the port says; the run's metrics go to MLflow's tracking store, for `mlflow ui`."""
        relative = folder.resolve().relative_to(self._artifacts.resolve()).as_posix()
        described = {**tags, "digest": digest, "run": run_id, "folder": relative}
        if not self._listed() and self._traces is not None:
            self._require_no_traces(besides=folder)
            self.skip(self._traces.highest_recorded())
        with self._client(create=True) as client:
            tracked = self._track(client, run_id, metrics)
            source = relative if self._database else self._upload(client, tracked, folder)
            self._ensure_name(client)
            made = client.create_model_version(self._name, source=source, run_id=tracked.info.run_id, tags=described)
            return self._version(made, {})

    def skip(self, count: int) -> None:
        """As the port says."""
        if count <= 0:
            return
        with self._client(create=True) as client:
            self._ensure_name(client)
            for _ in range(count):
                made = client.create_model_version(self._name, source=SKIPPED, tags={SKIPPED: "yes"})
                client.delete_model_version(self._name, made.version)

    def champion(self) -> ModelVersion | None:
        """As the port says."""
        found = next((v for v in self.versions() if CHAMPION in v.aliases), None)
        return self._fetched(found) if found else None

    def set_alias(self, alias: str, version: int) -> None:
        """As the port says."""
        self._known(version)
        with self._client() as client:
            client.set_registered_model_alias(self._name, alias, str(version))

    def clear_alias(self, alias: str) -> None:
        """As the port says."""
        if any(alias in v.aliases for v in self.versions()):
            with self._client() as client:
                client.delete_registered_model_alias(self._name, alias)

    def set_tag(self, version: int, key: str, value: str) -> None:
        """As the port says."""
        self._known(version)
        with self._client() as client:
            client.set_model_version_tag(self._name, str(version), key, value)

    def get(self, version: int) -> ModelVersion:
        """As the port says."""
        return self._fetched(self._known(version))

    def versions(self) -> tuple[ModelVersion, ...]:
        """As the port says. Raises RegistryGone where it has none, yet here is what versions leave behind."""
        found = self._listed()
        if not found:
            self._require_no_traces()
        return found

    @contextlib.contextmanager
    def anew(self) -> Iterator[MlflowRegistry]:
        """A registry to fill in the place of this one, which knows no version: it counts when the block ends, not if it raises."""
        if self._database is not None and not self._made():
            with replacing(self._database) as partial:
                create_database(partial, self._experiments)
                yield MlflowRegistry(artifacts=self._artifacts, name=self._name, database=partial)
            return
        # A server, or a file that has other models, too: there is no second one to fill.
        here = MlflowRegistry(artifacts=self._artifacts, name=self._name, database=self._database, server=self._server)
        here._forget()  # numbers that were passed over before: the next version would come after them
        try:
            yield here
        except BaseException:
            with contextlib.suppress(FactoryError):
                here._forget()
            raise

    @property
    def address(self) -> str:
        """Where it is, for a person; without a password."""
        return shown(self._server) or str(self._database)

    def _listed(self) -> tuple[ModelVersion, ...]:
        if not self._made():
            return ()
        with self._client() as client:
            if not self._is_named(client):
                return ()
            aliases = client.get_registered_model(self._name).aliases
            found = [self._version(v, aliases) for v in _every_version(client, self._name) if SKIPPED not in v.tags]
            return tuple(sorted(found, key=lambda v: v.version))

    def _made(self) -> bool:
        """Whether there is a registry to ask: a server always is one."""
        try:
            return self._database is None or has_tables(self._database, BUSY_SECONDS)
        except (sqlite3.Error, OSError) as error:
            raise refusal(error, address=self.address, problem=_problem(error)) from error

    def _forget(self) -> None:
        """Take the model's name out of the registry, with its versions and the numbers that were passed over."""
        with self._client() as client:
            if self._is_named(client):
                client.delete_registered_model(self._name)

    def _is_named(self, client: Any) -> bool:
        return bool(list(client.search_registered_models(filter_string=f"name = '{self._name}'")))

    def _require_no_traces(self, besides: Path | None = None) -> None:
        """Raise RegistryGone where versions were registered. Looks twice: another run may have registered the first meanwhile."""
        found = self._traces.found(besides) if self._traces is not None else ()
        if found and not self._listed():
            raise RegistryGone(address=self.address, traces=found)

    def _known(self, version: int) -> ModelVersion:
        known = self.versions()
        for candidate in known:
            if candidate.version == version:
                return candidate
        raise UnknownVersion(version=version, known=[v.version for v in known])

    @property
    def _uri(self) -> str:
        return self._server or sqlite_address(self._database or Path())

    @property
    def _experiments(self) -> Path:
        return (self._artifacts / "mlflow").resolve()

    def _version(self, found: Any, aliases: Mapping[str, Any]) -> ModelVersion:
        number, tags = int(found.version), dict(found.tags)
        try:
            digest, run_id, folder = tags["digest"], tags["run"], PurePosixPath(tags.get("folder", found.source))
        except KeyError as error:
            raise OSError(f"version {number} of {self._name} has no {error}; it was not registered by a run") from error
        if folder.is_absolute() or ".." in folder.parts:
            raise OSError(f"version {number} of {self._name} names a folder outside artifacts/, {str(folder)!r}")
        return ModelVersion(
            version=number,
            digest=digest,
            folder=self._artifacts / folder,
            run_id=run_id,
            aliases=tuple(sorted(alias for alias, version in aliases.items() if int(version) == number)),
            tags=tuple(sorted(tags.items())),
        )

    def _track(self, client: Any, run_id: str, metrics: Mapping[str, float]) -> Any:
        """Write the run's metrics and return MLflow's own run."""
        from mlflow.entities import Metric

        found = client.get_experiment_by_name(self._name)
        place = None if self._server else self._experiments.as_uri()
        experiment = found.experiment_id if found else client.create_experiment(self._name, artifact_location=place)
        run = client.create_run(experiment, run_name=run_id, tags={"run": run_id})
        client.log_batch(run.info.run_id, metrics=[Metric(k, v, run.info.start_time, 0) for k, v in metrics.items()])
        client.set_terminated(run.info.run_id)
        return run

    def _upload(self, client: Any, run: Any, folder: Path) -> str:
        """Send a package's files to the server; returns their address."""
        client.log_artifacts(run.info.run_id, str(folder), PACKAGE)
        return f"{run.info.artifact_uri}/{PACKAGE}"

    def _fetched(self, version: ModelVersion) -> ModelVersion:
        """The version, its package in its folder. A package that the server lacks too stays missing: its user says so."""
        if self._database is not None or version.folder.is_dir():
            return version
        with self._client() as client:
            tracked = client.get_model_version(self._name, str(version.version)).run_id
            version.folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=version.folder.parent, prefix=".fetch-", suffix=".partial") as place:
                fetched = Path(client.download_artifacts(tracked, PACKAGE, place))
                fetched.rename(version.folder)
        return version

    def _ensure_name(self, client: Any) -> None:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(self._name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    @contextlib.contextmanager
    def _client(self, *, create: bool = False) -> Iterator[Any]:
        """MLflow's client; whatever it, its database or its server raises becomes RegistryUnavailable or WriteFailed."""
        for name, value in {"MLFLOW_DISABLE_TELEMETRY": "true", **PATIENCE, **NO_POOL}.items():
            os.environ.setdefault(name, value)
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self._opened is None:
                if self._database is not None and create:
                    ensure_database(self._database, self._experiments, BUSY_SECONDS)
                self._opened = _open_client(self._uri)
            yield self._opened
        except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise refusal(error, address=self.address, problem=_problem(error)) from error


def _every_version(client: Any, name: str) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _open_client(address: str) -> Any:
    silence()
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=address, registry_uri=address)


def _problem(error: Exception) -> str:
    """The part of an error's text that tells a person most: SQLite's own line, or why there was no connection."""
    text = shown(str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    if "Max retries exceeded" in text:
        return f"there is no connection ({lines[0].rpartition('Caused by ')[2].strip('()')[:200]})"
    return next((line for line in lines if line.startswith("(sqlite3.")), lines[0])
