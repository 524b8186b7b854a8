"""YAML text -> plain data that remembers its lines. Every defect of the text is a Problem, none an exception.

The text is read as events, not as objects: nothing recurses, no tag constructs anything, and each value keeps the line
and, where it was written without quotes, the characters it was written with. Anchors and aliases are refused, so a text
expands to nothing larger than itself.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.resolver import Resolver

from ai_factory_spec.errors import Problem
from ai_factory_spec.paths import Path, dotted

Scalar = str | int | float | bool | dt.date | None

MAX_DEPTH = 50
_CORE = "tag:yaml.org,2002:"
_TEXT_TAGS = (_CORE + "str", _CORE + "value", _CORE + "merge")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Node:
    """A value with the 1-based line of its key, or its own. `raw`: what stands in the file, for a scalar without quotes."""

    line: int
    value: Scalar | dict[str, Node] | list[Node]
    raw: str | None = None

    def child(self, step: str | int) -> Node | None:
        """The node one step down, or None where there is none."""
        if isinstance(self.value, dict) and isinstance(step, str):
            return self.value.get(step)
        if isinstance(self.value, list) and isinstance(step, int) and 0 <= step < len(self.value):
            return self.value[step]
        return None

    def plain(self) -> object:
        """The value without its lines: dict, list, text, number, truth value, date or None."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


@dataclass(frozen=True, slots=True)
class Source:
    """What a text holds: its tree (None where it cannot be read) and what is wrong with it as YAML."""

    root: Node | None
    problems: tuple[Problem, ...]

    def nearest(self, path: Path) -> tuple[Node | None, bool]:
        """The deepest node on the way along `path`, and whether it is the path's own."""
        node = self.root
        for step in path:
            below = node.child(step) if node is not None else None
            if below is None:
                return node, False
            node = below
        return node, node is not None

    def line(self, path: Path) -> int:
        """The line of `path`, of its nearest parent where it is absent, or 0."""
        node, _ = self.nearest(path)
        return node.line if node is not None else 0


