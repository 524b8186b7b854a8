"""What a registry refuses beside `RegistryUnavailable`, and which refusal an error of MLflow, its database or its server is.

RegistryUnavailable (base.errors)
└── RegistryGone       it knows no version, yet what versions leave behind is here        exit 1
FactoryError
└── RebuildRefused     the registry cannot be made again from what is here                exit 1
"""

# ruff: noqa: N818 - the names say what happened, as in `base.errors`.

from __future__ import annotations

import errno
from collections.abc import Sequence

from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.base.errors import RegistryUnavailable, WriteFailed

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# SQLite's own words, by what a person has to do.
_UNWRITABLE = ("database or disk is full", "attempt to write a readonly database", "disk I/O error")
_HINTS = (
    (("is locked",), "Close what else has its file open, then run again."),
    (
        ("file is not a database", "malformed"),
        "Its file is damaged: restore it from a backup; or move it away, then `registry rebuild` makes it again from the packages.",
    ),
    (("there is no connection",), "See that its server runs and that its address is right, then run again."),
)


class RegistryGone(RegistryUnavailable):
    """The registry's file is missing or new, or its server is another: it knows no version of models that are here."""

    slug = "registry-gone"

    def __init__(self, *, address: str, traces: Sequence[str]) -> None:
        self.traces = tuple(traces)
        FactoryError.__init__(
            self,
            f"The model registry {address} is gone or is another one: it knows no version, and versions left {' and '.join(self.traces)} here.",
            hint="Restore it from a backup, or name in tracking.address where it is. `registry rebuild` makes it again from the packages. "
            "To begin anew on purpose, move the folder artifacts/ away.",
        )


class RebuildRefused(FactoryError):
    """A registry that has versions is not rebuilt, nor one whose versions contradict each other."""

    slug = "rebuild-refused"

    def __init__(self, *, address: str, problems: Sequence[str], hint: str) -> None:
        self.problems = tuple(problems)
        super().__init__(f"The model registry {address} is not rebuilt: {'; '.join(self.problems)}.", hint=hint)

    def details(self) -> dict[str, object]:
        """And every problem."""
        return {**super().details(), "problems": list(self.problems)}


def refusal(error: Exception, *, address: str, problem: str) -> FactoryError:
    """The refusal that an error of the registry is; `problem` is its text for a person."""
    text = str(error)
    if any(words in text for words in _UNWRITABLE):
        return WriteFailed(path=address, problem=problem)
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        return WriteFailed(path=address, problem=error.strerror or problem)
    hint = next((hint for words, hint in _HINTS if any(w in f"{text} {problem}" for w in words)), "")
    return RegistryUnavailable(address=address, problem=problem, hint=hint)
