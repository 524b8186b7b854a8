"""Whether a file is valid in its own format: Python, TOML, YAML, JSON. A generated file that is not never reaches the disk."""

from __future__ import annotations

import json
import tomllib
import warnings
from collections.abc import Callable
from pathlib import PurePosixPath

import yaml

from ai_factory.errors import InvalidOutput
from ai_factory.tree import FileTree

_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check(tree: FileTree) -> None:
    """Parse every file a template or a join made. Raises InvalidOutput for the first that its format's parser refuses."""
    for path, entry in tree.items():
        parse = _PARSERS.get(PurePosixPath(path).suffix)
        if parse is None or not (entry.rendered or entry.rule in ("sections", "toml", "lines")):
            continue
        try:
            parse(entry.data.decode("utf-8"))
        except (SyntaxError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise InvalidOutput(path=path, owners=entry.owners, reason=_sentence(error)) from error


def _python(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the file's own check reports them; here only whether it parses counts
        compile(text, "<generated>", "exec", dont_inherit=True)


def _yaml(text: str) -> None:
    for _ in yaml.parse(text, Loader=_YAML):
        pass


_PARSERS: dict[str, Callable[[str], object]] = {
    ".py": _python,
    ".toml": tomllib.loads,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".json": json.loads,
}


def _sentence(error: Exception) -> str:
    """A parser's message in one line, without a final dot."""
    return " ".join(str(error).split()).rstrip(".")
