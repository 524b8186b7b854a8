"""A data file -> the text of a use case: profiled, what is uncertain asked, the rest inferred."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ai_factory_spec.metrics import Task

from ai_factory.answers import Answers, Question, Wish
from ai_factory.profile import Profile, profile_file
from ai_factory.propose import usecase_yaml
from ai_factory.roles import Guess

Working = Callable[[str], AbstractContextManager[None]]

_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Intake:
    """A profiled data file; `usecase` is the text of the use case proposed for it, or nothing without a target."""

    profile: Profile
    usecase: str


def take_in(data: Path, wish: Wish, answers: Answers, working: Working, *, source: str) -> Intake:
    """Profile a data file and propose a use case whose `data.source` is `source`.

    `working` shows what takes a while, and ends before anything is asked. Raises MissingAnswer where the target is neither
    given nor told, and profile_file's errors.
    """
    profile = profiled(data, wish.target, working)
    if wish.target is None:
        target = answers.target([column.name for column in profile.columns])
        profile = profiled(data, target, working)
    return Intake(profile, _propose(profile, data, wish, answers, source))


def profiled(data: Path, target: str | None, working: Working) -> Profile:
    """The profile of a data file."""
    with working(f"reading {data.name}"):
        return profile_file(data, target)


def _propose(profile: Profile, data: Path, wish: Wish, answers: Answers, source: str) -> str:
    assert profile.target is not None, "the target was given or told"
    task = _task(profile, profile.target, answers)
    return usecase_yaml(
        profile,
        target=profile.target,
        name=wish.name or data.stem[:_LONGEST_NAME],
        title=wish.title,
        source=source,
        task=task,
        positive=_positive(profile, profile.target, task, answers),
        id=_column("name what its rows are about, so that they stay together", profile.roles.id, answers),
        time=_column("order the rows in time", profile.roles.time, answers),
        not_pii=_not_pii(profile, answers),
    )


def _task(profile: Profile, target: str, answers: Answers) -> Task:
    """What kind of prediction it is. Whole numbers can be classes or a quantity: that is asked."""
    guess = profile.roles.task
    assert guess is not None, "a profile with a target has a task"
    if guess.certain:
        return guess.value
    classes = "binary" if len(profile.column(target).values) == 2 else "multiclass"
    question = Question(f"What is {target!r}?", (classes, "regression"), guess.value, guess.why)
    return cast("Task", answers.choice(question))


def _positive(profile: Profile, target: str, task: Task, answers: Answers) -> str | None:
    """The class of interest of a binary task."""
    guess = profile.roles.positive
    if task != "binary" or guess is None:
        return None
    if guess.certain:
        return guess.value
    classes = tuple(value for value, _ in profile.column(target).values)
    return answers.choice(Question("Which class is of interest?", classes, guess.value, guess.why))


def _column(what: str, guess: Guess[str] | None, answers: Answers) -> str | None:
    """The column that seems to play a part, or None where a person says that it does not."""
    if guess is None or guess.certain:
        return guess.value if guess else None
    question = Question(f"Does the column {guess.value!r} {what}?", ("yes", "no"), "yes", guess.why)
    return guess.value if answers.choice(question) == "yes" else None


def _not_pii(profile: Profile, answers: Answers) -> tuple[str, ...]:
    """Columns that seemed to identify a person, where a person says that they do not."""
    uncertain = [guess for guess in profile.roles.pii if not guess.certain]
    if not uncertain:
        return ()
    columns = tuple(guess.column for guess in uncertain)
    why = "; ".join(f"{guess.column}: {guess.why}" for guess in uncertain)
    personal = answers.several(
        Question("Which of these columns identify a person? They are never features.", columns, "", why)
    )
    return tuple(column for column in columns if column not in personal)
