"""Fairness: what the groups of each sensitive column get from a model, and how far apart they are.

| disparity            | definition                                                                              |
|----------------------|-----------------------------------------------------------------------------------------|
| selection-rate       | demographic parity difference: largest minus smallest share predicted positive           |
| selection-rate-ratio | demographic parity ratio: smallest over largest share predicted positive                 |
| equalized-odds       | the larger of the differences in true and in false positive rate (Hardt et al. 2016)     |
| error                | largest minus smallest value of the primary metric                                       |

Definitions are those of Agarwal et al. 2018 as fairlearn computes them; the first three need a positive class. A rate that
a group does not have (the true positive rate of a group without positives) is left out, and at least two must remain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ai_factory_runtime.evaluation.estimates import Bools, Estimate, Judged, bootstrap
from ai_factory_runtime.evaluation.slices import parts_of
from ai_factory_runtime.evaluation.weighted_metrics import Floats, Weighted, is_positive, ratio, weighted_metric

Kind = Literal["selection-rate", "selection-rate-ratio", "equalized-odds", "error"]
_NOTHING = Estimate(float("nan"), float("nan"), float("nan"))
MIN_GROUP_SIZE = 30  # where acceptance.fairness, which says it, is not given


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of one value of a sensitive column.

    `metric` is the primary one, `selection` the share predicted per class (empty for a regression); the rates are those of
    a binary task. NaN where a group has no row to count.
    """

    column: str
    value: str
    rows: int
    metric: float
    selection: tuple[float, ...]
    true_positive_rate: float = float("nan")
    false_positive_rate: float = float("nan")


@dataclass(frozen=True, slots=True)
class Disparity:
    """How far the groups of one sensitive column are apart. `groups` is how many were large enough to compare."""

    column: str
    kind: Kind
    groups: int
    estimate: Estimate


def groups(name: str, judged: Judged, sensitive: pd.DataFrame) -> tuple[Group, ...]:
    """What each group of each sensitive column gets, in order of value; columns are cut into groups as slices are."""
    found: list[Group] = []
    for column in sensitive.columns:
        found += [_group(str(column), v, name, judged.where(rows)) for v, rows in parts_of(sensitive[column])]
    return tuple(found)


def disparities(
    name: str, judged: Judged, sensitive: pd.DataFrame, *, min_group_size: int, seed: int
) -> tuple[Disparity, ...]:
    """How far the groups of each sensitive column are apart, those that have `min_group_size` rows or more.

    Each with a bootstrap interval; with fewer than two such groups the estimate is NaN.
    """
    found: list[Disparity] = []
    for column in sensitive.columns:
        large = [rows for _, rows in parts_of(sensitive[column]) if rows.sum() >= min_group_size]
        measured: Mapping[Kind, Estimate] = {}
        if len(large) > 1:
            compared = np.logical_or.reduce(large)
            part = judged.where(compared)
            measured = bootstrap(_functions(name, part, [rows[compared] for rows in large]), part, seed)
        for kind in _kinds(judged):
            found.append(Disparity(str(column), kind, len(large), measured.get(kind, _NOTHING)))
    return tuple(found)


def _group(column: str, value: str, name: str, part: Judged) -> Group:
    once = np.ones((1, part.rows))
    selection = tuple(float(np.mean(part.prediction.values == c)) for c in part.signature.classes)
    measured = float(weighted_metric(name, part)(once)[0])
    if part.signature.positive is None:
        return Group(column, value, part.rows, measured, selection)
    truth, chosen = is_positive(part)
    hits, alarms = ratio(truth @ chosen, truth.sum()), ratio((1 - truth) @ chosen, (1 - truth).sum())
    return Group(column, value, part.rows, measured, selection, float(hits), float(alarms))


def _kinds(judged: Judged) -> tuple[Kind, ...]:
    if judged.signature.positive is None:
        return ("error",)
    return ("selection-rate", "selection-rate-ratio", "equalized-odds", "error")


def _functions(name: str, judged: Judged, masks: Sequence[Bools]) -> Mapping[Kind, Weighted]:
    """Each disparity between the groups of `masks` as a function of row weights."""
    metrics = [(mask, weighted_metric(name, judged.where(mask))) for mask in masks]
    found: dict[Kind, Weighted] = {
        "error": lambda w: _spread(np.column_stack([metric(w[:, mask]) for mask, metric in metrics]))
    }
    if judged.signature.positive is None:
        return found
    member = np.column_stack(masks).astype(np.float64)
    truth, chosen = is_positive(judged)
    selected = _rates(member, chosen)
    hits, alarms = _rates(member * truth[:, None], chosen), _rates(member * (1 - truth)[:, None], chosen)
    return {
        **found,
        "selection-rate": lambda w: _spread(selected(w)),
        "selection-rate-ratio": lambda w: _least_share(selected(w)),
        "equalized-odds": lambda w: np.fmax(_spread(hits(w)), _spread(alarms(w))),
    }


def _rates(member: Floats, chosen: Floats) -> Callable[[Floats], Floats]:
    """Weights (draws, rows) -> (draws, groups): the share of each group's rows that is chosen; NaN for a group without rows."""
    return lambda w: ratio(w @ (member * chosen[:, None]), w @ member)


def _spread(rates: Floats) -> Floats:
    """(draws, groups) -> (draws,) largest minus smallest; NaN where fewer than two are defined."""
    defined = np.isfinite(rates)
    top = np.where(defined, rates, -np.inf).max(axis=1)
    low = np.where(defined, rates, np.inf).min(axis=1)
    return np.where(defined.sum(axis=1) > 1, top - low, np.nan)


def _least_share(rates: Floats) -> Floats:
    """(draws, groups) -> (draws,) smallest over largest; NaN where nobody is selected or fewer than two are defined."""
    defined = np.isfinite(rates)
    top = np.where(defined, rates, -np.inf).max(axis=1)
    low = np.where(defined, rates, np.inf).min(axis=1)
    return np.where(defined.sum(axis=1) > 1, ratio(low, top), np.nan)
