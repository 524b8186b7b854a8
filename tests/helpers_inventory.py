"""What each stack makes in each stage, as text: one line a resource, so that a review sees what a change adds or takes away."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ai_factory_infra.testing import Registered, Registration, run_program
from helpers_infra import ARCHITECTURES, SLUG, STAGES, bake, registered

GOLDEN = Path(__file__).resolve().parent / "golden"
# What the last release protects. Written anew (`python tests/helpers_inventory.py`) when a release is made, and only then.
RELEASED = GOLDEN / "released" / "protected.txt"
HEAD = """# Every resource of the stack `{stack}`, for `{kind}`, in {stages}. Written by `make reference`.
# In each stage: `new`, there from the first `up`; `live`, once there is a release, a network and every option; `-`, never.
"""


def inventories() -> dict[str, str]:
    """File name -> text: every stack of every architecture, then those that a serving mode or a stream changes."""
    whole = {
        f"{architecture}-{stack}.txt": inventory(architecture, stack, partial(_of_all, architecture, stack))
        for architecture in ARCHITECTURES
        for stack in registered(architecture, STAGES[0])
    }
    modes = {
        f"{mode}-serving.txt": inventory(
            mode, "serving", partial(_alone, "serving", {"release": "7"}, serving_mode=mode)
        )
        for mode in ("serverless", "async")
    }
    options = {"audit": "true", "quiet_minutes": "60"}
    stream = partial(_alone, "ingestion", options, architecture="streaming")
    return whole | modes | {"streaming-ingestion.txt": inventory("streaming", "ingestion", stream)}


def inventory(kind: str, stack: str, run: Callable[[str, bool], Registered]) -> str:
    """One stack in all stages. `run`: what it registers in a stage, with a release and every option or without."""
    lines: dict[str, list[str]] = {}
    for i, stage in enumerate(STAGES):
        for state in ("live", "new"):  # what is there from the beginning is there later too, and wins
            for line in described(run(stage, state == "live"), stage):
                lines.setdefault(line, ["-"] * len(STAGES))[i] = state
    width = max(map(len, lines))
    head = HEAD.format(stack=stack, kind=kind, stages=", ".join(STAGES))
    rows = [f"{line:{width}}  {'  '.join(f'{state:4}' for state in lines[line])}".rstrip() for line in sorted(lines)]
    return head + "\n".join(rows) + "\n"


def _of_all(architecture: str, stack: str, stage: str, live: bool) -> Registered:
    return registered(architecture, stage, live=live)[stack]


def _alone(stack: str, options: Mapping[str, str], stage: str, live: bool, **facts: str) -> Registered:
    """A stack on top of those of the real-time architecture."""
    exports = {found.project: found.outputs for found in registered("realtime", stage, live=live).values()}
    program = _project(stack, **facts) / "infra" / stack
    return run_program(program, stage, exports=exports, config=options if live else {})


@functools.cache
def _project(stack: str, **facts: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="inventory-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    bake(folder, stack, **{"architecture": "realtime", **facts})
    return folder / SLUG


def described(found: Registered, stage: str) -> list[str]:
    """The stack's resources: type, logical name without the stage, and the options that decide what survives."""
    return [f"{r.type}  {r.name.replace(f'-{stage}', '-<stage>')}{_options(r)}" for r in found.resources]


def _options(r: Registration) -> str:
    named = {"protect": r.protect, "retain": r.retain_on_delete, "create-first": r.delete_before_replace is False}
    said = [name for name, on in named.items() if on] + [f"ignores {name}" for name in r.ignore_changes]
    return f"  [{', '.join(said)}]" if said else ""


def kept() -> list[str]:
    """The URN of everything that is protected, in every architecture and stage, before there is a release and after."""
    found = {
        r.urn
        for architecture in ARCHITECTURES
        for stage in STAGES
        for live in (False, True)
        for stack in registered(architecture, stage, live=live).values()
        for r in stack.resources
        if r.protect and r.type.startswith("aws:")
    }
    return sorted(found)


def known_by() -> set[str]:
    """Every URN that today's programs register, and every one that they give as an alias."""
    every = (
        r
        for architecture in ARCHITECTURES
        for stage in STAGES
        for stack in registered(architecture, stage, live=True).values()
        for r in stack.resources
    )
    return {urn for r in every for urn in (r.urn, *r.aliases)}


def renew() -> None:
    """Write all of them; remove those whose stack or architecture is gone."""
    GOLDEN.mkdir(exist_ok=True)
    texts = inventories()
    for old in {p.name for p in GOLDEN.glob("*.txt")} - texts.keys():
        (GOLDEN / old).unlink()
    for name, text in texts.items():
        (GOLDEN / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    RELEASED.parent.mkdir(parents=True, exist_ok=True)
    RELEASED.write_text("\n".join(kept()) + "\n", encoding="utf-8")
