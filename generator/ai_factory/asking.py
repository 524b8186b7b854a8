"""A person at a terminal, asked with questionary: only what could not be inferred, each question with the likely answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import questionary

from ai_factory import report, views
from ai_factory.answers import Question
from ai_factory.errors import Declined
from ai_factory.plan import Plan
from ai_factory.report import printable

_LIST = 30  # more columns than this are typed with completion, not picked from a list


class Person:
    """Answers from the terminal. Ctrl-C raises KeyboardInterrupt."""

    def data(self) -> Path:
        """The data file."""
        exists = questionary.path(
            "Which data file (CSV or Parquet)?", validate=lambda p: Path(p).is_file() or "no such file"
        )
        return Path(str(exists.unsafe_ask()))

    def target(self, columns: Sequence[str]) -> str:
        """The column to predict; the last one is offered first, as that is where it usually stands."""
        text = "Which column is to be predicted?"
        if len(columns) > _LIST:
            known = questionary.autocomplete(
                text, list(columns), validate=lambda name: name in columns or "no such column"
            )
            return str(known.unsafe_ask())
        return self._select(text, columns, columns[-1])

    def choice(self, question: Question) -> str:
        """The answer to a question; the inferred one is preselected."""
        return self._select(f"{question.text} ({question.why})", question.choices, question.inferred)

    def several(self, question: Question) -> Collection[str]:
        """The choices that apply; all are preselected."""
        shown = [questionary.Choice(title=printable(c), value=c, checked=True) for c in question.choices]
        return [
            str(c) for c in questionary.checkbox(printable(f"{question.text} ({question.why})"), shown).unsafe_ask()
        ]

    def agree(self, plan: Plan, folder: Path) -> None:
        """Show the plan and ask whether to write it. Raises Declined."""
        report.show(*views.plan_parts(plan, explain=False))
        if not questionary.confirm(f"Write this to {printable(str(folder))}?", default=True).unsafe_ask():
            raise Declined

    def _select(self, text: str, choices: Sequence[str], default: str) -> str:
        shown = [questionary.Choice(title=printable(c) or "(empty)", value=c) for c in choices]
        preselected = next(choice for choice in shown if choice.value == default)
        return str(questionary.select(printable(text), shown, default=preselected).unsafe_ask())
