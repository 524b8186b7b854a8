"""Description: /invocations in OpenAPI's words, with the model's own columns."""

from __future__ import annotations

from typing import Any

from ai_factory_runtime.serving.negotiation import CSV, JSON, UNSUPPORTED
from ai_factory_runtime.serving.refused import BAD_REQUEST, TOO_LARGE
from ai_factory_runtime.serving.requests import MAX_REASONS, RequestSchema


def describe(schema: RequestSchema, example: dict[str, object]) -> dict[str, Any]:
    """The request body in OpenAPI's words."""
    reasons = {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_REASONS,
        "description": "For how many columns of each row the effect is asked.",
    }
    records = {"type": "array", "items": schema.row_schema, "minItems": 1}
    split = {
        "columns": {"type": "array", "items": {"type": "string"}},
        "data": {"type": "array", "items": {"type": "array"}},
    }
    body = {
        "oneOf": [
            {"type": "object", "properties": {"records": records, "reasons": reasons}, "required": ["records"]},
            {"type": "object", "properties": {**split, "reasons": reasons}, "required": ["columns", "data"]},
        ]
    }
    content = {JSON: {"schema": body, "example": {"records": [example]}}, CSV: {"schema": {"type": "string"}}}
    refusals = {
        str(BAD_REQUEST): "The body is not what its type says.",
        str(TOO_LARGE): "Too many bytes or rows.",
        str(UNSUPPORTED): f"The body is neither {JSON} nor {CSV}.",
        "503": "Too many requests wait; try again.",
        "504": "The model took too long.",
        "422": "Values break the data contract; `problems` lists row, column and reason of each.",
    }
    return {
        "requestBody": {"required": True, "content": content},
        "responses": {code: {"description": text} for code, text in refusals.items()},
    }
