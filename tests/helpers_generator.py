"""Small catalogs and use cases for the generator's tests: written to disk as a person would write them, then loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ai_factory.loading import load_catalog
from ai_factory.plan import Plan, resolve
from ai_factory.tree import Entry, FileTree
from ai_factory_spec import UseCase, parse_usecase

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = "{{cookiecutter.project_slug}}"
SLUG = {"project_slug": {"default": "demo", "description": "The folder."}}

USECASE: dict[str, Any] = {
    "apiVersion": "ai-factory/v1",
    "name": "Churn",
    "data": {
        "source": "churn.csv",
        "target": "churned",
        "contract": {
            "columns": [
                {"name": "age", "type": "integer", "min": 0, "max": 120},
                {"name": "plan", "type": "category", "categories": ["basic", "plus"]},
                {"name": "churned", "type": "category", "categories": ["no", "yes"]},
            ]
        },
    },
    "model": {"task": "binary", "positive": "yes"},
}
CSV = "age,plan,churned\n31,basic,no\n62,plus,yes\n45,basic,no\n"


def usecase_text(**fields: object) -> str:
    """A valid usecase.yaml with some top-level fields replaced."""
    return yaml.safe_dump({**USECASE, **fields}, sort_keys=False, allow_unicode=True)


def usecase(**fields: object) -> UseCase:
    return parse_usecase(usecase_text(**fields), file="usecase.yaml")


def write_usecase(folder: Path, *, csv: str = CSV, **fields: object) -> Path:
    """usecase.yaml and its data file in a folder; returns the path of usecase.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "churn.csv").write_text(csv, encoding="utf-8")
    spec = folder / "usecase.yaml"
    spec.write_text(usecase_text(**fields), encoding="utf-8")
    return spec


def write_blueprint(
    folder: Path, identity: str, files: Mapping[str, str | bytes] | None = None, **manifest: object
) -> Path:
    """One blueprint below `folder`, with the files of its template; returns its folder."""
    kind, name = identity.split("/")
    home = folder / kind / name
    facts = {
        "apiVersion": "ai-factory/v1",
        "kind": kind,
        "name": name,
        "version": "0.1.0",
        "summary": f"The {name}.",
        "variables": SLUG,
        **manifest,
    }
    (home / TEMPLATE).mkdir(parents=True)
    (home / "blueprint.yaml").write_text(yaml.safe_dump(facts, sort_keys=False), encoding="utf-8")
    for path, content in (files or {}).items():
        file = home / TEMPLATE / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return home


MINIMUM = {
    "project/base": {"README.md": "# {{ cookiecutter.project_slug }}\n"},
    "architectures/realtime": {},
    "approvals/standard": {},
    "ci/github": {},
}


def write_minimum(folder: Path, *without: str) -> Path:
    """The blueprints every use case of `asking_for` needs, but for those named."""
    for identity, files in MINIMUM.items():
        if identity not in without:
            write_blueprint(folder, identity, files)
    return folder


def asking_for(**fields: object) -> UseCase:
    """A use case that asks for the minimum: no pipeline, no stack."""
    return usecase(**{"pipelines": [], "stacks": [], **fields})


def plan_of(folder: Path, **fields: object) -> Plan:
    """The plan of a use case with these fields, over the blueprints below a folder."""
    return resolve(asking_for(**fields), load_catalog(folder), factory_version="0.0.0")


def tree(**files: str | bytes) -> FileTree:
    """A tree from path -> content."""
    return FileTree({path: Entry(text if isinstance(text, bytes) else text.encode()) for path, text in files.items()})
