"""Prints what became of many models."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ai_factory_runtime.commands.console import printable, show_json

if TYPE_CHECKING:
    from ai_factory_runtime.base.project import Project
    from ai_factory_runtime.steps.partition_status import PartitionStatus
    from ai_factory_runtime.steps.scale_out import ManyResult, PartitionOutcome

_WIDTH = 160


def sentence(outcome: PartitionOutcome) -> str:
    """One line about a partition that ended."""
    if outcome.failed:
        said = f"{outcome.failed}: {outcome.message.splitlines()[0]}"
    else:
        said = f"version {outcome.version}, {outcome.verdict}"
    return printable(f"{outcome.value}: {said} ({outcome.rows} rows, {outcome.seconds:.0f} s)")


def show_many(result: ManyResult, *, command: str, as_json: bool) -> None:
    """What became of every partition, the failed ones with the reason, and the rows that belong to none."""
    if as_json:
        document = {**dataclasses.asdict(result), "ok": result.ok, "failed": [o.value for o in result.failed]}
        show_json(document)
        return
    table = _table(result.column, "Rows", "Version", "Model", result.metric, "Outcome")
    for o in result.outcomes:
        metric = "–" if o.metric is None else f"{o.metric:.4g}"
        version = "–" if o.version is None else str(o.version)
        table.add_row(printable(o.value), str(o.rows), version, o.model or "–", metric, o.failed or o.verdict)
    _print(table)
    trained = len(result.outcomes) - len(result.failed)
    lines = [f"{trained} of {len(result.outcomes)} partitions have a new version."]
    lines += [f"{o.value} failed alone, {o.failed}: {o.message}" for o in result.failed]
    if result.unassigned:
        strange = ", ".join(f"{value!r} ({count})" for value, count in result.strange)
        lines.append(
            f"{result.unassigned} rows belong to no model{f': {strange}' if strange else ': they have no value'}."
        )
    first = result.failed[0].value if result.failed else None
    following = f"{command} --partition {first} run" if first else f"{command} partitions"
    _lines([*lines, f"Next: {following}"])


def show_partitions(project: Project, partitions: Sequence[PartitionStatus], *, command: str, as_json: bool) -> None:
    """Each partition's versions, champion and stages."""
    if as_json:
        show_json([dataclasses.asdict(p) for p in partitions])
        return
    column = project.usecase.model.partition_by
    if column is None:
        _lines(
            [
                "This project has one model for all rows; model.partition_by in usecase.yaml names a column to divide them by."
            ]
        )
        return
    stages = project.usecase.deployment.stages
    table = _table(column, "Versions", "Champion", *stages, "Newest run")
    for p in partitions:
        shown = [p.stages.get(stage, "–") for stage in stages]
        champion = "–" if p.champion is None else str(p.champion)
        table.add_row(printable(p.value), str(p.versions), champion, *shown, p.last)
    _print(table)
    _lines([f"Next: {command} --partition {partitions[0].value} show"])


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(printable(column), overflow="fold")
    return table


def _print(table: Table) -> None:
    width = None if sys.stdout.isatty() else _WIDTH
    Console(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False).print(table)


def _lines(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
