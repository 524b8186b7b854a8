"""Challenge: a registered version made a stage's challenger, and the alias that says so in the registry.

What a person's command does beside `rollouts`, which servers use, too: only this module asks the registry.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ai_factory_runtime.base.project import Project
from ai_factory_runtime.releases.registry import CHALLENGER, SHADOW, open_registry
from ai_factory_runtime.rollout.decisions import Decision, Rollout
from ai_factory_runtime.rollout.rollouts import Decided, decide_now, find_rollout, look, start, withdraw


@dataclass(frozen=True, slots=True)
class Standing:
    """A stage's rollout, and what the evidence asks for now; None once it is over."""

    rollout: Rollout
    decision: Decision | None


def challenge(project: Project, version: int, stage: str) -> Rollout:
    """Begin the rollout of a registered version; it gets the alias `shadow` or `challenger`.

    Raises what `rollouts.start` raises, UnknownVersion, RegistryUnavailable: then no rollout has begun.
    """
    registry = open_registry(project)
    model = registry.get(version)
    rollout = start(project, stage, version=model.version, digest=model.digest, folder=model.folder)
    try:
        registry.set_alias(_alias(rollout), version)
    except BaseException:
        withdraw(project, stage, "the registry took no alias", only=rollout.rollout_id)
        raise
    return rollout


def standing(project: Project, stage: str, labels: Path | None = None) -> Standing:
    """Where the stage's rollout stands. Raises NoRollout, RolloutUnreadable, LabelsUnusable."""
    rollout = find_rollout(project, stage)
    return Standing(rollout, look(project, rollout, labels) if rollout.running else None)


def settle(project: Project, stage: str, labels: Path | None = None) -> Decided:
    """Decide now, and carry it out. Raises what `rollouts.decide_now` raises."""
    return decide_now(project, stage, labels=labels)


def stop(project: Project, stage: str, reason: str) -> Rollout:
    """End the rollout under way; the champion answers everything again. Raises NoRollout."""
    return withdraw(project, stage, reason)


def release_alias(project: Project, rollout: Rollout) -> None:
    """Take the alias back from a challenger whose rollout is over. Raises RegistryUnavailable."""
    if rollout.running:
        return
    registry, alias = open_registry(project), _alias(rollout)
    if any(v.version == rollout.challenger.version and alias in v.aliases for v in registry.versions()):
        registry.clear_alias(alias)


def _alias(rollout: Rollout) -> str:
    return SHADOW if rollout.mirrors else CHALLENGER
