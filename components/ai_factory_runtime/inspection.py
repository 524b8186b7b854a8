"""What a model does with its inputs: groups, calibration, importance, damaged input, latency. Measured on held-out rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.metrics import METRICS
from ai_factory_spec.usecase import Column

from ai_factory_runtime.evaluation import Judged, metric
from ai_factory_runtime.package import Prediction, Signature, predict

Floats = npt.NDArray[np.float64]
Answer = Callable[[pd.DataFrame], Prediction]

NOISE = 0.1  # of a column's standard deviation
UNSEEN = "\N{REPLACEMENT CHARACTER} a value never seen"
MOST_FEATURES = 100  # looked at one by one; in a wider table those that vary most with the target
_ROWS = 1000
_REPEATS = 5
_BINS = 10
_MOST_GROUPS = 20
_QUARTERS = 4


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of one value of a sensitive column. `selection` is the share predicted per class; empty for a regression."""

    column: str
    value: str
    rows: int
    metric: float
    selection: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows with similar predictions: their mean prediction and what was true for them (a share, or a mean)."""

    predicted: float
    actual: float
    rows: int


@dataclass(frozen=True, slots=True)
class Importance:
    """How much the primary metric loses when one feature's values are shuffled; a negative loss is noise."""

    feature: str
    loss: float


@dataclass(frozen=True, slots=True)
class Damage:
    """How much of the gain over the baseline is lost (1 is all of it) when one feature is damaged.

    NaN: there is no gain to lose. Infinite: the model raised `error` instead of an answer.
    """

    feature: str
    kind: str
    loss: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds for one row, over `calls` calls after a warm-up."""

    p50_ms: float
    p99_ms: float
    calls: int


def groups(name: str, judged: Judged, sensitive: pd.DataFrame) -> tuple[Group, ...]:
    """The primary metric and the predicted classes of each group of each sensitive column, in order of value.

    Numbers with more than twenty different values are grouped by quarter; missing is a group of its own.
    """
    found = []
    for column in sensitive.columns:
        labels = _labels(sensitive[column])
        for value in sorted(set(labels)):
            weights = (labels == value).astype(np.float64)
            answers = judged.prediction.values[labels == value]
            selection = tuple(float(np.mean(answers == c)) for c in judged.signature.classes)
            found.append(Group(str(column), str(value), int(weights.sum()), metric(name, judged, weights), selection))
    return tuple(found)


def calibration(judged: Judged) -> tuple[Bin, ...]:
    """Predicted against actual in ten equally large bins: probability of the positive class (binary), probability of the
    predicted class against being right (multiclass), or the predicted value (regression).
    """
    probabilities = judged.prediction.probabilities
    if probabilities is None:
        predicted, actual = judged.prediction.values.astype(np.float64), judged.truth.astype(np.float64)
    elif judged.signature.positive is not None:
        predicted = probabilities[:, judged.signature.classes.index(judged.signature.positive)]
        actual = (judged.truth == judged.signature.positive).astype(np.float64)
    else:
        predicted = probabilities.max(axis=1)
        actual = (judged.truth == judged.prediction.values).astype(np.float64)
    parts = np.array_split(np.argsort(predicted, kind="stable"), min(_BINS, judged.rows))
    return tuple(Bin(float(predicted[p].mean()), float(actual[p].mean()), len(p)) for p in parts)


def importances(
    name: str, answer: Answer, rows: pd.DataFrame, truth: npt.NDArray[Any], signature: Signature, seed: int
) -> tuple[Importance, ...]:
    """Permutation importance (Breiman 2001, Random Forests, section 10) of each feature, the most important first."""
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(rows))[:_ROWS]
    sample, answers = rows.iloc[chosen].reset_index(drop=True), truth[chosen]
    before = metric(name, Judged(answers, answer(sample), signature))
    sign = 1.0 if METRICS[name].greater_is_better else -1.0
    many = pd.concat([sample] * _REPEATS, ignore_index=True)
    repeated = np.tile(answers, _REPEATS)
    found = []
    for column in _most_telling(sample, answers, signature):
        order = np.concatenate([random.permutation(len(sample)) for _ in range(_REPEATS)])
        shuffled = many.assign(**{column.name: sample[column.name].take(order).array})
        after = metric(name, Judged(repeated, answer(shuffled), signature))
        found.append(Importance(column.name, sign * (before - after)))
    return tuple(sorted(found, key=lambda i: -i.loss))


def damages(
    name: str,
    answer: Answer,
    rows: pd.DataFrame,
    truth: npt.NDArray[Any],
    signature: Signature,
    *,
    baseline: Prediction,
    seed: int,
) -> tuple[Damage, ...]:
    """The share of the gain over the baseline that is lost when a feature is missing, noisy or of an unseen category."""
    random = np.random.default_rng(seed)
    sign = 1.0 if METRICS[name].greater_is_better else -1.0
    before = sign * metric(name, Judged(truth, answer(rows), signature))
    gained = before - sign * metric(name, Judged(truth, baseline, signature))
    found = []
    for column in _most_telling(rows, truth, signature):
        for kind, values in _damaged(rows[column.name], column, random):
            try:
                after = sign * metric(name, Judged(truth, answer(rows.assign(**{column.name: values})), signature))
            except Exception as error:  # noqa: BLE001 - the scientist's code; that it cannot answer is the finding
                found.append(
                    Damage(column.name, kind, float("inf"), f"{type(error).__name__}: {error}".splitlines()[0])
                )
                continue
            found.append(Damage(column.name, kind, (before - after) / gained if gained > 0 else float("nan")))
    return tuple(found)


def latency(
    estimator: Any, signature: Signature, rows: pd.DataFrame, *, calls: int = 100, seconds: float = 2.0
) -> Latency:
    """The time of one row's prediction. Stops early after `seconds`, but not before twenty calls."""
    predict(estimator, signature, rows.iloc[[0]])
    took: list[float] = []
    for call in range(calls):
        row = rows.iloc[[call % len(rows)]]
        start = time.perf_counter()
        predict(estimator, signature, row)
        took.append((time.perf_counter() - start) * 1000)
        if sum(took) > seconds * 1000 and len(took) >= 20:
            break
    return Latency(float(np.quantile(took, 0.5)), float(np.quantile(took, 0.99)), len(took))


