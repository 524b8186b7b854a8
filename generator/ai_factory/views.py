"""What each command says: values of core -> texts and tables for people, plain data for programs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from ai_factory.catalog import Blueprint, Catalog
from ai_factory.compose import ownership
from ai_factory.lock import LOCK, PRISTINE
from ai_factory.pipeline import Repository
from ai_factory.plan import Plan
from ai_factory.report import Table

Parts = tuple[str | Table, ...]


def plan_parts(plan: Plan, *, explain: bool) -> Parts:
    """The layers in order; with `explain` also why each was chosen, what it stands on, and the facts templates are told."""
    if not explain:
        rows = tuple((layer.id, layer.blueprint.version, layer.blueprint.summary) for layer in plan.layers)
        return (Table(_plan_title(plan), ("blueprint", "version", "what it gives"), rows),)
    rows = tuple((layer.id, "; ".join(layer.reasons), ", ".join(layer.needs) or "nothing") for layer in plan.layers)
    facts = tuple((name, plan.facts[name]) for name in plan.facts if "\n" not in plan.facts[name])
    return (
        Table(_plan_title(plan), ("blueprint", "because", "stands on"), rows),
        "",
        Table("Facts its templates are told:", ("fact", "value"), facts),
    )


def _plan_title(plan: Plan) -> str:
    facts = plan.facts
    return (
        f"{facts['project_slug']}: package {facts['package']}, command {facts['command']}, {plan.usecase.model.task}, "
        f"stages {', '.join(plan.stages)}; {len(plan.layers)} blueprints in this order:"
    )


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan for a program."""
    return {
        "layers": [
            {
                "id": layer.id,
                "version": layer.blueprint.version,
                "reasons": list(layer.reasons),
                "needs": list(layer.needs),
            }
            for layer in plan.layers
        ],
        "facts": dict(plan.facts),
    }


def files_table(repository: Repository) -> Table:
    """Every file that would be written, with whom it belongs to and where it comes from."""
    layers = repository.draft.plan.layers
    rows = [(path, ownership(layers, path, entry), " + ".join(entry.owners)) for path, entry in repository.tree.items()]
    rows += [(path, "factory", "ai-factory") for path in (LOCK, PRISTINE)]
    return Table(f"{len(rows)} files:", ("file", "owner", "written by"), tuple(sorted(rows)))


def new_data(repository: Repository, target: Path, *, written: bool) -> dict[str, Any]:
    """What `new` did, or would do, for a program."""
    facts = repository.draft.plan.facts
    return {
        "written": written,
        "path": str(target.absolute()),
        "project": {
            name: facts[f] for name, f in (("slug", "project_slug"), ("package", "package"), ("command", "command"))
        },
        **plan_data(repository.draft.plan),
        "files": sorted([*repository.tree, LOCK, PRISTINE]),
        "next": next_commands(target),
    }


def next_commands(target: Path) -> list[str]:
    """The three commands to run next."""
    return [f"cd {shlex.quote(str(target))}", "make setup", "make run"]


def new_parts(repository: Repository, target: Path) -> Parts:
    """What `new` wrote, and what to do next."""
    commands = "\n".join(f"  {command}" for command in next_commands(target))
    return (f"{target}: {len(repository.tree) + 2} files from {len(repository.digests)} blueprints. Next:\n{commands}",)


def catalog_table(catalog: Catalog) -> Table:
    """Every blueprint in one line."""
    return Table("", ("blueprint", "version", "what it gives"), tuple((b.id, b.version, b.summary) for b in catalog))


def catalog_data(catalog: Catalog) -> list[dict[str, str]]:
    """Every blueprint in brief, for a program."""
    return [{"id": b.id, "version": b.version, "summary": b.summary} for b in catalog]


def blueprint_parts(blueprint: Blueprint) -> Parts:
    """Everything a manifest says."""
    relations = [
        *(("provides", name, "") for name in blueprint.provides),
        *(("requires", need.name, need.because) for need in blueprint.requires),
        *(("conflicts with", clash.name, clash.because) for clash in blueprint.conflicts),
    ]
    brings = [
        *(("component", name) for name in blueprint.components),
        *(("page", name) for name in blueprint.docs),
        *(("check", command) for command in blueprint.checks),
        *((f"{join.how} of", join.path) for join in blueprint.joins),
    ]
    parts: list[str | Table] = [f"{blueprint.id} {blueprint.version}: {blueprint.summary}"]
    if relations:
        parts += ["", Table("", ("relation", "to", "because"), tuple(relations))]
    if blueprint.variables:
        rows = tuple((v.name, v.description) for v in blueprint.variables)
        parts += ["", Table("", ("variable", "what it holds"), rows)]
    if brings:
        parts += ["", Table("", ("brings", "what"), tuple(brings))]
    return tuple(parts)


def blueprint_data(blueprint: Blueprint) -> dict[str, Any]:
    """Everything a manifest says, for a program."""
    return {
        "id": blueprint.id,
        "version": blueprint.version,
        "summary": blueprint.summary,
        "provides": list(blueprint.provides),
        "requires": [{"need": n.name, "because": n.because} for n in blueprint.requires],
        "conflicts": [{"with": c.name, "because": c.because} for c in blueprint.conflicts],
        "variables": [
            {"name": v.name, "default": v.default, "description": v.description} for v in blueprint.variables
        ],
        "ownership": [{"paths": list(o.paths), "owner": o.owner} for o in blueprint.ownership],
        "joins": [{"path": j.path, "how": j.how, "head": j.head} for j in blueprint.joins],
        "only_if": [{"paths": list(o.paths), "stage": o.stage, "has": o.has} for o in blueprint.only_if],
        "components": list(blueprint.components),
        "docs": list(blueprint.docs),
        "checks": list(blueprint.checks),
    }
