"""What the infrastructure can be: architecture × stage × serving mode × rollout × network. All of it, or few that cover every pair.

Plain values; `judge.py` makes a repository of each and holds it against the AWS provider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import combinations, product

STAGES = ("dev", "staging", "prod")
NETWORKS = ("create", "existing", "skip")
# AWS's deployment guardrails know no serverless endpoint, and no shadow or second variant beside an asynchronous one.
ROLLOUTS: Mapping[str, tuple[str, ...]] = {
    "realtime": ("all-at-once", "linear", "canary", "shadow", "ab"),
    "serverless": ("all-at-once",),
    "async": ("all-at-once", "linear", "canary"),
    "jobs": ("-",),
}
ROOM = {"subnet_ids": "subnet-0a1b2c3d,subnet-1a2b3c4d", "security_group_ids": "sg-0a1b2c3d"}


@dataclass(frozen=True, slots=True)
class Case:
    """One choice of everything. `mode` is `jobs` where the architecture has no endpoint. `served`: there is a release."""

    architecture: str
    stage: str
    mode: str
    rollout: str
    network: str
    served: bool = True

    def __str__(self) -> str:
        return " ".join(map(str, astuple(self)[:-1])) + ("" if self.served else " (no release yet)")

    def settings(self) -> dict[str, dict[str, str]]:
        """Stack -> configuration keys to set; one that a stack does not read is left out by who sets them."""
        foundation = {"network": self.network} | (ROOM if self.network == "existing" else {})
        serving = {"release": "1"} if self.served else {}
        if self.mode in ("realtime", "async"):
            many = "2" if self.rollout in ("linear", "canary") else "1"
            serving |= {"rollout_strategy": self.rollout, "instances": many, "max_instances": "4"}
        if self.rollout in ("shadow", "ab") and self.served:
            serving["challenger"] = "2"
        training = {"retrain_schedule": "0 3 1 * *"}
        return {"foundation": foundation, "serving": serving, "training": training}


def every(architectures: Mapping[str, Sequence[str]]) -> list[Case]:
    """All cases with a release, and for each architecture, mode and stage one without. `architectures`: name -> modes."""
    found = [
        Case(architecture, stage, mode, rollout, network)
        for architecture, modes in architectures.items()
        for mode in modes
        for stage, rollout, network in product(STAGES, ROLLOUTS[mode], NETWORKS)
    ]
    empty = [
        Case(architecture, stage, mode, ROLLOUTS[mode][0], "skip", served=False)
        for architecture, modes in architectures.items()
        for mode, stage in product(modes, STAGES)
    ]
    return found + empty


def covering(cases: Sequence[Case]) -> list[Case]:
    """As few of the cases as a greedy choice needs to show every pair of values that occurs in any of them; always the same ones."""
    missing = {pair for case in cases for pair in pairs(case)}
    chosen: list[Case] = []
    while missing:
        best = max(cases, key=lambda case: len(missing & set(pairs(case))))
        chosen.append(best)
        missing -= set(pairs(best))
    return chosen


def pairs(case: Case) -> Iterator[tuple[tuple[int, object], tuple[int, object]]]:
    """Every two of a case's values, with the places they stand in."""
    yield from combinations(enumerate(astuple(case)), 2)
