"""The project command's door: arguments -> one call -> print -> exit code. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.commands import data as commands_data
from ai_factory_runtime.commands import lineage as commands_lineage
from ai_factory_runtime.commands import monitoring as commands_monitoring
from ai_factory_runtime.commands import partitions as commands_partitions
from ai_factory_runtime.commands import registry as commands_registry
from ai_factory_runtime.commands import rollout as commands_rollout
from ai_factory_runtime.commands import steps as commands_steps
from ai_factory_runtime.commands.partitions import Backend, Jobs

if TYPE_CHECKING:
    from ai_factory_runtime.base.project import Hooks, Project

ProjectOpener = Callable[[], "Project"]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Stage = Annotated[str, typer.Option("--stage", envvar="AI_FACTORY_STAGE", help="dev, staging or prod.")]
Version = Annotated[int, typer.Argument(help="The model version, as `show` lists it.", metavar="VERSION", min=1)]


def run_project(package: str, hooks: Hooks | Callable[[], Hooks]) -> None:
    """The entry point of a generated repository's command: one catch, of our own errors only; a bug keeps its traceback."""
    # A polite termination unwinds like Ctrl-C: the run's folder is removed and the lock released.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    command = command_name(package)
    try:
        build_app(package, hooks)(prog_name=command)
    except FactoryError as error:
        from ai_factory_runtime.commands import console

        console.show_error(error, command=command, as_json="--json" in sys.argv[1:])
        sys.exit(error.exit_code)


def command_name(package: str) -> str:
    """What a person types to get here: the script's name, or `python -m <package>`."""
    name = Path(sys.argv[0]).name
    return f"python -m {package}" if name in ("__main__.py", "-c", "") else name


def build_app(package: str, hooks: Hooks | Callable[[], Hooks]) -> typer.Typer:
    """All commands of a project. Each opens the project, makes one call and prints."""
    app = typer.Typer(
        help="Train, gate, approve, serve and watch this project's model.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def whole() -> Project:
        from ai_factory_runtime.base.project import open_project

        return open_project(package, hooks)

    command = command_name(package)
    project = commands_partitions.choosing(app, whole)
    _add_training(app, project, command)
    _add_release(app, project, command)
    _add_production(app, project)
    commands_data.add(app, project)
    commands_lineage.add(app, project, command)
    commands_steps.add(app, project, command)
    commands_monitoring.add(app, project, command)
    commands_rollout.add(app, project, command)
    commands_partitions.add(app, project, command)
    commands_registry.add(app, project, command)
    return app


def _add_training(app: typer.Typer, project: ProjectOpener, command: str) -> None:
    @app.command()
    def run(ctx: typer.Context, backend: Backend = "loky", jobs: Jobs = None, as_json: Json = False) -> None:
        """Check the data, train, gate, compare, register, write the model card. Exit 4 where a check stops it."""
        from ai_factory_runtime.commands import console
        from ai_factory_runtime.steps.pipeline import STEPS
        from ai_factory_runtime.steps.pipeline import run as run_pipeline

        opened = project()
        if opened.usecase.model.partition_by is not None:
            commands_partitions.run_all(opened, backend, jobs, command=command, as_json=as_json)
            return
        commands_partitions.refuse_parallel(ctx, command=command)
        with console.progress(STEPS, quiet=as_json) as progress:
            result = run_pipeline(opened, progress=progress)
        console.show_result(result, opened, command=command, as_json=as_json)


def _add_release(app: typer.Typer, project: ProjectOpener, command: str) -> None:
    @app.command()
    def approve(
        version: Version,
        role: Annotated[
            str, typer.Option("--role", help="The role you sign in; governance/approvals.yaml lists them.")
        ],
        by: Annotated[str, typer.Option("--by", help="Your name.")],
        comment: Annotated[str, typer.Option("--comment", help="What you looked at.")] = "",
        as_json: Json = False,
    ) -> None:
        """Sign a model version for release, after reading its card."""
        from ai_factory_runtime.commands import console
        from ai_factory_runtime.releases.release import approve as sign

        console.show_releases([sign(project(), version, role, by, comment)], command=command, as_json=as_json)

    @app.command()
    def promote(
        version: Version, stage: Annotated[str, typer.Option("--stage", help="staging or prod.")], as_json: Json = False
    ) -> None:
        """Deploy an approved version to a stage. Exit 4 where approvals are missing."""
        from ai_factory_runtime.commands import console
        from ai_factory_runtime.releases.stages import promote as deploy

        console.show_deployed(deploy(project(), version, stage), command=command, as_json=as_json)

    @app.command()
    def rollback(stage: Stage = "dev", as_json: Json = False) -> None:
        """Deploy again what the stage had before."""
        from ai_factory_runtime.commands import console
        from ai_factory_runtime.releases.stages import roll_back

        console.show_deployed(roll_back(project(), stage), command=command, as_json=as_json)

    @app.command()
    def releases(as_json: Json = False) -> None:
        """Which versions are signed by whom, and who must still sign."""
        from ai_factory_runtime.commands import console
        from ai_factory_runtime.releases.release import list_releases

        console.show_releases(list_releases(project()), command=command, as_json=as_json)


def _add_production(app: typer.Typer, project: ProjectOpener) -> None:
    @app.command()
    def serve(
        stage: Stage = "dev",
        host: Annotated[
            str, typer.Option("--host", envvar="AI_FACTORY_HOST", help="The address to listen on.")
        ] = "127.0.0.1",
        port: Annotated[
            int, typer.Option("--port", help="The port to listen on; 0: any free one.", min=0, max=65535)
        ] = 8080,
    ) -> None:
        """Answer requests: /ping, /invocations, /docs."""
        from ai_factory_runtime.serving.server import serve as listen

        listen(project(), stage, host, port)

    @app.command()
    def score(
        source: Annotated[
            Path | None,
            typer.Argument(
                help="A CSV or Parquet file, or a folder of them; without it, what data.source names.", metavar="INPUT"
            ),
        ] = None,
        out: Annotated[
            Path | None,
            typer.Option(
                "--out", help="Where to write: .csv or .parquet.", show_default="a new file under artifacts/scores/"
            ),
        ] = None,
        stage: Stage = "dev",
        jobs: Jobs = None,
        as_json: Json = False,
    ) -> None:
        """Score every row with the stage's model. After a kill the same command goes on where it stopped."""
        from ai_factory_runtime.batch.job import score as score_rows
        from ai_factory_runtime.batch.source_parts import usual_source
        from ai_factory_runtime.commands import console
        from ai_factory_runtime.data.named import named_by_caller

        opened = project()
        rows = source or usual_source(opened.usecase.data, opened.root)
        with nullcontext() if source is None else named_by_caller():
            scored = score_rows(opened, rows, out, stage, jobs=jobs)
        console.show_scores(scored, as_json=as_json)
