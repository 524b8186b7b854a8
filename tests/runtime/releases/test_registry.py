"""The registry keeps versions and aliases in one file, costs nothing until it is used, and says so when it cannot answer."""

from __future__ import annotations

import dataclasses
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ai_factory_runtime.base.errors import RegistryUnavailable, UnknownVersion
from ai_factory_runtime.model_package.package import load_package
from ai_factory_runtime.releases import registry_mlflow
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.releases.registry_mlflow import MlflowRegistry
from ai_factory_runtime.releases.stages import deploy
from ai_factory_spec.usecase import Tracking
from helpers_serving import make_package, make_project


def registry(artifacts: Path, name: str = "churn") -> MlflowRegistry:
    return MlflowRegistry(database=artifacts / "registry.db", artifacts=artifacts, name=name)


def package(artifacts: Path, name: str) -> Path:
    folder = artifacts / "models" / name
    folder.mkdir(parents=True)
    return folder


def test_versions_and_aliases_are_kept_and_read_back_by_another_process(tmp_path: Path) -> None:
    artifacts = tmp_path / "a path with spaces, ü and 100%"
    first = registry(artifacts)
    for number, digest in enumerate(("d1", "d2"), start=1):
        made = first.register(
            package(artifacts, f"r{number}"),
            digest=digest,
            run_id=f"r{number}",
            tags={"verdict": "promote"},
            metrics={"roc_auc": 0.9},
        )
        assert made.version == number
        assert made.aliases == ()
    first.set_alias("champion", 1)
    first.set_alias("champion", 2)
    first.set_alias("challenger", 1)
    first.set_tag(1, "settled", "yes")
    one, two = registry(artifacts).versions()
    assert (one.digest, one.run_id, one.aliases, one.folder) == (
        "d1",
        "r1",
        ("challenger",),
        artifacts / "models" / "r1",
    )
    assert dict(one.tags)["settled"] == "yes"
    assert registry(artifacts).champion() == two
    with pytest.raises(UnknownVersion, match=r"no model version 3\. Registered: 1, 2"):
        first.set_alias("champion", 3)


def test_a_moved_project_finds_its_packages(tmp_path: Path) -> None:
    here = registry(tmp_path / "here")
    here.register(package(tmp_path / "here", "r1"), digest="d", run_id="r1", tags={}, metrics={})
    (tmp_path / "here").rename(tmp_path / "there")
    (version,) = registry(tmp_path / "there").versions()
    assert version.folder == tmp_path / "there" / "models" / "r1"
    assert version.folder.is_dir()


def test_a_registry_that_does_not_exist_is_empty_and_is_not_made_by_looking(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from ai_factory_runtime.releases.registry_mlflow import MlflowRegistry\n"
        "r = MlflowRegistry(database=Path(sys.argv[1]) / 'r.db', artifacts=Path(sys.argv[1]), name='x')\n"
        "print(r.versions(), r.champion(), 'mlflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "() None False"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_kill_while_the_tables_are_made_leaves_no_half_made_registry(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from ai_factory_runtime.releases.registry_mlflow import MlflowRegistry\n"
        "root = Path(sys.argv[1])\n"
        "r = MlflowRegistry(database=root / 'registry.db', artifacts=root, name='churn')\n"
        "r.register(root / 'models' / 'r1', digest='d', run_id='r1', tags={}, metrics={})\n"
    )
    folder = package(tmp_path, "r1")
    making = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    while making.poll() is None and not any(p.stat().st_size > 0 for p in tmp_path.glob(".registry-*.partial.db")):
        time.sleep(0.001)
    making.kill()
    assert making.wait() == -signal.SIGKILL
    assert not (tmp_path / "registry.db").exists()
    assert registry(tmp_path).versions() == ()
    assert registry(tmp_path).register(folder, digest="d", run_id="r1", tags={}, metrics={}).version == 1


def test_a_damaged_database_is_told_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "registry.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(RegistryUnavailable, match="file is not a database"):
        registry(tmp_path).versions()
    assert capfd.readouterr().err == ""


def test_a_path_that_no_database_address_can_hold_is_refused(tmp_path: Path) -> None:
    artifacts = tmp_path / "what?"
    with pytest.raises(RegistryUnavailable, match="question mark"):
        registry(artifacts).register(package(artifacts, "r"), digest="d", run_id="r", tags={}, metrics={})


def test_an_alias_is_taken_away_and_a_second_time_is_no_error(tmp_path: Path) -> None:
    here = registry(tmp_path)
    here.clear_alias("shadow")
    here.register(package(tmp_path, "r1"), digest="d", run_id="r1", tags={}, metrics={})
    here.set_alias("shadow", 1)
    assert here.get(1).aliases == ("shadow",)
    here.clear_alias("shadow")
    here.clear_alias("shadow")
    assert here.get(1).aliases == ()


