"""Every program tried without a cloud before the first is made: what one refuses is refused before anything is touched.

A program that cannot be tried so (it looks something up that only AWS knows, or has settings that only Pulumi can decrypt) is not
judged; it says so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pulumi

from ai_factory_infra.automation.programs import Program
from ai_factory_infra.config import ConfigError
from ai_factory_infra.errors import ProgramRefused


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one program: what it refuses, or why it could not be judged, or whose providers it makes things with."""

    stack: str
    refused: str = ""
    unsure: str = ""
    packages: frozenset[str] = frozenset()


def tried(programs: Sequence[Program]) -> Iterator[Tried]:
    """Run every program under mocks, in order, each reading what those before it export."""
    from ai_factory_infra.testing import run_program  # loads pulumi_aws: a second, and memory

    exports: dict[str, Mapping[str, Any]] = {}
    for program in programs:
        if why := _cannot(program):
            yield Tried(program.stack, unsure=why)
            continue
        try:
            with _no_word_of_what_was_left():
                done = run_program(program.folder, program.stage, exports=exports)
        except (ConfigError, pulumi.InputPropertiesError) as error:
            yield Tried(program.stack, refused=str(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a program may raise whatever it likes
            yield Tried(program.stack, unsure=f"{type(error).__name__}: {error}".splitlines()[0])
        else:
            exports[done.project] = done.outputs
            made = {_package(r.type) for r in done.resources if r.by_provider}
            yield Tried(program.stack, packages=frozenset(made | {_package(token) for token in done.invokes}))


@contextmanager
def _no_word_of_what_was_left() -> Iterator[None]:
    """asyncio tells of every output that a program which failed leaves behind; its error has said it."""
    log = logging.getLogger("asyncio")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def refuse(found: Iterable[Tried]) -> None:
    """Raise ProgramRefused with everything that any of them refuses."""
    refused = [(t.stack, t.refused) for t in found if t.refused]
    if refused:
        raise ProgramRefused(refused=refused)


def _cannot(program: Program) -> str:
    """Why a program's settings are not all in its files; empty where they are."""
    if program.borrows_environment:
        return "it takes settings from a Pulumi environment"
    hidden = [k for k, v in {**program.settings, **program.foreign}.items() if _is_encrypted(v)]
    return f"only Pulumi can decrypt {', '.join(sorted(hidden))}" if hidden else ""


def _is_encrypted(value: str) -> bool:
    if not value.startswith("{"):
        return False
    try:
        return set(json.loads(value)) == {"secure"}
    except ValueError:
        return False


def _package(token: str) -> str:
    """Whose provider a type belongs to: `aws` of `aws:s3/bucket:Bucket` and of `pulumi:providers:aws`."""
    package, _, rest = token.partition(":")
    return rest.removeprefix("providers:") if rest.startswith("providers:") else package
