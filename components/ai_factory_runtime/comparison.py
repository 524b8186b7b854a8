"""Champion against challenger on the same held-out rows, decided by a paired bootstrap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ai_factory_runtime.evaluation import Estimate, Judged, gain

Verdict = Literal["promote", "keep", "undecided"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What becomes of the new model, and why. `gain` is its improvement on the champion, None where there was none to meet."""

    verdict: Verdict
    reason: str
    champion: int | None = None
    gain: Estimate | None = None


def without_champion(reason: str) -> Comparison:
    """The new model has nobody to beat but the baseline, which its gate has seen to."""
    return Comparison("promote", reason)


def compare(challenger: Judged, champion: Judged, *, metric: str, version: int, seed: int) -> Comparison:
    """promote: the interval of the improvement lies above 0; keep: below or at 0; undecided: it holds both signs.

    Both must answer the same rows. Rows that the champion was trained on count in its favour, so that doubt keeps it.
    """
    improvement = gain(metric, challenger, champion, seed)
    interval = f"{improvement.value:.4g}, 95 % interval [{improvement.low:.4g}, {improvement.high:.4g}]"
    if math.isfinite(improvement.low) and improvement.low > 0:
        verdict, verb = "promote", "is better than"
    elif math.isfinite(improvement.high) and improvement.high <= 0:
        verdict, verb = "keep", "is not better than"
    else:
        verdict, verb = "undecided", "cannot be told from"
    reason = f"the new model {verb} version {version}: improvement in {metric} {interval}, on the same {challenger.rows} rows"
    return Comparison(verdict, reason, champion=version, gain=improvement)  # type: ignore[arg-type]
