"""The reference page of the component library, written from its sources: `python -m ai_factory_infra.reference`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence

from ai_factory_infra.catalogue import Catalogue, Component, Field, Type, catalogue

HEAD = """# Component reference

Written from the sources of `ai_factory_infra` by `make reference`; change those, not this page. For the platform engineer who
reads a stack, or writes one: what each component is for, what it costs while nothing happens, where AWS stops, and what it
takes and gives. How they are put together is in [provision-on-aws.md](provision-on-aws.md).

Every component refuses all wrong inputs at once, before anything is registered, with the path of each and what AWS allows.
`Input[…]` may be the output of another resource; what is not marked "needed" may be left out. The same components serve other
languages: `pulumi package add components/ai_factory_infra/plugin`.
"""


def page(library: Catalogue) -> str:
    """The whole page as Markdown."""
    rows = "\n".join(
        f"| [{c.name}](#{c.name.lower()}) | {_cell(_first_sentence(c.purpose))} |" for c in library.components
    )
    sections = ["\n".join(_section(c)) for c in library.components]
    types = ["\n".join(_type_section(t)) for t in library.types]
    parts = [HEAD, f"| component | purpose |\n|---|---|\n{rows}\n", *sections, "## Types of inputs\n", *types]
    return "\n".join(parts).rstrip() + "\n"


def _type_section(kind: Type) -> Iterator[str]:
    yield f"### {kind.name}\n"
    yield f"{kind.does}\n"
    yield from _table("field", kind.fields, needed=True)


def _section(component: Component) -> Iterator[str]:
    yield f"## {component.name}\n"
    yield f"{component.purpose[:1].upper()}{component.purpose[1:]}\n"
    if component.does:
        yield f"{component.does}\n"
    for title, text in component.sections.items():
        if text:
            yield f"- **{title}**: {text}"
    yield f"- **Import**: `from {component.module} import {component.name}`\n"
    yield from _table("input", component.inputs, needed=True)
    yield from _table("output", component.outputs, needed=False)


def _table(kind: str, fields: Sequence[Field], *, needed: bool) -> Iterator[str]:
    if not fields:
        return
    yield f"| {kind} | type |" + (" needed | meaning |" if needed else "")
    yield "|---|---|" + ("---|---|" if needed else "")
    for field in sorted(fields, key=lambda f: not f.required):
        row = f"| `{field.name}` | `{_type(field.type)}` |"
        yield _escaped(row) + (f" {'yes' if field.required else ''} | {_cell(field.says)} |" if needed else "")
    yield ""


def _type(written: str) -> str:
    return written.replace("pulumi.", "").replace(" | None", "")


def _escaped(row: str) -> str:
    """Bars inside code would end a cell."""
    return re.sub(r"`[^`]*`", lambda code: code[0].replace("|", "\\|"), row)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?]) ", text, maxsplit=1)[0]


if __name__ == "__main__":
    sys.stdout.write(page(catalogue()))
