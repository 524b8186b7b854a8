"""The root of every error a user can cause.

FactoryError
├── UsecaseError                     usecase.yaml does not say what it must (here, in `ai_factory_spec`)
├── (generator)  ai_factory.errors           composing a repository
└── (runtime)    ai_factory_runtime.base.errors   training, gating, serving, monitoring

An error carries facts; its message says what failed, what we got and what is allowed, and `hint` the next command.
Errors never print. `slug` anchors into playbooks/errors.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

EXIT_OK = 0
EXIT_USER_ERROR = 1
EXIT_USAGE = 2
EXIT_DRIFT = 3
EXIT_CHECKS_FAILED = 4


class FactoryError(Exception):
    """A mistake or a refusal that the user can act on. Everything else is a bug and keeps its traceback."""

    slug: ClassVar[str] = "error"
    exit_code: ClassVar[int] = EXIT_USER_ERROR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.run_id = ""
        """The run that ended so; empty where there was none, or it had no id yet."""

    def details(self) -> dict[str, object]:
        """The facts that a program asks for by name, as plain values for JSON; they stand beside message and hint."""
        return {"run": self.run_id} if self.run_id else {}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a YAML file: where (dotted path and 1-based line, 0 if unknown), what, and what is allowed."""

    path: str
    line: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.path or '(top level)'}"
        tail = f" ({self.hint})" if self.hint else ""
        return f"{where}: {self.message}{tail}"


SHOWN_PROBLEMS = 100
"""The message lists so many; `problems` holds all."""


class UsecaseError(FactoryError):
    """usecase.yaml is not valid. `problems` holds all of them, in file order."""

    slug = "usecase-invalid"

    def __init__(self, *, file: str, problems: Sequence[Problem], hint: str = "") -> None:
        self.file = file
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = [f"{file} has {count} problem{'s' if count != 1 else ''}:"]
        lines += [f"  {file}:{p.line}: {p}" if p.line else f"  {p}" for p in self.problems[:SHOWN_PROBLEMS]]
        if count > SHOWN_PROBLEMS:
            lines.append(f"  … and {count - SHOWN_PROBLEMS:,} more")
        super().__init__(
            "\n".join(lines), hint=hint or "`ai-factory schema usecase` prints every field and what it allows."
        )

    def details(self) -> dict[str, object]:
        """And every problem: path, line, message and hint."""
        return {**super().details(), "problems": [asdict(p) for p in self.problems]}
