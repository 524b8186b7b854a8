"""Every error has a page section, a next command, and an exit code that says what kind of trouble it is."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from ai_factory_spec.errors import EXIT_CHECKS_FAILED, EXIT_DRIFT, EXIT_USAGE, EXIT_USER_ERROR, FactoryError

PAGE = Path(__file__).resolve().parents[1] / "playbooks" / "errors.md"
PACKAGES = ("ai_factory", "ai_factory_spec", "ai_factory_runtime")


def every_error() -> list[type[FactoryError]]:
    """Every error class of every module of the three packages, and those of the infrastructure."""
    for package in PACKAGES:
        folder = importlib.import_module(package).__path__
        for module in pkgutil.walk_packages(folder, prefix=f"{package}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)
    importlib.import_module("ai_factory_infra.errors")  # all of its errors; the other modules want Pulumi
    found: set[type[FactoryError]] = set()
    pending: list[type[FactoryError]] = [FactoryError]
    while pending:
        subclasses = pending.pop().__subclasses__()
        pending += subclasses
        found |= set(subclasses)
    return sorted(found, key=lambda e: e.__qualname__)


ERRORS = every_error()
LEAVES = [e for e in ERRORS if not e.__subclasses__()]
WRITTEN = re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
SECTIONS = dict(WRITTEN)
STOP = re.compile(r"\[([a-z-]+)\]\(errors\.md#\1\) \((\d)\)")


def test_there_are_errors_in_every_package() -> None:
    assert {e.__module__.split(".")[0] for e in LEAVES} == {*PACKAGES, "ai_factory_infra"}


@pytest.mark.parametrize("error", LEAVES, ids=lambda e: e.__name__)
def test_an_error_has_a_slug_of_its_own_and_a_section_that_says_what_to_do(error: type[FactoryError]) -> None:
    assert "slug" in vars(error), "a class that is raised has its own slug"
    assert [e for e in ERRORS if vars(e).get("slug") == error.slug] == [error]
    assert "**What to do" in SECTIONS.get(error.slug, ""), f"playbooks/errors.md lacks a section `## {error.slug}`"


@pytest.mark.parametrize("error", LEAVES, ids=lambda e: e.__name__)
def test_an_error_has_one_of_the_exit_codes(error: type[FactoryError]) -> None:
    assert error.exit_code in (EXIT_USER_ERROR, EXIT_USAGE, EXIT_DRIFT, EXIT_CHECKS_FAILED)


def test_every_section_belongs_to_an_error_and_they_are_sorted() -> None:
    assert sorted(SECTIONS) == [slug for slug, _ in WRITTEN]
    assert sorted(set(SECTIONS) - {e.slug for e in ERRORS}) == []


def test_a_page_that_tells_an_errors_exit_code_tells_the_right_one() -> None:
    codes = {e.slug: str(e.exit_code) for e in LEAVES}
    told = [
        (page.name, *stop)
        for page in sorted(PAGE.parent.glob("*.md"))
        for stop in STOP.findall(page.read_text("utf-8"))
    ]
    assert len(told) > 8
    assert [f"{page}: {slug} ({code})" for page, slug, code in told if codes.get(slug) != code] == []
