"""The commands of the pipeline's steps: `step NAME` runs one, `export-pipeline` writes all of them for SageMaker."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ai_factory_runtime.base.project import Project

StepName = StrEnum("StepName", ["prepare", "train", "evaluate", "register"])


def add(app: typer.Typer, project: Callable[[], Project], command: str) -> None:
    """Add the commands to the project's own."""

    @app.command()
    def step(
        name: Annotated[StepName, typer.Argument(help="prepare, train, evaluate or register, in this order.")],
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")] = False,
    ) -> None:
        """Run one step of `run`, from $FACTORY_IO/input to $FACTORY_IO/output: what a container of the pipeline does."""
        from ai_factory_runtime.commands import console, console_steps
        from ai_factory_runtime.steps.pipeline import STEPS
        from ai_factory_runtime.steps.stepwise import Folders, run_step

        opened = project()
        with console.progress(STEPS, quiet=as_json) as progress:
            done = run_step(opened, name.value, Folders.of(os.environ), progress)
        console_steps.show_step(done, as_json=as_json)

    @app.command("export-pipeline")
    def export_pipeline(
        out: Annotated[
            Path | None,
            typer.Option("--out", help="Where to write it.", show_default="infra/training/pipeline.json"),
        ] = None,
        check: Annotated[
            bool, typer.Option("--check", help="Only compare with the file. Exit 3 where it differs.")
        ] = False,
    ) -> None:
        """Write `run` as a SageMaker pipeline: the definition (schema 2020-12-01) that the training stack deploys."""
        from ai_factory_runtime.commands import console_steps
        from ai_factory_runtime.steps.exporting import check_exported, export

        opened = project()
        path = out or opened.root / "infra" / "training" / "pipeline.json"
        if check:
            check_exported(opened, path)
        else:
            export(opened, path)
        console_steps.show_exported(path, command=command, written=not check)
