"""Data: where the rows are, what they mean, what they must look like."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from ai_factory_spec import data_checks as checks
from ai_factory_spec.fields import ColumnBound, ColumnName, Flag, Number, Section, Whole
from ai_factory_spec.findings import NO_FEATURE_TYPES, Finding
from ai_factory_spec.view import View

ColumnType = Literal["integer", "number", "category", "boolean", "datetime", "text"]
PiiKind = Literal["email", "phone", "name", "address", "national_id", "ip_address", "other"]


class Column(Section):
    """What one column must look like. Values of a category are text, also where they look like numbers."""

    name: ColumnName = Field(description="The column's name exactly as in the file.")
    type: ColumnType = Field(
        description="integer, number, category (a closed list of values), boolean, datetime (ISO 8601) or text."
    )
    nullable: Flag = Field(False, description="Whether values may be missing.")
    unique: Flag = Field(False, description="Whether every value must be different.")
    min: ColumnBound = Field(
        None,
        description="The smallest value allowed (integer, number) or the earliest (datetime, ISO 8601, UTC where it names no zone).",
    )
    max: ColumnBound = Field(None, description="The largest value allowed (integer, number) or the latest (datetime).")
    categories: tuple[str, ...] | None = Field(None, description="The values allowed; required for a category.")

    def _findings(self) -> Iterator[Finding]:
        return checks.column_agrees(View(self))


class Contract(Section):
    """What the data must look like; checked on every read."""

    min_rows: Whole = Field(1, ge=1, description="Fewer rows than this stop the run.")
    max_rows: Whole | None = Field(None, ge=1, description="More rows than this stop the run; empty: no limit.")
    max_age_days: Number | None = Field(
        None, gt=0.0, description="Days since the newest `data.time`; older data stops the run. Empty: no limit."
    )
    max_bad_rows: Number = Field(
        0.0,
        ge=0.0,
        le=1.0,
        description="The share of rows that may break the contract; they are set aside. Above it the run stops.",
    )
    columns: tuple[Column, ...] = Field(min_length=2, description="Every column the pipeline reads, the target too.")

    def _findings(self) -> Iterator[Finding]:
        return checks.contract_agrees(View(self))


class Pii(Section):
    """A column that identifies a person. It is never a feature."""

    column: ColumnName = Field(description="The column's name.")
    kind: PiiKind = Field(description="What it holds.")
    action: Literal["drop", "hash", "tokenise"] = Field(
        "drop",
        description="drop: removed on read; hash: replaced by a keyed hash; tokenise: replaced by a token that the key's holder can turn back. The key is in AI_FACTORY_PII_KEY.",
    )


class Duplicates(Section):
    """What becomes of rows that say the same twice. What was dropped is counted in the report and the model card."""

    exact: Literal["drop", "keep", "stop"] | None = Field(
        None,
        description="Rows equal in every column. Empty: dropped where rows have an id or a time, else kept on one side of the split; stop: the run stops.",
    )
    near: Literal["keep", "together", "drop"] = Field(
        "together",
        description="Rows equal but for rounding, letter case and blanks. together: on one side of the split; keep: as if they were different.",
    )


class Data(Section):
    """Where the rows are and what they mean."""

    source: Annotated[str, Field(min_length=1, max_length=4096)] = Field(
        description="A CSV or Parquet file or a folder of such parts, relative to usecase.yaml; s3://bucket/key or prefix/; a database's address without a password; or $NAME, the variable that holds the address."
    )
    query: Annotated[str, Field(min_length=1, max_length=100_000)] | None = Field(
        None, description="The SELECT that gives the rows; for a database only."
    )
    target: ColumnName = Field(description="The column to predict.")
    id: ColumnName | None = Field(
        None, description="The column that names the entity; its rows stay together in a split."
    )
    time: ColumnName | None = Field(None, description="The column that orders rows; the newest are held out.")
    sensitive: tuple[ColumnName, ...] = Field((), description="Columns whose groups must be treated alike (fairness).")
    pii: tuple[Pii, ...] = Field((), description="Columns that identify a person.")
    ignore: tuple[ColumnName, ...] = Field((), description="Columns that are read but are no features.")
    duplicates: Duplicates = Field(Duplicates(), description="What becomes of rows that say the same twice.")
    contract: Contract = Field(description="What the data must look like.")

    def _findings(self) -> Iterator[Finding]:
        return checks.data_agrees(View(self))

    def column(self, name: str) -> Column:
        """The contract of one column. Raises KeyError if there is none of that name."""
        return self._by_name[name]

    @property
    def from_database(self) -> bool:
        """Whether the rows come from a query."""
        return checks.names_database(self.source)

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.contract.columns}

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """The columns a model may learn from: not target, id, time, PII, text, datetime or ignored."""
        never = {self.target, self.id, self.time, *self.ignore, *(p.column for p in self.pii)}
        return tuple(c for c in self.contract.columns if c.name not in never and c.type not in NO_FEATURE_TYPES)
