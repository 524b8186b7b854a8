"""The JSON Schema of usecase.yaml, so that an editor completes and checks it while it is written."""

from __future__ import annotations

from typing import Any

from ai_factory_spec.usecase import UseCase

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of usecase.yaml: every field described, and the rules between fields that it can express."""
    schema = UseCase.model_json_schema()
    definitions = schema["$defs"]
    for section in (schema, *definitions.values()):
        for field in section["properties"].values():
            if "$ref" in field:  # pydantic leaves a description out where it is the section's own
                field.setdefault("description", definitions[field["$ref"].rpartition("/")[2]]["description"])
    definitions["Column"] |= _when("type", "category", {"required": ["categories"]})
    definitions["ModelSpec"] |= _when("task", "binary", {"required": ["positive"]})
    return {"$schema": DIALECT, "title": "usecase.yaml", **{k: v for k, v in schema.items() if k != "title"}}


def _when(field: str, value: str, then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {field: {"const": value}}, "required": [field]}, "then": then}
