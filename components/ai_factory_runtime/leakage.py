"""Leakage: what would make a model look better than it is. Found before training, so that nobody gets used to the number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import Column, UseCase
from scipy.stats import rankdata
from sklearn import config_context
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from ai_factory_runtime.split import Split
from ai_factory_runtime.twins import chance_of_twins, twins

Floats = npt.NDArray[np.float64]

ALMOST_PERFECT = 0.999  # AUC or R² of one feature alone
SHARED_ROWS = 0.05  # the share of held-out rows that may also be among the rows learned from
_ROWS_LOOKED_AT = 20_000
_FEWEST_ROWS = 50  # with fewer, a good feature orders them perfectly by luck
_LEAVES = 128
_DENSE = 0.5  # rows set aside leave gaps in a row number
_DROP_COLUMN = (
    "List such a column under data.ignore in usecase.yaml; if its value is truly known before the target is, "
    "list it under acceptance.allowed_leakage."
)
_DROP_TWINS = "Remove the copies in data.py (`rows.drop_duplicates()`)."
_SPLIT_BY_TIME = "The split was changed: rows to learn from must be older than the held-out rows."


@dataclass(frozen=True, slots=True)
class Leak:
    """One way in which the answer is given away: `column` is empty where the split is at fault. `remedy` ends the message."""

    kind: str
    column: str
    detail: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.column!r} {self.detail}" if self.column else self.detail


def find_leaks(frame: pd.DataFrame, usecase: UseCase, split: Split) -> tuple[Leak, ...]:
    """All leaks in canonical rows, except by features that acceptance.allowed_leakage lists."""
    allowed = set(usecase.acceptance.allowed_leakage)
    judged = [c for c in usecase.data.features if c.name not in allowed]
    leaks: list[Leak] = []
    leaks += ids_as_features(frame, judged, usecase.data.id)
    known = {leak.column for leak in leaks}
    leaks += almost_perfect_features(frame, [c for c in judged if c.name not in known], usecase)
    leaks += shared_rows(frame, usecase, split)
    leaks += future_rows(frame, usecase, split)
    return tuple(leaks)


def almost_perfect_features(frame: pd.DataFrame, features: Sequence[Column], usecase: UseCase) -> list[Leak]:
    """Features that alone predict the target almost perfectly on rows they were not fitted on."""
    if len(frame) < _FEWEST_ROWS:
        return []
    random = np.random.default_rng(usecase.model.seed)
    rows = random.permutation(len(frame))[:_ROWS_LOOKED_AT]
    target = frame[usecase.data.target].iloc[rows]
    regression = usecase.model.task == "regression"
    name, alone = ("R²", _explains_number) if regression else ("AUC", _tells_classes)
    answers: npt.NDArray[Any] = target.to_numpy(dtype=np.float64) if regression else np.asarray(pd.factorize(target)[0])
    leaks = []
    with config_context(
        skip_parameter_validation=True
    ):  # thousands of small trees: the checks would cost more than the fits
        for column in features:
            values = _as_numbers(frame[column.name].iloc[rows])
            score = alone(values, answers, usecase.model.seed) if _varies(values) else 0.0
            if score >= ALMOST_PERFECT:
                detail = f"alone predicts the target {usecase.data.target!r} almost perfectly ({name} {score:.4f} ≥ {ALMOST_PERFECT})"
                leaks.append(Leak("target-equivalent", column.name, detail, _DROP_COLUMN))
    return leaks


def ids_as_features(frame: pd.DataFrame, features: Sequence[Column], id_column: str | None) -> list[Leak]:
    """Features that number the rows or repeat the id: they can be memorised and mean nothing for a new row."""
    if len(frame) < _FEWEST_ROWS:
        return []
    leaks = []
    for column in features:
        values = frame[column.name]
        if id_column is not None and id_column in frame.columns and _equal(values, frame[id_column]):
            leaks.append(Leak("id", column.name, f"equals the id column {id_column!r}", _DROP_COLUMN))
        elif column.type == "category" and values.notna().all() and values.is_unique:
            leaks.append(Leak("id", column.name, "is different in every row, like an id", _DROP_COLUMN))
        elif column.type == "integer" and _is_counter(values):
            leaks.append(Leak("id", column.name, "numbers the rows one by one, like an id", _DROP_COLUMN))
    return leaks


def shared_rows(frame: pd.DataFrame, usecase: UseCase, split: Split) -> list[Leak]:
    """Held-out rows that were also learned from. Judged only where twins cannot be coincidence.

    Where rows have a time, the same features at another time are another row.
    """
    data = usecase.data
    columns = [*(c.name for c in data.features), data.target, *([data.time] if data.time else [])]
    if chance_of_twins(frame, columns) >= 1:
        return []
    number = twins(frame, columns)
    shared = int(np.isin(number[split.test], number[split.development]).sum())
    share = shared / len(split.test)
    if share <= SHARED_ROWS:
        return []
    detail = f"{shared} of {len(split.test)} held-out rows ({share:.1%}) are also among the rows learned from; at most {SHARED_ROWS:.0%} may be"
    return [Leak("shared-rows", "", detail, _DROP_TWINS)]


def future_rows(frame: pd.DataFrame, usecase: UseCase, split: Split) -> list[Leak]:
    """Rows learned from that are not older than every held-out row, where the use case has a time column."""
    if usecase.data.time is None:
        return []
    times = frame[usecase.data.time]
    oldest = times.iloc[split.test].min()
    later = int((times.iloc[split.development] >= oldest).sum())
    if later == 0:
        return []
    detail = f"{later} rows learned from are as new as the held-out rows, which begin at {oldest}"
    return [Leak("future", "", detail, _SPLIT_BY_TIME)]


def _varies(values: Floats) -> bool:
    known = values[~np.isnan(values)]
    return bool(len(known)) and (len(known) < len(values) or bool((known != known[0]).any()))


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


def _as_numbers(values: pd.Series[Any]) -> Floats:
    """Numbers as they are, categories as codes; missing is NaN, which a tree treats as a value of its own."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    codes = np.asarray(pd.factorize(values)[0], dtype=np.float64)
    codes[codes < 0] = np.nan
    return codes


def _equal(left: pd.Series[Any], right: pd.Series[Any]) -> bool:
    """Whether the columns say the same in every row, whatever their types."""
    if left.isna().any() or right.isna().any():
        return False
    same_type = left.dtype == right.dtype
    numbers = pd.to_numeric(right, errors="coerce") if pd.api.types.is_numeric_dtype(left.dtype) else right
    return bool((left.to_numpy() == (right if same_type else numbers).to_numpy()).all())


def _is_counter(values: pd.Series[Any]) -> bool:
    """Whether whole numbers run through a range without repetition and with few gaps, in any order."""
    numbers = values.to_numpy(dtype=np.float64)
    if np.isnan(numbers).any() or len(np.unique(numbers)) < len(numbers):
        return False
    return bool(len(numbers) >= _DENSE * (numbers.max() - numbers.min() + 1))