def test_a_locked_database_is_told_and_works_again_when_the_lock_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_mlflow, "BUSY_SECONDS", 0.1)
    here = registry(tmp_path)
    here.register(package(tmp_path, "r1"), digest="d", run_id="r1", tags={}, metrics={})
    with sqlite3.connect(tmp_path / "registry.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RegistryUnavailable, match="database is locked"):
            registry(tmp_path).versions()
        other.execute("ROLLBACK")
    other.close()
    assert [v.version for v in registry(tmp_path).versions()] == [1]


def test_a_folder_outside_artifacts_is_refused_whoever_wrote_it(tmp_path: Path) -> None:
    here = registry(tmp_path)
    here.register(package(tmp_path, "r1"), digest="d", run_id="r1", tags={}, metrics={})
    here.set_tag(1, "folder", "../elsewhere")
    with pytest.raises(RegistryUnavailable, match="outside artifacts"):
        here.get(1)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("ftp://registry.example.com", "the address must begin with one of sqlite:///"),
        ("ftp://me:secret@registry.example.com", r"ftp://registry\.example\.com"),
    ],
)
def test_an_address_that_names_no_registry_is_refused_without_its_password(
    tmp_path: Path, address: str, told: str
) -> None:
    with pytest.raises(RegistryUnavailable, match=told) as refusal:
        open_registry(make_project(tmp_path / "project"), {"AI_FACTORY_REGISTRY": address})
    assert "secret" not in str(refusal.value)


def test_the_variable_wins_over_the_file_and_both_over_the_default(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    tracked = Tracking(address="sqlite:///named.db")
    named = dataclasses.replace(project, usecase=project.usecase.model_copy(update={"tracking": tracked}))
    folder = package(project.artifacts, "r1")
    for opened, database in (
        (open_registry(named, {}), project.root / "named.db"),
        (open_registry(named, {"AI_FACTORY_REGISTRY": f"sqlite:///{tmp_path / 'variable.db'}"}), tmp_path / "variable.db"),
    ):  # fmt: skip
        assert not database.exists()
        opened.register(folder, digest="d", run_id="r1", tags={}, metrics={})
        assert database.is_file()
    assert not project.registry_db.exists()


def test_a_server_that_is_gone_is_told_without_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # and nobody listens
        server = f"http://me:secret@127.0.0.1:{deaf.getsockname()[1]}"
        here = MlflowRegistry(server=server, artifacts=tmp_path, name="churn")
        with pytest.raises(RegistryUnavailable, match=r"http://127\.0\.0\.1:\d+ .* there is no connection") as gone:
            here.versions()
    assert "secret" not in str(gone.value)


SERVER = """
import os, sys
root = sys.argv[1]
os.environ |= {
    "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{root}/server.db",
    "_MLFLOW_SERVER_REGISTRY_STORE": f"sqlite:///{root}/server.db",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": f"{root}/stored",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
}
from mlflow.server import app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, app, threaded=True)
print("listening", server.port, flush=True)
server.serve_forever()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """MLflow's own server application, with its artifact store, in a process of its own."""
    pytest.importorskip("flask", reason="MLflow's server needs flask; it comes with the dev extra")
    (tmp_path / "server").mkdir()
    command = [sys.executable, "-c", SERVER, str(tmp_path / "server")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            listening = (line for line in process.stdout if line.startswith("listening "))
            yield f"http://127.0.0.1:{int(next(listening).split()[1])}"
        finally:
            process.kill()


@pytest.mark.slow
def test_a_team_shares_a_server_one_registers_another_fetches_the_very_package(server: str, tmp_path: Path) -> None:
    mine, theirs = make_project(tmp_path / "mine"), make_project(tmp_path / "theirs")
    folder, digest = make_package(mine)
    here = open_registry(mine, {"AI_FACTORY_REGISTRY": server})
    for number in (1, 2):
        made = here.register(folder, digest=digest, run_id="run-1", tags={"verdict": "promote"}, metrics={"auc": 0.9})
        assert (made.version, made.folder) == (number, folder)
    for alias, version in (("champion", 2), ("challenger", 1), ("shadow", 1)):
        here.set_alias(alias, version)
    here.set_tag(2, "settled", "yes")
    there = open_registry(theirs, {"AI_FACTORY_REGISTRY": server})
    assert [(v.version, v.aliases) for v in there.versions()] == [(1, ("challenger", "shadow")), (2, ("champion",))]
    champion = there.champion()
    assert champion is not None
    assert champion.folder == theirs.models / "run-1"
    assert load_package(champion.folder, digest=digest).digest == digest
    assert [p.name for p in theirs.models.iterdir()] == ["run-1"]
    deploy(theirs, "dev", version=2, digest=digest, folder=champion.folder)
    with pytest.raises(UnknownVersion):
        there.get(3)


@pytest.mark.slow
def test_runs_at_once_in_one_registry_lose_no_version(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from ai_factory_runtime.releases.registry_mlflow import MlflowRegistry\n"
        "root, name = Path(sys.argv[1]), sys.argv[2]\n"
        "for n in range(4):\n"
        "    r = MlflowRegistry(database=root / 'registry.db', artifacts=root, name=name)\n"
        "    r.set_alias('champion', r.register(root / 'models' / 'r1', digest='d', run_id='r1', tags={}, metrics={}).version)\n"
    )
    registry(tmp_path).register(package(tmp_path, "r1"), digest="d", run_id="r1", tags={}, metrics={})
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("churn", "other", "third")
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert [v.version for v in registry(tmp_path).versions()] == [1, 2, 3, 4, 5]
    assert [v.version for v in registry(tmp_path, "third").versions()] == [1, 2, 3, 4]
