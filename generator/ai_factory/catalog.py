"""Blueprint and Catalog: what can be built, what each part needs, and what it does not get along with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["project", "architectures", "pipelines", "stacks", "approvals", "ci"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# A use case names exactly one of each of these, and any number of the others.
SINGLE: tuple[Kind, ...] = ("project", "architectures", "approvals", "ci")

How = Literal["sections", "toml", "lines"]
Owner = Literal["factory", "shared", "user"]


@dataclass(frozen=True, slots=True)
class Need:
    """Something a blueprint cannot do without: a blueprint's id or a capability, and the reason."""

    name: str
    because: str


@dataclass(frozen=True, slots=True)
class Clash:
    """Something a blueprint cannot live beside: a blueprint's id or a capability, and the reason."""

    name: str
    because: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A fact the templates use. `default` serves only a folder baked alone with cookiecutter."""

    name: str
    default: str
    description: str


@dataclass(frozen=True, slots=True)
class Ownership:
    """Who may change the files that match: factory (replaced by an update), shared (merged), user (written once)."""

    paths: tuple[str, ...]
    owner: Owner


@dataclass(frozen=True, slots=True)
class Join:
    """A file this blueprint shares with others. The `head` of a file in sections comes first, and without it there is none."""

    path: str
    how: How
    head: bool = False


@dataclass(frozen=True, slots=True)
class OnlyIf:
    """Files that exist only where the use case has that stage, and the plan that blueprint or capability."""

    paths: tuple[str, ...]
    stage: str | None = None
    has: str | None = None


@dataclass(frozen=True, slots=True)
class Blueprint:
    """One reusable part of a repository, as its manifest declares it. `folder` is where it was read from; core never opens it."""

    kind: Kind
    name: str
    version: str
    summary: str
    folder: str
    provides: tuple[str, ...] = ()
    requires: tuple[Need, ...] = ()
    conflicts: tuple[Clash, ...] = ()
    variables: tuple[Variable, ...] = ()
    ownership: tuple[Ownership, ...] = ()
    joins: tuple[Join, ...] = ()
    only_if: tuple[OnlyIf, ...] = ()
    copy_only: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    docs: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """`<kind>/<name>`, unique in a catalog."""
        return f"{self.kind}/{self.name}"

    @property
    def offers(self) -> frozenset[str]:
        """What a need or a clash may call it: its id, and every capability it provides."""
        return frozenset((self.id, *self.provides))

    def join(self, path: str) -> Join | None:
        """How this blueprint declares to share a file, if it does."""
        return next((j for j in self.joins if j.path == path), None)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Every blueprint there is, by id, in plan order (kind, then name)."""

    blueprints: tuple[Blueprint, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "blueprints", tuple(sorted(self.blueprints, key=order)))

    def __iter__(self) -> Iterator[Blueprint]:
        return iter(self.blueprints)

    def get(self, identity: str) -> Blueprint | None:
        """The blueprint of that id, or None."""
        return next((b for b in self.blueprints if b.id == identity), None)

    def of_kind(self, kind: Kind) -> tuple[Blueprint, ...]:
        """All blueprints of a kind, by name."""
        return tuple(b for b in self.blueprints if b.kind == kind)

    def offering(self, name: str) -> tuple[Blueprint, ...]:
        """All blueprints that a need of that name would be met by."""
        return tuple(b for b in self.blueprints if name in b.offers)

    def named(self, text: str) -> tuple[Blueprint, ...]:
        """The blueprints a person means by an id or by a bare name, which several kinds may share."""
        return tuple(b for b in self.blueprints if text in (b.id, b.name))

    @property
    def headed(self) -> frozenset[str]:
        """Files that exist only where the blueprint which declares their head is chosen."""
        return frozenset(j.path for b in self.blueprints for j in b.joins if j.head)


def order(blueprint: Blueprint) -> tuple[int, str]:
    """The order of layers where no need says otherwise: kind, then name."""
    return KINDS.index(blueprint.kind), blueprint.name


def kind_of(identity: str) -> Kind | None:
    """The kind an id such as `stacks/serving` belongs to, or None when it is a capability."""
    head, slash, _ = identity.partition("/")
    return next((kind for kind in KINDS if slash and kind == head), None)
