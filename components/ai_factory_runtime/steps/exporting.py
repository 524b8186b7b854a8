"""Export the pipeline's definition to a file, and tell when the file is no longer what the project would export."""

from __future__ import annotations

import tomllib
from itertools import zip_longest
from pathlib import Path

from ai_factory_spec import naming

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.steps.sagemaker_pipeline import definition_text
from ai_factory_runtime.steps.step_errors import DefinitionStale


def export(project: Project, path: Path) -> None:
    """Write the definition. Raises WriteFailed."""
    write_atomically(path, exported(project).encode())


def check_exported(project: Project, path: Path) -> None:
    """Compare the file with what the project would export. Raises DefinitionStale."""
    try:
        found = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionStale(path=path, problem=str(error)) from error
    wanted = exported(project)
    if found != wanted:
        pairs = zip_longest(found.splitlines(), wanted.splitlines(), fillvalue="")
        number, (there, here) = next(((i, p) for i, p in enumerate(pairs, start=1) if p[0] != p[1]), (0, ("", "")))
        raise DefinitionStale(path=path, problem=f"line {number} is {there.strip()!r} and should be {here.strip()!r}")


def exported(project: Project) -> str:
    """The definition's text."""
    return definition_text(project.usecase, installed_command(project))


def installed_command(project: Project) -> str:
    """The project command as its image has it on the path: the script that pyproject.toml names for this package."""
    try:
        scripts = tomllib.loads((project.root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
        return next(str(name) for name, target in scripts.items() if target.split(".")[0] == project.package)
    except (OSError, ValueError, LookupError, AttributeError, StopIteration):
        return naming.command_name(naming.slug(project.usecase.name))
