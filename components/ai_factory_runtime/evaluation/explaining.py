"""Explaining: what a model rests on. Permutation importance always; SHAP values beside it where the extra `shap` is installed.

Permutation importance (Breiman 2001, Random Forests, section 10) is how much the primary metric loses when one feature's
values are shuffled over the rows, with a bootstrap interval over rows. SHAP (Lundberg & Lee 2017) is the mean absolute
contribution of a feature to the output, from shap's permutation explainer on the whole pipeline.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.metrics import METRICS
from ai_factory_spec.usecase import Column

from ai_factory_runtime.base.prediction import Prediction, Signature
from ai_factory_runtime.evaluation.estimates import Estimate, Judged, bootstrap
from ai_factory_runtime.evaluation.weighted_metrics import Floats, Weighted, positive_probability, weighted_metric

Answer = Callable[[pd.DataFrame], Prediction]
MOST_FEATURES = 100  # looked at one by one; in a wider table those that vary most with the target
_ROWS = 1000
_REPEATS = 5
_REPLICATES = 100
_SHAP_ROWS, _SHAP_BACKGROUND, _SHAP_ROUNDS = 50, 20, 2


@dataclass(frozen=True, slots=True)
class Importance:
    """What one feature is worth: the loss of the primary metric when it is shuffled (negative is noise), with its interval;
    its `share` of all features' positive losses; and its mean absolute SHAP value, NaN where the extra is not installed.
    """

    feature: str
    loss: float
    low: float = float("nan")
    high: float = float("nan")
    share: float = float("nan")
    shap: float = float("nan")


@dataclass(frozen=True, slots=True)
class Explained:
    """What a model rests on: each feature, the most important first, and the share of the largest with its interval."""

    features: tuple[Importance, ...]
    largest_share: Estimate


def explain(name: str, answer: Answer, rows: pd.DataFrame, judged: Judged, seed: int) -> Explained:
    """The importance of each feature, on at most a thousand of the held-out rows, each shuffled five times.

    Where no feature has a positive loss there is no share (NaN). `rows` are those of `judged`.
    """
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(rows))[:_ROWS]
    sample, whole = rows.iloc[chosen].reset_index(drop=True), judged.where(chosen)
    repeated = whole.where(np.tile(np.arange(whole.rows), _REPEATS))
    many = pd.concat([sample] * _REPEATS, ignore_index=True)
    losses: dict[str, Weighted] = {}
    for column in most_telling(sample, whole.truth, whole.signature):
        order = np.concatenate([random.permutation(len(sample)) for _ in range(_REPEATS)])
        shuffled = many.assign(**{column.name: sample[column.name].take(order).array})
        losses[column.name] = _loss(name, whole, replace(repeated, prediction=answer(shuffled)))
    names, largest = list(losses), ""
    table = bootstrap({**losses, largest: _largest_share(list(losses.values()))}, whole, seed, most=_REPLICATES)
    total = sum(max(table[n].value, 0.0) for n in names)
    shap = shap_values(answer, sample, whole.signature, seed)
    found = [
        Importance(
            feature=n,
            loss=table[n].value,
            low=table[n].low,
            high=table[n].high,
            share=max(table[n].value, 0.0) / total if total > 0 else float("nan"),
            shap=shap.get(n, float("nan")),
        )
        for n in names
    ]
    return Explained(tuple(sorted(found, key=lambda i: -i.loss)), table[largest])


def shap_values(answer: Answer, rows: pd.DataFrame, signature: Signature, seed: int) -> dict[str, float]:
    """Each feature's mean absolute SHAP value on some of these rows; empty where the extra `shap` is not installed.

    The output explained is the probability of the positive class, of each class (their mean), or the predicted number.
    """
    features = list(signature.features)
    if importlib.util.find_spec("shap") is None or len(features) > MOST_FEATURES:
        return {}
    import shap

    random = np.random.default_rng(seed)
    codes = _Codes(rows, features)
    matrix = codes.encode(rows)
    some = random.permutation(len(rows))
    background = shap.maskers.Independent(matrix[some[:_SHAP_BACKGROUND]], max_samples=_SHAP_BACKGROUND)

    def output(numbers: Floats) -> Floats:
        prediction = answer(codes.decode(numbers))
        if signature.positive is not None:
            return positive_probability(Judged(prediction.values, prediction, signature))
        return prediction.values if prediction.probabilities is None else prediction.probabilities

    explainer = shap.PermutationExplainer(output, background, seed=seed)
    explained = matrix[some[-_SHAP_ROWS:]]
    found = explainer(explained, max_evals=_SHAP_ROUNDS * (2 * len(features) + 1), silent=True)
    contributions = np.abs(np.asarray(found.values)).reshape(len(explained), len(features), -1)
    return {c.name: float(v) for c, v in zip(features, contributions.mean(axis=(0, 2)), strict=True)}


class _Codes:
    """Canonical rows as a matrix of numbers and back: shap's explainers take numbers alone. Missing is a code of its own."""

    def __init__(self, rows: pd.DataFrame, features: Sequence[Column]) -> None:
        self._dtypes = rows.dtypes
        self._features = features
        self._values = {c.name: pd.unique(rows[c.name].dropna()) for c in features if not self._is_number(c)}

    def encode(self, rows: pd.DataFrame) -> Floats:
        """(rows, features) numbers; a category is its position among the values, -1 where it is missing."""
        columns = [
            rows[c.name].to_numpy(dtype=np.float64, na_value=np.nan)
            if self._is_number(c)
            else pd.Index(self._values[c.name]).get_indexer(pd.Index(rows[c.name])).astype(np.float64)
            for c in self._features
        ]
        return np.column_stack(columns)

    def decode(self, numbers: Floats) -> pd.DataFrame:
        """The canonical rows that `encode` was given."""
        columns = {}
        for position, column in enumerate(self._features):
            given = numbers[:, position]
            if self._is_number(column):
                columns[column.name] = pd.Series(given).astype(self._dtypes[column.name])
            else:
                table = np.array([*self._values[column.name], None], dtype=object)
                columns[column.name] = pd.Series(table[given.astype(np.int64)]).astype(self._dtypes[column.name])
        return pd.DataFrame(columns)

    @staticmethod
    def _is_number(column: Column) -> bool:
        return column.type in ("integer", "number")


