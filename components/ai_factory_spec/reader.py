"""usecase.yaml -> UseCase, or every problem in it at once: path, line, what stands there, what is allowed, the nearest valid name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath

from pydantic import ValidationError

from ai_factory_spec import checks
from ai_factory_spec.errors import Problem, UsecaseError
from ai_factory_spec.explain import explain, path_of
from ai_factory_spec.paths import Path, dotted
from ai_factory_spec.source import Source, decode, read
from ai_factory_spec.usecase import DISAGREEMENT, UseCase
from ai_factory_spec.view import INVALID, View


def load_usecase(path: FilePath) -> UseCase:
    """The use case in a file of UTF-8. Raises UsecaseError, also where the file cannot be read."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        problem = Problem("", 0, f"cannot be read: {error.strerror or error}")
        hint = "`ai-factory profile DATA --target COLUMN --out usecase.yaml` writes one."
        raise UsecaseError(file=str(path), problems=[problem], hint=hint) from error
    text, problem_or_none = decode(raw)
    if problem_or_none is not None:
        raise UsecaseError(file=str(path), problems=[problem_or_none])
    return parse_usecase(text, file=str(path))


def parse_usecase(text: str, *, file: str) -> UseCase:
    """The use case in a YAML text; `file` is the name that messages give it. Raises UsecaseError with every problem."""
    source = read(text)
    if source.root is None or not isinstance(source.root.value, dict):
        problems = source.problems or (
            Problem("", source.line(()), "the file holds no fields", "the first line is `apiVersion: ai-factory/v1`"),
        )
        raise UsecaseError(file=file, problems=problems)
    plain = source.root.plain()
    try:
        usecase = UseCase.model_validate(plain)
    except ValidationError as error:
        problems = _in_file_order((*source.problems, *_problems(error, plain, source)))
        raise UsecaseError(file=file, problems=problems) from None
    if source.problems:
        raise UsecaseError(file=file, problems=source.problems)
    return usecase


def _problems(error: ValidationError, plain: object, source: Source) -> Iterator[Problem]:
    """What pydantic says of single fields, then what the checks say of the fields that are left."""
    together = []
    reported = {p.path for p in source.problems}
    for detail in error.errors(include_url=False):
        if detail["type"] == DISAGREEMENT:
            together.append(detail)
            continue
        if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
            continue  # pydantic counts the valid members alone; the others are reported each
        path = path_of(detail)
        if dotted(path) not in reported:  # a value YAML could not read is reported as such already
            message, hint = explain(detail, source)
            yield Problem(dotted(path), source.line(path), message, hint)
        if detail["type"] != "missing":
            _strike(plain, path)
    found = list(checks.findings(View(plain)))
    for finding in found:
        yield Problem(dotted(finding.path), source.line(finding.path), finding.message, finding.hint)
    if not found:
        for detail in together:
            yield Problem(dotted(path_of(detail)), source.line(path_of(detail)), detail["msg"])


def _strike(plain: object, path: Path) -> None:
    """Puts INVALID where a value is reported, so that no check concludes anything from it."""
    node = plain
    for step in path[:-1]:
        node = _below(node, step)
    last = path[-1] if path else None
    if (isinstance(node, dict) and last in node) or (
        isinstance(node, list) and isinstance(last, int) and last < len(node)
    ):
        node[last] = INVALID  # type: ignore[index]  # a list only where `last` is its position


def _below(node: object, step: str | int) -> object:
    if isinstance(node, dict):
        return node.get(step)
    if isinstance(node, list) and isinstance(step, int) and step < len(node):
        return node[step]
    return None


def _in_file_order(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    return tuple(sorted(dict.fromkeys(problems), key=lambda p: p.line or float("inf")))
