"""The commands of the time after a release: `monitor` and `retrain`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from ai_factory_spec.errors import EXIT_DRIFT

if TYPE_CHECKING:
    from ai_factory_runtime.base.project import Project
    from ai_factory_runtime.monitoring.notify import Delivery

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Stage = Annotated[str, typer.Option("--stage", envvar="AI_FACTORY_STAGE", help="dev, staging or prod.")]
Tell = Annotated[bool, typer.Option("--notify/--no-notify", help="Tell whom monitoring.notify lists.")]


def add(app: typer.Typer, project: Callable[[], Project], command: str) -> None:
    """Add `monitor` and `retrain`."""
    _add_monitor(app, project)
    _add_retrain(app, project, command)


def _add_monitor(app: typer.Typer, project: Callable[[], Project]) -> None:
    @app.command()
    def monitor(
        source: Annotated[
            Path | None,
            typer.Argument(
                help="A CSV or Parquet file, or a folder of them; without it, the captured requests.", metavar="INPUT"
            ),
        ] = None,
        stage: Stage = "dev",
        labels: Annotated[
            Path | None,
            typer.Option(
                "--labels",
                help="A file or folder of true values that arrived later, by request_id or by the id column.",
                show_default="artifacts/labels/<stage>/",
            ),
        ] = None,
        tell: Tell = True,
        as_json: Json = False,
    ) -> None:
        """Compare recent rows with the training data: schema, data, predictions, quality, concept, code. Exit 3 where one moved."""
        from ai_factory_runtime.commands import console_monitoring
        from ai_factory_runtime.monitoring.monitor import monitor as watch

        result = watch(project(), source, stage, labels=labels, tell=tell)
        console_monitoring.show_drift(result, as_json=as_json)
        if result.drifted:
            raise typer.Exit(EXIT_DRIFT)
        _require_told(result.told)


def _add_retrain(app: typer.Typer, project: Callable[[], Project], command: str) -> None:
    @app.command()
    def retrain(
        stage: Stage = "dev",
        on: Annotated[
            list[str] | None,
            typer.Option(
                "--on",
                help="Listen to this trigger only: drift, schedule, age, data or code; may be repeated.",
                show_default="all",
            ),
        ] = None,
        force: Annotated[
            bool, typer.Option("--force", help="Train although nothing asks, or within the cool-down.")
        ] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Say what asks and what would follow; do nothing.")
        ] = False,
        tell: Tell = True,
        as_json: Json = False,
    ) -> None:
        """Train where drift, schedule, age, new data or new code ask for it, through the same gates. Exit 4 where one stops it."""
        from ai_factory_runtime.commands import console, console_monitoring
        from ai_factory_runtime.monitoring.retrain import RetrainResult, due
        from ai_factory_runtime.monitoring.retrain import retrain as train_again
        from ai_factory_runtime.steps.pipeline import STEPS

        opened, listen = project(), _triggers(on)
        if dry_run:
            found = RetrainResult(stage, due(opened, stage, listen=listen, force=force))
            console_monitoring.show_retraining(found, command=command, as_json=as_json)
            return
        with console.progress(STEPS, quiet=as_json) as progress:
            result = train_again(opened, stage, listen=listen, force=force, progress=progress, tell=tell)
        console_monitoring.show_retraining(result, command=command, as_json=as_json)
        if result.refused is not None:
            if as_json:  # the document above has said it; a second one would make two of them
                raise typer.Exit(result.refused.exit_code)
            raise result.refused
        _require_told(result.told)


def _triggers(named: list[str] | None) -> tuple[TriggerName, ...]:
    from ai_factory_runtime.monitoring.triggers import TRIGGERS

    wrong = [n for n in named or () if n not in TRIGGERS]
    if wrong:
        raise typer.BadParameter(f"{', '.join(wrong)}: allowed are {', '.join(TRIGGERS)}", param_hint="--on")
    return tuple(t for t in TRIGGERS if not named or t in named)


def _require_told(told: tuple[Delivery, ...]) -> None:
    """A notice that was not taken is an error of its own where nothing worse is to be said."""
    from ai_factory_runtime.base.refusals import NotTold

    failed = [f"{d.channel}: {d.problem}" for d in told if not d.sent]
    if failed:
        raise NotTold(problems=failed)


if TYPE_CHECKING:
    from ai_factory_runtime.monitoring.triggers import Name as TriggerName
