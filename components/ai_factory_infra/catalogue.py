"""The library as data, read from its own sources: every component with its purpose, cost, limits, inputs and outputs.

Nothing is imported and nothing is listed by hand, so a component is in the reference page and in the plugin's schema once its
module is there. The form of the texts is contract (a test holds it): a module says what its component is for, then
`Costs when idle: …`, `Limits: …` and `AWS: "…"`; an Args class says `` `input`: what it means `` for what is not plain.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.name
SECTIONS = ("Costs when idle", "Limits", "AWS")
COMMON = ("CommandInputs", "LogInputs", "ProtectInputs")  # of `inputs.py`
SAID = re.compile(r"((?:`\w+`(?:,? and |, )?)+)(?: \([^)]*\))?(?:: | are | is )")


@dataclass(frozen=True, slots=True)
class Field:
    """One input or output: its name, its type as written, whether it must be given, and what its class says of it."""

    name: str
    type: str
    required: bool
    says: str


@dataclass(frozen=True, slots=True)
class Component:
    """One component. `purpose`, `does`: the module's and the class's text. `sections`: SECTIONS -> text, "" where it says none."""

    name: str
    module: str
    purpose: str
    does: str
    sections: Mapping[str, str]
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Type:
    """What a nested input looks like."""

    name: str
    does: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every component, and every type that their inputs name, by name."""

    components: tuple[Component, ...]
    types: tuple[Type, ...]


def catalogue(folder: Path = HERE) -> Catalogue:
    """The package in `folder`."""
    modules = {f: ast.parse(f.read_text(encoding="utf-8")) for f in sorted(folder.rglob("*.py"))}
    classes = {node.name: node for tree in modules.values() for node in tree.body if isinstance(node, ast.ClassDef)}
    found = [
        _component(node, _module_name(file, folder), tree, classes)
        for file, tree in modules.items()
        for node in tree.body
        if isinstance(node, ast.ClassDef) and "pulumi.ComponentResource" in map(ast.unparse, node.bases)
    ]
    components = tuple(sorted(found, key=lambda c: c.name))
    return Catalogue(components, tuple(_types([f for c in components for f in c.inputs], classes)))


def _types(fields: Sequence[Field], classes: Mapping[str, ast.ClassDef]) -> list[Type]:
    """Every class of the package that the fields name, and that those name in turn."""
    wanted, found = [f.type for f in fields], dict[str, Type]()
    while wanted:
        for name in set(re.findall(r"\w+", wanted.pop())) & classes.keys() - found.keys():
            own = tuple(_fields(classes[name], classes))
            found[name] = Type(name, _flat(ast.get_docstring(classes[name]) or ""), own)
            wanted += [f.type for f in own]
    return [found[name] for name in sorted(found)]


def _module_name(file: Path, folder: Path) -> str:
    return ".".join((PACKAGE, *file.relative_to(folder).with_suffix("").parts))


def _component(node: ast.ClassDef, module: str, tree: ast.Module, classes: Mapping[str, ast.ClassDef]) -> Component:
    purpose, sections = _sections(ast.get_docstring(tree) or "", node.name)
    args = classes.get(_args_class(node))
    return Component(
        name=node.name,
        module=module,
        purpose=purpose,
        does=_flat(ast.get_docstring(node) or ""),
        sections=sections,
        inputs=tuple(_explained(_fields(args, classes), classes)) if args else (),
        outputs=tuple(f for f in _own_fields(node, {}) if not f.name.startswith("_")),
    )


def _sections(text: str, name: str) -> tuple[str, dict[str, str]]:
    """What comes before the first section, without the component's own name in front; and each section's text."""
    flat = _flat(text)
    places = sorted((flat.find(f"{s}:"), s) for s in SECTIONS if f"{s}:" in flat)
    ends = [at for at, _ in places[1:]] + [len(flat)]
    found = {s: flat[at + len(s) + 1 : end].strip() for (at, s), end in zip(places, ends, strict=False)}
    start = flat[: places[0][0]] if places else flat
    return start.removeprefix(f"{name}:").strip(), {s: found.get(s, "") for s in SECTIONS}


def _args_class(component: ast.ClassDef) -> str:
    """The class that annotates `args` of the component's `__init__`; empty where there is none."""
    for node in component.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            for argument in node.args.args:
                if argument.arg == "args" and argument.annotation is not None:
                    return ast.unparse(argument.annotation)
    return ""


def _fields(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> Iterator[Field]:
    """A class's fields, those it inherits first; what the class itself says of an inherited one goes before what its base says."""
    own = said(ast.get_docstring(node) or "")
    for base in (classes[name] for name in map(ast.unparse, node.bases) if name in classes):
        for field in _fields(base, classes):
            yield Field(field.name, field.type, field.required, own.get(field.name, field.says))
    yield from _own_fields(node, own)


def _explained(fields: Iterable[Field], classes: Mapping[str, ast.ClassDef]) -> Iterator[Field]:
    """The fields, each that its own class says nothing of with what the inputs in common (`inputs.py`) say of that name."""
    common = {f.name: f.says for name in COMMON if name in classes for f in _fields(classes[name], classes)}
    for f in fields:
        yield f if f.says else Field(f.name, f.type, f.required, common.get(f.name, ""))


def _own_fields(node: ast.ClassDef, own: Mapping[str, str]) -> Iterator[Field]:
    for entry in node.body:
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
            written = ast.unparse(entry.annotation)
            inner = re.fullmatch(r"NotRequired\[(.*)\]", written)
            name = entry.target.id
            yield Field(name, inner[1] if inner else written, inner is None, own.get(name, ""))


def said(text: str) -> dict[str, str]:
    """What a docstring says of each name: the text after `` `name`: `` up to the next name, or a sentence that mentions it."""
    flat = _flat(text)
    marks = [m for m in SAID.finditer(flat) if m.start() == 0 or flat[m.start() - 2] in ".;"]
    ends = [m.start() for m in marks[1:]] + [len(flat)]
    found: dict[str, str] = {}
    for mark, end in zip(marks, ends, strict=False):
        names = re.findall(r"`(\w+)`", mark[1])
        words = mark[0][len(mark[1]) :].strip(" :")  # what stands between the names and the text: "(…)", "are", "is"
        told = f"{words} {flat[mark.end() : end]}".strip().rstrip(";")
        found |= dict.fromkeys(names, told)
    for sentence in re.split(r"(?<=[.;]) ", flat):  # a name that is only mentioned has the sentence that mentions it
        found = dict.fromkeys(re.findall(r"`([a-z]\w*)`", sentence), sentence.rstrip(";")) | found
    return found


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
