"""Manifest: the schema of blueprint.yaml, as strict pydantic models, and its translation into a Blueprint."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from ai_factory_spec.schema import DIALECT
from ai_factory_spec.suggest import did_you_mean
from ai_factory_spec.usecase import Stage
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ai_factory.catalog import Blueprint, Clash, How, Join, Kind, Need, OnlyIf, Owner, Ownership, Variable
from ai_factory.facts import FACTS

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
Reference = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*(/[a-z][a-z0-9]*(-[a-z0-9]+)*)?$")]
Reason = Annotated[str, Field(min_length=1, max_length=300)]
Glob = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^/\\]")]
OneLine = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\n\r]+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class NeedEntry(_Strict):
    """Something this blueprint cannot do without."""

    need: Reference = Field(description="A blueprint's id (`stacks/registry`) or a capability (`approvals`).")
    because: Reason = Field(description="The reason, as it completes the sentence 'A needs B because …'.")


class ConflictEntry(_Strict):
    """Something this blueprint does not work with."""

    # `with` is a Python keyword.
    other: Reference = Field(alias="with", description="A blueprint's id or a capability.")
    because: Reason = Field(description="The reason, as the user reads it when the combination is refused.")


class VariableEntry(_Strict):
    """A fact the templates use as `cookiecutter.<name>`."""

    default: str = Field(description="The value when the folder is baked alone with cookiecutter.")
    description: OneLine = Field(description="What it holds.")


class OwnershipEntry(_Strict):
    """Who may change the files that match. Where several entries match one file, the last one counts."""

    paths: Glob | tuple[Glob, ...] = Field(description="A glob or a list of globs, relative to the project.")
    owner: Owner = Field(description="factory: replaced by an update; shared: merged; user: written once.")


class JoinEntry(_Strict):
    """A file that several blueprints write together; each of them declares it."""

    path: Glob = Field(description="The file, relative to the project; no glob.")
    how: How = Field(
        description="sections: fragments between marks; toml: merged key by key; lines: the union of lines."
    )
    head: bool = Field(
        False, description="This blueprint's part comes first, and without this blueprint there is no file."
    )


class OnlyIfEntry(_Strict):
    """Files that exist only under a condition; under both where both are given."""

    paths: Glob | tuple[Glob, ...] = Field(description="A glob or a list of globs, relative to the project.")
    stage: Stage | None = Field(None, description="They exist where the use case deploys to this stage.")
    has: Reference | None = Field(None, description="They exist where this blueprint or capability is in the plan.")

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if self.stage is None and self.has is None:
            raise ValueError("says neither 'stage' nor 'has', so the files would always exist")
        return self


class Manifest(_Strict):
    """blueprint.yaml: what one blueprint is, what it needs, and how its files meet those of others."""

    apiVersion: Literal["ai-factory/v1"] = Field(description="The version of this file's schema.")
    kind: Kind = Field(description="What it is a part of; the name of the folder above.")
    name: Name = Field(description="The folder's name.")
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = Field(description="Semantic version: three numbers.")
    summary: OneLine = Field(description="One line: what it gives.")
    provides: tuple[Name, ...] = Field((), description="Capabilities others may need, beside its own id.")
    requires: tuple[NeedEntry, ...] = Field(
        (), description="What it cannot do without; added to the plan where one blueprint gives it."
    )
    conflicts: tuple[ConflictEntry, ...] = Field((), description="What it does not work with.")
    variables: dict[str, VariableEntry] = Field(
        {}, description="Facts its templates use; every name is one of the plan's facts."
    )
    ownership: tuple[OwnershipEntry, ...] = Field(
        (), description="Who may change which file; factory where nothing matches."
    )
    joins: tuple[JoinEntry, ...] = Field((), description="Files it shares with other blueprints.")
    only_if: tuple[OnlyIfEntry, ...] = Field((), description="Files that exist only under a condition.")
    copy_only: tuple[Glob, ...] = Field(
        (), description="Files and folders copied without rendering, as cookiecutter matches them."
    )
    components: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], ...] = Field(
        (), description="Component packages copied to components/."
    )
    docs: tuple[Annotated[str, Field(pattern=r"^[\w-]+\.md$")], ...] = Field(
        (), description="Playbook pages copied to docs/."
    )
    checks: tuple[OneLine, ...] = Field(
        (), description="Commands that prove the generated part works, run in the repository."
    )

    @field_validator("variables")
    @classmethod
    def _known_facts(cls, variables: dict[str, VariableEntry]) -> dict[str, VariableEntry]:
        unknown = [name for name in variables if name not in FACTS]
        if unknown:
            raise ValueError(
                "; ".join(f"{n!r} is no fact of a plan{did_you_mean(n, FACTS)}" for n in unknown)
                + f" (there are {', '.join(FACTS)})"
            )
        return variables

    def blueprint(self, folder: str) -> Blueprint:
        """The same facts as core's value."""
        return Blueprint(
            kind=self.kind,
            name=self.name,
            version=self.version,
            summary=self.summary,
            folder=folder,
            provides=self.provides,
            requires=tuple(Need(n.need, n.because) for n in self.requires),
            conflicts=tuple(Clash(c.other, c.because) for c in self.conflicts),
            variables=tuple(Variable(n, v.default, v.description) for n, v in self.variables.items()),
            ownership=tuple(Ownership(_many(o.paths), o.owner) for o in self.ownership),
            joins=tuple(Join(j.path, j.how, j.head) for j in self.joins),
            only_if=tuple(OnlyIf(_many(o.paths), o.stage, o.has) for o in self.only_if),
            copy_only=self.copy_only,
            components=self.components,
            docs=self.docs,
            checks=self.checks,
        )


def json_schema() -> dict[str, Any]:
    """The JSON Schema of blueprint.yaml."""
    return {"$schema": DIALECT, **Manifest.model_json_schema(by_alias=True)}


def _many(paths: str | tuple[str, ...]) -> tuple[str, ...]:
    return (paths,) if isinstance(paths, str) else paths
