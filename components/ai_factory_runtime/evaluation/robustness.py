"""Robustness: what a model loses when its input is damaged, one feature at a time.

| damage           | which features | what happens                                                                          |
|------------------|----------------|---------------------------------------------------------------------------------------|
| missing          | all            | no row has the feature any more: its source is down                                    |
| noise            | numbers        | normal noise of a tenth of the column's standard deviation in every row                |
| out of range     | numbers        | a tenth of the rows lie one whole range below the smallest or above the largest value  |
| unseen category  | categories     | every row has a category that training never saw                                       |
| category shift   | categories, booleans | a fifth of the rows have another of the known values                             |

What is lost is stated as a share of the gain over the baseline: 1 is all of it, more is worse than knowing nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_spec.metrics import METRICS
from ai_factory_spec.usecase import Column

from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.evaluation.estimates import Estimate, Judged, bootstrap, metric
from ai_factory_runtime.evaluation.explaining import Answer, most_telling
from ai_factory_runtime.evaluation.weighted_metrics import Floats, Weighted, weighted_metric

NOISE = 0.1  # of a column's standard deviation
OUTLIERS = 0.1  # of the rows
SHIFTED = 0.2  # of the rows
UNSEEN = "\N{REPLACEMENT CHARACTER} a value never seen"
KINDS = ("missing", "noise", "out of range", "unseen category", "category shift")


@dataclass(frozen=True, slots=True)
class Damage:
    """How much of the gain over the baseline is lost (1 is all of it) when one feature is damaged.

    NaN: there is no gain to lose. Infinite: the model raised `error` instead of an answer. The worst damage of each kind has
    an interval.
    """

    feature: str
    kind: str
    loss: float
    error: str = ""
    interval: Estimate | None = None


def damages(
    name: str, answer: Answer, rows: pd.DataFrame, judged: Judged, blind: Judged, seed: int
) -> tuple[Damage, ...]:
    """What each damage to each feature costs. `blind` is the baseline on the same rows as `judged`, which are `rows`."""
    random = np.random.default_rng(seed)
    sign = 1.0 if METRICS[name].greater_is_better else -1.0
    before = sign * metric(name, judged)
    gained = before - sign * metric(name, blind)
    found: list[Damage] = []
    worst: dict[str, tuple[int, Prediction]] = {}
    for column in most_telling(rows, judged.truth, judged.signature):
        for kind, values in _damaged(rows[column.name], column, random):
            try:
                given = answer(rows.assign(**{column.name: values}))
                after = sign * metric(name, replace(judged, prediction=given))
            except Exception as error:  # noqa: BLE001 - the scientist's code; that it cannot answer is the finding
                found.append(
                    Damage(column.name, kind, float("inf"), f"{type(error).__name__}: {error}".splitlines()[0])
                )
                continue
            loss = (before - after) / gained if gained > 0 else float("nan")
            if kind not in worst or loss > found[worst[kind][0]].loss:
                worst[kind] = (len(found), given)
            found.append(Damage(column.name, kind, loss))
    losses = {i: _loss(name, judged, replace(judged, prediction=given), blind) for i, given in worst.values()}
    for position, interval in bootstrap(losses, judged, seed).items():
        found[position] = replace(found[position], interval=interval)
    return tuple(found)


def _loss(name: str, before: Judged, after: Judged, blind: Judged) -> Weighted:
    sign = 1.0 if METRICS[name].greater_is_better else -1.0
    whole, damaged, nothing = (weighted_metric(name, j) for j in (before, after, blind))

    def share(weights: Floats) -> Floats:
        lost, gained = sign * (whole(weights) - damaged(weights)), sign * (whole(weights) - nothing(weights))
        return np.divide(lost, gained, out=np.full_like(lost, np.nan), where=gained > 0)

    return share


def _damaged(
    values: pd.Series[Any], column: Column, random: np.random.Generator
) -> Iterator[tuple[str, pd.Series[Any]]]:
    """Each damage that fits the column's type."""
    yield "missing", pd.Series([None] * len(values), index=values.index).astype(values.dtype)
    if column.type in ("integer", "number"):
        spread = float(values.std()) if values.notna().sum() > 1 else 0.0
        yield "noise", values + random.normal(0.0, NOISE * spread, len(values))
        yield "out of range", _with_outliers(values, random)
    if column.type == "category":
        yield "unseen category", pd.Series(UNSEEN, index=values.index, dtype=values.dtype)
    known = values.dropna().unique()
    if column.type in ("category", "boolean") and len(known) > 1:
        yield "category shift", _shifted(values, known, random)


def _with_outliers(values: pd.Series[Any], random: np.random.Generator) -> pd.Series[Any]:
    low, high = values.min(), values.max()
    hit = random.random(len(values)) < OUTLIERS
    below = random.random(len(values)) < 0.5  # one side as often as the other
    outside = np.where(below, low - (high - low), high + (high - low))
    return values.mask(pd.Series(hit, index=values.index), pd.Series(outside, index=values.index))


def _shifted(values: pd.Series[Any], known: Any, random: np.random.Generator) -> pd.Series[Any]:
    """A fifth of the rows get another of the known values, each as likely."""
    codes = pd.Index(known).get_indexer(values)
    step = random.integers(1, len(known), len(values))
    hit = (random.random(len(values)) < SHIFTED) & (codes >= 0)
    other = pd.Series(known[(codes + step) % len(known)], index=values.index).astype(values.dtype)
    return values.mask(pd.Series(hit, index=values.index), other)
