"""The commands about the rows themselves: `check-data` holds them against the contract, `reveal` reads a token."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from ai_factory_spec.errors import EXIT_CHECKS_FAILED

if TYPE_CHECKING:
    from ai_factory_runtime.base.project import Project

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def add(app: typer.Typer, project: Callable[[], Project]) -> None:
    """Add `check-data` and `reveal`."""
    _add_check(app, project)
    _add_reveal(app, project)


def _add_check(app: typer.Typer, project: Callable[[], Project]) -> None:
    @app.command("check-data")
    def check_data(as_json: Json = False) -> None:
        """Read the data and hold it against its contract: every violation, and the copies. Writes nothing; exit 4 where a run would stop."""
        from ai_factory_runtime.commands import console_data
        from ai_factory_runtime.steps.data_check import check_data as check

        result = check(project())
        console_data.show_data_check(result, as_json=as_json)
        if result.stops:
            raise typer.Exit(EXIT_CHECKS_FAILED)


def _add_reveal(app: typer.Typer, project: Callable[[], Project]) -> None:
    @app.command()
    def reveal(
        token: Annotated[str, typer.Argument(help="A token, as a tokenised column holds it (tok_…).", metavar="TOKEN")],
        as_json: Json = False,
    ) -> None:
        """Read the personal data behind a token. Needs the key in AI_FACTORY_PII_KEY."""
        from ai_factory_runtime.commands import console_data
        from ai_factory_runtime.data.pii import reveal as read

        column, value = read(token, project().usecase.data.pii)
        console_data.show_revealed(column, value, as_json=as_json)
