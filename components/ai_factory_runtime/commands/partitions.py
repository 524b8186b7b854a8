"""The commands of a project with many models: `--partition` before any command chooses one, `partitions` lists them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from ai_factory_spec.errors import EXIT_CHECKS_FAILED

if TYPE_CHECKING:
    from ai_factory_runtime.base.project import Project

ProjectOpener = Callable[[], "Project"]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", help="How many processes at once.", show_default="one for each processor", min=1),
]
Backend = Annotated[
    str,
    typer.Option(
        "--backend",
        envvar="AI_FACTORY_BACKEND",
        help="With model.partition_by: joblib's backend that trains the partitions (loky, sequential, ray).",
    ),
]
Partition = Annotated[
    str | None,
    typer.Option(
        "--partition", envvar="AI_FACTORY_PARTITION", help="With model.partition_by: the value whose model is meant.",
        metavar="VALUE",
    ),
]  # fmt: skip


def choosing(app: typer.Typer, whole: ProjectOpener) -> ProjectOpener:
    """Add the option `--partition` to the application; the opener gives that partition's project where it is used."""
    chosen: list[str] = []

    @app.callback()
    def choose(partition: Partition = None) -> None:
        chosen[:] = [] if partition is None else [partition]

    def open_chosen() -> Project:
        from ai_factory_runtime.releases.partitions import partition_of

        project = whole()
        return partition_of(project, chosen[0]) if chosen else project

    return open_chosen


def add(app: typer.Typer, project: ProjectOpener, command: str) -> None:
    """Add `partitions`."""

    @app.command()
    def partitions(as_json: Json = False) -> None:
        """With model.partition_by: each value's versions, champion, stages and newest run."""
        from ai_factory_runtime.commands import console_partitions
        from ai_factory_runtime.steps.partition_status import list_partitions

        opened = project()
        console_partitions.show_partitions(opened, list_partitions(opened), command=command, as_json=as_json)


def refuse_parallel(ctx: typer.Context, *, command: str) -> None:
    """Before one model is trained: `--backend` and `--jobs` would not be used, so they are refused. Raises ParallelForOneModel.

    In the environment a backend is a setting of the machine, for whichever projects have many models, and no word about this one.
    """
    sources = {name: ctx.get_parameter_source(name) for name in ("backend", "jobs")}
    asked = {f"--{n}": ctx.params[n] for n, source in sources.items() if source and source.name == "COMMANDLINE"}
    if not asked:
        return
    from ai_factory_runtime.releases.scale_errors import ParallelForOneModel
    from ai_factory_runtime.steps.scale_out import BACKENDS

    value = ctx.parent.params.get("partition") if ctx.parent else None
    chosen = "" if value is None else f"--partition {shlex.quote(value)} "
    raise ParallelForOneModel(asked=asked, known=BACKENDS, instead=f"{command} {chosen}run")


def run_all(project: Project, backend: str, jobs: int | None, *, command: str, as_json: bool) -> None:
    """Train every partition and print what became of each. Exit 4 where one has no new model or rows belong to none."""
    from ai_factory_runtime.commands import console_partitions
    from ai_factory_runtime.steps.scale_out import train_all

    def tell(outcome: object) -> None:
        if not as_json:
            sys.stderr.write(f"{console_partitions.sentence(outcome)}\n")  # type: ignore[arg-type]

    result = train_all(project, backend=backend, jobs=jobs, tell=tell)
    console_partitions.show_many(result, command=command, as_json=as_json)
    if not result.ok:
        raise typer.Exit(EXIT_CHECKS_FAILED)
