"""A stack's configuration as one frozen, typed value: `load` reads it and reports every problem at once.

A program states what it reads as a dataclass whose fields are made by `text`, `choice`, `number`, `whole`, `flag`, `names`,
`pairs` and `roles`:

    @dataclass(frozen=True, slots=True)
    class Config(StackConfig):
        monthly_budget: float = number(1, 1_000_000)

A field without a default is required, and a key of the project that no field reads is refused, so a misspelt key cannot pass
unnoticed. What a program reads for itself is a field of its Config as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import pulumi
from ai_factory_spec.naming import STAGES
from ai_factory_spec.suggest import did_you_mean
from pulumi.runtime import config as given_to_program

from ai_factory_infra.regions import SAGEMAKER, lacks

REQUIRED = object()
C = TypeVar("C", bound="StackConfig")


class ConfigError(pulumi.RunError):
    """The configuration of a stack is not valid. The message names every key, what it says and what is allowed."""


def _setting(read: Callable[[str], Any], default: Any) -> Any:
    return field(kw_only=True, metadata={"read": read, "default": default})


def text(pattern: str = r".*", allowed: str = "any text", *, default: Any = REQUIRED) -> Any:
    """A string that matches the whole pattern."""

    def read(raw: str) -> str:
        if not re.fullmatch(pattern, raw):
            raise ValueError(allowed)
        return raw

    return _setting(read, default)


def choice(*options: str, default: Any = REQUIRED) -> Any:
    """One of the strings given."""
    return text("|".join(map(re.escape, options)), ", ".join(options), default=default)


def number(low: float, high: float, *, default: Any = REQUIRED, kind: Callable[[str], float] = float) -> Any:
    """A number between two bounds, both included."""

    def read(raw: str) -> float:
        try:
            value = kind(raw)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"a {'whole ' if kind is int else ''}number from {low:g} to {high:g}")
        return value

    return _setting(read, default)


def whole(low: int, high: int, *, default: Any = REQUIRED) -> Any:
    """A whole number between two bounds, both included."""
    return number(low, high, default=default, kind=int)


def flag(*, default: Any = REQUIRED) -> Any:
    """`true` or `false`."""

    def read(raw: str) -> bool:
        if raw not in ("true", "false"):
            raise ValueError("true, false")
        return raw == "true"

    return _setting(read, default)


def names(pattern: str, allowed: str) -> Any:
    """A tuple of strings, written with commas between them; empty by default."""

    def read(raw: str) -> tuple[str, ...]:
        values = tuple(v.strip() for v in raw.split(",") if v.strip())
        if not all(re.fullmatch(pattern, v) for v in values):
            raise ValueError(allowed)
        return values

    return _setting(read, "")


def pairs(pattern: str, allowed: str, *keys: str) -> Any:
    """A mapping, written `name=value` with commas between; empty by default. `keys`: the names allowed, or none for any."""

    def read(raw: str) -> dict[str, str]:
        entries = [entry.strip().partition("=") for entry in raw.split(",") if entry.strip()]
        found = {name.strip(): value.strip() for name, _, value in entries}
        strange = sorted(set(found) - set(keys)) if keys else []
        if strange or not all(re.fullmatch(pattern, value) for value in found.values()):
            raise ValueError(allowed + "".join(did_you_mean(name, keys) for name in strange))
        return found

    return _setting(read, "")


def roles(*parts: str) -> Any:
    """Roles that exist, by the part of the stack that assumes them; a part that is not named gets a role of its own."""
    written = ", ".join(f"{part}=ARN" for part in parts)
    return pairs(
        r"arn:[\w-]+:iam::\d{12}:role/.+", f"roles that exist, by the part that assumes them: {written}", *parts
    )


def aws_region() -> Any:
    """A region in which AWS has what every stack needs, of the partition that the components are written for."""

    def read(raw: str) -> str:
        if not re.fullmatch(r"[a-z]{2,4}(-[a-z]+)+-\d", raw):
            raise ValueError("an AWS region such as eu-west-1")
        if why := lacks(raw, SAGEMAKER, "SageMaker"):
            raise ValueError(f"an AWS region with SageMaker; {why}")
        return raw

    return _setting(read, REQUIRED)


# What `text` is given for values that several stacks read: the pattern and what it allows.
COMMAND = (r"[a-z][a-z0-9_-]{0,63}", "the project command, such as churn")
IMAGE_TAG = (r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", "1 to 128 letters, digits, dots, hyphens and underscores")
RELEASE = (
    r"|[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
    "a folder under releases/ in the artifacts bucket, or empty: no model yet",
)
BUCKET = (r"|[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of a bucket that exists, or empty: one is made")
SLUG = r"(?=.{1,40}$)[a-z0-9](-*[a-z0-9])*"


@dataclass(frozen=True, slots=True)
class StackConfig:
    """What every stack of a project reads."""

    project: str = text(SLUG, "1 to 40 lower-case letters, digits and hyphens")
    region: str = aws_region()
    account: str = text(r"|\d{12}", "twelve digits in quotes, or empty: then no account is refused", default="")
    organization: str = text(r"|[A-Za-z0-9_.-]+", "whose stacks are read, or empty: those of this one's", default="")
    risk_tier: str = choice("low", "medium", "high")
    emulator: str = text(r"|http://127\.0\.0\.1:\d+", "an AWS emulator on this machine, or empty", default="")
    permissions_boundary_arn: str = text(r"|arn:[\w-]+:iam::\d{12}:policy/.+", "the ARN of an IAM policy", default="")


def load(kind: type[C]) -> C:
    """The configuration of the running stack. Raises ConfigError with all problems."""
    config, values, problems = pulumi.Config(), {}, []
    if pulumi.get_stack() not in STAGES:
        problems.append(f"the stack {pulumi.get_stack()!r} is no stage; allowed: {', '.join(STAGES)}")
    for entry in fields(kind):
        raw, default = config.get(entry.name), entry.metadata["default"]
        if raw is None and default is REQUIRED:
            problems.append(f"{entry.name}: missing; set it with `pulumi config set {entry.name} VALUE`")
            continue
        try:
            values[entry.name] = entry.metadata["read"](default if raw is None else raw)
        except ValueError as allowed:
            problems.append(f"{entry.name}: got {raw!r}; allowed: {allowed}")
    problems += _unread({entry.name for entry in fields(kind)})
    project = str(values.get("project", ""))
    if project and not pulumi.get_project().startswith(f"{project}-"):
        # Names begin with the project: another one would make everything anew beside what there is, and delete that.
        problems.append(
            f"project: got {project!r}, but this is {pulumi.get_project()}; a use case that is called otherwise gets stacks of "
            "its own: generate its repository, bring it up, then destroy this one"
        )
    if problems:
        lines = "\n".join(f"  {p}" for p in problems)
        raise ConfigError(
            f"The configuration of {pulumi.get_project()}, stack {pulumi.get_stack()}, is not valid:\n{lines}"
        )
    return kind(**values)


def _unread(known: set[str]) -> list[str]:
    """A problem for each key of the project that no field reads: what it should have said would be ignored."""
    # There is no public list of keys. In older releases of Pulumi this is a plain mapping.
    held: object = given_to_program.CONFIG
    own = held.get() if isinstance(held, ContextVar) else held
    given: set[str] = {*given_to_program.get_config_env(), *(own if isinstance(own, Mapping) else ())}
    prefix = f"{pulumi.get_project()}:"
    return [
        f"{key}: no setting of this stack{did_you_mean(key, known)}"
        for key in sorted(k.removeprefix(prefix) for k in given if k.startswith(prefix))
        if key not in known
    ]
