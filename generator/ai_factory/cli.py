"""The door: arguments -> one call -> report -> exit code. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from ai_factory_spec.errors import FactoryError

from ai_factory import __version__

if TYPE_CHECKING:
    from ai_factory.answers import Answers

app = typer.Typer(
    name="ai-factory",
    help="From a data file to a running, governed model repository.\n\n"
    "\b\n  ai-factory new --data churn.csv --target churned --out churn",
    no_args_is_help=True,
    # Plain help: rich would double the time `--help` takes.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
blueprints = typer.Typer(help="What can be composed.", no_args_is_help=True, rich_markup_mode=None)
schema = typer.Typer(
    help="JSON Schemas, so that an editor completes and checks.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(blueprints, name="blueprints")
app.add_typer(schema, name="schema")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Spec = Annotated[Path, typer.Argument(help="The use case: usecase.yaml.", metavar="SPEC", show_default=False)]


def main() -> None:
    """The command's entry point: one catch, of our own errors only; a bug keeps its traceback."""
    # A polite termination unwinds like Ctrl-C, so that it leaves no staging folder behind.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # The command lives for half a second: looking for garbage while modules load costs a twentieth of it.
    gc.disable()
    # pydantic would read the metadata of every installed distribution in search of plugins; this command wants none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        app(prog_name="ai-factory")
    except FactoryError as error:
        from ai_factory import report

        report.show_error(error, as_json="--json" in sys.argv[1:])
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code == 130:
            from ai_factory import report

            report.show_interrupted()
        raise


def _answers(*, ask: bool) -> Answers:
    """The person at the terminal where there is one and questions are welcome, else nobody."""
    from ai_factory import report

    if ask and report.is_interactive():
        from ai_factory.asking import Person

        return Person()
    from ai_factory.answers import Nobody

    return Nobody()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ai-factory {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def new(
    spec: Annotated[
        Path | None,
        typer.Argument(help="The use case: usecase.yaml. Or give --data.", metavar="SPEC", show_default=False),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="A CSV or Parquet file instead of a use case.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="With --data: the column to predict.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The new repository's folder; the project's name where left out.")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", help="With --data: the project's name; the file's where left out.")
    ] = "",
    title: Annotated[str, typer.Option("--title", help="With --data: one line for people.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and the files; write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Write a new repository.

    It is made from a use case, or straight from a data file. On a terminal it asks what it cannot infer, and shows the plan before it writes.

    \b
      ai-factory new usecase.yaml --out churn
      ai-factory new --data churn.csv --target churned --out churn --yes
    """
    from ai_factory import pipeline, report, views
    from ai_factory.answers import Wish

    wish = Wish(data, target, name, title)
    if spec is not None and wish != Wish():
        raise typer.BadParameter("give SPEC, or --data with --target, --name and --title, not both")
    answers = _answers(ask=not (yes or as_json or dry_run))
    draft = pipeline.draft_from_spec(spec) if spec else pipeline.draft_from_data(wish, answers, report.working)
    folder = out or Path(draft.plan.facts["project_slug"])
    repository = pipeline.create(draft, folder, answers, report.working, dry_run=dry_run)
    if as_json:
        report.show_json(views.new_data(repository, folder, written=not dry_run))
    elif dry_run:
        report.show(*views.plan_parts(draft.plan, explain=False), "", views.files_table(repository))
    else:
        report.show(*views.new_parts(repository, folder))


@app.command()
def profile(
    data: Annotated[Path, typer.Argument(help="A CSV or Parquet file.", metavar="DATA", show_default=False)],
    target: Annotated[str | None, typer.Option("--target", help="The column to predict.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Write the proposed use case to this new file.")] = None,
    as_json: Json = False,
) -> None:
    """What a data file holds, and the use case it suggests.

    \b
      ai-factory profile churn.csv --target churned --out usecase.yaml
    """
    from ai_factory import pipeline, profile_views, report

    taken = pipeline.profile(data, target, out, _answers(ask=not as_json), report.working)
    if as_json:
        report.show_json(profile_views.profile_data(taken, out))
    else:
        report.show(*profile_views.profile_parts(taken, out))


@app.command()
def plan(
    spec: Spec,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why each blueprint was chosen, and what templates are told.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Which blueprints a use case needs, in which order. Writes nothing.

    \b
      ai-factory plan usecase.yaml --explain
    """
    from ai_factory import pipeline, report, views

    draft = pipeline.draft_from_spec(spec)
    if as_json:
        report.show_json(views.plan_data(draft.plan))
    else:
        report.show(*views.plan_parts(draft.plan, explain=explain))


@blueprints.command("list")
def list_blueprints(as_json: Json = False) -> None:
    """Every blueprint in one line."""
    from ai_factory import loading, report, views

    catalog = loading.load_catalog()
    if as_json:
        report.show_json(views.catalog_data(catalog))
    else:
        report.show(views.catalog_table(catalog))


@blueprints.command("show")
def show_blueprint(
    name: Annotated[str, typer.Argument(help="An id such as stacks/serving, or a bare name.")], as_json: Json = False
) -> None:
    """What a blueprint gives, needs and brings.

    \b
      ai-factory blueprints show stacks/serving
    """
    from ai_factory import pipeline, report, views

    found = pipeline.find_blueprints(name)
    if as_json:
        report.show_json([views.blueprint_data(b) for b in found])
    else:
        report.show(*(part for b in found for part in views.blueprint_parts(b)))


@blueprints.command("sync", hidden=True)
def sync() -> None:
    """Write each blueprint's cookiecutter.json from its manifest; for those who write blueprints."""
    from ai_factory import baking, report

    report.show(*(f"{path} written" for path in baking.sync()))


@schema.command("usecase")
def usecase_schema() -> None:
    """The JSON Schema of usecase.yaml."""
    from ai_factory_spec.schema import json_schema

    from ai_factory import report

    report.show_json(json_schema())


@schema.command("blueprint")
def blueprint_schema() -> None:
    """The JSON Schema of blueprint.yaml."""
    from ai_factory import manifest, report

    report.show_json(manifest.json_schema())


if __name__ == "__main__":
    main()
