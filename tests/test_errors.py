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


def raised() -> list[type[FactoryError]]:
    """Every error class that is raised, from every module: those with a slug of their own, and those without subclasses."""
    for package in PACKAGES:
        folder = importlib.import_module(package).__path__
        for module in pkgutil.iter_modules(folder):
            if module.name != "__main__":
                importlib.import_module(f"{package}.{module.name}")
    found: list[type[FactoryError]] = []
    pending: list[type[FactoryError]] = [FactoryError]
    while pending:
        subclasses = pending.pop().__subclasses__()
        pending += subclasses
        found += [s for s in subclasses if "slug" in vars(s) or not s.__subclasses__()]
    return sorted(set(found), key=lambda e: e.__qualname__)


ERRORS = raised()
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))


def test_there_are_errors_in_every_package() -> None:
    assert {e.__module__.split(".")[0] for e in ERRORS} == set(PACKAGES)


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: e.__name__)
def test_an_error_has_a_slug_of_its_own_and_a_section_that_says_what_to_do(error: type[FactoryError]) -> None:
    assert "slug" in vars(error), "a class that is raised has its own slug"
    assert [e for e in ERRORS if e.slug == error.slug] == [error]
    assert "**What to do" in SECTIONS.get(error.slug, ""), f"playbooks/errors.md lacks a section `## {error.slug}`"


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: e.__name__)
def test_an_error_has_one_of_the_exit_codes(error: type[FactoryError]) -> None:
    assert error.exit_code in (EXIT_USER_ERROR, EXIT_USAGE, EXIT_DRIFT, EXIT_CHECKS_FAILED)


def test_every_section_belongs_to_an_error_and_they_are_sorted() -> None:
    assert sorted(SECTIONS) == list(SECTIONS)
    assert sorted(set(SECTIONS) - {e.slug for e in ERRORS}) == []
