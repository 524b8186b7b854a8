"""Imports point one way: core knows no disk and no shell, components no generator, infrastructure no runtime."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "ai_factory": ROOT / "generator" / "ai_factory",
    "ai_factory_spec": ROOT / "components" / "ai_factory_spec",
    "ai_factory_runtime": ROOT / "components" / "ai_factory_runtime",
    "ai_factory_infra": ROOT / "components" / "ai_factory_infra",
}
MAY_IMPORT = {
    "ai_factory": {"ai_factory", "ai_factory_spec"},
    "ai_factory_spec": {"ai_factory_spec"},
    "ai_factory_runtime": {"ai_factory_runtime", "ai_factory_spec"},
    "ai_factory_infra": {"ai_factory_infra", "ai_factory_spec"},  # the root of errors, for its commands
}

# The generator's modules from the ground up: a module imports only from its own level and those below it.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"__init__", "errors"}),
    frozenset({"tree", "catalog", "facts"}),
    frozenset({"plan"}),
    frozenset({"joiners", "formats", "compose", "lock", "archive", "usecase_text", "manifest"}),
    frozenset(
        {
            "assets",
            "loading",
            "render",
            "template_cache",
            "laying",
            "incoming",
            "workspace",
            "profile",
            "propose",
            "proposal_text",
            "baking",
            "report",
            "data_errors",
            "datafile",
            "measure",
            "roles",
            "answers",
            "intake",
        }
    ),
    frozenset({"pipeline"}),
    frozenset({"views", "profile_views"}),
    frozenset({"asking"}),
    frozenset({"cli"}),
)
CORE = frozenset().union(*LEVELS[:4])

# The runtime's packages from the ground up.
RUNTIME = (
    "base", "data", "model_package", "releases", "evaluation", "training", "documents", "steps", "batch", "monitoring",
    "rollout", "serving", "commands",
)  # fmt: skip
OUTSIDE = {
    "os",
    "subprocess",
    "shutil",
    "socket",
    "tempfile",
    "cookiecutter",
    "urllib",
    "time",
    "random",
    "secrets",
    "ctypes",
}


def imports(file: Path) -> Iterator[str]:
    """Every module a file imports, also inside functions; `from a import b` gives `a.b`."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(package: str) -> list[Path]:
    found = sorted(PACKAGES[package].rglob("*.py"))
    assert found, f"{package} has no modules"
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_in_the_direction_that_is_allowed(package: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in modules(package)
        for name in imports(file)
        if (top := name.split(".")[0]) in PACKAGES and top not in MAY_IMPORT[package]
    ]
    assert wrong == []


def level(module: str) -> int:
    found = [i for i, names in enumerate(LEVELS) if module in names]
    assert found, f"generator/ai_factory/{module}.py has no level in this test: decide where it belongs"
    return found[0]


def test_the_generators_modules_import_downwards() -> None:
    wrong = []
    for file in modules("ai_factory"):
        for name in imports(file):
            parts = name.split(".")
            if parts[0] == "ai_factory" and len(parts) > 1:
                other = parts[1] if (PACKAGES["ai_factory"] / f"{parts[1]}.py").is_file() else "__init__"
                if level(other) > level(file.stem):
                    wrong.append(f"{file.stem} imports {other}")
    assert wrong == []


def test_the_runtimes_packages_import_downwards() -> None:
    root = PACKAGES["ai_factory_runtime"]
    assert {p.name for p in root.iterdir() if (p / "__init__.py").is_file()} == set(RUNTIME)
    assert {p.name for p in root.glob("*.py")} == {"__init__.py", "cli.py"}
    wrong = []
    for number, package in enumerate(RUNTIME):
        above = {f"ai_factory_runtime.{name}" for name in (*RUNTIME[number + 1 :], "cli")}
        for file in (root / package).rglob("*.py"):
            wrong += [
                f"{package}/{file.name} imports {name}"
                for name in imports(file)
                if ".".join(name.split(".")[:2]) in above
            ]
    assert wrong == []


@pytest.mark.parametrize("module", sorted(CORE - {"__init__"}))
def test_core_touches_no_disk_no_clock_and_no_shell(module: str) -> None:
    names = set(imports(PACKAGES["ai_factory"] / f"{module}.py"))
    assert {name for name in names if name.split(".")[0] in OUTSIDE} == set()
    assert not names & {"pathlib.Path", "pathlib"}, "core may use PurePosixPath, not Path"


def test_only_render_imports_cookiecutter() -> None:
    assert [f.stem for f in modules("ai_factory") if any(n.startswith("cookiecutter") for n in imports(f))] == [
        "render"
    ]


def test_only_report_and_cli_print() -> None:
    printers = {
        file.stem
        for file in modules("ai_factory")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Name) and node.id == "print")
        or (isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr", "echo", "secho"))
    }
    assert printers <= {"report", "cli", "asking"}


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from ai_factory.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'pydantic', 'jinja2', 'rich', 'yaml', 'duckdb', 'cookiecutter', 'questionary', 'tomlkit', 'pandas'}\n"
        "sys.stderr.write(' '.join(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stderr == ""
    assert "Usage: " in done.stdout
