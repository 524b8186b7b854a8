"""The table of contents: what each command does, step by step. Decisions are made elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from ai_factory_spec.reader import parse_usecase
from ai_factory_spec.suggest import did_you_mean

from ai_factory import __version__, archive, formats, incoming, loading, lock, usecase_text, workspace
from ai_factory.answers import Answers, Wish
from ai_factory.catalog import Blueprint
from ai_factory.compose import USECASE, compose
from ai_factory.errors import NoBlueprint
from ai_factory.laying import lay
from ai_factory.plan import Plan, resolve
from ai_factory.tree import Entry, FileTree

if TYPE_CHECKING:
    from ai_factory.intake import Intake

Working = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class Draft:
    """What was asked for and what was decided; nothing is rendered yet.

    `text` is what the new usecase.yaml will say, `data` are the files that come along.
    """

    given: str
    text: str
    data: tuple[workspace.Incoming, ...]
    plan: Plan


@dataclass(frozen=True, slots=True)
class Repository:
    """A whole repository as a value, but for the lock, which waits for the data's digest. `digests`: blueprints', by id."""

    draft: Draft
    tree: FileTree
    digests: Mapping[str, str]


def draft_from_spec(spec: Path) -> Draft:
    """From a use case's file to its plan."""
    return draft(loading.read_text(spec), file=str(spec), folder=spec.parent)


def draft_from_data(wish: Wish, answers: Answers, working: Working) -> Draft:
    """From a data file to the plan of the use case proposed for it."""
    from ai_factory import intake  # which imports DuckDB

    data = wish.data or answers.data()
    taken = intake.take_in(data, wish, answers, working, source=incoming.data_path(data))
    return draft(taken.usecase, file=f"the use case proposed for {data}", data=data)


def profile(data: Path, target: str | None, out: Path | None, answers: Answers, working: Working) -> Intake:
    """From a data file to its profile, and with a target or `out` to the use case proposed for it, which `out` receives."""
    from ai_factory import intake

    if target is None and out is None:
        return intake.Intake(intake.profiled(data, None, working), "")
    source = workspace.relative(data, (out or data).parent)
    taken = intake.take_in(data, Wish(data, target), answers, working, source=source)
    parse_usecase(taken.usecase, file=f"the use case proposed for {data}")
    if out is not None:
        workspace.write_new_file(out, taken.usecase)
    return taken


def draft(text: str, *, file: str, folder: Path = Path(), data: Path | None = None) -> Draft:
    """From a use case's text to its plan. `file` is how messages call the text, `folder` what `data.source` is relative to."""
    usecase = parse_usecase(text, file=file)
    plan = resolve(usecase, loading.load_catalog(), factory_version=__version__)
    source, files = incoming.of_file(data) if data else incoming.of_source(usecase.data, folder)
    return Draft(text, usecase_text.with_source(text, source), files, plan)


def create(draft: Draft, folder: Path, answers: Answers, working: Working, *, dry_run: bool) -> Repository:
    """From a plan to a repository on the disk; a dry run stops before it is written."""
    workspace.check_target(folder)
    for file in draft.data:
        workspace.check_source(file.source)
    with working("composing"):
        repository = compose_repository(draft)
    if not dry_run:
        answers.agree(draft.plan, folder)
        with working("writing"):
            write_repository(repository, folder)
    return repository


def compose_repository(draft: Draft) -> Repository:
    """From a plan to every file of the repository; nothing touches the disk."""
    laid = []
    digests = {}
    for layer in draft.plan.layers:
        files, digests[layer.id] = lay(layer, draft.plan, draft.text)
        laid.append((layer, files))
    tree = compose(draft.plan, laid)
    formats.check(tree)
    return Repository(draft, tree, digests)


def write_repository(repository: Repository, target: Path) -> None:
    """From a repository as a value to its folder: all of it, or nothing."""
    pristine = archive.pack(repository.tree)
    inputs = {USECASE: hashlib.sha256(repository.draft.given.encode()).hexdigest()}

    def last(copied: Mapping[str, str]) -> FileTree:
        locked = lock.build(
            repository.draft.plan,
            repository.tree,
            digests=repository.digests,
            inputs={**inputs, **copied},
            pristine=hashlib.sha256(pristine).hexdigest(),
            factory_version=__version__,
            jinja_version=jinja2.__version__,
        )
        return FileTree({lock.LOCK: Entry(locked.text().encode()), lock.PRISTINE: Entry(pristine)})

    workspace.create(target, repository.tree, repository.draft.data, last)


def find_blueprints(name: str) -> tuple[Blueprint, ...]:
    """The blueprints of an id or a bare name, which several kinds may share. Raises NoBlueprint."""
    catalog = loading.load_catalog()
    found = catalog.named(name)
    if not found:
        ids = [b.id for b in catalog]
        suggestion = did_you_mean(name, [*ids, *(b.name for b in catalog)])
        raise NoBlueprint(wanted=name, asked_by="the command line", allowed=ids, suggestion=suggestion)
    return found
