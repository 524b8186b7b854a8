"""Plan: which blueprints a use case needs, in which order, why each was chosen, and what their templates are told."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from ai_factory_spec.suggest import did_you_mean
from ai_factory_spec.usecase import UseCase

from ai_factory.catalog import KINDS, SINGLE, Blueprint, Catalog, Kind, kind_of, order
from ai_factory.errors import Conflict, Cycle, NoBlueprint
from ai_factory.facts import facts

_MOST_EDITS = 3


@dataclass(frozen=True, slots=True)
class Layer:
    """A blueprint that was chosen, the reasons, and the chosen blueprints it stands on."""

    blueprint: Blueprint
    reasons: tuple[str, ...]
    needs: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The blueprint's id."""
        return self.blueprint.id


@dataclass(frozen=True, slots=True)
class Plan:
    """The layers in the order they are laid, and the facts. `headed`: files that only their head's blueprint can begin."""

    usecase: UseCase
    layers: tuple[Layer, ...]
    facts: Mapping[str, str]
    headed: frozenset[str]

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages the repository deploys to."""
        return self.usecase.deployment.stages

    @property
    def gives(self) -> frozenset[str]:
        """The ids and capabilities of all layers."""
        return frozenset(name for layer in self.layers for name in layer.blueprint.offers)

    def answers(self, blueprint: Blueprint) -> dict[str, str]:
        """The facts a blueprint declared that it uses."""
        return {v.name: self.facts[v.name] for v in blueprint.variables}


@dataclass(frozen=True, slots=True)
class Choice:
    """One blueprint the use case asks for, and the field that asks."""

    kind: Kind
    name: str
    asked_by: str

    @property
    def id(self) -> str:
        return f"{self.kind}/{self.name}"


def resolve(usecase: UseCase, catalog: Catalog, *, factory_version: str) -> Plan:
    """The plan of a use case. Raises NoBlueprint, Conflict (with the nearest combination that works) or Cycle."""
    asked = choices(usecase)
    _check_names(asked, catalog)
    chosen, clashes = _close(asked, catalog)
    if clashes:
        raise Conflict(reasons=clashes, nearest=_nearest(asked, catalog))
    layers = _sorted(chosen, catalog)
    told = facts(
        usecase,
        pipelines=[layer.blueprint.name for layer in layers if layer.blueprint.kind == "pipelines"],
        stacks=[layer.blueprint.name for layer in layers if layer.blueprint.kind == "stacks"],
        factory_version=factory_version,
    )
    return Plan(usecase, layers, told, catalog.headed)


def choices(usecase: UseCase) -> tuple[Choice, ...]:
    """What the use case asks for by name; the base is asked for always."""
    return (
        Choice("project", "base", "every repository"),
        Choice("architectures", usecase.architecture, "`architecture`"),
        *(Choice("pipelines", name, "`pipelines`") for name in dict.fromkeys(usecase.pipelines)),
        *(Choice("stacks", name, "`stacks`") for name in dict.fromkeys(usecase.stacks)),
        Choice("approvals", usecase.approval, "`approval`"),
        Choice("ci", usecase.ci, "`ci`"),
    )


def _check_names(asked: Iterable[Choice], catalog: Catalog) -> None:
    for choice in asked:
        if catalog.get(choice.id) is None:
            allowed = [b.name for b in catalog.of_kind(choice.kind)]
            raise NoBlueprint(
                wanted=choice.id,
                asked_by=choice.asked_by,
                allowed=allowed,
                suggestion=did_you_mean(choice.name, allowed),
            )


@dataclass(slots=True)
class _Chosen:
    """What is chosen while needs are followed: id -> reasons, in the order found."""

    reasons: dict[str, list[str]]

    def offering(self, name: str, catalog: Catalog) -> list[Blueprint]:
        return [b for b in catalog.offering(name) if b.id in self.reasons]


def _close(asked: Iterable[Choice], catalog: Catalog) -> tuple[_Chosen, list[str]]:
    """Follow every need until nothing is missing. Returns what is chosen, and a sentence for each clash."""
    chosen = _Chosen({})
    for choice in asked:
        chosen.reasons.setdefault(choice.id, []).append(f"{choice.asked_by} asks for it")
    clashes: list[str] = []
    queue = list(chosen.reasons)
    for identity in queue:
        blueprint = _known(identity, catalog)
        for need in blueprint.requires:
            if chosen.offering(need.name, catalog):
                continue
            provider, problem = _provider(need.name, catalog, chosen)
            if provider is None:
                clashes.append(f"{identity} needs {need.name} ({need.because}), {problem}.")
                continue
            chosen.reasons[provider.id] = [f"{identity} needs {_called(need.name, provider)}: {need.because}"]
            queue.append(provider.id)
    clashes += _clashes(chosen, catalog)
    return chosen, clashes


def _known(identity: str, catalog: Catalog) -> Blueprint:
    blueprint = catalog.get(identity)
    assert blueprint is not None, f"{identity} was chosen, so it is in the catalog"
    return blueprint


def _provider(name: str, catalog: Catalog, chosen: _Chosen) -> tuple[Blueprint | None, str]:
    """The one blueprint that can be added to meet a need, or None and why there is none."""
    kind = kind_of(name)
    taken = {_known(i, catalog).kind: i for i in chosen.reasons}
    if kind in SINGLE and kind in taken:
        return None, f"but the use case has {taken[kind]}, and it has only one of {kind}"
    offers = catalog.offering(name)
    free = [b for b in offers if not (b.kind in SINGLE and b.kind in taken)]
    if len(free) == 1:
        return free[0], ""
    if free:
        return None, f"which {' or '.join(b.id for b in free)} would give: choose one"
    if offers:
        return None, f"which only {' or '.join(b.id for b in offers)} would give"
    return None, f"which no blueprint gives{did_you_mean(name, {o for b in catalog for o in b.offers})}"


def _called(name: str, provider: Blueprint) -> str:
    return "it" if name == provider.id else f"{name!r}, which it provides"


def _clashes(chosen: _Chosen, catalog: Catalog) -> Iterator[str]:
    """One sentence for each pair that must not meet; a pair that declares it on both sides is told once."""
    told: set[frozenset[str]] = set()
    for identity in sorted(chosen.reasons):
        for clash in _known(identity, catalog).conflicts:
            for other in chosen.offering(clash.name, catalog):
                pair = frozenset((identity, other.id))
                if other.id != identity and pair not in told:
                    told.add(pair)
                    yield f"{identity} does not work with {other.id}: {clash.because}."


def _nearest(asked: tuple[Choice, ...], catalog: Catalog) -> str:
    """The fewest changes to the use case that make it work, as a sentence; empty where three are not enough."""
    edits = tuple(_edits(asked, catalog))
    for count in range(1, _MOST_EDITS + 1):
        for some in combinations(edits, count):
            changed = _apply(asked, some)
            if changed and not _close(changed, catalog)[1]:
                return " and ".join(edit.sentence for edit in some)
    return ""


@dataclass(frozen=True, slots=True)
class _Edit:
    """One change: `old` goes, `new` comes; either may be absent."""

    old: Choice | None
    new: Choice | None

    @property
    def sentence(self) -> str:
        if self.old and self.new:
            return f"{self.new.asked_by.strip('`')}: {self.new.name} instead of {self.old.name}"
        if self.new:
            return f"{self.new.name} added to {self.new.kind}"
        return f"{self.old.kind} without {self.old.name}" if self.old else ""


def _edits(asked: tuple[Choice, ...], catalog: Catalog) -> Iterator[_Edit]:
    """Every single change, the gentlest first: replace a single choice, add to a list, take from a list."""
    present = {choice.id for choice in asked}
    for choice in asked:
        if choice.kind in SINGLE and choice.kind != "project":
            for other in catalog.of_kind(choice.kind):
                if other.name != choice.name:
                    yield _Edit(choice, Choice(choice.kind, other.name, choice.asked_by))
    for kind in KINDS:
        if kind not in SINGLE:
            for other in catalog.of_kind(kind):
                if other.id not in present:
                    yield _Edit(None, Choice(kind, other.name, f"`{kind}`"))
    yield from (_Edit(choice, None) for choice in asked if choice.kind not in SINGLE)


def _apply(asked: tuple[Choice, ...], edits: tuple[_Edit, ...]) -> tuple[Choice, ...]:
    """The choices after the edits; nothing where two edits touch one choice."""
    olds = [edit.old for edit in edits if edit.old]
    if len(set(olds)) < len(olds):
        return ()
    kept = tuple(choice for choice in asked if choice not in olds)
    return kept + tuple(edit.new for edit in edits if edit.new)


def _sorted(chosen: _Chosen, catalog: Catalog) -> tuple[Layer, ...]:
    """Topological order: what is needed comes first, then kind, then name. Raises Cycle."""
    blueprints = {identity: _known(identity, catalog) for identity in chosen.reasons}
    needs = {
        identity: {other.id for need in b.requires for other in chosen.offering(need.name, catalog)} - {identity}
        for identity, b in blueprints.items()
    }
    waiting = {identity: set(others) for identity, others in needs.items()}
    ready = [(order(blueprints[i]), i) for i, others in waiting.items() if not others]
    heapq.heapify(ready)
    layers: list[Layer] = []
    while ready:
        _, identity = heapq.heappop(ready)
        layers.append(Layer(blueprints[identity], tuple(chosen.reasons[identity]), tuple(sorted(needs[identity]))))
        del waiting[identity]
        for other, missing in waiting.items():
            if identity in missing:
                missing.discard(identity)
                if not missing:
                    heapq.heappush(ready, (order(blueprints[other]), other))
    if waiting:
        raise Cycle(circle=_circle(waiting))
    return tuple(layers)


def _circle(waiting: Mapping[str, set[str]]) -> list[str]:
    """One circle among blueprints that all wait for another, begun at its least name."""
    path: list[str] = [min(waiting)]
    while True:
        following = min(other for other in waiting[path[-1]] if other in waiting)
        if following in path:
            circle = path[path.index(following) :]
            start = circle.index(min(circle))
            return circle[start:] + circle[:start]
        path.append(following)
