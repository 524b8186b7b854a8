"""The text of usecase.yaml as the user wrote it, with one value changed: comments, order and spacing stay."""

from __future__ import annotations

import yaml

from ai_factory.facts import json_text

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def with_source(text: str, source: str) -> str:
    """The text with `data.source` set. The text must be a valid use case; it is returned as it is where it says so already."""
    node = _child(_child(yaml.compose(text, Loader=_LOADER), "data"), "source")
    if node.value == source:
        return text
    old = text[node.start_mark.index : node.end_mark.index]
    rest = old[len(old.rstrip(" \t\r\n")) :]  # a block scalar's end includes its line end
    return text[: node.start_mark.index] + json_text(source) + rest + text[node.end_mark.index :]


def _child(node: yaml.Node | None, key: str) -> yaml.Node:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key and isinstance(value, yaml.Node):
                return value
    raise KeyError(key)
