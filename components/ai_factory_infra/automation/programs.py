"""Program: one stack's Pulumi project for one stage, read from its files; and the order that what they read gives them."""

from __future__ import annotations

import ast
import graphlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ai_factory_infra.errors import ProgramRefused, StackNotFound, StackOrderError

STAGE_FILE = "Pulumi.{stage}.yaml"


@dataclass(frozen=True, slots=True)
class Program:
    """A folder such as infra/serving, for one stage.

    `settings` are its own configuration keys without the project's prefix; `foreign` those of other namespaces
    (`aws:profile`); `reads` the stacks whose exports it asks for.
    """

    folder: Path
    project: str
    stage: str
    settings: Mapping[str, str]
    foreign: Mapping[str, str]
    reads: frozenset[str]
    backend: str
    keeps_secrets_by: str
    borrows_environment: bool

    @property
    def stack(self) -> str:
        """`serving`: how people call it."""
        return self.folder.name

    @property
    def account(self) -> str:
        """The account that the stage belongs to; empty where none is named."""
        return self.settings.get("account", "")

    @property
    def region(self) -> str:
        """Where it makes its resources."""
        return self.settings.get("region", "")


def programs(infra: Path, stage: str) -> tuple[Program, ...]:
    """Every program below a folder, in the order in which they can be made.

    Raises StackNotFound, StackOrderError, and ProgramRefused for files that cannot be read.
    """
    folders = program_folders(infra)
    missing = [f.name for f in folders if not (f / STAGE_FILE.format(stage=stage)).exists()]
    if missing or not folders:
        stages = [configured_stages(f) for f in folders]
        raise StackNotFound(
            infra=infra, stage=stage, missing=missing, stages=sorted(set.intersection(*stages)) if stages else ()
        )
    return in_order(_all_read(folders, stage))


def program_folders(infra: Path) -> list[Path]:
    """The folders that hold a program which some stage is configured for, by name."""
    folders = sorted(file.parent for file in infra.glob("*/Pulumi.yaml"))
    return [f for f in folders if (f / "__main__.py").exists() and configured_stages(f)]


def configured_stages(folder: Path) -> set[str]:
    """The stages that a program has settings for."""
    return {file.name.split(".")[1] for file in folder.glob(STAGE_FILE.format(stage="*"))}


def _all_read(folders: Iterable[Path], stage: str) -> list[Program]:
    """Raises ProgramRefused with every program whose files cannot be read."""
    found, refused = list[Program](), list[tuple[str, str]]()
    for folder in folders:
        try:
            found.append(read(folder, stage))
        except (SyntaxError, ValueError) as error:
            refused.append((folder.name, str(error)))
    if refused:
        raise ProgramRefused(refused=refused)
    return found


def chosen(found: Sequence[Program], names: Sequence[str], infra: Path) -> tuple[Program, ...]:
    """Those of the programs that are named, in the same order; all of them for no names. Raises StackNotFound."""
    known = [p.stack for p in found]
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise StackNotFound(infra=infra, stage=found[0].stage, unknown=unknown, known=known)
    return tuple(p for p in found if not names or p.stack in names)


def in_order(found: Iterable[Program]) -> tuple[Program, ...]:
    """Programs after those that they read; otherwise by name. Raises StackOrderError with all problems."""
    by_name = {program.stack: program for program in sorted(found, key=lambda p: p.stack)}
    problems = [
        f"{p.stack} reads {name}, which is not there"
        for p in by_name.values()
        for name in sorted(p.reads - set(by_name))
    ]
    if problems:
        raise StackOrderError(problems=problems)
    graph = graphlib.TopologicalSorter({name: sorted(p.reads) for name, p in by_name.items()})
    try:
        graph.prepare()
    except graphlib.CycleError as circle:
        raise StackOrderError(problems=["in a circle: " + " reads ".join(reversed(circle.args[1]))]) from None
    order: list[str] = []
    while graph.is_active():
        ready = sorted(graph.get_ready())
        order += ready
        graph.done(*ready)
    return tuple(by_name[name] for name in order)


def read(folder: Path, stage: str) -> Program:
    """One program as its files describe it. Raises ValueError and SyntaxError for files that say nothing readable."""
    project = _mapping(folder / "Pulumi.yaml")
    own = _mapping(folder / STAGE_FILE.format(stage=stage))
    name = str(project.get("name", folder.name))
    declared = {k: v.get("default") if isinstance(v, dict) else v for k, v in (project.get("config") or {}).items()}
    given = {**declared, **(own.get("config") or {})}
    short = {k.removeprefix(f"{name}:"): v for k, v in given.items()}
    return Program(
        folder=folder,
        project=name,
        stage=stage,
        settings={k: _text(v) for k, v in short.items() if ":" not in k},
        foreign={k: _text(v) for k, v in short.items() if ":" in k},
        reads=frozenset(stacks_read(folder / "__main__.py")),
        backend=str((project.get("backend") or {}).get("url") or ""),
        keeps_secrets_by=str(own.get("secretsprovider") or ""),
        borrows_environment=bool(own.get("environment")),
    )


def stacks_read(file: Path) -> Iterator[str]:
    """The stacks that a program names in `stage.reads("foundation")`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "reads":
            yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))


def _mapping(file: Path) -> dict[str, Any]:
    try:
        whole = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
    if not isinstance(whole, dict) or not isinstance(whole.get("config") or {}, dict):
        raise ValueError(f"{file} holds no mapping of settings")
    return whole


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
