"""What each stack makes in each stage, as text: one line a resource, so that a review sees what a change adds or takes away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ai_factory_infra.testing import Registered, Registration
from helpers_infra import ARCHITECTURES, STAGES, registered

GOLDEN = Path(__file__).resolve().parent / "golden"
HEAD = """# Every resource of the stack `{stack}`, architecture `{architecture}`, in {stages}. Written by `make reference`.
# In each stage: `new`, there from the first `up`; `live`, once there is a release, a network and every option; `-`, never.
"""


def inventories() -> dict[str, str]:
    """File name -> text, for every architecture and stack."""
    return {
        f"{architecture}-{stack}.txt": inventory(architecture, stack)
        for architecture in ARCHITECTURES
        for stack in registered(architecture, STAGES[0])
    }


def inventory(architecture: str, stack: str) -> str:
    """One stack in all stages."""
    lines: dict[str, list[str]] = {}
    for i, stage in enumerate(STAGES):
        for state in ("live", "new"):  # what is there from the beginning is there later too, and wins
            for line in described(registered(architecture, stage, live=state == "live"), stack, stage):
                lines.setdefault(line, ["-"] * len(STAGES))[i] = state
    width = max(map(len, lines))
    head = HEAD.format(stack=stack, architecture=architecture, stages=", ".join(STAGES))
    rows = [f"{line:{width}}  {'  '.join(f'{state:4}' for state in lines[line])}".rstrip() for line in sorted(lines)]
    return head + "\n".join(rows) + "\n"


def described(stacks: Mapping[str, Registered], stack: str, stage: str) -> list[str]:
    """The stack's resources: type, logical name without the stage, and the options that decide what survives."""
    found = stacks[stack].resources if stack in stacks else []
    return [f"{r.type}  {r.name.replace(f'-{stage}', '-<stage>')}{_options(r)}" for r in found]


def _options(r: Registration) -> str:
    named = {"protect": r.protect, "retain": r.retain_on_delete, "create-first": r.delete_before_replace is False}
    said = [name for name, on in named.items() if on] + [f"ignores {name}" for name in r.ignore_changes]
    return f"  [{', '.join(said)}]" if said else ""


def renew() -> None:
    """Write all of them; remove those whose stack or architecture is gone."""
    GOLDEN.mkdir(exist_ok=True)
    texts = inventories()
    for old in {p.name for p in GOLDEN.glob("*.txt")} - texts.keys():
        (GOLDEN / old).unlink()
    for name, text in texts.items():
        (GOLDEN / name).write_text(text, encoding="utf-8")
