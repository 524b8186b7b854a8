"""The steps of the training pipeline as a table: what each is given and leaves, by the names of folders.

One table for three runners: a step's own command, the whole run, and the pipeline that SageMaker runs. Knows no library.
"""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Literal

PREPARE, TRAIN, EVALUATE, REGISTER = "prepare", "train", "evaluate", "register"
# What comes from outside the pipeline: the rows, and the registry with its models, which is read and written.
DATA, ARTIFACTS = "data", "artifacts"
PREPARED, TRAINED, EVALUATION, PACKAGE = "prepared", "trained", "evaluation", "package"
# In the folder `package`: the model package itself, under a name that is known before the run is.
MODEL = "model"
EVALUATION_FILE, FAILED_GATES = "evaluation.json", "failed_gates"


@dataclass(frozen=True, slots=True)
class Step:
    """`job` is what it is to SageMaker. `only_if_passed`: it runs where every gate was passed."""

    name: str
    job: Literal["processing", "training"]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    only_if_passed: bool = False


TABLE = (
    Step(PREPARE, "processing", (DATA,), (PREPARED,)),
    Step(TRAIN, "training", (PREPARED,), (TRAINED,)),
    Step(EVALUATE, "processing", (PREPARED, TRAINED, ARTIFACTS), (EVALUATION, PACKAGE)),
    Step(REGISTER, "processing", (EVALUATION, PACKAGE, ARTIFACTS), (ARTIFACTS,), only_if_passed=True),
)


def maker_of(output: str, table: tuple[Step, ...] = TABLE) -> str | None:
    """The step that makes a folder; None for what comes from outside."""
    if output in (DATA, ARTIFACTS):
        return None
    return next(step.name for step in table if output in step.outputs)


def in_order(table: tuple[Step, ...] = TABLE) -> tuple[Step, ...]:
    """The steps, each after those whose outputs it is given. Raises graphlib.CycleError, StopIteration for an orphan."""
    named = {step.name: step for step in table}
    needs = {step.name: {m for i in step.inputs if (m := maker_of(i, table)) is not None} for step in table}
    return tuple(named[name] for name in TopologicalSorter(needs).static_order())
