"""Partitions: one model for each value of a column (`model.partition_by`), each in a project of its own inside the project.

A partition's project has the same code and use case, only its value's rows, and its own folders under
artifacts/partitions/<value>/; it trains, gates, registers, deploys and is watched as any project is. The registry is one: a model
name for each partition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_factory_spec.naming import slug
from ai_factory_spec.usecase import UseCase

from ai_factory_runtime.base.project import Project
from ai_factory_runtime.releases.scale_errors import PartitionNeeded, UnknownPartition

if TYPE_CHECKING:
    import pandas as pd

_NAME = 30


@dataclass(frozen=True, slots=True)
class Slice:
    """A `load` hook that gives only one partition's rows of what another gives."""

    load: Callable[[UseCase, Path], pd.DataFrame]
    whole: UseCase
    column: str
    value: str

    def __call__(self, _: UseCase, root: Path) -> Any:
        """The rows of the value; whatever else than a table `load` returns is returned as it is, for its caller to refuse."""
        import pandas as pd

        frame = self.load(self.whole, root)
        return self.of(frame) if isinstance(frame, pd.DataFrame) and self.column in frame.columns else frame

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The value's rows of a table that has the column."""
        values = partition_values(frame, self.whole)
        return frame[(values == self.value).to_numpy(dtype=bool, na_value=False)].reset_index(drop=True)


def column_of(project: Project) -> str | None:
    """The column whose values have a model each; None where the project has one model."""
    return project.usecase.model.partition_by


def values_of(project: Project) -> tuple[str, ...]:
    """The values that may have a model: the column's categories in the data contract. Empty where the project has one model."""
    column = column_of(project)
    return () if column is None else tuple(project.usecase.data.column(column).categories or ())


def partition_values(frame: pd.DataFrame, usecase: UseCase) -> pd.Series[Any]:
    """The canonical value of the partition column of each row; missing stays missing."""
    from ai_factory_runtime.data.values import convert

    column = usecase.model.partition_by
    assert column is not None
    return convert(frame[column], usecase.data.column(column)).values


def partition_of(project: Project, value: str) -> Project:
    """The project of one partition. Raises UnknownPartition."""
    column, known = column_of(project), values_of(project)
    if column is None or value not in known:
        raise UnknownPartition(value=value, column=column, known=known)
    hooks = replace(project.hooks, load=Slice(project.hooks.load, project.usecase, column, value))
    return replace(
        project, usecase=_narrowed(project.usecase, column, value), hooks=hooks, partition=folder_name(value)
    )


def require_one_model(project: Project) -> None:
    """Raise PartitionNeeded where the project has a model for each partition, and this is none of their projects."""
    column = column_of(project)
    if column is not None:
        raise PartitionNeeded(column=column, known=values_of(project))


def folder_name(value: str) -> str:
    """A name for folders and registries that no other value has."""
    return f"{slug(value)[:_NAME].strip('-')}-{hashlib.sha256(value.encode()).hexdigest()[:8]}"


def _narrowed(usecase: UseCase, column: str, value: str) -> UseCase:
    """The use case for one value: its column tells rows apart no more, so it is no feature."""
    document = usecase.model_dump()
    document["title"] = f"{usecase.title or usecase.name} ({column}: {value})"
    document["model"]["partition_by"] = None
    document["data"]["ignore"] = list(dict.fromkeys([*usecase.data.ignore, column]))
    return UseCase.model_validate(document)
