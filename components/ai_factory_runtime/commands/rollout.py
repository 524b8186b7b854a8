"""The commands of a rollout: `rollout start`, `status`, `decide` and `stop`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from ai_factory_spec.errors import EXIT_CHECKS_FAILED

if TYPE_CHECKING:
    from ai_factory_runtime.base.project import Project

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Stage = Annotated[str, typer.Option("--stage", envvar="AI_FACTORY_STAGE", help="dev, staging or prod.")]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="A file or folder of true values that arrived later, by request_id.",
        show_default="artifacts/labels/<stage>/",
    ),
]
Version = Annotated[int, typer.Argument(help="The model version, as `show` lists it.", metavar="VERSION", min=1)]


def add(app: typer.Typer, project: Callable[[], Project], command: str) -> None:
    """Add the group `rollout`."""
    group = typer.Typer(help="Let a new version meet a stage's traffic by deployment.rollout.", no_args_is_help=True)
    _add_changes(group, project, command)
    _add_looks(group, project, command)
    app.add_typer(group, name="rollout")


def _add_changes(group: typer.Typer, project: Callable[[], Project], command: str) -> None:
    @group.command()
    def start(version: Version, stage: Stage = "dev", as_json: Json = False) -> None:
        """Begin: a version shadows, or answers its first share. Exit 4 where approvals are missing."""
        from ai_factory_runtime.commands import console_rollout
        from ai_factory_runtime.rollout.challenge import challenge

        console_rollout.show_rollout(challenge(project(), version, stage), None, command=command, as_json=as_json)

    @group.command()
    def stop(
        stage: Stage = "dev",
        reason: Annotated[str, typer.Option("--reason", help="Why, for the record.")] = "stopped by hand",
        as_json: Json = False,
    ) -> None:
        """End the rollout under way; the champion answers everything again."""
        from ai_factory_runtime.commands import console_rollout
        from ai_factory_runtime.rollout.challenge import release_alias
        from ai_factory_runtime.rollout.challenge import stop as end

        opened = project()
        rollout = end(opened, stage, reason)
        console_rollout.show_rollout(rollout, None, command=command, as_json=as_json)
        release_alias(opened, rollout)


def _add_looks(group: typer.Typer, project: Callable[[], Project], command: str) -> None:
    @group.command()
    def status(stage: Stage = "dev", labels: Labels = None, as_json: Json = False) -> None:
        """Where the rollout stands: each bound, and what the evidence asks for. Changes nothing in the stage."""
        from ai_factory_runtime.commands import console_rollout
        from ai_factory_runtime.rollout.challenge import release_alias, standing

        opened = project()
        found = standing(opened, stage, labels)
        console_rollout.show_rollout(found.rollout, found.decision, command=command, as_json=as_json)
        release_alias(opened, found.rollout)

    @group.command()
    def decide(stage: Stage = "dev", labels: Labels = None, as_json: Json = False) -> None:
        """Hold, go on, promote or go back, as the evidence says; servers do it, too. Exit 4 where it goes back."""
        from ai_factory_runtime.commands import console_rollout
        from ai_factory_runtime.rollout.challenge import release_alias, settle

        opened = project()
        done = settle(opened, stage, labels)
        console_rollout.show_rollout(done.rollout, done.decision, command=command, as_json=as_json)
        release_alias(opened, done.rollout)
        if done.rollout.status == "rolled back":
            raise typer.Exit(EXIT_CHECKS_FAILED)
