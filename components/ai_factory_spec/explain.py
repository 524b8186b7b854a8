"""pydantic's errors in the words of usecase.yaml: what stands there, what is allowed, what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from ai_factory_spec.paths import Path, dotted
from ai_factory_spec.source import Node, Source, quoted, shortened
from ai_factory_spec.suggest import did_you_mean
from ai_factory_spec.usecase import UseCase

_KEY = "[key]"  # pydantic's mark for an error in a mapping's key
_WANTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a section with fields",
    "model_type": "a section with fields",
    "model_attributes_type": "a section with fields",
}
_COMPARED = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def path_of(detail: ErrorDetails) -> Path:
    """Where the error is, without pydantic's own marks."""
    known = []
    annotation: object = UseCase
    for step in detail["loc"]:
        if step == _KEY:
            break
        below = _step(annotation, step)
        if below is None and annotation is not None and not _is_extra(annotation):
            break  # the mark of a union's member
        known.append(step)
        annotation = below
    return tuple(known)


def explain(detail: ErrorDetails, source: Source) -> tuple[str, str]:
    """The message and the hint for one error of pydantic."""
    path = path_of(detail)
    node, exact = source.nearest(path)
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return "is required", description_of(path)
    if kind == "extra_forbidden":
        return _unknown_field(path)
    if exact and node is not None and node.value is None and kind != "value_error":
        return "is empty", "give a value or remove the line"
    if kind == "literal_error":
        return _not_allowed(detail, path, node if exact else None)
    if kind in _WANTED:
        return f"got {_shown(detail, node)}; {_WANTED[kind]} is needed", _type_hint(kind, detail["input"], node)
    if kind in _COMPARED:
        key, words = _COMPARED[kind]
        return f"got {_shown(detail, node)}; it must be {words} {context[key]:g}", ""
    if kind == "value_error":
        return str(context["error"]), ""
    return _constraint(kind, detail["input"], context) or detail["msg"], description_of(path)


def _constraint(kind: str, value: Any, context: Mapping[str, Any]) -> str:
    """What a value that breaks a constraint of its field is, and the constraint."""
    if kind == "string_too_short":
        return "is empty"
    if kind == "string_too_long":
        return f"has {len(value):,} characters; at most {context['max_length']:,} are allowed"
    if kind == "string_pattern_mismatch":
        return f"got {shortened(value)}; that does not fit"
    if kind == "too_short":
        return f"has {context['actual_length']} entries; at least {context['min_length']} must be given"
    if kind == "finite_number":
        return f"got {shortened(value)}; a finite number is needed"
    return ""


def _unknown_field(path: Path) -> tuple[str, str]:
    name, siblings = str(path[-1]), _fields(annotation_at(path[:-1]))
    meant = did_you_mean(name, siblings)
    if not meant:
        homes = [dotted(home) for home in _homes().get(name, ())]
        if homes:
            return f"unknown field; it belongs to {' or '.join(homes[:3])}", f"allowed here: {', '.join(siblings)}"
    return f"unknown field{meant}", f"allowed here: {', '.join(siblings)}"


def _not_allowed(detail: ErrorDetails, path: Path, node: Node | None) -> tuple[str, str]:
    annotation = annotation_at(path)
    if detail["loc"][-1] == _KEY:
        annotation, node = _key_type(annotation_at(path[:-1])), None
    allowed = [str(value) for value in get_args(_bare(annotation))]
    got = detail["input"]
    meant = did_you_mean(got, allowed) if isinstance(got, str) else ""
    return f"got {_shown(detail, node)}{meant}", f"allowed: {', '.join(allowed)}" if allowed else description_of(path)


def _shown(detail: ErrorDetails, node: Node | None) -> str:
    """The value as it stands in the file, and how YAML reads it where that surprises."""
    value = detail["input"]
    if isinstance(value, Mapping):
        return "a section"
    if isinstance(value, list | tuple):
        return "a list"
    if node is None or node.raw is None or isinstance(value, str):
        return shortened(value)
    if isinstance(value, bool) and node.raw.lower() not in ("true", "false"):
        return f"{node.raw}, which YAML reads as {str(value).lower()}"
    return node.raw if len(node.raw) <= 60 else f"{node.raw[:59]}…"


def _type_hint(kind: str, value: object, node: Node | None) -> str:
    if kind == "string_type" and node is not None and node.raw is not None:
        return f"quote it: {quoted(node.raw)}"
    if kind in ("int_type", "float_type") and isinstance(value, str):
        if re.fullmatch(r"\s*[-+]?[0-9.]+\s*", value):
            return "remove the quotes"
        if re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", value):
            return "YAML reads this as text: write the number out, or with a point and a sign as in 1.0e-3"
    if kind == "tuple_type" and isinstance(value, str):
        return f"write [{quoted(value)}]"
    return ""


# The schema as pydantic knows it ----------------------------------------------------------------------------------------


def annotation_at(path: Path) -> object:
    """The type of the field at a path, or None where the schema has none."""
    annotation: object = UseCase
    for step in path:
        annotation = _step(annotation, step)
    return annotation


def description_of(path: Path) -> str:
    """What the schema says of the field at a path, or of the field whose list or mapping it is in."""
    while path:
        parent = _bare(annotation_at(path[:-1]))
        if isinstance(parent, type) and issubclass(parent, BaseModel) and path[-1] in parent.model_fields:
            return parent.model_fields[str(path[-1])].description or ""
        path = path[:-1]
    return ""


def _step(annotation: object, step: str | int) -> object:
    bare = _bare(annotation)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        field = bare.model_fields.get(step) if isinstance(step, str) else None
        return field.annotation if field is not None else None
    arguments = get_args(bare)
    if get_origin(bare) is tuple and isinstance(step, int):
        return arguments[0]
    if get_origin(bare) is dict and isinstance(step, str):
        return arguments[1]
    return None


def _bare(annotation: object) -> object:
    """Without Annotated, and without None beside it."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, type(int | str)):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return _bare(members[0]) if len(members) == 1 else annotation
    return annotation


def _is_extra(annotation: object) -> bool:
    bare = _bare(annotation)
    return isinstance(bare, type) and issubclass(bare, BaseModel)


def _key_type(annotation: object) -> object:
    arguments = get_args(_bare(annotation))
    return arguments[0] if arguments else None


def _fields(annotation: object) -> list[str]:
    bare = _bare(annotation)
    return list(bare.model_fields) if isinstance(bare, type) and issubclass(bare, BaseModel) else []


@cache
def _homes() -> dict[str, list[Path]]:
    """The sections each field name belongs to."""
    homes: dict[str, list[Path]] = {}
    for path in _walk(UseCase, ()):
        homes.setdefault(str(path[-1]), []).append(path)
    return homes


def _walk(annotation: object, path: Path) -> Iterator[Path]:
    for name in _fields(annotation):
        yield (*path, name)
        yield from _walk(_step(annotation, name), (*path, name))
