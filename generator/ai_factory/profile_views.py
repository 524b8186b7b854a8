"""What `profile` says: a data file's columns and what was inferred from them, for people and for programs."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ai_factory.intake import Intake
from ai_factory.profile import ColumnProfile
from ai_factory.propose import inferences
from ai_factory.report import Table


def profile_parts(taken: Intake, out: Path | None) -> tuple[str | Table, ...]:
    """What a data file holds, what was inferred with the reasons, and what to do next."""
    profile = taken.profile
    columns = tuple((c.name, c.type, _missing(c), _range(c)) for c in profile.columns)
    parts: list[str | Table] = [
        Table(
            f"{profile.path}: {profile.rows:,} rows, {len(columns):,} columns",
            ("column", "type", "missing", "values"),
            columns,
        )
    ]
    if profile.class_balance:
        balance = ", ".join(f"{value} {count / profile.rows:.1%}" for value, count in profile.class_balance[:10])
        parts += ["", f"Classes of {profile.target}: {balance}"]
    found = tuple((i.what, i.value, i.why + ("" if i.certain else " (check this)")) for i in inferences(profile))
    if found:
        parts += ["", Table("Inferred:", ("what", "value", "because"), found)]
    if out is not None:
        next_step = f"{out} written. Read it, then: ai-factory new {shlex.quote(str(out))}"
    elif taken.usecase:
        next_step = "`--out usecase.yaml` writes a use case from this."
    else:
        next_step = "`--target COLUMN --out usecase.yaml` writes a use case from this."
    return (*parts, "", next_step)


def _missing(column: ColumnProfile) -> str:
    return f"{column.missing_share:.1%}" if column.missing else ""


def _range(column: ColumnProfile) -> str:
    if column.values and column.type in ("category", "boolean"):
        shown = ", ".join(value for value, _ in column.values[:4])
        return shown + (f", … ({len(column.values):,})" if len(column.values) > 4 else "")
    if column.minimum is not None:
        return f"{_bound(column.minimum)} to {_bound(column.maximum)}"
    return f"{column.distinct:,} different"


def _bound(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def profile_data(taken: Intake, out: Path | None) -> dict[str, Any]:
    """The same for a program; `usecase` is the proposed text."""
    profile = taken.profile
    return {
        "path": str(profile.path),
        "rows": profile.rows,
        "target": profile.target,
        "task": profile.task,
        "columns": [_column_data(column) for column in profile.columns],
        "inferred": [asdict(inference) for inference in inferences(profile)],
        "usecase": taken.usecase,
        "written": str(out) if out is not None else None,
    }


def _column_data(column: ColumnProfile) -> dict[str, Any]:
    """A column's facts, without its example values, which may be a person's."""
    facts = asdict(column)
    del facts["examples"]
    return {**facts, "values": dict(column.values)}
