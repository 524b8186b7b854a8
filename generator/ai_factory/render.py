"""One blueprint's templates -> files. The only module that imports cookiecutter.

A blueprint stays an ordinary cookiecutter template, and `cookiecutter.generate.generate_files` is this module's oracle
in a test. What differs is on purpose: the environment is sandboxed, no hook runs, no clock and no random number can be
reached, nothing touches the disk, and an undefined name says which one, in which file of which blueprint.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping, MutableMapping
from types import CodeType
from typing import Any

from jinja2 import (
    BaseLoader,
    Environment,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
)
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ai_factory.catalog import Blueprint
from ai_factory.errors import RenderError
from ai_factory.tree import Entry, FileTree

Codes = MutableMapping[str, CodeType]

_SNIFF = 8192
_DELIMITERS = (b"{{", b"{%", b"{#")
# The filters cookiecutter adds. Its clock, random and UUID extensions stay out: the same input must give the same bytes.
_BORROWED = {"jsonify": "JsonifyExtension", "slugify": "SlugifyExtension"}
_UNREPEATABLE_FILTERS = ("random",)
_UNREPEATABLE_GLOBALS = ("lipsum",)


def render_layer(
    blueprint: Blueprint, template: Mapping[str, Entry], answers: Mapping[str, str], codes: Codes
) -> FileTree:
    """The blueprint's files, rendered with its answers. `codes` holds compiled templates; what is missing is added to it.

    Raises RenderError, and UnsafePath for a path that the answers led out of the project.
    """
    layer = _Layer(blueprint, template, answers, codes)
    entries: dict[str, Entry] = {}
    for path, entry in template.items():
        name = layer.path(path)
        if name is None:
            continue
        if name in entries:
            raise RenderError(
                blueprint=blueprint.id, file=path, line=None, reason=f"another of its files is also named {name!r}"
            )
        entries[name] = Entry(
            layer.content(path, entry.data), entry.mode, (blueprint.id,), rendered=layer.is_template(path, entry.data)
        )
    return FileTree(entries)


def names_used(template: Mapping[str, Entry]) -> frozenset[str]:
    """Every `cookiecutter.<name>` the templates mention, in their paths too."""
    from jinja2 import nodes

    environment = _environment(_Loader({}, {}))
    texts = [*template, *(e.data.decode() for e in template.values() if not is_binary(e.data) and has_markup(e.data))]
    return frozenset(
        node.attr
        for text in texts
        for node in environment.parse(text).find_all(nodes.Getattr)
        if isinstance(node.node, nodes.Name) and node.node.name == "cookiecutter"
    )


def is_binary(data: bytes) -> bool:
    """Whether the bytes are copied as they are: a NUL near their start, or no UTF-8."""
    if b"\0" in data[:_SNIFF]:
        return True
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def has_markup(data: bytes) -> bool:
    """Whether Jinja would find anything to do."""
    return any(delimiter in data for delimiter in _DELIMITERS)


class _Undefined(StrictUndefined):
    """An undefined name that raises with the name itself as the message; a forbidden one keeps its reason."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = None, name: str | None = None, exc: type[Any] = UndefinedError
    ) -> None:
        super().__init__(name if exc is UndefinedError else hint, obj, name, exc)


class _Loader(BaseLoader):
    """Templates by path from memory; compiled once, then from `codes`."""

    def __init__(self, template: Mapping[str, Entry], codes: Codes) -> None:
        self._template = template
        self._codes = codes

    def load(self, environment: Environment, name: str, globals: MutableMapping[str, Any] | None = None) -> Template:  # noqa: A002
        if name not in self._template:
            raise TemplateNotFound(name)
        code = self.code(environment, f"file:{name}", lambda: self._template[name].data.decode("utf-8"), name)
        return environment.template_class.from_code(environment, code, globals or {}, None)

    def code(self, environment: Environment, key: str, text: Callable[[], str], name: str) -> CodeType:
        """The compiled template of that key; its text is asked for only where it must be compiled."""
        if key not in self._codes:
            self._codes[key] = environment.compile(text(), name, name)
        return self._codes[key]


