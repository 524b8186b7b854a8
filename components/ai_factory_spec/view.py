"""A tolerant look at a use case that may be only partly valid: as plain data from a file, or as a finished model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ai_factory_spec.paths import Path

INVALID: Final = object()
"""Stands where the file holds a value that is already reported as a problem: no check may conclude anything from it."""


class View:
    """A section and its path. A fact that is absent or invalid is None; `absent` and `known` tell the two apart."""

    __slots__ = ("_data", "path")

    def __init__(self, data: object, path: Path = ()) -> None:
        self._data = data
        self.path = path

    @property
    def given(self) -> bool:
        """Whether the section is there and is one."""
        return self._data is not None and self._data is not INVALID

    def at(self, *steps: str | int) -> Path:
        """The path of a field of this section."""
        return (*self.path, *steps)

    def get(self, key: str) -> object:
        """The field's value; None where it is absent, INVALID where it or its section is already reported."""
        if self._data is None:
            return None
        if isinstance(self._data, Mapping):
            return self._data.get(key)
        return getattr(self._data, key, INVALID)

    def absent(self, key: str) -> bool:
        """Whether the field is not given at all."""
        return self.get(key) is None

    def known(self, key: str) -> bool:
        """Whether the field is absent or valid, so that conclusions may be drawn from what it holds."""
        return self.get(key) is not INVALID

    def text(self, key: str) -> str | None:
        """A text, or None."""
        value = self.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> float | None:
        """A number, or None."""
        value = self.get(key)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    def section(self, key: str) -> View:
        """A section of this one."""
        return View(self.get(key), self.at(key))

    def sections(self, key: str) -> Iterator[View]:
        """The members of a list of sections."""
        for i, value in enumerate(self._list(key)):
            yield View(value, self.at(key, i))

    def named(self, key: str) -> Iterator[tuple[str, View]]:
        """The members of a section whose keys the user chooses, by key."""
        value = self.get(key)
        for name, member in value.items() if isinstance(value, Mapping) else ():
            if isinstance(name, str):
                yield name, View(member, self.at(key, name))

    def texts(self, key: str) -> Iterator[tuple[Path, str]]:
        """The texts of a list with their paths."""
        for i, value in enumerate(self._list(key)):
            if isinstance(value, str):
                yield self.at(key, i), value

    def complete(self, key: str) -> bool:
        """Whether every member of a list is valid."""
        return self.known(key) and all(value is not INVALID for value in self._list(key))

    def _list(self, key: str) -> Sequence[object]:
        value = self.get(key)
        return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
