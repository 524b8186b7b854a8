"""Who may do what, and why: a report of every role of a stage, read from what the programs register.

    python -m ai_factory_infra.permissions infra --stage prod --out docs

writes `permissions-prod.md` and `permissions-prod.html`. Nothing is written by hand: a statement without a reason is refused
when its role is made, so there is no row without one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from ai_factory_spec.errors import FactoryError
from ai_factory_spec.naming import STAGES

from ai_factory_infra.errors import tell
from ai_factory_infra.statement_rules import listed, statements
from ai_factory_infra.testing import ACCOUNT, REGION, Registered, run_stage_once

ROLE = "aws:iam/role:Role"
STANDS_FOR = f"Read without a cloud: the account {ACCOUNT}, the region {REGION} and endings such as 1a2b3c4 stand for what AWS gives."
COLUMNS = ("Statement", "May", "On", "Only if", "Why")
STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .25rem; } p { margin: 0 0 .5rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .86rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td:nth-child(2) code { white-space: nowrap; } td:last-child { min-width: 14rem; } .never { color: var(--bad); } code { overflow-wrap: anywhere; }
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One statement: what it allows (or never allows), on what, under which conditions, and why."""

    sid: str
    never: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class RoleReport:
    """One role: the stack that makes it, its logical name, who may assume it, and what it may do."""

    stack: str
    name: str
    assumed_by: str
    bounded: bool
    lines: tuple[Line, ...]


def roles(stacks: Mapping[str, Registered]) -> list[RoleReport]:
    """Every role of a stage, stack after stack, in the order in which they are made."""
    return [report for stack, found in stacks.items() for report in _roles(stack, found)]


def _roles(stack: str, found: Registered) -> Iterator[RoleReport]:
    for role in found.of(ROLE):
        said = found.reported.get(role.parent, {})
        reasons: Mapping[str, str] = said.get("reasons") or {}
        yield RoleReport(
            stack=stack,
            name=role.name,
            assumed_by=_assumed_by(role.inputs.get("assumeRolePolicy")),
            bounded=bool(role.inputs.get("permissionsBoundary")),
            lines=tuple(_line(s, reasons) for s in statements(said.get("policy"))),
        )


def _line(statement: Mapping[str, Any], reasons: Mapping[str, str]) -> Line:
    sid = str(statement["Sid"])
    return Line(
        sid=sid,
        never=statement["Effect"] == "Deny",
        actions=tuple(listed(statement["Action"])),
        resources=tuple(listed(statement["Resource"])),
        conditions=tuple(_conditions(statement.get("Condition", {}))),
        why=reasons.get(sid, ""),
    )


def _conditions(conditions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for operator, keys in conditions.items():
        for key, values in keys.items():
            yield f"{key} {operator} {', '.join(map(str, listed(values)))}"


def _assumed_by(trust: object) -> str:
    """The principals of a trust policy, and for a code host the subjects that its tokens must carry."""
    names: list[str] = []
    for statement in statements(trust):
        for values in statement["Principal"].values():
            names += [str(v).rsplit("/", 1)[-1] for v in listed(values)]
        equals = statement.get("Condition", {}).get("StringEquals", {})
        names += [str(v) for key, values in equals.items() if key.endswith(":sub") for v in listed(values)]
    return ", ".join(names)


def markdown(stage: str, reports: Sequence[RoleReport]) -> str:
    """The report as GitHub shows it."""
    return "\n".join(_markdown(stage, reports)) + "\n"


def _markdown(stage: str, reports: Sequence[RoleReport]) -> Iterator[str]:
    yield f"# Who may do what in {stage}"
    yield ""
    yield _summary(reports)
    for role in reports:
        yield from ("", f"## {role.name}", "", _about(role), "")
        yield f"| {' | '.join(COLUMNS)} |"
        yield f"|{'---|' * len(COLUMNS)}"
        for line in role.lines:
            cells = [_may(line), _codes(line.actions), _codes(line.resources), _codes(line.conditions), line.why]
            yield f"| {' | '.join(cells)} |"


def _summary(reports: Sequence[RoleReport]) -> str:
    count = sum(len(r.lines) for r in reports)
    return f"{len(reports)} roles, {count} statements; each says why. What is not listed is refused. {STANDS_FOR}"


def _about(role: RoleReport) -> str:
    bound = "; under a permissions boundary" if role.bounded else ""
    return f"Made by the stack {role.stack}; assumed by {role.assumed_by}{bound}."


def _may(line: Line) -> str:
    return f"**never**: {line.sid}" if line.never else line.sid


def _codes(values: Sequence[str]) -> str:
    return "<br>".join(f"`{v}`".replace("|", "\\|") for v in values)


def html(stage: str, reports: Sequence[RoleReport]) -> str:
    """The report as one page that needs nothing else."""
    sections = "".join(_section(r) for r in reports)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Who may do what in {escape(stage)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>Who may do what in {escape(stage)}</h1><p>{escape(_summary(reports))}</p>{sections}</body></html>\n"
    )


def _section(role: RoleReport) -> str:
    head = "".join(f'<th scope="col">{c}</th>' for c in COLUMNS)
    rows = "".join(_row(line) for line in role.lines)
    return (
        f"<h2>{escape(role.name)}</h2><p>{escape(_about(role))}</p>"
        f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _row(line: Line) -> str:
    def codes(values: Sequence[str]) -> str:
        return "<br>".join(f"<code>{escape(v)}</code>" for v in values)

    sid = f'<strong class="never">never</strong>: {escape(line.sid)}' if line.never else escape(line.sid)
    cells = (sid, codes(line.actions), codes(line.resources), codes(line.conditions), escape(line.why))
    return f"<tr>{''.join(f'<td>{c}</td>' for c in cells)}</tr>"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write both forms, and say where."""
    parser = argparse.ArgumentParser(prog="ai_factory_infra.permissions", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("infra", type=Path, help="the folder of the programs")
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    asked = parser.parse_args(arguments)
    try:
        found = roles(run_stage_once(asked.infra.resolve(), asked.stage))
    except FactoryError as error:
        return tell(error)
    asked.out.mkdir(parents=True, exist_ok=True)
    for ending, text in (("md", markdown(asked.stage, found)), ("html", html(asked.stage, found))):
        file = asked.out / f"permissions-{asked.stage}.{ending}"
        file.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{file}: {_summary(found)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
