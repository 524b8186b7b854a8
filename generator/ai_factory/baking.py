"""cookiecutter.json from the manifest, so that `cookiecutter <folder>` bakes one blueprint alone."""

from __future__ import annotations

import json
from pathlib import Path

from ai_factory import loading
from ai_factory.catalog import Blueprint

FILE = "cookiecutter.json"


def cookiecutter_json(blueprint: Blueprint) -> str:
    """The text of a blueprint's cookiecutter.json: its variables' defaults, their descriptions as prompts, its copy-only globs."""
    context: dict[str, object] = {v.name: v.default for v in blueprint.variables}
    if blueprint.copy_only:
        context["_copy_without_render"] = list(blueprint.copy_only)
    context["__prompts__"] = {v.name: v.description for v in blueprint.variables}
    return json.dumps(context, indent=2, ensure_ascii=False) + "\n"


def sync(folder: Path | None = None) -> list[Path]:
    """Write every blueprint's cookiecutter.json; returns those that changed."""
    changed = []
    for blueprint in loading.load_catalog(folder):
        path = Path(blueprint.folder) / FILE
        text = cookiecutter_json(blueprint)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed
