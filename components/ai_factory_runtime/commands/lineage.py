"""The commands about a run's origin: `show` says what made a model, `reproduce` makes it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from ai_factory_spec.errors import EXIT_DRIFT

if TYPE_CHECKING:
    from ai_factory_runtime.base.project import Project

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def add(app: typer.Typer, project: Callable[[], Project], command: str) -> None:
    """Add `show` and `reproduce`."""
    _add_show(app, project, command)
    _add_reproduce(app, project)


def _add_show(app: typer.Typer, project: Callable[[], Project], command: str) -> None:
    @app.command()
    def show(
        run: Annotated[
            str | None,
            typer.Argument(help="A run's id or a model version; without it, the list of runs.", metavar="RUN"),
        ] = None,
        as_json: Json = False,
    ) -> None:
        """What made this model? Data, code, environment, blueprints, seed, figures and gates of a run."""
        from ai_factory_runtime.commands import console
        from ai_factory_runtime.steps import history

        opened = project()
        if run is None:
            console.show_runs(history.list_runs(opened), command=command, as_json=as_json)
        else:
            console.show_run(history.find_run(opened, run), as_json=as_json)


def _add_reproduce(app: typer.Typer, project: Callable[[], Project]) -> None:
    @app.command()
    def reproduce(
        run: Annotated[str, typer.Argument(help="A run's id or a model version.", metavar="RUN")],
        as_json: Json = False,
    ) -> None:
        """Make a run's model again and compare it bit for bit. Exit 3 where it comes out otherwise; registers nothing."""
        from ai_factory_runtime.commands import console, console_steps
        from ai_factory_runtime.steps.pipeline import STEPS
        from ai_factory_runtime.steps.reproducing import reproduce as make_again

        opened = project()
        with console.progress(STEPS, quiet=as_json) as progress:
            made = make_again(opened, run, progress)
        console_steps.show_reproduction(made, as_json=as_json)
        if not made.same:
            raise typer.Exit(EXIT_DRIFT)
