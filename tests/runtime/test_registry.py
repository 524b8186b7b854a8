"""The registry keeps versions and aliases in one file, costs nothing until it is used, and says so when it cannot answer."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ai_factory_runtime.errors import RegistryUnavailable, UnknownVersion
from ai_factory_runtime.registry import MlflowRegistry


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
        "from ai_factory_runtime.registry import MlflowRegistry\n"
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
        "from ai_factory_runtime.registry import MlflowRegistry\n"
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
