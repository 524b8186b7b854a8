"""FileTree: a repository as a value. Path -> bytes, mode, owners. No disk here, and no path that could harm one."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from ai_factory.errors import UnsafePath

Rule = Literal["exclusive", "shared", "sections", "toml", "lines"]

MODE_FILE = 0o644
MODE_PROGRAM = 0o755

_DRIVE = re.compile(r"^[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_FORBIDDEN = re.compile(r'[<>:"|?*]')
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))})
_LONGEST_SEGMENT = 255


@dataclass(frozen=True, slots=True)
class Entry:
    """One file. `owners` are the blueprints it comes from, `rule` how they share it, `rendered` whether a template made it."""

    data: bytes
    mode: int = MODE_FILE
    owners: tuple[str, ...] = ()
    rule: Rule = "exclusive"
    rendered: bool = False

    @property
    def sha256(self) -> str:
        """The hexadecimal digest of the bytes."""
        return hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True, slots=True)
class FileTree(Mapping[str, Entry]):
    """Files by POSIX path, sorted. Building one refuses every unsafe path: raises `UnsafePath`."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", dict(sorted(self.entries.items())))
        for path, entry in self.entries.items():
            check_path(path, owner=", ".join(entry.owners))
        _check_together(self.entries)

    def __getitem__(self, path: str) -> Entry:
        return self.entries[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def digest(self) -> str:
        """A sha256 over every path, mode and content; the same files give the same digest anywhere."""
        return digest(self.entries)

    def folders(self) -> tuple[str, ...]:
        """Every folder the files need, parents first."""
        found = {path[:i] for path in self.entries for i, letter in enumerate(path) if letter == "/"}
        return tuple(sorted(found))


def digest(entries: Mapping[str, Entry]) -> str:
    """A sha256 over every path, mode and content, in the paths' order."""
    total = hashlib.sha256()
    for path in sorted(entries):
        total.update(f"{path}\0{entries[path].mode:o}\0{entries[path].sha256}\n".encode())
    return total.hexdigest()


@cache
def check_path(path: str, *, owner: str = "") -> None:
    """Refuse a path that leaves the project or that Linux, macOS or Windows could not all hold. Raises `UnsafePath`."""
    reason = _path_problem(path)
    if reason:
        raise UnsafePath(path=path, reason=reason, owner=owner)


def _path_problem(path: str) -> str:
    if not path:
        return "it is empty"
    if path.startswith(("/", "~")) or _DRIVE.match(path):
        return "it is absolute"
    if "\\" in path:
        return "it holds a backslash"
    if _CONTROL.search(path):
        return "it holds a control character"
    return next((problem for segment in path.split("/") if (problem := _segment_problem(segment))), "")


@cache
def _segment_problem(segment: str) -> str:
    if not segment:
        return "a folder's or file's name is empty"
    if segment in (".", ".."):
        return f"{segment!r} is no name"
    if segment != segment.rstrip(". "):
        return f"{segment!r} ends with a dot or a space"
    if segment.casefold() == ".git":
        return "a project's .git folder belongs to git"
    if _FORBIDDEN.search(segment):
        return f'{segment!r} holds one of < > : " | ? *'
    if segment.split(".", 1)[0].casefold() in _DEVICES:
        return f"{segment!r} is the name of a device on Windows"
    if len(segment.encode("utf-8", "surrogatepass")) > _LONGEST_SEGMENT:
        return f"a name is longer than {_LONGEST_SEGMENT} bytes"
    return ""


def _check_together(entries: Mapping[str, Entry]) -> None:
    """Refuse what only a whole tree shows: names that differ by case alone, and a file where a folder is needed."""
    folded: dict[str, str] = {}
    for path, entry in entries.items():
        for name in (*_parents(path), path):
            first = folded.setdefault(_fold(name), name)
            if first != name:
                raise UnsafePath(
                    path=path,
                    reason=f"it differs from {first!r} only by case or accents' form",
                    owner=", ".join(entry.owners),
                )
        clash = next((parent for parent in _parents(path) if parent in entries), None)
        if clash:
            raise UnsafePath(
                path=path, reason=f"{clash!r} is a file, so it cannot be a folder too", owner=", ".join(entry.owners)
            )


@cache
def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


@cache
def _parents(path: str) -> tuple[str, ...]:
    return tuple(path[:i] for i, letter in enumerate(path) if letter == "/")


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path fits one of the globs: `*` and `?` stay within a name, `**` spans folders."""
    return any(_regex(pattern).fullmatch(path) for pattern in patterns)


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    parts = []
    for piece in re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]/]+\]|.", pattern, re.DOTALL):
        if piece == "**/":
            parts.append("(?:[^/]+/)*")
        elif piece == "**":
            parts.append(".*")
        elif piece == "*":
            parts.append("[^/]*")
        elif piece == "?":
            parts.append("[^/]")
        elif len(piece) > 1:
            parts.append(piece.replace("[!", "[^", 1))
        else:
            parts.append(re.escape(piece))
    return re.compile("".join(parts), re.DOTALL)
