"""What a rollout refuses.

FactoryError (ai_factory_spec.errors)
├── RolloutRefused     this version cannot meet this stage's traffic now           exit 1
├── NoRollout          there is none to look at or to stop                              1
└── RolloutUnreadable  the rollout's file is not what this runtime writes               4
"""

# ruff: noqa: N818 - the names say what happened, as in `errors`.

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ai_factory_spec.errors import EXIT_CHECKS_FAILED, FactoryError


class RolloutRefused(FactoryError):
    """A rollout that cannot begin. `problems` holds every reason."""

    slug = "rollout-refused"

    def __init__(self, *, version: int, stage: str, problems: Sequence[str], hint: str) -> None:
        self.problems = tuple(problems)
        super().__init__(f"Version {version} cannot be rolled out to {stage}: {'; '.join(self.problems)}.", hint=hint)


class NoRollout(FactoryError):
    """A stage has no rollout, or none that is under way."""

    slug = "no-rollout"

    def __init__(self, *, stage: str, command: str, ended: str = "") -> None:
        said = f"The rollout in stage {stage} is over: {ended}." if ended else f"There is no rollout in stage {stage}."
        super().__init__(said, hint=f"`{command} rollout start VERSION --stage {stage}` begins one.")


class RolloutUnreadable(FactoryError):
    """The file that says where a rollout stands is damaged."""

    slug = "rollout-unreadable"
    exit_code = EXIT_CHECKS_FAILED

    def __init__(self, *, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} does not say where the rollout stands: {reason}.",
            hint="Delete the file: the stage's own model answers every request then, and a new rollout can be started.",
        )
