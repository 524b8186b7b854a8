"""Profile -> a commented usecase.yaml, and the list of what was inferred, with reasons and how certain it is.

Bounds of a number are the observed ones, widened by half their distance; one that has no negative values stays at 0 or above.
Whatever text the file or the person gives is carried in quotes, so that reading the proposal gives the same text back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from ai_factory_spec.metrics import Task

from ai_factory.data_errors import TargetUnusable
from ai_factory.profile import ColumnProfile, Profile
from ai_factory.proposal_text import Choice, contract_lines, data_lines, head_lines, model_lines, rest_lines


class Unset(Enum):
    """The value of an argument that was not given, where None is an answer."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Inference:
    """Something read out of the data: what (`model.task`, `data.id`, …), its value, why, and whether a person should confirm it."""

    what: str
    value: str
    why: str
    certain: bool


def inferences(profile: Profile) -> tuple[Inference, ...]:
    """Everything that was guessed, the target's part first; what is not `certain` is worth asking about."""
    roles = profile.roles
    single = (
        ("model.task", roles.task),
        ("model.positive", roles.positive),
        ("data.id", roles.id),
        ("data.time", roles.time),
    )
    found = [Inference(what, guess.value, guess.why, guess.certain) for what, guess in single if guess is not None]
    found += [Inference("data.pii", p.column, f"{p.kind}: {p.why}", p.certain) for p in roles.pii]
    found += [Inference("data.sensitive", g.value, g.why, g.certain) for g in roles.sensitive]
    found += [Inference("data.ignore", g.value, g.why, g.certain) for g in roles.ignored]
    found += [Inference("left out", column.name, column.why, True) for column in profile.left_out]
    found += [Inference("data.contract", column.name, column.note, False) for column in profile.columns if column.note]
    return tuple(found)


def usecase_yaml(
    profile: Profile,
    *,
    target: str,
    name: str,
    title: str = "",
    description: str = "",
    owner: str = "",
    source: str | None = None,
    task: Task | None = None,
    positive: str | None = None,
    id: str | Unset | None = UNSET,  # noqa: A002 - the field's name in usecase.yaml
    time: str | Unset | None = UNSET,
    not_pii: Collection[str] = (),
) -> str:
    """The text of a usecase.yaml for a profiled file. What is not given is inferred; `id=None` and `time=None` say there is none.

    `source` is the data file relative to usecase.yaml (default: its name). `not_pii`: columns that seemed personal and are
    not. Raises ValueError where the profile was made for another target, TargetUnusable where the target cannot have the task.
    """
    if target != profile.target:
        raise ValueError(f"the profile was made for the target {profile.target!r}, not {target!r}")
    choice = _choose(profile, target, task, positive, id, time, not_pii)
    lines = [
        *head_lines(name, title, description, owner),
        *data_lines(profile, choice, source if source is not None else profile.path.name),
        *contract_lines(profile, choice),
        *model_lines(profile, choice),
        *rest_lines(choice),
    ]
    return "\n".join(lines) + "\n"


def _choose(
    profile: Profile,
    target: str,
    task: Task | None,
    positive: str | None,
    id_: str | Unset | None,
    time: str | Unset | None,
    not_pii: Collection[str],
) -> Choice:
    roles, column = profile.roles, profile.column(target)
    task = task or (roles.task.value if roles.task else "regression")
    _require_fit(profile, column, task)
    guessed_id = roles.id.value if roles.id else None
    chosen_id = guessed_id if id_ is UNSET else id_
    chosen_time = (roles.time.value if roles.time else None) if time is UNSET else time
    taken = {target, chosen_id, chosen_time}
    ids = [g.value for g in roles.ignored]
    if guessed_id is not None and profile.column(guessed_id).unique:
        ids.insert(0, guessed_id)
    pii = tuple((p.column, p.kind, p.why) for p in roles.pii if p.column not in taken and p.column not in not_pii)
    personal = {column for column, _, _ in pii}
    if task == "binary":
        positive = positive or (roles.positive.value if roles.positive else column.values[-1][0])
    return Choice(
        target=target,
        task=task,
        positive=positive if task == "binary" else None,
        id=chosen_id,
        time=chosen_time,
        pii=pii,
        sensitive=tuple(g.value for g in roles.sensitive if g.value not in taken),
        ignored=tuple(dict.fromkeys(name for name in ids if name not in taken and name not in personal)),
    )


def _require_fit(profile: Profile, target: ColumnProfile, task: Task) -> None:
    problem = ""
    if task == "regression" and not target.numeric:
        problem = "its values are no numbers, so it fits no regression"
    elif task != "regression" and target.numeric and not target.whole:
        problem = "its values are numbers with fractions, so they are no classes"
    elif task == "binary" and len(target.values) != 2:
        problem = f"it has {target.distinct:,} different values, so it fits no binary task"
    elif task == "multiclass" and len(target.values) < 3:
        problem = f"it has {target.distinct:,} different values, so it fits no multiclass task"
    if problem:
        raise TargetUnusable(
            path=profile.path, target=target.name, problem=problem, hint="Leave the task out: it is inferred."
        )
