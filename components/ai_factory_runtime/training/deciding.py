"""The decision threshold of a binary task: from which probability on the class of interest is answered.

It is chosen on rows that the model was not fitted on and never on held-out rows: by the stated costs, or, where classes
are rare, by a metric. Else it is 0.5. With right probabilities the cheapest threshold is
(fp - tn) / (fp - tn + fn - tp) (Elkan 2001, The Foundations of Cost-Sensitive Learning, equation 2); it is taken where
too few rows are there to look for a better one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ai_factory_spec.usecase import Costs, UseCase

from ai_factory_runtime.base.choices import Choice
from ai_factory_runtime.training.imbalance import Handling

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DEFAULT_THRESHOLD = 0.5
FEWEST_PER_CLASS = 10  # with fewer rows of a class the best threshold on them is luck
# Metrics that depend on the threshold and are not won by an absurd one: recall is best at 0, precision close to 1.
_CHOOSES = ("f1", "balanced_accuracy", "accuracy")


@dataclass(frozen=True, slots=True)
class Counts:
    """For each threshold that is tried: how many rows are decided rightly and wrongly."""

    thresholds: Floats
    true_positive: Floats
    false_positive: Floats
    false_negative: Floats
    true_negative: Floats


def is_chosen(usecase: UseCase, handling: Handling) -> bool:
    """Whether the threshold is chosen on rows; else it is 0.5."""
    return usecase.model.task == "binary" and (usecase.model.costs is not None or handling != "none")


def choose_threshold(positive: Bools, score: Floats, usecase: UseCase, handling: Handling) -> tuple[float, Choice]:
    """The threshold for rows that are `positive` or not and have the probability `score`, all not fitted on."""
    costs = usecase.model.costs
    if not is_chosen(usecase, handling):
        return _default("no costs are stated and no class is met as rare")
    enough = min(int(positive.sum()), int((~positive).sum())) >= FEWEST_PER_CLASS
    if costs is not None:
        return _by_cost(positive, score, costs) if enough else _by_formula(costs)
    if not enough:
        return _default(f"fewer than {FEWEST_PER_CLASS} rows of a class are there to choose it by")
    return _by_metric(positive, score, usecase.model.primary_metric)


def break_even(costs: Costs) -> float:
    """The probability at which acting and not acting cost the same."""
    wrongly, rightly = costs.false_positive - costs.true_negative, costs.false_negative - costs.true_positive
    return wrongly / (wrongly + rightly)


def cost_per_row(counts: Counts, costs: Costs) -> Floats:
    """The mean cost of a decision at each threshold."""
    total = (
        counts.true_positive * costs.true_positive
        + counts.false_positive * costs.false_positive
        + counts.false_negative * costs.false_negative
        + counts.true_negative * costs.true_negative
    )
    rows = counts.true_positive + counts.false_positive + counts.false_negative + counts.true_negative
    return np.asarray(total / rows, dtype=np.float64)


def count_decisions(positive: Bools, score: Floats) -> Counts:
    """The decisions at every threshold that makes a difference: halfway between neighbouring scores, below and above all."""
    known = np.unique(score)
    above = np.nextafter(1.0, 2.0) if known[-1] >= 1 else (known[-1] + 1) / 2
    thresholds = np.concatenate([[known[0] / 2], (known[1:] + known[:-1]) / 2, [above]])
    # The middle of two neighbouring floats may round to either; a threshold is the lowest score that it lets pass.
    thresholds[1:-1] = np.where(thresholds[1:-1] <= known[:-1], known[1:], thresholds[1:-1])
    positives, negatives = np.sort(score[positive]), np.sort(score[~positive])
    missed = np.searchsorted(positives, thresholds, side="left").astype(np.float64)
    spared = np.searchsorted(negatives, thresholds, side="left").astype(np.float64)
    return Counts(thresholds, len(positives) - missed, len(negatives) - spared, missed, spared)


def _by_cost(positive: Bools, score: Floats, costs: Costs) -> tuple[float, Choice]:
    counts = count_decisions(positive, score)
    cost = cost_per_row(counts, costs)
    best = _nearest(counts.thresholds, cost <= cost.min() + 1e-12 * max(1.0, abs(cost.min())), break_even(costs))
    usual = cost_per_row(_at(positive, score, DEFAULT_THRESHOLD), costs)[0]
    unit = f" {costs.unit}" if costs.unit else ""
    reason = (
        f"the smallest expected cost on {len(score)} rows not fitted on: {cost[best]:.4g}{unit} a row, {usual:.4g} at 0.5 "
        f"(false positive {costs.false_positive:g}, false negative {costs.false_negative:g})"
    )
    return _chosen(float(counts.thresholds[best]), reason)


def _by_formula(costs: Costs) -> tuple[float, Choice]:
    reason = f"from the costs alone: fewer than {FEWEST_PER_CLASS} rows of a class are there to choose it by"
    return _chosen(break_even(costs), reason)


def _by_metric(positive: Bools, score: Floats, primary: str) -> tuple[float, Choice]:
    name = primary if primary in _CHOOSES else "f1"
    counts = count_decisions(positive, score)
    value = _METRICS[name](counts)
    best = _nearest(counts.thresholds, value >= value.max() - 1e-12, DEFAULT_THRESHOLD)
    usual = _METRICS[name](_at(positive, score, DEFAULT_THRESHOLD))[0]
    reason = f"the best {name} on {len(score)} rows not fitted on: {value[best]:.4g}, {usual:.4g} at 0.5"
    return _chosen(float(counts.thresholds[best]), reason)


def _at(positive: Bools, score: Floats, threshold: float) -> Counts:
    """The decisions at one threshold."""
    chosen = score >= threshold
    counted = [(chosen & positive), (chosen & ~positive), (~chosen & positive), (~chosen & ~positive)]
    return Counts(np.array([threshold]), *(np.array([float(c.sum())]) for c in counted))


def _nearest(thresholds: Floats, among: Bools, to: float) -> int:
    """Of equally good thresholds the one nearest to what one would take without looking."""
    return int(np.flatnonzero(among)[np.argmin(np.abs(thresholds[among] - to))])


def _f1(counts: Counts) -> Floats:
    wrong = counts.false_positive + counts.false_negative
    return np.asarray(2 * counts.true_positive / (2 * counts.true_positive + wrong), dtype=np.float64)


def _balanced_accuracy(counts: Counts) -> Floats:
    recall = counts.true_positive / (counts.true_positive + counts.false_negative)
    return np.asarray((recall + counts.true_negative / (counts.true_negative + counts.false_positive)) / 2)


def _accuracy(counts: Counts) -> Floats:
    right = counts.true_positive + counts.true_negative
    return np.asarray(right / (right + counts.false_positive + counts.false_negative))


_METRICS = {"f1": _f1, "balanced_accuracy": _balanced_accuracy, "accuracy": _accuracy}


def _default(reason: str) -> tuple[float, Choice]:
    return DEFAULT_THRESHOLD, Choice("threshold", f"{DEFAULT_THRESHOLD:g}", reason)


def _chosen(threshold: float, reason: str) -> tuple[float, Choice]:
    return threshold, Choice("threshold", f"{threshold:.4g}", reason)
