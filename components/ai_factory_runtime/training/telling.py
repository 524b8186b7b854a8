"""How well one column alone tells a target: AUC of classes or R² of a number, by a small tree on rows it was not fitted on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import UseCase
from scipy.stats import rankdata
from sklearn import config_context
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

Floats = npt.NDArray[np.float64]

ALMOST_PERFECT = 0.999
FEWEST_ROWS = 50  # with fewer, a good column orders them perfectly by luck
ROWS_LOOKED_AT = 20_000
_LEAVES = 128


def tells(column: pd.Series[Any], answers: npt.NDArray[Any], usecase: UseCase) -> float:
    """The score of `column` for `answers`, row by row, rows in random order: 1 is perfect.

    0 where there are too few rows, the column has one value alone, or it is far from telling anything.
    """
    values, seed = as_numbers(column), usecase.model.seed
    if len(answers) < FEWEST_ROWS or not _varies(values) or not _could_tell(values, answers, usecase):
        return 0.0
    # Thousands of small trees are grown: checking scikit-learn's parameters would cost more than the fits.
    with config_context(skip_parameter_validation=True):
        explain = _explains_number if usecase.model.task == "regression" else _tells_classes
        return explain(values, answers, seed)


def almost_perfect(
    columns: Iterable[pd.Series[Any]], answers: npt.NDArray[Any], usecase: UseCase
) -> Iterator[tuple[str, str]]:
    """The columns that tell `answers` almost perfectly: each one's name, and its score beside ALMOST_PERFECT in words."""
    for column in columns:
        score = tells(column, answers, usecase)
        if score >= ALMOST_PERFECT:
            yield str(column.name), f"{_score_name(usecase)} {score:.4f} ≥ {ALMOST_PERFECT}"


def answers_of(target: pd.Series[Any], usecase: UseCase) -> npt.NDArray[Any]:
    """A target as `tells` takes it: numbers, or classes as codes."""
    return target.to_numpy(dtype=np.float64) if usecase.model.task == "regression" else pd.factorize(target)[0]


def as_numbers(values: pd.Series[Any]) -> Floats:
    """Numbers as they are, categories as codes; missing is NaN, which a tree treats as a value of its own."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    codes = np.asarray(pd.factorize(values)[0], dtype=np.float64)
    codes[codes < 0] = np.nan
    return codes


def _score_name(usecase: UseCase) -> str:
    """What the score is called."""
    return "R²" if usecase.model.task == "regression" else "AUC"


def _varies(values: Floats) -> bool:
    """Whether there are two different values, missing being one."""
    known = values[~np.isnan(values)]
    return bool(len(known)) and (len(known) < len(values) or bool((known != known[0]).any()))


def _could_tell(values: Floats, answers: npt.NDArray[Any], usecase: UseCase) -> bool:
    """Whether rows next to each other in the column have more equal answers than chance gives them, by half at least.

    A tree that tells the answers needs that; looking takes a tenth of a tree's time, and few of many columns pass. Numbers
    are compared by rank (von Neumann 1941, Distribution of the Ratio of the Mean Square Successive Difference).
    """
    ordered = answers[np.argsort(values, kind="stable")]
    if usecase.model.task == "regression":
        ranks = rankdata(ordered)
        return bool(np.square(np.diff(ranks)).mean() < ranks.var())
    shares = np.bincount(ordered[ordered >= 0]) / len(ordered)
    return bool((np.diff(ordered) != 0).mean() < (1 - np.square(shares).sum()) / 2)


def _explains_number(values: Floats, target: Floats, seed: int) -> float:
    """R² of a small tree fitted on one half and judged on the other, or the squared rank correlation where that is more."""
    half = len(values) // 2
    tree = DecisionTreeRegressor(max_leaf_nodes=_LEAVES, min_samples_leaf=2, random_state=seed)
    found = tree.fit(values[:half, None], target[:half]).predict(values[half:, None])
    error, spread = np.square(target[half:] - found).sum(), np.square(target[half:] - target[half:].mean()).sum()
    ranks = pd.Series(values).corr(pd.Series(target), method="spearman")
    return max(1 - float(error / spread) if spread > 0 else 0.0, float(ranks) ** 2 if np.isfinite(ranks) else 0.0)


def _tells_classes(values: Floats, classes: npt.NDArray[np.int64], seed: int) -> float:
    """AUC of a small tree fitted on one half and judged on the other; the mean over classes, each against the others."""
    half = len(values) // 2
    known = np.intersect1d(classes[:half], classes[half:])
    if len(known) < 2:
        return 0.0
    tree = DecisionTreeClassifier(max_leaf_nodes=_LEAVES, min_samples_leaf=2, random_state=seed)
    shares = tree.fit(values[:half, None], classes[:half]).predict_proba(values[half:, None])
    column = {name: position for position, name in enumerate(tree.classes_)}
    return float(np.mean([_auc(shares[:, column[name]], classes[half:] == name) for name in known]))


def _auc(score: Floats, positive: npt.NDArray[np.bool_]) -> float:
    """The probability that a positive scores above another row, ties counting half (Mann-Whitney)."""
    ranks = rankdata(score)
    count, others = int(positive.sum()), int((~positive).sum())
    if count == 0 or others == 0:
        return float("nan")
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))
