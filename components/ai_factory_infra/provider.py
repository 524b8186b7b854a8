"""The library as a Pulumi plugin: the same components for TypeScript, Go, Java, C# and YAML. `python -m ai_factory_infra.provider`.

Pulumi's `ComponentProvider` reads a component's inputs from annotations, but knows neither annotations that are kept as text
nor `Literal`, tuples and dataclasses. So each class gets a twin whose annotations are plain; the schema is read from the
twins, and what a host sends is turned back into the library's own values before the component sees it.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import json
import sys
import types
import typing
from collections.abc import Awaitable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, Union

import pulumi
from pulumi.provider import main
from pulumi.provider.experimental.component import ComponentProvider
from pulumi.provider.experimental.util import camel_case

from ai_factory_infra.catalogue import catalogue

NAME, VERSION = "ai-factory", "0.1.0"
SCHEMA = Path(__file__).with_name("schema.json")
# `pulumi.Input` refers to these two by name, from a module of its own.
NAMES: Mapping[str, Any] = {"Output": pulumi.Output, "T": Any}
INPUT: Any = pulumi.Input
OUTPUT: Any = pulumi.Output


class Library(ComponentProvider):
    """Every component of the library, found by itself."""

    def __init__(self) -> None:
        real = components()
        super().__init__([_component_twin(c) for c in real], NAME, None, VERSION)
        self._components = {c.__name__: c for c in real}
        self.schema = _described(self.schema or "{}")

    def map_inputs(self, inputs: Any, component_def: Any) -> Any:
        """What the host sent, under Python's names and as the library's own values."""
        given = super().map_inputs(inputs, component_def)
        return built(_args_of(self._components[component_def.name]), given)


def components() -> list[type[pulumi.ComponentResource]]:
    """The class of every component in the catalogue."""
    return [getattr(importlib.import_module(c.module), c.name) for c in catalogue().components]


def schema() -> str:
    """The package's schema as it is stored: JSON, sorted, so that a change is seen line by line."""
    return json.dumps(json.loads(Library().schema or "{}"), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _described(text: str) -> str:
    """The schema with what the catalogue says: of a component its purpose, cost and limits; of an input its meaning."""
    document = json.loads(text)
    for component in catalogue().components:
        entry = document["resources"][f"{NAME}:index:{component.name}"]
        sections = [f"{title}: {said}" for title, said in component.sections.items() if said]
        entry["description"] = "\n\n".join([component.purpose, component.does, *sections])
        for field in component.inputs:
            if field.says:
                entry["inputProperties"][camel_case(field.name)]["description"] = field.says
    return json.dumps(document)


def _args_of(component: type) -> Any:
    return typing.get_type_hints(inspect.getattr_static(component, "__init__"), localns=dict(NAMES))["args"]


def _hints(kind: Any) -> Mapping[str, Any]:
    """A class's own and inherited annotations, evaluated; of a component only its own, for Pulumi's are not for hosts."""
    if issubclass(kind, pulumi.ComponentResource):
        own = {"__annotations__": inspect.get_annotations(kind), "__module__": kind.__module__}
        kind = types.new_class(kind.__name__, (), {}, lambda body: body.update(own))
    return typing.get_type_hints(kind, localns=dict(NAMES), include_extras=True)


def _component_twin(component: type[pulumi.ComponentResource]) -> type[pulumi.ComponentResource]:
    def init(self: object, name: str, args: object, opts: object = None) -> None:
        """Never called: the twin is only looked at."""

    init.__annotations__ = {"args": _plain(_args_of(component))}
    shown = {name: _plain(hint) for name, hint in _hints(component).items() if not name.startswith("_")}
    body = {
        "__doc__": component.__doc__,
        "__module__": component.__module__,
        "__init__": init,
        "__annotations__": shown,
    }
    return type(component.__name__, (pulumi.ComponentResource,), body)


@functools.cache
def _twin(kind: type) -> Any:
    """A TypedDict with the fields of a TypedDict or dataclass, annotations plain; a field with a default may be left out."""
    optional = (
        {f.name for f in dataclasses.fields(kind) if _has_default(f)} if dataclasses.is_dataclass(kind) else set()
    )
    fields = {n: NotRequired[_plain(h)] if n in optional else _plain(h) for n, h in _hints(kind).items()}
    twin: Any = TypedDict(kind.__name__, fields)  # type: ignore[misc]
    twin.__doc__, twin.__module__ = kind.__doc__, kind.__module__
    return twin


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _plain(hint: Any) -> Any:
    """A type that `ComponentProvider` knows. Raises TypeError for a union of several things: a host could not choose."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is NotRequired:
        return NotRequired[_plain(parts[0])]
    if origin in (Union, types.UnionType):
        return _plain_union(hint, [p for p in parts if p is not type(None)], optional=type(None) in parts)
    if origin is Literal:
        return type(parts[0])
    if origin is pulumi.Output:
        return OUTPUT[_plain(parts[0])]
    if origin in (tuple, list, Sequence):
        return types.GenericAlias(list, (_plain(parts[0]),))
    if origin in (dict, Mapping):
        return types.GenericAlias(dict, (str, _plain(parts[1])))
    return _twin(hint) if _is_record(hint) else hint


def _plain_union(hint: Any, parts: list[Any], *, optional: bool) -> Any:
    awaited = [typing.get_args(p)[0] for p in parts if typing.get_origin(p) is Awaitable]
    kinds = {_plain(p) for p in parts} if not awaited else set()
    if awaited:
        plain = INPUT[_plain(awaited[0])]
    elif len(kinds) == 1:
        plain = kinds.pop()
    else:
        raise TypeError(f"{hint}: a host of another language cannot choose between {sorted(map(str, kinds))}")
    return Union[plain, None] if optional else plain  # noqa: UP007 - `|` does not take the text in `pulumi.Input`


def _is_record(hint: Any) -> bool:
    return isinstance(hint, type) and (typing.is_typeddict(hint) or dataclasses.is_dataclass(hint))


def built(hint: Any, value: Any) -> Any:
    """A host's plain value as `hint` wants it: objects become dataclasses, lists tuples, numbers whole where they must be.

    An input that a component insists on, but that may be None, is None where the host left it out.
    """
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is NotRequired:
        return built(parts[0], value)
    if origin in (Union, types.UnionType):
        chosen = [p for p in parts if p is not type(None) and typing.get_origin(p) not in (Awaitable, pulumi.Output)]
        return built(chosen[0], value) if value is not None else None
    if value is None or isinstance(value, pulumi.Output):
        return value
    if origin in (tuple, list, Sequence):
        items = [built(parts[0], v) for v in value]
        return tuple(items) if origin is tuple else items
    if origin in (dict, Mapping):
        return {k: built(parts[1], v) for k, v in value.items()}
    if _is_record(hint):
        return _record(hint, value)
    return int(value) if hint is int else value


def _record(kind: Any, value: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    found = {name: built(hints[name], given) for name, given in value.items()}
    if not typing.is_typeddict(kind):
        return kind(**found)
    for name, hint in hints.items():
        if name not in found and typing.get_origin(hint) is not NotRequired and type(None) in typing.get_args(hint):
            found[name] = None
    return found


def serve(arguments: Sequence[str]) -> None:
    """Answer Pulumi's engine until it hangs up; with `--schema`, write the schema instead."""
    if list(arguments) == ["--schema"]:
        sys.stdout.write(schema())
    else:
        main(Library(), list(arguments))


if __name__ == "__main__":
    serve(sys.argv[1:])
