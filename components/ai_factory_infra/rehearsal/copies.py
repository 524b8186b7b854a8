"""The programs as a rehearsal runs them: copies, with the few settings that only a rehearsal needs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ai_factory_infra.automation.programs import Program

RELEASE = "rehearsal"  # a model that is not there; without any the endpoint would not be made
PACK = "policy"  # the policy pack beside the programs, where there is one
NOT_COPIED = shutil.ignore_patterns("__pycache__", ".venv", "node_modules")


def copy(programs: Sequence[Program], work: Path, *, emulator: str, account: str) -> Path:
    """Copy every program below `work`, told where the emulator is. Returns the folder of the copies."""
    infra = work / "infra"
    _copy_pack(programs[0].folder.parent / PACK, infra / PACK)
    for program in programs:
        folder = infra / program.stack
        shutil.copytree(program.folder, folder, ignore=_left)
        _rewrite(folder / "Pulumi.yaml", lambda whole, p=program: without_backend(whole, p.folder))
        told = settings(program, emulator=emulator, account=account)
        _rewrite(
            folder / f"Pulumi.{program.stage}.yaml",
            lambda whole, p=program, t=told: (
                whole | {"config": (whole.get("config") or {}) | {f"{p.project}:{k}": v for k, v in t.items()}}
            ),
        )
    return infra


def _copy_pack(pack: Path, to: Path) -> None:
    if pack.is_dir():
        shutil.copytree(pack, to, ignore=_left)
        _rewrite(to / "PulumiPolicy.yaml", lambda whole: without_backend(whole, pack))


def _left(folder: str, names: list[str]) -> set[str]:
    """What is not copied of a folder: caches, and a virtual environment, which the copy names by its whole path."""
    environments = {name for name in names if (Path(folder) / name / "pyvenv.cfg").is_file()}
    return environments | NOT_COPIED(folder, names)


def settings(program: Program, *, emulator: str, account: str) -> Mapping[str, str]:
    """What a rehearsal sets: address, account, and a release to serve. What is protected stays so: a policy asks for it."""
    told = {"emulator": emulator, "account": account, "organization": ""}
    if program.settings.get("release") == "":
        told["release"] = RELEASE
    return told


def without_backend(project: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A project that names no state of its own, and its virtual environment by the whole path."""
    project.pop("backend", None)
    runtime = project.get("runtime")
    options = runtime.get("options") if isinstance(runtime, dict) else None
    if options and "virtualenv" in options:
        options["virtualenv"] = str((folder / options["virtualenv"]).resolve())
    return project


def _rewrite(file: Path, change: Any) -> None:
    whole = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    file.write_text(yaml.safe_dump(change(whole), sort_keys=False), encoding="utf-8")