def _environment(loader: BaseLoader) -> Environment:
    environment = ImmutableSandboxedEnvironment(
        loader=loader, undefined=_Undefined, keep_trailing_newline=True, cache_size=0
    )
    environment.filters.update({name: _borrowed(name) for name in _BORROWED})
    for name in _UNREPEATABLE_FILTERS:
        del environment.filters[name]
    for name in _UNREPEATABLE_GLOBALS:
        del environment.globals[name]
    return environment


def _borrowed(name: str) -> Callable[..., Any]:
    """One of cookiecutter's filters, imported when a template first calls it: the import costs as much as Jinja's own."""

    def call(*args: Any, **options: Any) -> Any:
        import cookiecutter.extensions

        borrowed = Environment(extensions=[getattr(cookiecutter.extensions, _BORROWED[name])])  # noqa: S701 - text, not HTML
        return borrowed.filters[name](*args, **options)

    return call


class _Layer:
    """One blueprint being rendered: its environment, its context, and the path segments met so far."""

    def __init__(
        self, blueprint: Blueprint, template: Mapping[str, Entry], answers: Mapping[str, str], codes: Codes
    ) -> None:
        self._blueprint = blueprint
        self._loader = _Loader(template, codes)
        self._environment = _environment(self._loader)
        self._context = {"cookiecutter": dict(answers)}
        self._segments: dict[str, str] = {}

    def path(self, path: str) -> str | None:
        """The rendered path; None for a file whose name renders to nothing, cookiecutter's way to leave a file out."""
        segments = [self._segment(segment, path) for segment in path.split("/")]
        return "/".join(segments) if segments[-1] else None

    def _segment(self, segment: str, path: str) -> str:
        if "{" not in segment:
            return segment
        if segment not in self._segments:
            self._segments[segment] = self._render(path, lambda: self._from_text(segment))
        return self._segments[segment]

    def _from_text(self, text: str) -> Template:
        code = self._loader.code(self._environment, f"name:{text}", lambda: text, text)
        return self._environment.template_class.from_code(
            self._environment, code, self._environment.make_globals(None), None
        )

    def is_template(self, path: str, data: bytes) -> bool:
        """Whether the file is rendered rather than copied."""
        return has_markup(data) and not self._is_copied(path) and not is_binary(data)

    def content(self, path: str, data: bytes) -> bytes:
        """The rendered bytes, with the line ends of the template's first line."""
        if not self.is_template(path, data):
            return data
        text = self._render(path, lambda: self._environment.get_template(path))
        return text.replace("\n", _line_end(data)).encode("utf-8")

    def _is_copied(self, path: str) -> bool:
        """Whether cookiecutter would copy the file, or a folder it lies in."""
        parts = path.split("/")
        prefixes = ["/".join(parts[: i + 1]) for i in range(len(parts))]
        return any(fnmatch.fnmatchcase(prefix, glob) for prefix in prefixes for glob in self._blueprint.copy_only)

    def _render(self, path: str, template: Callable[[], Template]) -> str:
        try:
            return template().render(self._context)
        except UndefinedError as error:
            name = str(error.message)
            raise self._error(path, f"the variable {name!r} is not defined", _line(error, path), name) from error
        except TemplateSyntaxError as error:
            raise self._error(path, f"it is no valid template: {error.message}", error.lineno) from error
        except SecurityError as error:
            raise self._error(path, f"the sandbox refuses it: {error.message}", _line(error, path)) from error
        except TemplateNotFound as error:
            raise self._error(path, f"it includes {error.name!r}, which is not there", _line(error, path)) from error
        except (
            TemplateError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            RecursionError,
        ) as error:
            raise self._error(path, f"it fails with {type(error).__name__}: {error}", _line(error, path)) from error

    def _error(self, path: str, reason: str, line: int | None, variable: str = "") -> RenderError:
        return RenderError(blueprint=self._blueprint.id, file=path, line=line, reason=reason, variable=variable)


def _line(error: BaseException, path: str) -> int | None:
    """The template's line an error came from: Jinja rewrites the traceback so that it names the template."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _line_end(data: bytes) -> str:
    first = data.find(b"\n")
    if first > 0 and data[first - 1 : first] == b"\r":
        return "\r\n"
    return "\n"
