"""One layer of a plan as files: its templates rendered through the cache, and what it brings along unrendered."""

from __future__ import annotations

from dataclasses import replace

import jinja2

from ai_factory import __version__, loading, template_cache
from ai_factory.compose import USECASE
from ai_factory.errors import PathClaimedTwice
from ai_factory.plan import Layer, Plan
from ai_factory.render import render_layer
from ai_factory.tree import Entry, FileTree

FIRST = "project/base"


def lay(layer: Layer, plan: Plan, usecase_text: str) -> tuple[FileTree, str]:
    """The layer's files, and the sha256 of its blueprint's folder. The base also lays the user's usecase.yaml."""
    sources = loading.load_sources(layer.blueprint)
    key = template_cache.key(sources.digest, jinja_version=jinja2.__version__, factory_version=__version__)
    codes = template_cache.load(key)
    known = len(codes)
    rendered = render_layer(layer.blueprint, sources.template, plan.answers(layer.blueprint), codes)
    if len(codes) > known:
        template_cache.save(key, codes)
    parts = [rendered, sources.copied]
    if layer.id == FIRST:
        parts.append(FileTree({USECASE: Entry(usecase_text.encode())}))
    entries: dict[str, Entry] = {}
    for part in parts:
        for path, entry in part.items():
            if path in entries and entries[path].data != entry.data:
                raise PathClaimedTwice(path=path, owners=(layer.id, f"what {layer.id} copies"))
            entries[path] = replace(entry, owners=(layer.id,))
    return FileTree(entries), sources.digest
