"""Settings of a service that come from the environment: read before anything is loaded, and refused where they say nothing clear.

| variable                     | means                                                          | default |
|------------------------------|----------------------------------------------------------------|---------|
| `AI_FACTORY_CAPTURE_RATE`    | the share of requests considered for the monitor, 0 to 1       | 1       |
| `AI_FACTORY_REQUEST_SECONDS` | the longest a model may take for a call                        | 30      |
| `AI_FACTORY_MAX_BODY_MB`     | the largest body in MiB; the most rows grow in proportion      | 6       |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.serving.limits import MIB, USUAL, Limits

CAPTURE_VARIABLE = "AI_FACTORY_CAPTURE_RATE"
SECONDS_VARIABLE = "AI_FACTORY_REQUEST_SECONDS"
BODY_VARIABLE = "AI_FACTORY_MAX_BODY_MB"
_LONGEST_SHOWN = 40


class ServiceSettingInvalid(FactoryError):  # noqa: N818 - the name says what happened, as in `errors`
    """A variable of the environment says nothing that a service can do. `problems` holds all of them."""

    slug = "service-setting"

    def __init__(self, *, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        lines = [f"  {problem}" for problem in self.problems]
        super().__init__(
            "\n".join(["The service was not started, because its settings cannot be used:", *lines]),
            hint="Correct each in the environment, or unset it: `env -u NAME <command> serve`.",
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment asks of a service."""

    capture_rate: float
    limits: Limits


@dataclass(frozen=True, slots=True)
class _Range:
    """The numbers that a variable may hold, and what they count."""

    low: float
    high: float
    what: str
    default: float


_RANGES = {
    CAPTURE_VARIABLE: _Range(0, 1, "the share of requests to keep: 0 keeps none, 1 all", 1.0),
    SECONDS_VARIABLE: _Range(0.1, 3600, "the seconds a model may take for a call", USUAL.seconds),
    BODY_VARIABLE: _Range(1, 1024, "the largest body in MiB", USUAL.body / MIB),
}


def read_settings(environment: Mapping[str, str]) -> Settings:
    """What the variables say; an absent or empty one has its default. Raises ServiceSettingInvalid with all problems."""
    found: dict[str, float] = {}
    problems: list[str] = []
    for name, allowed in _RANGES.items():
        text = environment.get(name, "").strip()
        number = _number(text) if text else allowed.default
        if number is None or not allowed.low <= number <= allowed.high:
            problems.append(
                f"{name}: got {text[:_LONGEST_SHOWN]!r}; a number from {allowed.low:g} to {allowed.high:g} is allowed, {allowed.what}"
            )
        else:
            found[name] = number
    if problems:
        raise ServiceSettingInvalid(problems=problems)
    limits = Limits.for_body(round(found[BODY_VARIABLE] * MIB), seconds=found[SECONDS_VARIABLE])
    return Settings(found[CAPTURE_VARIABLE], limits)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
