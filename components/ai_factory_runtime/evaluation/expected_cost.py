"""Expected cost: what a model's decisions cost per row by `model.costs`, and what one model saves against another.

A mean over rows of the cost of what was decided, so it has the same paired bootstrap intervals as every metric.
"""

from __future__ import annotations

from dataclasses import dataclass

from ai_factory_spec.usecase import Costs, UseCase

from ai_factory_runtime.evaluation.estimates import Estimate, Judged, bootstrap, paired
from ai_factory_runtime.evaluation.weighted_metrics import Weighted, is_positive, ratio


@dataclass(frozen=True, slots=True)
class ExpectedCost:
    """The cost per row on the held-out rows, in `unit`, with its interval; and what the dummy baseline costs."""

    estimate: Estimate
    baseline: float
    unit: str = ""


def expected_cost(usecase: UseCase, judged: Judged, blind: Judged) -> ExpectedCost | None:
    """What the model's answers cost per row; None where no costs are stated."""
    costs = usecase.model.costs
    if costs is None:
        return None
    functions = {"model": cost_per_row(judged, costs), "baseline": cost_per_row(blind, costs)}
    found = bootstrap(functions, judged, usecase.model.seed)
    return ExpectedCost(found["model"], found["baseline"].value, costs.unit)


def saving(challenger: Judged, champion: Judged, costs: Costs, seed: int) -> Estimate:
    """How much less the challenger costs per row, on the same rows in every draw; negative: it costs more."""
    return paired(cost_per_row(champion, costs), cost_per_row(challenger, costs), challenger, seed)


def cost_per_row(judged: Judged, costs: Costs) -> Weighted:
    """The mean cost of a binary model's decisions as a function of weights (draws, rows) -> (draws,)."""
    positive, predicted = is_positive(judged)
    each = (
        costs.true_positive * positive * predicted
        + costs.false_positive * (1 - positive) * predicted
        + costs.false_negative * positive * (1 - predicted)
        + costs.true_negative * (1 - positive) * (1 - predicted)
    )
    return lambda weights: ratio(weights @ each, weights.sum(axis=1))
