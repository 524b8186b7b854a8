"""Files -> values: the use case, the catalog of blueprints, and the files a plan's layers are made of."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ai_factory_spec import source
from ai_factory_spec.errors import Problem
from ai_factory_spec.paths import dotted
from ai_factory_spec.suggest import did_you_mean
from pydantic import ValidationError

from ai_factory import assets
from ai_factory.catalog import KINDS, Blueprint, Catalog
from ai_factory.errors import BlueprintError, SpecNotFound
from ai_factory.manifest import Manifest
from ai_factory.tree import MODE_FILE, MODE_PROGRAM, Entry, FileTree, digest

MANIFEST = "blueprint.yaml"
_NEVER = frozenset({"__pycache__", ".DS_Store", ".mypy_cache", ".ruff_cache", ".pytest_cache"})


@dataclass(frozen=True, slots=True)
class Sources:
    """What one layer is made of: the templates below the folder's root, by their unrendered path, and files copied as they are."""

    template: Mapping[str, Entry]
    copied: FileTree
    digest: str


def read_text(path: Path) -> str:
    """A text file as UTF-8. Raises SpecNotFound with the reason when it cannot be read."""
    try:
        text, problem = source.decode(path.read_bytes())
    except FileNotFoundError:
        raise SpecNotFound(path=str(path), reason="there is no such file") from None
    except IsADirectoryError:
        raise SpecNotFound(path=str(path), reason="it is a folder") from None
    except OSError as error:
        raise SpecNotFound(path=str(path), reason=error.strerror or str(error)) from error
    if problem:
        raise SpecNotFound(path=str(path), reason=problem.message)
    return text


def load_catalog(folder: Path | None = None) -> Catalog:
    """Every blueprint below `<folder>/<kind>/<name>`. Raises BlueprintError with all problems of all manifests."""
    folder = folder or assets.blueprints()
    blueprints: list[Blueprint] = []
    problems: list[tuple[str, Problem]] = []
    for path in sorted(p for kind in KINDS for p in (folder / kind).glob(f"*/{MANIFEST}")):
        blueprint, found = load_manifest(path)
        problems += [(str(path), problem) for problem in found]
        if blueprint:
            blueprints.append(blueprint)
    if not problems and not blueprints:
        problems.append((str(folder), Problem("", 0, "there is no blueprint below this folder")))
    catalog = Catalog(tuple(blueprints))
    if not problems:
        problems += _conditions_on_nothing(catalog)
    if problems:
        raise BlueprintError(problems=problems)
    return catalog


def _conditions_on_nothing(catalog: Catalog) -> Iterator[tuple[str, Problem]]:
    """Files that could never exist: what their condition names is no blueprint and no capability."""
    for blueprint in catalog:
        for i, rule in enumerate(blueprint.only_if):
            if rule.has is not None and not catalog.offering(rule.has):
                path = Path(blueprint.folder) / MANIFEST
                line = source.read(read_text(path)).line(("only_if", i, "has"))
                offered = sorted({name for other in catalog for name in other.offers})
                message = f"there is no blueprint or capability {rule.has!r}{did_you_mean(rule.has, offered)}"
                yield str(path), Problem(f"only_if[{i}].has", line, message)


def load_manifest(path: Path) -> tuple[Blueprint | None, list[Problem]]:
    """One manifest as a Blueprint, or all that is wrong with it."""
    text, problem = source.decode(path.read_bytes())
    if problem:
        return None, [problem]
    read = source.read(text)
    if read.problems or read.root is None:
        return None, list(read.problems)
    try:
        manifest = Manifest.model_validate(read.root.plain(), strict=False)
    except ValidationError as error:
        return None, sorted(_problems(error, read), key=lambda p: p.line)
    problems = list(_misplaced(manifest, path, read))
    return (None, problems) if problems else (manifest.blueprint(str(path.parent)), [])


def _problems(error: ValidationError, read: source.Source) -> Iterator[Problem]:
    for detail in error.errors(include_url=False):
        path = tuple(detail["loc"])
        if detail["type"] == "extra_forbidden":
            allowed = [f.alias or name for name, f in Manifest.model_fields.items()] if len(path) == 1 else []
            yield Problem(
                dotted(path), read.line(path), f"there is no such field{did_you_mean(str(path[-1]), allowed)}"
            )
        else:
            message = detail["msg"].removeprefix("Value error, ")
            yield Problem(dotted(path), read.line(path), message[:1].lower() + message[1:])


def _misplaced(manifest: Manifest, path: Path, read: source.Source) -> Iterator[Problem]:
    """What the schema cannot see: the folder's names, the component packages and the pages."""
    for field, here, wanted in (
        ("kind", path.parent.parent.name, manifest.kind),
        ("name", path.parent.name, manifest.name),
    ):
        if here != wanted:
            yield Problem(field, read.line((field,)), f"{wanted!r} differs from the folder's name {here!r}")
    for i, name in enumerate(manifest.components):
        if assets.component(name) is None:
            yield Problem(f"components[{i}]", read.line(("components", i)), f"there is no component package {name!r}")
    for i, page in enumerate(manifest.docs):
        if not (assets.playbooks() / page).is_file():
            yield Problem(f"docs[{i}]", read.line(("docs", i)), f"there is no playbook page {page!r}")


def load_sources(blueprint: Blueprint) -> Sources:
    """Every file a blueprint's layer is made of, read once. Raises BlueprintError for a missing template folder or a symlink."""
    folder = Path(blueprint.folder)
    roots = [p.name for p in sorted(folder.iterdir()) if p.is_dir() and "cookiecutter" in p.name and "{{" in p.name]
    if len(roots) != 1:
        message = (
            f"one folder named {{{{cookiecutter.project_slug}}}} is needed beside the manifest; there are {len(roots)}"
        )
        raise BlueprintError(problems=[(str(folder), Problem("", 0, message))])
    everything = _read(folder)
    prefix = f"{roots[0]}/"
    template = {p.removeprefix(prefix): e for p, e in everything.items() if p.startswith(prefix)}
    copied = dict(_components(blueprint.components)) | dict(_docs(blueprint.docs))
    return Sources(template, FileTree(copied), digest(everything))


def _components(names: Iterable[str]) -> Iterator[tuple[str, Entry]]:
    for name in names:
        folder = assets.component(name)
        if folder is not None:
            for path, entry in _read(folder).items():
                yield f"components/{name}/{path}", entry


def _docs(pages: Iterable[str]) -> Iterator[tuple[str, Entry]]:
    for page in pages:
        yield f"docs/{page}", Entry((assets.playbooks() / page).read_bytes())


def _read(folder: Path) -> dict[str, Entry]:
    """All files below a folder. Raises BlueprintError for a symlink: it could lead anywhere."""
    entries: dict[str, Entry] = {}
    pending = [(folder, "")]
    while pending:
        here, prefix = pending.pop()
        for path in sorted(here.iterdir()):
            if path.name in _NEVER or path.suffix == ".pyc":
                continue
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                pending.append((path, f"{prefix}{path.name}/"))
            elif stat.S_ISREG(mode):
                entries[f"{prefix}{path.name}"] = Entry(
                    path.read_bytes(), MODE_PROGRAM if mode & stat.S_IXUSR else MODE_FILE
                )
            else:
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "no regular file"
                raise BlueprintError(
                    problems=[(str(path), Problem("", 0, f"it is {kind}; a blueprint holds files and folders only"))]
                )
    return entries
