"""A data file -> the text of a use case: profiled, what is uncertain asked, the rest inferred."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import cast

from ai_factory_spec.metrics import Task

from ai_factory.answers import Answers, Question, Wish
from ai_factory.profile import Profile, profile_file
from ai_factory.propose import usecase_yaml

Working = Callable[[str], AbstractContextManager[None]]

_LONGEST_NAME = 200


def proposed(data: Path, wish: Wish, answers: Answers, working: Working) -> str:
    """The text of usecase.yaml for a data file. `working` shows what takes a while, and ends before anything is asked."""
    with working(f"reading {data.name}"):
        profile = profile_file(data, wish.target)
    target = wish.target
    if target is None:
        target = answers.target([column.name for column in profile.columns])
        with working(f"reading {data.name}"):
            profile = profile_file(data, target)
    task = _task(profile, target, answers)
    return usecase_yaml(
        profile,
        target=target,
        name=wish.name or data.stem[:_LONGEST_NAME],
        title=wish.title,
        task=task,
        positive=_positive(profile, target, task, answers),
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
