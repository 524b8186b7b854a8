"""Champion against challenger on the same held-out rows, decided by a paired bootstrap; for classes McNemar's test beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ai_factory_runtime.evaluation.estimates import Estimate, Judged, gain

Verdict = Literal["promote", "keep", "undecided"]
SIGNIFICANT = 0.05
# Metrics that ask for what McNemar's test looks at: that each row be answered rightly. The others trade one kind of error for
# another on purpose (recall, a threshold for costs), so that more wrong answers are no objection.
_RIGHT_ANSWERS = ("accuracy", "f1_macro", "log_loss", "brier_score")


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's exact test (1947): of the rows that one model answers rightly and the other wrongly, how many each got right.

    `p_value` is two-sided: the chance of a split as uneven as this where both are equally often right.
    """

    only_challenger: int
    only_champion: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """What becomes of the new model, and why. `gain` is its improvement on the champion, None where there was none to meet."""

    verdict: Verdict
    reason: str
    champion: int | None = None
    gain: Estimate | None = None
    mcnemar: McNemar | None = None
    rows: int = 0


def without_champion(reason: str) -> Comparison:
    """The new model has nobody to beat but the baseline, which its gate has seen to."""
    return Comparison("promote", reason)


def compare(challenger: Judged, champion: Judged, *, metric: str, version: int, seed: int) -> Comparison:
    """promote: the interval of the improvement lies above 0; keep: below or at 0; undecided: it holds both signs.

    An improvement in a metric that asks for right answers is undecided too where McNemar's test says that the challenger
    answers fewer rows rightly. Both must answer the same rows. Rows that the champion was trained on count in its favour, so
    that doubt keeps it.
    """
    improvement = gain(metric, challenger, champion, seed)
    test = mcnemar(challenger, champion)
    verdict, verb = _verdict(improvement)
    reason = (
        f"the new model {verb} version {version}: improvement in {metric} {improvement.value:.4g}, "
        f"95 % interval [{improvement.low:.4g}, {improvement.high:.4g}], on the same {challenger.rows} rows"
    )
    if test is not None:
        reason += (
            f"; it alone is right on {test.only_challenger}, version {version} alone on {test.only_champion} "
            f"(McNemar p = {test.p_value:.2g})"
        )
        contradicted = test.p_value < SIGNIFICANT and test.only_challenger < test.only_champion
        if verdict == "promote" and contradicted and metric in _RIGHT_ANSWERS:
            verdict = "undecided"
            reason += ", which contradicts the improvement"
    return Comparison(verdict, reason, version, improvement, test, challenger.rows)


def mcnemar(challenger: Judged, champion: Judged) -> McNemar | None:
    """McNemar's exact test on the rows' answers; None for a regression, and where rows belong to entities: it needs them independent."""
    if challenger.prediction.probabilities is None or challenger.unit is not None:
        return None
    from scipy.stats import binomtest

    ours = np.asarray(challenger.prediction.values == challenger.truth)
    theirs = np.asarray(champion.prediction.values == champion.truth)
    first, second = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    p_value = float(binomtest(first, first + second).pvalue) if first + second else 1.0
    return McNemar(first, second, p_value)


def _verdict(improvement: Estimate) -> tuple[Verdict, str]:
    if math.isfinite(improvement.low) and improvement.low > 0:
        return "promote", "is better than"
    if math.isfinite(improvement.high) and improvement.high <= 0:
        return "keep", "is not better than"
    return "undecided", "cannot be told from"
