"""The command about the registry itself: `registry rebuild` makes one that is gone again from what versions left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ai_factory_runtime.base.project import Project

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def add(app: typer.Typer, project: Callable[[], Project], command: str) -> None:
    """Add the group `registry`."""
    group = typer.Typer(help="The registry of model versions itself.", no_args_is_help=True)

    @group.command()
    def rebuild(as_json: Json = False) -> None:
        """Make a registry that is gone again, from packages, release records and stages; one that has versions stays."""
        from ai_factory_runtime.commands import console_registry
        from ai_factory_runtime.releases.rebuild import rebuild as make_again

        console_registry.show_rebuilt(make_again(project()), command=command, as_json=as_json)

    app.add_typer(group, name="registry")
