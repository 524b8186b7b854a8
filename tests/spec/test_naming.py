"""Names derived from any text are valid, stable, and hide nothing a repository needs."""

from __future__ import annotations

import importlib.metadata
import keyword
import re
import sys

import pytest
from ai_factory_spec.naming import RESERVED_PACKAGES, SLUG_LENGTH, command_name, package_name, slug, stage_inside
from hypothesis import given
from hypothesis import strategies as st

ANY_NAME = st.text(max_size=250) | st.sampled_from(sorted(RESERVED_PACKAGES))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Churn", "churn"),
        ("Customer Churn (EU)", "customer-churn-eu"),
        ("Größe & Œuvre", "grosse-oeuvre"),
        ("Łódź — São Paulo", "lodz-sao-paulo"),
        ("  --weird__Name.v2  ", "weird-name-v2"),
        ("2024 sales", "model-2024-sales"),
        ("{{ cookiecutter.x }}", "cookiecutter-x"),
        ("客户流失", "model-be37acbf"),
        ("", "model-e3b0c442"),
        ("🎉", "model-d2a5d2d2"),
        ("x" * 200, "x" * 31 + "-aa20c23e"),
    ],
)
def test_a_slug_keeps_what_is_ascii_and_hashes_what_is_lost(name: str, expected: str) -> None:
    found = slug(name)
    assert re.fullmatch("model-[0-9a-f]{8}", found) if name in ("🎉", "客户流失") else found == expected


def test_names_that_differ_only_past_the_cut_or_only_in_other_scripts_have_different_slugs() -> None:
    assert slug("x" * 200) != slug("x" * 201)
    assert slug("客户") != slug("顧客")


@given(ANY_NAME)
def test_a_slug_fits_a_folder_and_a_cloud_resource_and_is_its_own_slug(name: str) -> None:
    found = slug(name)
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", found)
    assert len(found) <= SLUG_LENGTH
    assert slug(found) == found


@given(ANY_NAME)
def test_a_package_name_is_an_identifier_that_hides_nothing(name: str) -> None:
    package = package_name(name)
    assert package.isidentifier()
    assert not keyword.iskeyword(package)
    assert not keyword.issoftkeyword(package)
    assert package not in sys.stdlib_module_names
    assert package not in RESERVED_PACKAGES
    assert package_name(slug(name)) == package


@pytest.mark.parametrize(
    "name",
    ["class", "json", "test", "tests", "src", "infra", "docs", "components", "governance", "pandas", "sklearn", "mlflow",
     "pulumi", "fastapi", "yaml", "imp", "distutils", "compression", "match", "build"],
)  # fmt: skip
def test_a_taken_package_name_gets_a_suffix(name: str) -> None:
    assert package_name(name) == f"{name}_model"


@pytest.mark.parametrize("name", ["python", "pip", "test", "make", "git", "pytest", "uvicorn", "ls", "ai-factory"])
def test_a_taken_command_gets_a_suffix(name: str) -> None:
    assert command_name(name) == f"{name}-model"


def test_names_hide_no_module_and_no_command_of_what_a_generated_repository_installs() -> None:
    needed, modules, commands = ["ai-factory"], set(), set()
    seen: set[str] = set()
    while needed:
        name = needed.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        extras = ("runtime", "infra") if name == "ai-factory" else ()
        for requirement in distribution.requires or ():
            if "extra ==" not in requirement or any(f"'{e}'" in requirement or f'"{e}"' in requirement for e in extras):
                needed.append(re.split(r"[^\w.-]", requirement, maxsplit=1)[0])
        commands |= {entry.name for entry in distribution.entry_points if entry.group == "console_scripts"}
        for file in distribution.files or ():
            if file.suffix in (".py", ".so") and ".." not in file.parts:
                modules.add(file.parts[0].partition(".")[0])
    assert {"pandas", "sklearn", "mlflow", "pulumi", "fastapi"} <= modules
    importable = {m for m in modules if re.fullmatch("[a-z][a-z0-9_]*", m)}
    assert {m for m in importable if package_name(m) == m} == set()
    assert {c for c in commands if command_name(c) == c} == set()


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("churn-dev", "dev"),
        ("churn-prod-eu", "prod"),
        ("churn", ""),
        ("dev", ""),
        ("prod-failures", ""),
        ("churn-devices", ""),
    ],
)
def test_a_stage_after_the_first_word_is_seen(name: str, stage: str) -> None:
    """Who may reach `churn-dev-…` would reach all of a project `churn-dev`; of `prod-failures` there is nothing before."""
    assert stage_inside(name) == stage
