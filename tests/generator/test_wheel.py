"""The wheel alone: blueprints, playbooks and components travel inside it, and it generates the same repository."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from helpers_generator import ROOT, write_usecase

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built wheel. No isolation: the build backend is installed here, so that nothing is downloaded."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command in a new environment that has the wheel, and this environment's other packages, but not this checkout."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    # A .pth file in that folder is not read again, so the checkout's own editable link stays behind.
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return home / "bin" / "python"


def ai_factory(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "VIRTUAL_ENV"))}
    command = [str(python), "-m", "ai_factory.cli", *arguments]
    return subprocess.run(command, env=environment, text=True, capture_output=True, check=False, cwd=python.parent)


def digests(project: Path) -> dict[str, str]:
    return {
        p.relative_to(project).as_posix(): sha256(p.read_bytes()).hexdigest() for p in project.rglob("*") if p.is_file()
    }


def test_the_wheel_holds_every_blueprint_playbook_and_component(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("blueprints", "playbooks"):
        files = [p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
        missing = [str(p) for p in files if f"ai_factory/_assets/{p.relative_to(ROOT).as_posix()}" not in names]
        assert missing == []
    for component in ("ai_factory_spec", "ai_factory_runtime", "ai_factory_infra"):
        files = list((ROOT / "components" / component).rglob("*.py"))
        assert [str(p) for p in files if p.relative_to(ROOT / "components").as_posix() not in names] == []
    assert not [n for n in names if "__pycache__" in n or n.startswith("tests/")]


def test_the_installed_wheel_does_not_use_the_checkout(installed: Path) -> None:
    code = "import ai_factory, ai_factory_runtime, ai_factory.assets as a; print(ai_factory.__file__, ai_factory_runtime.__file__, a.blueprints())"
    said = subprocess.run([str(installed), "-c", code], text=True, capture_output=True, cwd=installed.parent)
    assert str(ROOT) not in said.stdout, said
    assert "_assets/blueprints" in said.stdout, said


def test_the_installed_wheel_generates_the_same_repository_as_the_checkout(installed: Path, tmp_path: Path) -> None:
    spec = write_usecase(tmp_path / "in")
    done = ai_factory(installed, "new", str(spec), "--out", str(tmp_path / "wheel"), "--yes")
    assert done.returncode == 0, done.stderr
    done = ai_factory(Path(sys.executable), "new", str(spec), "--out", str(tmp_path / "checkout"), "--yes")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "wheel") == digests(tmp_path / "checkout")
    assert len(digests(tmp_path / "wheel")) > 100


def test_the_installed_wheel_lists_blueprints_and_prints_schemas(installed: Path) -> None:
    for arguments in (("blueprints", "list"), ("schema", "usecase"), ("schema", "blueprint"), ("--version",)):
        done = ai_factory(installed, *arguments)
        assert done.returncode == 0, done.stderr
