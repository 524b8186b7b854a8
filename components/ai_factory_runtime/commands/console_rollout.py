"""What `rollout` prints."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from ai_factory_runtime.commands.console import printable, show_json

if TYPE_CHECKING:
    from ai_factory_runtime.rollout.decisions import Decision, Rollout

STANDING = {"within": "holds", "broken": "BROKEN", "open": "not yet"}


def show_rollout(rollout: Rollout, decision: Decision | None, *, command: str, as_json: bool) -> None:
    """Who meets how much traffic, each bound, what follows, and what happened so far."""
    if as_json:
        show_json(_document(rollout, decision))
        return
    new, old, terms = rollout.challenger, rollout.champion, rollout.terms
    _line(
        f"Stage {rollout.stage}: version {new.version} against version {old.version}, {terms.strategy}, {rollout.status}."
    )
    if rollout.running:
        meets = "a copy of every request" if rollout.mirrors else f"{rollout.share} % of the requests"
        _line(f"Version {new.version} meets {meets}.")
    for check in decision.checks if decision is not None else ():
        _line(f"  {check.name}: {STANDING[check.standing]}, {check.sentence}")
    if decision is not None:
        _line(f"Decision: {decision.action}, {decision.reason}.")
    for event in rollout.events:
        _line(f"  {event.at} {event.what}, {event.share} %: {event.reason}")
    if rollout.running:
        _line(f"Next: {command} rollout status --stage {rollout.stage}; a server that runs decides by itself.")


def _document(rollout: Rollout, decision: Decision | None) -> dict[str, object]:
    return {
        "rollout": rollout.rollout_id,
        "stage": rollout.stage,
        "strategy": rollout.terms.strategy,
        "status": rollout.status,
        "share": rollout.share,
        "champion": asdict(rollout.champion),
        "challenger": asdict(rollout.challenger),
        "decision": None if decision is None else asdict(decision),
        "events": [asdict(e) for e in rollout.events],
    }


def _line(text: str) -> None:
    sys.stdout.write(printable(text) + "\n")
