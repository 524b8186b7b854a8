"""Layers -> one tree. A path that two layers write is shared, joined by declaration, or refused: never overwritten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ai_factory.catalog import Join, Owner, order
from ai_factory.errors import PathClaimedTwice
from ai_factory.joiners import Fragment, join
from ai_factory.plan import Layer, Plan
from ai_factory.tree import Entry, FileTree, matches

USECASE = "usecase.yaml"


@dataclass(frozen=True, slots=True)
class Claim:
    """One layer's wish to write one file."""

    layer: Layer
    entry: Entry

    def join(self, path: str) -> Join | None:
        """How the layer's blueprint declares to share the file, if it does."""
        return self.layer.blueprint.join(path)


def compose(plan: Plan, trees: Sequence[tuple[Layer, FileTree]]) -> FileTree:
    """All layers as one tree, in plan order. Raises PathClaimedTwice, JoinFailed or UnsafePath."""
    claims: dict[str, list[Claim]] = defaultdict(list)
    for layer, tree in trees:
        for path, entry in tree.items():
            if _exists(layer, path, plan):
                claims[path].append(Claim(layer, replace(entry, owners=(layer.id,))))
    settled = {path: _settle(path, _headed(path, some, plan)) for path, some in claims.items()}
    return FileTree({path: entry for path, entry in settled.items() if entry is not None})


def ownership(layers: Iterable[Layer], path: str, entry: Entry) -> Owner:
    """Who may change the file: the last glob that matches in its owners' manifests, in plan order; else the factory."""
    found: Owner = "factory"
    for layer in layers:
        if layer.id in entry.owners:
            for rule in layer.blueprint.ownership:
                if matches(path, rule.paths):
                    found = rule.owner
    return found


def _exists(layer: Layer, path: str, plan: Plan) -> bool:
    rules = [rule for rule in layer.blueprint.only_if if matches(path, rule.paths)]
    return all(
        (rule.stage is None or rule.stage in plan.stages) and (rule.has is None or rule.has in plan.gives)
        for rule in rules
    )


def _headed(path: str, claims: list[Claim], plan: Plan) -> list[Claim]:
    """The claims as people read them: the head first, then by kind and name, whatever needs what.

    None where the file has a head's blueprint somewhere, but not in this plan.
    """
    heads = {claim.layer.id for claim in claims if (join := claim.join(path)) and join.head}
    if path in plan.headed and not heads:
        return []
    return sorted(claims, key=lambda claim: (claim.layer.id not in heads, order(claim.layer.blueprint)))


def _settle(path: str, claims: Sequence[Claim]) -> Entry | None:
    if not claims:
        return None
    first = claims[0].entry
    declared = claims[0].join(path)
    owners = tuple(claim.layer.id for claim in claims)
    if declared and all((j := claim.join(path)) and j.how == declared.how for claim in claims):
        data = join(declared.how, path, [Fragment(claim.layer.id, claim.entry.data) for claim in claims])
        return replace(
            first, data=data, owners=owners, rule=declared.how, rendered=any(c.entry.rendered for c in claims)
        )
    if len(claims) == 1:
        return first
    if all((claim.entry.data, claim.entry.mode) == (first.data, first.mode) for claim in claims):
        return replace(first, owners=owners, rule="shared")
    raise PathClaimedTwice(path=path, owners=owners)
