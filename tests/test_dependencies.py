"""What the shipped code imports is what pyproject files ask for: an import that only the developer's machine has is refused."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = {"ai_factory", "ai_factory_spec", "ai_factory_runtime", "ai_factory_infra"}
FACTORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Imported under their own names, installed and versioned by the library that is required.
COMES_WITH = {"pydantic_core": "pydantic", "starlette": "fastapi"}
GENERATED = ROOT / "blueprints/project/base/{{cookiecutter.project_slug}}/pyproject.toml"


def imported(folder: Path) -> set[str]:
    """The top-level packages that the files under `folder` import, wherever in the file, without ours and Python's."""
    names: set[str] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - OURS - sys.stdlib_module_names


def required(requirements: Iterable[str]) -> set[str]:
    """The distributions that a list of requirements names, normalised."""
    return {re.split(r"[\s<>=!~\[;]", r, maxsplit=1)[0].lower().replace("_", "-") for r in requirements}


def missing(folder: Path, requirements: Iterable[str]) -> list[str]:
    """Imports under `folder` that none of the requirements brings."""
    distributions = packages_distributions()
    wanted = required(requirements)
    return sorted(
        name
        for name in imported(folder)
        if not wanted
        & {d.lower().replace("_", "-") for d in (*distributions.get(name, [name]), COMES_WITH.get(name, name))}
    )


def generated_requirements() -> list[str]:
    """What a generated repository asks for, its extras too, but for what only its developers need."""
    text = re.sub(r"description = .*", 'description = ""', GENERATED.read_text(encoding="utf-8"))
    project = tomllib.loads(re.sub(r"\{\{.*?\}\}", "x", text))["project"]
    extras = [r for name, extra in project["optional-dependencies"].items() if name != "dev" for r in extra]
    return [*project["dependencies"], *extras]


def test_the_generator_imports_only_what_the_factory_requires() -> None:
    assert missing(ROOT / "generator" / "ai_factory", FACTORY["dependencies"]) == []


def test_the_schema_imports_only_what_the_factory_requires() -> None:
    assert missing(ROOT / "components" / "ai_factory_spec", FACTORY["dependencies"]) == []


def test_a_generated_repository_requires_what_its_components_import() -> None:
    for component in ("ai_factory_spec", "ai_factory_runtime"):
        assert missing(ROOT / "components" / component, generated_requirements()) == []


def test_the_factory_tests_what_a_generated_repository_requires() -> None:
    extras = [r for name, extra in FACTORY["optional-dependencies"].items() if name != "dev" for r in extra]
    factory = required([*FACTORY["dependencies"], *extras])
    assert required(generated_requirements()) <= factory


def test_the_infrastructure_imports_only_what_its_extras_bring() -> None:
    extras = FACTORY["optional-dependencies"]
    glue = ["pyarrow", "boto3"]  # `landing_job` is uploaded to Glue, which has these, and is imported nowhere else
    assert missing(ROOT / "components" / "ai_factory_infra", [*extras["infra"], *extras["rehearsal"], *glue]) == []


def test_an_import_that_nothing_requires_is_found(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("def late():\n    import pytest\n", encoding="utf-8")
    assert missing(tmp_path, FACTORY["dependencies"]) == ["pytest"]
