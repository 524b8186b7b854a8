"""Lock: what composed a repository, file by file, as canonical YAML text. The same repository gives the same text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ai_factory.catalog import Owner
from ai_factory.compose import ownership
from ai_factory.facts import json_text
from ai_factory.plan import Plan
from ai_factory.tree import FileTree

LOCK = ".ai-factory/lock.yaml"
PRISTINE = ".ai-factory/pristine.tar.gz"
SCHEMA_VERSION = 1

_HEAD = """\
# Written by ai-factory; not for editing. It says which blueprint, at which version, wrote which file.
# An update compares with these digests, so keep this file under version control.
"""


@dataclass(frozen=True, slots=True)
class LockedBlueprint:
    """One layer: `digest` is the sha256 of the blueprint's folder, `answers` what its templates were told."""

    id: str
    version: str
    digest: str
    answers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LockedFile:
    """One file as it was written. `state` is managed, or once for a file that belongs to the user from then on."""

    path: str
    mode: int
    sha256: str
    rule: str
    owners: tuple[str, ...]
    ownership: Owner

    @property
    def state(self) -> str:
        return "once" if self.ownership == "user" else "managed"

    def facts(self) -> dict[str, str | list[str]]:
        """Everything but the path, by name."""
        return {
            "mode": f"{self.mode:o}",
            "owners": list(self.owners),
            "ownership": self.ownership,
            "rule": self.rule,
            "sha256": self.sha256,
            "state": self.state,
        }


@dataclass(frozen=True, slots=True)
class Lock:
    """Everything an update and an audit need to know. `inputs`: sha256 of what the user gave, by path."""

    factory_version: str
    jinja_version: str
    inputs: Mapping[str, str]
    pristine: str
    blueprints: tuple[LockedBlueprint, ...]
    files: tuple[LockedFile, ...]

    def text(self) -> str:
        """The canonical text: sorted where order has no meaning, one line a file, no clock."""
        return _HEAD + "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"schema: {SCHEMA_VERSION}"
        yield f"generator: {_flow({'ai-factory': self.factory_version, 'jinja2': self.jinja_version})}"
        yield f"pristine: {_flow({'path': PRISTINE, 'sha256': self.pristine})}"
        yield "inputs:"
        yield from (f"  {quoted(path)}: {_flow({'sha256': self.inputs[path]})}" for path in sorted(self.inputs))
        yield "blueprints:  # in the order they were laid"
        for b in self.blueprints:
            yield f"  - id: {b.id}"
            yield f"    version: {b.version}"
            yield f"    sha256: {b.digest}"
            yield "    answers:" + ("" if b.answers else " {}")
            yield from (f"      {name}: {quoted(b.answers[name])}" for name in sorted(b.answers))
        yield "files:"
        for f in self.files:
            yield f"  {quoted(f.path)}: {_flow(f.facts())}"


def build(
    plan: Plan,
    tree: FileTree,
    *,
    digests: Mapping[str, str],
    inputs: Mapping[str, str],
    pristine: str,
    factory_version: str,
    jinja_version: str,
) -> Lock:
    """The lock of a composed tree. `digests`: each blueprint's own sha256 by id; `pristine`: the archive's."""
    return Lock(
        factory_version=factory_version,
        jinja_version=jinja_version,
        inputs=dict(inputs),
        pristine=pristine,
        blueprints=tuple(
            LockedBlueprint(layer.id, layer.blueprint.version, digests[layer.id], plan.answers(layer.blueprint))
            for layer in plan.layers
        ),
        files=tuple(
            LockedFile(path, entry.mode, entry.sha256, entry.rule, entry.owners, ownership(plan.layers, path, entry))
            for path, entry in tree.items()
        ),
    )


def quoted(text: str) -> str:
    """A text as YAML: bare where no reader could take it for anything else, else as a JSON string."""
    return text if _BARE.fullmatch(text) and text.lower() not in _WORDS else json_text(text)


# Starts with a letter or an underscore: neither a number nor a date nor an indicator.
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})


def _flow(facts: Mapping[str, str | list[str]]) -> str:
    """A mapping in one line of YAML."""
    return "{" + ", ".join(f"{key}: {_flow_value(value)}" for key, value in facts.items()) + "}"


def _flow_value(value: str | list[str]) -> str:
    return quoted(value) if isinstance(value, str) else "[" + ", ".join(map(quoted, value)) + "]"
