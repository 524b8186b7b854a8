"""Prints what the steps of the pipeline and the commands about a run's origin came to."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ai_factory_runtime.commands.console import printable, show_json

if TYPE_CHECKING:
    from ai_factory_runtime.steps.reproducing import Reproduction
    from ai_factory_runtime.steps.stepwise import StepDone


def show_step(done: StepDone, *, as_json: bool) -> None:
    """What a step left, and where."""
    if as_json:
        show_json({"step": done.step, "run": done.run_id, "left": list(map(str, done.left)), "outcome": done.sentence})
        return
    lines = [f"{done.step}: {done.sentence}", *(f"left {folder}" for folder in done.left)]
    sys.stdout.write("\n".join(lines) + "\n")


def show_exported(path: Path, *, command: str, written: bool) -> None:
    """Where the pipeline's definition is, and what to do with it."""
    said = f"The pipeline is written to {path}." if written else f"{path} is the pipeline of this project."
    following = (
        f"Next: deploy the training stack; {command} export-pipeline --check tells when the file is out of date."
    )
    sys.stdout.write(said + ("\n" + following if written else "") + "\n")


def show_reproduction(made: Reproduction, *, as_json: bool) -> None:
    """Whether the model came out the same, and what is otherwise than it was."""
    if as_json:
        show_json(
            {
                "run": made.run_id,
                "version": made.version,
                "same": made.same,
                "fingerprint": {"then": made.then, "now": made.now},
                "differences": [dataclasses.asdict(d) for d in made.differences],
            }
        )
        return
    outcome = "is the same, byte for byte" if made.same else "comes out otherwise"
    lines = [f"Version {made.version} {outcome}: fingerprint {made.then[:12]} then, {made.now[:12]} now."]
    lines += [f"  {d.what}: then {d.then}, now {d.now}" for d in made.differences]
    if not made.differences:
        lines.append("  Data, use case, code, libraries, Python, machine and seed are as they were.")
    sys.stdout.write("\n".join(map(printable, lines)) + "\n")
