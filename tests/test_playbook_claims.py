"""What the pages tell people to type exists: commands with their options, make's targets, variables of the environment."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
from ai_factory_infra.__main__ import _parser
from ai_factory_runtime.cli import build_app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "playbooks").glob("*.md"))]
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
IN_BLOCK = re.compile(r"^(?:churn|<command>) (.+)$", re.MULTILINE)
IN_SENTENCE = re.compile(r"`(?:churn|<command>) ([^`]+)`")


def blocks(text: str) -> str:
    """What stands in the fenced blocks of a page."""
    return "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


@functools.cache
def project_command() -> Any:
    """The command of a generated repository, as the library of commands holds it."""

    def unused(*_: object) -> None:
        raise AssertionError("nothing is run")

    return typer.main.get_command(build_app("churn", unused))  # type: ignore[arg-type]


SHOWN = [
    (page, tuple(shlex.split(line, comments=True)))
    for page, text in TEXTS.items()
    for line in (*IN_BLOCK.findall(blocks(text)), *IN_SENTENCE.findall(text))
]


def path_of(words: tuple[str, ...]) -> tuple[str, ...]:
    """The commands that the words name, one within the other. Raises ValueError at a command or an option that does not exist."""
    command, path, rest = project_command(), (), list(words)
    while rest and rest[0] != "…":
        word = rest.pop(0)
        if word.startswith("-"):
            option = next((p for p in command.params if word in (*p.opts, *p.secondary_opts)), None)
            if option is None:
                raise ValueError(f"{' '.join(words)}: there is no option {word}")
            del rest[: 0 if option.is_flag else 1]
        elif inner := getattr(command, "commands", None):
            if word not in inner:
                raise ValueError(f"{' '.join(words)}: there is no command {word}")
            command, path = inner[word], (*path, word)
    return path


def leaves(command: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The paths of all commands that hold no others."""
    inner = getattr(command, "commands", None)
    if inner is None:
        return {path}
    return {leaf for name, one in inner.items() for leaf in leaves(one, (*path, name))}


def test_every_command_of_a_project_that_a_page_shows_exists_with_its_options() -> None:
    assert len(SHOWN) > 60
    for _, words in SHOWN:
        path_of(words)


@pytest.mark.parametrize("words", [("runn",), ("run", "--fast"), ("rollout", "begin", "4"), ("--part", "AT", "run")])
def test_a_command_that_does_not_exist_would_be_noticed(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="there is no"):
        path_of(words)


def test_every_command_of_a_project_is_shown_by_a_page() -> None:
    assert sorted(leaves(project_command()) - {path_of(words) for _, words in SHOWN}) == []


def test_every_make_target_that_a_page_names_exists() -> None:
    makefiles = [ROOT / "Makefile", *sorted((ROOT / "blueprints").glob("*/*/*/Makefile"))]
    made = {t for file in makefiles for t in re.findall(r"^([a-z-]+):", file.read_text(encoding="utf-8"), re.MULTILINE)}
    named = {
        (page, t) for page, text in TEXTS.items() for t in re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)
    }
    assert len(named) > 20
    assert sorted(f"{page}: make {target}" for page, target in named if target not in made) == []


def test_every_command_of_the_stacks_that_a_page_shows_is_taken() -> None:
    shown = {
        found.strip() for text in TEXTS.values() for found in re.findall(r"python -m ai_factory_infra ([a-z -]+)", text)
    }
    assert len(shown) > 2
    for words in sorted(shown):
        _parser().parse_args(words.split())


def test_every_variable_that_a_page_names_is_read_somewhere() -> None:
    files = [p for folder in ("components", "generator") for p in sorted((ROOT / folder).rglob("*.py"))]
    read = {name for file in files for name in re.findall(r"AI_FACTORY_[A-Z_]+", file.read_text(encoding="utf-8"))}
    named = {(page, name) for page, text in TEXTS.items() for name in re.findall(r"AI_FACTORY_[A-Z_]+", text)}
    assert len(named) > 10
    assert sorted(f"{page}: {name}" for page, name in named if name not in read) == []