def _labels(values: pd.Series[Any]) -> npt.NDArray[Any]:
    if pd.api.types.is_float_dtype(values.dtype) and values.nunique() > _MOST_GROUPS:
        cut = pd.qcut(values, _QUARTERS, duplicates="drop")
        texts = cut.map(lambda i: f"{i.left:.4g} to {i.right:.4g}", na_action="ignore").astype(object)
    else:
        texts = values.astype(object).map(lambda v: f"{v:g}" if isinstance(v, float) else str(v), na_action="ignore")
    return texts.where(texts.notna(), "(missing)").to_numpy(dtype=object)


def _most_telling(rows: pd.DataFrame, truth: npt.NDArray[Any], signature: Signature) -> Sequence[Column]:
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


def _as_numbers(values: pd.Series[Any]) -> Floats:
    numbers = (
        values.to_numpy(dtype=np.float64, na_value=np.nan)
        if pd.api.types.is_numeric_dtype(values.dtype)
        else np.asarray(pd.factorize(values)[0], dtype=np.float64)
    )
    known = numbers[np.isfinite(numbers)]
    return np.where(np.isfinite(numbers), numbers, np.median(known) if len(known) else 0.0)


def _damaged(values: pd.Series[Any], column: Column, random: np.random.Generator) -> list[tuple[str, pd.Series[Any]]]:
    missing = pd.Series([None] * len(values), index=values.index).astype(values.dtype)
    found = [("missing", missing)]
    if column.type in ("integer", "number"):
        spread = float(values.std()) if values.notna().sum() > 1 else 0.0
        found.append(("noise", values + random.normal(0.0, NOISE * spread, len(values))))
    if column.type == "category":
        found.append(("unseen category", pd.Series(UNSEEN, index=values.index, dtype=values.dtype)))
    return found
