"""Joins for files that several blueprints write: sections between marks, TOML key by key, the union of lines."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ai_factory.catalog import How
from ai_factory.errors import JoinFailed


@dataclass(frozen=True, slots=True)
class Fragment:
    """One blueprint's part of a shared file."""

    owner: str
    data: bytes


def join(how: How, path: str, fragments: Sequence[Fragment]) -> bytes:
    """The whole file from its fragments, in order. Raises JoinFailed for a fragment that contradicts an earlier one."""
    return _JOINERS[how](path, fragments)


def _sections(path: str, fragments: Sequence[Fragment]) -> bytes:
    opening, closing = ("<!-- ", " -->") if PurePosixPath(path).suffix in (".md", ".html") else ("# ", "")
    parts = []
    for fragment in fragments:
        body = _text(path, fragment).strip("\n")
        parts.append(f"{opening}>>> {fragment.owner}{closing}\n{body}\n{opening}<<< {fragment.owner}{closing}\n")
    return "\n".join(parts).encode()


def _lines(path: str, fragments: Sequence[Fragment]) -> bytes:
    seen: set[str] = set()
    kept = []
    for fragment in fragments:
        for line in _text(path, fragment).splitlines():
            if not line.strip() or line not in seen:
                kept.append(line)
                seen.add(line)
    return ("\n".join(kept).strip("\n") + "\n").encode()


def _toml(path: str, fragments: Sequence[Fragment]) -> bytes:
    # tomlkit takes longer to import than a whole layer to render, and most files have one writer.
    if len(fragments) == 1:
        return fragments[0].data
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    whole: tomlkit.TOMLDocument | None = None
    for fragment in fragments:
        try:
            part = tomlkit.parse(_text(path, fragment))
        except TOMLKitError as error:
            raise JoinFailed(path=path, owner=fragment.owner, reason=f"is no valid TOML: {error}") from error
        if whole is None:
            whole = part
        else:
            _merge(whole, part, (), path, fragment.owner)
    return tomlkit.dumps(whole or tomlkit.document()).encode()


def _merge(
    into: MutableMapping[str, Any], part: MutableMapping[str, Any], at: tuple[str, ...], path: str, owner: str
) -> None:
    """Add `part` to `into`: tables deep, arrays united in order; a scalar that differs is refused."""
    for key, value in part.items():
        here = (*at, key)
        if key not in into:
            into[key] = value
        elif isinstance(into[key], MutableMapping) and isinstance(value, MutableMapping):
            _merge(into[key], value, here, path, owner)
        elif isinstance(into[key], list) and isinstance(value, list):
            for item in value:
                if item not in into[key]:
                    into[key].append(item)
        elif into[key] != value:
            reason = f"sets {'.'.join(here)} to {value!r}, where it is already {into[key]!r}"
            raise JoinFailed(path=path, owner=owner, reason=reason)


def _text(path: str, fragment: Fragment) -> str:
    try:
        return fragment.data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JoinFailed(path=path, owner=fragment.owner, reason="is not UTF-8 text") from error


_JOINERS: dict[How, Callable[[str, Sequence[Fragment]], bytes]] = {
    "sections": _sections,
    "toml": _toml,
    "lines": _lines,
}