def most_telling(rows: pd.DataFrame, truth: npt.NDArray[Any], signature: Signature) -> Sequence[Column]:
    """The features to look at one by one: all, or in a wide table those with the largest F statistic."""
    if len(signature.features) <= MOST_FEATURES:
        return signature.features
    from sklearn.feature_selection import f_classif, f_regression

    numbers = np.column_stack([_as_numbers(rows[c.name]) for c in signature.features])
    with np.errstate(divide="ignore", invalid="ignore"):
        varying = numbers.std(axis=0) > 0
        score = np.full(numbers.shape[1], -1.0)
        score[varying] = (f_regression if signature.task == "regression" else f_classif)(
            numbers[:, varying], truth.astype(np.float64) if signature.task == "regression" else truth
        )[0]
    best = np.argsort(-np.nan_to_num(score, nan=-1.0), kind="stable")[:MOST_FEATURES]
    return [signature.features[i] for i in sorted(best)]


def _loss(name: str, whole: Judged, shuffled: Judged) -> Weighted:
    """How much is lost, as a function of the weights of the rows before they were repeated."""
    sign = 1.0 if METRICS[name].greater_is_better else -1.0
    before, after = weighted_metric(name, whole), weighted_metric(name, shuffled)
    return lambda w: sign * (before(w) - after(np.tile(w, _REPEATS))) + 0.0


def _largest_share(losses: Sequence[Weighted]) -> Weighted:
    def share(weights: Floats) -> Floats:
        found = np.maximum(np.column_stack([loss(weights) for loss in losses]), 0.0)
        total = found.sum(axis=1)
        largest: Floats = np.divide(found.max(axis=1), total, out=np.full_like(total, np.nan), where=total > 0)
        return largest

    return share


def _as_numbers(values: pd.Series[Any]) -> Floats:
    numbers = (
        values.to_numpy(dtype=np.float64, na_value=np.nan)
        if pd.api.types.is_numeric_dtype(values.dtype)
        else np.asarray(pd.factorize(values)[0], dtype=np.float64)
    )
    known = numbers[np.isfinite(numbers)]
    middle = float(np.median(known)) if len(known) else 0.0
    return np.asarray(np.where(np.isfinite(numbers), numbers, middle), dtype=np.float64)
