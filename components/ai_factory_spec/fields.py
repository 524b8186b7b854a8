"""The kinds of value that fields of usecase.yaml hold, and what every section of it shares."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from ai_factory_spec import naming
from ai_factory_spec.bounds import Bound, as_bound
from ai_factory_spec.findings import Finding
from ai_factory_spec.schedule import EXAMPLE, cron_problem

Stage = Literal["dev", "staging", "prod"]
STAGES: tuple[Stage, ...] = naming.STAGES
Text = Annotated[str, Field(max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
ColumnName = Annotated[str, Field(min_length=1)]  # as long as the data file has it
Flag = Annotated[bool, Field(strict=True)]  # "yes" and 1 are mistakes, not truth values
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]

_BOUND_SCHEMA = {
    "anyOf": [
        {"type": "number"},
        {"type": "string", "format": "date"},
        {"type": "string", "format": "date-time"},
        {"type": "null"},
    ]
}
ColumnBound = Annotated[
    Bound | None,
    BeforeValidator(lambda value: None if value is None else as_bound(value)),
    WithJsonSchema(_BOUND_SCHEMA),
]


def _cron(text: str) -> str:
    if text and (problem := cron_problem(text)):
        raise ValueError(f"{text!r}: {problem}; {EXAMPLE}")
    return text


_CRON_PATTERN = r"\s*\S+(\s+\S+){4}\s*$"
Cron = Annotated[
    str, Field(min_length=1), AfterValidator(_cron), WithJsonSchema({"type": "string", "pattern": f"^{_CRON_PATTERN}"})
]
CronOrNone = Annotated[
    str, AfterValidator(_cron), WithJsonSchema({"type": "string", "pattern": f"^$|^{_CRON_PATTERN}"})
]


class Section(BaseModel):
    """Unknown fields are errors, values are frozen, and fields agree with each other (`checks`) wherever a value is made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        found = [str(finding) for finding in self._findings()]
        if found:
            raise PydanticCustomError(DISAGREEMENT, "{findings}", {"findings": "; ".join(found)})
        return self

    def _findings(self) -> Iterator[Finding]:
        return iter(())


DISAGREEMENT = "disagreement"
"""The pydantic error type of fields that are valid each and wrong together."""
