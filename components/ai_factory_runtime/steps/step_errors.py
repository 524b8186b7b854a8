"""What the steps of the pipeline and `reproduce` refuse, beside the errors of training in `errors`.

FactoryError (ai_factory_spec.errors)
├── HandoverBroken       what a step was handed is not what the step before leaves         exit 1
├── NothingToReproduce   a run that registered no model, so there is none to make again         1
└── DefinitionStale      the exported pipeline is not what this project would export            3
"""

# ruff: noqa: N818 - the names say what happened, as in `errors`.

from __future__ import annotations

from pathlib import Path

from ai_factory_spec.errors import EXIT_DRIFT, FactoryError


class HandoverBroken(FactoryError):
    """A file between two steps is missing, damaged, or of another version of the runtime."""

    slug = "handover-broken"

    def __init__(self, *, path: Path, problem: str) -> None:
        super().__init__(
            f"This step cannot use {path}, which the step before it leaves: {problem}.",
            hint="Run the steps in their order (`step --help`) with one version of the project, each with what the one "
            "before it left in $FACTORY_IO.",
        )


class NothingToReproduce(FactoryError):
    """The run made no model that is still known."""

    slug = "nothing-to-reproduce"

    def __init__(self, *, run_id: str, reason: str) -> None:
        super().__init__(
            f"There is no model of run {run_id} to make again: {reason}.",
            hint="`show` lists the runs and their versions; name one that has a version.",
        )


class DefinitionStale(FactoryError):
    """The file does not hold the pipeline that this project would export now."""

    slug = "definition-stale"
    exit_code = EXIT_DRIFT

    def __init__(self, *, path: Path, problem: str) -> None:
        super().__init__(
            f"{path} is not the pipeline of this project: {problem}.",
            hint="`export-pipeline` writes it anew.",
        )
