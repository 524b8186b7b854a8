"""Champion against challenger on the same held-out rows, decided by a paired bootstrap; for classes McNemar's test beside it.

Where the use case states what mistakes cost, the expected cost per row has its say beside the primary metric.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from ai_factory_spec.usecase import Costs

from ai_factory_runtime.evaluation.estimates import Estimate, Judged, gain
from ai_factory_runtime.evaluation.expected_cost import saving

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
    """What becomes of the new model, and why. `gain` is its improvement on the champion, None where there was none to meet.

    `saving` is how much less its decisions cost per row, None where no costs are stated.
    """

    verdict: Verdict
    reason: str
    champion: int | None = None
    gain: Estimate | None = None
    mcnemar: McNemar | None = None
    rows: int = 0
    saving: Estimate | None = None


def without_champion(reason: str) -> Comparison:
    """The new model has nobody to beat but the baseline, which its gate has seen to."""
    return Comparison("promote", reason)


def compare(
    challenger: Judged, champion: Judged, *, metric: str, version: int, seed: int, costs: Costs | None = None
) -> Comparison:
    """promote: the interval of the improvement lies above 0; keep: below or at 0; undecided: it holds both signs.

    With `costs` an improvement in the metric or in cost promotes, unless the other one got worse (`_with_costs`). Without
    them an improvement in a metric that asks for right answers is undecided too where McNemar's test says that the
    challenger answers fewer rows rightly. Both must answer the same rows. Rows that the champion was trained on count in
    its favour, so that doubt keeps it.
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
        if verdict == "promote" and contradicted and metric in _RIGHT_ANSWERS and costs is None:
            verdict = "undecided"
            reason += ", which contradicts the improvement"
    if costs is None:
        return Comparison(verdict, reason, version, improvement, test, challenger.rows)
    saved = saving(challenger, champion, costs, seed)
    verdict, said = _with_costs(improvement, saved)
    unit = f" {costs.unit}" if costs.unit else ""
    reason += f"; the new model {said}: {saved.value:.4g}{unit} saved a row, 95 % interval [{saved.low:.4g}, {saved.high:.4g}]"
    return Comparison(verdict, reason, version, improvement, test, challenger.rows, saved)


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


def _with_costs(improvement: Estimate, saved: Estimate) -> tuple[Verdict, str]:
    """The verdict on metric and cost together, and what the cost says.

    A threshold moved for costs leaves a metric of ranks where it was: then the cost alone decides. Where one is better and
    the other worse, a person must say which matters.
    """
    metric, cost = _sign(improvement), _sign(saved)
    said = {1: "costs less", -1: "costs more", 0: "costs neither more nor less for sure"}[cost]
    if metric * cost < 0:
        return "undecided", said
    if metric + cost > 0:
        return "promote", said
    if metric + cost < 0 or (_none_better(improvement) and _none_better(saved)):
        return "keep", said
    return "undecided", said


def _sign(difference: Estimate) -> int:
    """1 or -1 where the whole interval lies above or below 0, else 0."""
    return int(difference.low > 0) - int(difference.high < 0)


def _none_better(difference: Estimate) -> bool:
    return math.isfinite(difference.high) and difference.high <= 0


def _verdict(improvement: Estimate) -> tuple[Verdict, str]:
    if math.isfinite(improvement.low) and improvement.low > 0:
        return "promote", "is better than"
    if math.isfinite(improvement.high) and improvement.high <= 0:
        return "keep", "is not better than"
    return "undecided", "cannot be told from"
