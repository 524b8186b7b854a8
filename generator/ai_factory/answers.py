"""What only a person can say about a data file, and how it is answered where there is nobody to ask."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ai_factory.errors import MissingAnswer
from ai_factory.plan import Plan


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says of a new repository's origin; what is left out is inferred, or asked."""

    data: Path | None = None
    target: str | None = None
    name: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, the answers there are, and the one that was inferred (all, where several may be), with the reason."""

    text: str
    choices: tuple[str, ...]
    inferred: str
    why: str


class Answers(Protocol):
    """Someone, or nobody, to ask."""

    def data(self) -> Path:
        """The data file."""

    def target(self, columns: Sequence[str]) -> str:
        """The column to predict."""

    def choice(self, question: Question) -> str:
        """The answer to a question whose inferred answer is likely, not certain."""

    def several(self, question: Question) -> Collection[str]:
        """The choices that apply; all of them are likely."""

    def agree(self, plan: Plan, folder: Path) -> None:
        """Look at the plan before it is written. Raises Declined."""


class Nobody:
    """Takes what was inferred; what cannot be inferred must be an option."""

    def data(self) -> Path:
        """Raises MissingAnswer."""
        raise MissingAnswer(question="What is the repository to be made from?", option="SPEC or --data FILE")

    def target(self, columns: Sequence[str]) -> str:
        """Raises MissingAnswer: which column to predict is never guessed."""
        shown = ", ".join(columns[:12]) + (", …" if len(columns) > 12 else "")
        raise MissingAnswer(
            question=f"Which column is to be predicted? The file has {shown}.", option="--target COLUMN"
        )

    def choice(self, question: Question) -> str:
        """The inferred answer."""
        return question.inferred

    def several(self, question: Question) -> Collection[str]:
        """All of them."""
        return question.choices

    def agree(self, plan: Plan, folder: Path) -> None:
        """Who asked for no questions has agreed."""