def decode(raw: bytes) -> tuple[str, Problem | None]:
    """The text of a file's bytes: UTF-8, with or without a byte order mark. Any other encoding is a Problem."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "", Problem("", 1, "the file is encoded as UTF-16", "save it as UTF-8")
    try:
        return raw.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return "", Problem("", line, f"byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8")


def read(text: str) -> Source:
    """The tree of a YAML text. Never raises: what is wrong with the text is in `problems`."""
    text = text.removeprefix("\ufeff")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        return Source(None, (Problem("", line, "half of a surrogate pair is no character", "remove it"),))
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
            if builder.stopped:
                break
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # an escape such as "\U00110000" is a ValueError
        builder.problems.append(_syntax_problem(error, text))
        return Source(None, tuple(builder.problems))
    if builder.root is None and not builder.problems:
        builder.problems.append(Problem("", 0, "the file is empty"))
    return Source(builder.root, tuple(builder.problems))


@dataclass(slots=True)
class _Frame:
    """An open collection while events arrive."""

    node: Node
    path: Path
    key: str | None = None
    key_line: int = 0


@dataclass(slots=True)
class _Builder:
    """Turns a stream of YAML events into a tree of nodes."""

    root: Node | None = None
    problems: list[Problem] = field(default_factory=list)
    stopped: bool = False
    frames: list[_Frame] = field(default_factory=list)
    skipping: int = 0  # depth inside a collection that is ignored: a key that is no text
    documents: int = 0

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                self._stop(
                    "", event, "a second document begins here", "a use case is one document: remove the line `---`"
                )
        elif isinstance(event, yaml.AliasEvent):
            self._stop(
                "", event, f"the alias *{event.anchor} is not supported",
                "write the value out; a text that begins with * needs quotes",
            )  # fmt: skip
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        if self.skipping or self._wants_key():
            if not self.skipping:
                self._report(event, "a key must be text, not a list or a section")
            self.skipping += 1
            return
        if len(self.frames) >= MAX_DEPTH:
            self._stop(dotted(self._path()), event, f"nested deeper than {MAX_DEPTH} levels")
            return
        self._check_tag(event)
        value: dict[str, Node] | list[Node] = {} if isinstance(event, yaml.MappingStartEvent) else []
        path = self._path()
        node = self._place(event, value)
        self.frames.append(_Frame(node, path))

    def _close(self) -> None:
        if self.skipping:
            self.skipping -= 1
            if self.skipping == 0:
                self.frames[-1].key, self.frames[-1].key_line = "", 0  # its value is read, and thrown away
            return
        self.frames.pop()

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if self.skipping:
            return
        if self._wants_key():
            frame = self.frames[-1]
            frame.key, frame.key_line = event.value, _line(event)
            if event.value == "<<" and event.implicit[0]:
                self._report(event, "merge keys (<<) are not supported", "write the fields out")
                frame.key_line = 0  # its value is read, and thrown away
            elif isinstance(frame.node.value, dict) and event.value in frame.node.value:
                first = frame.node.value[event.value].line
                self._report(event, f"the field is given twice; first in line {first}", "keep one of the two")
            return
        self._check_tag(event)
        value, problem = _scalar(event)
        if problem:
            self._report(event, problem, f"quote it if it is text: {quoted(event.value)}")
        self._place(event, value, raw=event.value if event.implicit[0] else None)

    def _place(
        self, event: yaml.NodeEvent, value: Scalar | dict[str, Node] | list[Node], raw: str | None = None
    ) -> Node:
        line = _line(event)
        if not self.frames:
            self.root = node = Node(line, value, raw)
            return node
        frame = self.frames[-1]
        if isinstance(frame.node.value, list):
            node = Node(line, value, raw)
            frame.node.value.append(node)
            return node
        node = Node(frame.key_line or line, value, raw)
        if isinstance(frame.node.value, dict) and frame.key is not None and frame.key_line:
            frame.node.value.setdefault(frame.key, node)
        frame.key = None
        return node

    def _wants_key(self) -> bool:
        return bool(self.frames) and isinstance(self.frames[-1].node.value, dict) and self.frames[-1].key is None

    def _path(self) -> Path:
        """The path of the value that comes next."""
        if not self.frames:
            return ()
        frame = self.frames[-1]
        step = len(frame.node.value) if isinstance(frame.node.value, list) else frame.key
        return frame.path if step is None else (*frame.path, step)

    def _check_tag(self, event: yaml.NodeEvent) -> None:
        tag = getattr(event, "tag", None)
        if tag is not None and tag != "!" and not tag.startswith(_CORE):
            self._report(event, f"the tag {tag} is not supported", "write the value without a tag")

    def _report(self, event: yaml.Event, message: str, hint: str = "") -> None:
        self.problems.append(Problem(dotted(self._path()), _line(event), message, hint))

    def _stop(self, path: str, event: yaml.Event, message: str, hint: str = "") -> None:
        self.problems.append(Problem(path or dotted(self._path()), _line(event), message, hint))
        self.root, self.stopped = None, True


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_PLAIN = re.compile(r"[A-Za-z_][\w.-]*( [\w.-]+)*", re.ASCII)


def quoted(text: str) -> str:
    """A text as a double-quoted YAML scalar on one line, which every reader takes for exactly that text."""
    return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else _escape(ord(c))) for c in text) + '"'


def scalar(text: str) -> str:
    """A text as a YAML scalar: without quotes where it is a plain word that YAML reads as text, else quoted."""
    plain = _PLAIN.fullmatch(text) and _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) == _CORE + "str"  # type: ignore[no-untyped-call]
    return text if plain else quoted(text)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


_RESOLVER = Resolver()
_CONSTRUCTOR = SafeConstructor()
_CONSTRUCT: dict[str, Callable[[yaml.ScalarNode], Scalar]] = {
    _CORE + "bool": _CONSTRUCTOR.construct_yaml_bool,
    _CORE + "int": _CONSTRUCTOR.construct_yaml_int,
    _CORE + "float": _CONSTRUCTOR.construct_yaml_float,
    _CORE + "timestamp": _CONSTRUCTOR.construct_yaml_timestamp,
}
_CALLED = {"int": "whole number", "float": "number", "timestamp": "date", "bool": "truth value"}


def _scalar(event: yaml.ScalarEvent) -> tuple[Scalar, str]:
    """The value of a scalar as YAML 1.1 reads it, and what is wrong with it."""
    tag = event.tag
    if tag is None or tag == "!":
        tag = str(_RESOLVER.resolve(yaml.ScalarNode, event.value, event.implicit))  # type: ignore[no-untyped-call]
    if tag == _CORE + "null":
        return None, ""
    if tag in _TEXT_TAGS or tag not in _CONSTRUCT:
        return event.value, ""
    try:
        value = _CONSTRUCT[tag](yaml.ScalarNode(tag, event.value))
    except (ValueError, OverflowError, KeyError, AttributeError, IndexError, ConstructorError):
        kind = tag.removeprefix(_CORE)
        return None, f"{shortened(event.value)} is no {_CALLED.get(kind, kind)}"
    return value, ""


def shortened(value: object, length: int = 60) -> str:
    """A value's repr, cut where it is long."""
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**100 else "a very large number"
    return text if len(text) <= length else f"{text[: length - 1]}…"


_SYNTAX_HINTS: tuple[tuple[str, str], ...] = (
    (r"'\\t'", "YAML allows no tab here: indent with spaces"),
    (r"mapping values are not allowed", "a text that contains `: ` needs quotes"),
    (r"(scanning an alias|alphabetic or numeric character)", "a text that begins with * or & needs quotes"),
    (r"cannot start any token", "a text that begins with a special character needs quotes"),
    (r"(scanning a quoted scalar|unexpected end of stream)", "a quote is opened and never closed"),
    (r"(flow mapping|flow sequence)", "a { or [ is opened and never closed; a text that begins with one needs quotes"),
    (r"could not find expected ':'|simple key", "a field is `name: value`"),
    (r"(parsing a block mapping|block collection|block end)", "the indentation does not fit the lines above"),
    (r"(special characters|control characters)", "remove the invisible character"),
    (r"undefined tag handle|scanning a tag", "a text that begins with ! needs quotes"),
)


def _syntax_problem(error: Exception, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line = mark.line + 1 if mark is not None else 0
    position = getattr(error, "position", None)
    if not line and isinstance(position, int):
        line = text.count("\n", 0, position) + 1
    what = ", ".join(part for part in _parts(error) if part)
    row = text.splitlines()[line - 1 : line] if line else []
    if row and re.match(r" *\t", row[0]):
        return Problem("", line, f"not valid YAML: {what}", "YAML allows no tab here: indent with spaces")
    hint = next((hint for pattern, hint in _SYNTAX_HINTS if re.search(pattern, what)), "")
    return Problem("", line, f"not valid YAML: {what}", hint)


def _parts(error: Exception) -> Iterator[str]:
    if isinstance(error, yaml.MarkedYAMLError):
        yield error.context or ""
        yield error.problem or ""
    else:
        yield str(error).split("\n")[0]
