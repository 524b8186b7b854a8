"""Pages and documents: the templates the runtime brings along, as HTML with every value escaped and as Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

TEMPLATES = Path(__file__).parent.parent / "templates"


@cache
def template(name: str) -> Template:
    """One of the HTML templates. A name that a template uses and is not given raises UndefinedError when it is rendered."""
    return _environment(autoescape=True).get_template(name)


def render_page(name: str, context: Mapping[str, Any]) -> str:
    """An HTML page: every text of the user's is escaped."""
    return template(name).render(context)


def render_markdown_page(name: str, context: Mapping[str, Any]) -> str:
    """A Markdown document (CommonMark with tables): its template puts each text of the user's through the filter `m`."""
    return _environment(autoescape=False).get_template(name).render(context)


def markdown_text(value: object) -> str:
    """Text that Markdown shows as it is: on one line, with everything escaped that would mean something."""
    line = re.sub(r"\s+", " ", "".join(c if c.isprintable() or c.isspace() else " " for c in str(value))).strip()
    escaped = re.sub(r"([\\`*{}\[\]<>|~$&]|(?<!\w)_|_(?!\w))", r"\\\1", line)
    return re.sub(r"^(\d*)([-+#=.)])", r"\1\\\2", escaped)


def number(value: float | None, digits: int = 4) -> str:
    """A number for people; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def percent(value: float | None, digits: int = 3) -> str:
    """A share for people, in percent; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}g} %"


def _environment(*, autoescape: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=autoescape,  # noqa: S701 - off for Markdown alone, which the filter `m` escapes
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"m": markdown_text, "number": number, "percent": percent}
    return environment
