"""Split rows into train, validation and test so that the test rows are as unknown as tomorrow's.

| the use case has                  | rows are split                                                             |
|-----------------------------------|----------------------------------------------------------------------------|
| a time column                     | by time: the newest are the test, the next newest the validation rows      |
| an id column whose values repeat  | by entity: all rows of an id on one side                                   |
| neither                           | at random; identical rows stay together                                    |

A classification keeps each class's share where the split is not by time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import UseCase

from ai_factory_runtime.base.errors import DataUnusable
from ai_factory_runtime.data.twins import chance_of_twins, twins, united

Positions = npt.NDArray[np.int64]
How = Literal["time", "entity", "random"]

# Below this many rows one validation set is too noisy to choose by, so candidates are compared by cross-validation.
CROSS_VALIDATE_BELOW = 5000
FOLDS = 5
_FEWEST_ROWS = 20  # per run; with fewer the held-out rows are four, and no interval means anything
_FEWEST_PER_CLASS = 2


@dataclass(frozen=True, slots=True)
class Split:
    """Row positions. `unit` numbers what must stay together: an entity, a set of identical rows, or the single row."""

    how: How
    train: Positions
    validation: Positions
    test: Positions
    unit: Positions

    @property
    def development(self) -> Positions:
        """All rows a model may learn from: train and validation, in the table's order."""
        return np.sort(np.concatenate([self.train, self.validation]))


def split(frame: pd.DataFrame, usecase: UseCase, *, together: Positions | None = None) -> Split:
    """Split canonical rows. The same rows and seed give the same split. Raises DataUnusable.

    Rows with the same number in `together` stay on one side, beside those the table above keeps there.
    """
    data, model = usecase.data, usecase.model
    if len(frame) < _FEWEST_ROWS:
        raise DataUnusable(
            problem=f"{len(frame)} rows are left to learn from and to judge by, at least {_FEWEST_ROWS} are needed.",
            hint="Collect more rows, or allow fewer to be set aside (data.contract).",
        )
    found = _by_unit(frame, usecase, together) if data.time is None else _by_time(frame, data.time, model.test_size)
    _require_classes(frame, usecase, found)
    return found


def folds(frame: pd.DataFrame, usecase: UseCase, found: Split) -> Iterator[tuple[Positions, Positions]]:
    """(learn, judge) positions for choosing a candidate: cross-validation on few rows, else train and validation.

    Never holds a test row. A split by time has one fold, because a later row must not teach about an earlier one.
    """
    development = found.development
    if found.how == "time" or len(development) >= CROSS_VALIDATE_BELOW:
        yield found.train, found.validation
        return
    number_of = parts(frame, usecase, found, development)
    for number in range(FOLDS):
        judge = development[number_of == number]
        if len(judge):
            yield development[number_of != number], judge


def parts(frame: pd.DataFrame, usecase: UseCase, found: Split, rows: Positions) -> Positions:
    """A part for each of these rows: five alike parts that share no unit; where the split is by time, an older and a newer."""
    if found.how == "time":
        ranks = frame[usecase.data.time].iloc[rows].rank(method="min").to_numpy()
        return (ranks > np.median(ranks)).astype(np.int64)
    strata = _strata(frame, usecase).iloc[rows].to_numpy()
    return _allocate(found.unit[rows], strata, [1 / FOLDS] * FOLDS, usecase.model.seed + 1)


def _by_time(frame: pd.DataFrame, column: str, test_size: float) -> Split:
    """Cut between two different times, so that rows of one moment are never on both sides."""
    times = frame[column]
    if times.isna().any():
        raise DataUnusable(
            problem=f"{int(times.isna().sum())} rows have no value in the time column {column!r}, so they have no place in time.",
            hint=f"Say `nullable: false` for {column!r} and allow bad rows, or remove data.time.",
        )
    moments, ranks, counts = np.unique(times.to_numpy(), return_inverse=True, return_counts=True)
    if len(moments) < 3:
        raise DataUnusable(
            problem=f"the time column {column!r} has {len(moments)} different values; three are needed to cut twice.",
            hint="Use a finer time, or remove data.time to split at random.",
        )
    newer = counts[::-1].cumsum()[::-1] / len(frame)  # the share of rows at this moment or later
    test_from = _cut(newer, test_size, lowest=2, highest=len(moments) - 1)
    rest = newer - newer[test_from]
    validation_from = _cut(rest[:test_from] / rest[0], test_size, lowest=1, highest=test_from - 1)
    positions = np.arange(len(frame))
    return Split(
        how="time",
        train=positions[ranks < validation_from],
        validation=positions[(ranks >= validation_from) & (ranks < test_from)],
        test=positions[ranks >= test_from],
        unit=positions,
    )


def _cut(newer: npt.NDArray[Any], size: float, *, lowest: int, highest: int) -> int:
    """The moment from which on the share of rows is closest to `size`."""
    candidates = np.arange(lowest, highest + 1)
    return int(candidates[np.argmin(np.abs(newer[candidates] - size))])


def _by_unit(frame: pd.DataFrame, usecase: UseCase, together: Positions | None) -> Split:
    how, unit = _units(frame, usecase)
    if together is not None:
        unit = united(unit, together)
    if len(np.unique(unit)) < 3:
        raise DataUnusable(
            problem=f"there are {len(np.unique(unit))} {'entities' if how == 'entity' else 'different rows'}; three are needed.",
            hint="Collect more data, or remove data.id if rows of one entity may be on both sides.",
        )
    share = usecase.model.test_size
    parts = _allocate(
        unit, _strata(frame, usecase).to_numpy(), [(1 - share) ** 2, (1 - share) * share, share], usecase.model.seed
    )
    positions = np.arange(len(frame))
    return Split(how, positions[parts == 0], positions[parts == 1], positions[parts == 2], unit)


def _units(frame: pd.DataFrame, usecase: UseCase) -> tuple[How, Positions]:
    data = usecase.data
    if data.id is not None and data.id in frame.columns and frame[data.id].duplicated().any():
        codes, known = pd.factorize(frame[data.id])
        alone = codes < 0  # a row without an id is an entity of its own
        codes = np.where(alone, len(known) + np.cumsum(alone) - 1, codes)
        return "entity", codes.astype(np.int64)
    columns = [*(c.name for c in data.features), data.target]
    if chance_of_twins(frame, columns) < 1:
        return "random", twins(frame, columns)
    return "random", np.arange(len(frame))  # few different rows are possible: twins are coincidence, not copies


def _strata(frame: pd.DataFrame, usecase: UseCase) -> pd.Series[Any]:
    """What is kept in proportion: the class; for a regression nothing."""
    if usecase.model.task == "regression":
        return pd.Series(np.zeros(len(frame), dtype=np.int64))
    return frame[usecase.data.target].reset_index(drop=True)


def _allocate(unit: Positions, strata: npt.NDArray[Any], shares: list[float], seed: int) -> Positions:
    """A part for every row: whole units, each stratum divided by `shares`, the last part served first.

    A unit belongs to the stratum of its first row. A stratum of two units or more is in the last part and in another.
    """
    random = np.random.default_rng(seed)
    _, first, inverse, sizes = np.unique(unit, return_index=True, return_inverse=True, return_counts=True)
    part_of_unit = np.zeros(len(first), dtype=np.int64)
    for stratum in pd.unique(strata[first]):
        members = random.permutation(np.flatnonzero(strata[first] == stratum))
        filled = np.cumsum(sizes[members]) - sizes[members] / 2  # a unit lies where its middle row lies
        edges = np.cumsum(shares[::-1]) * sizes[members].sum()
        parts = len(shares) - 1 - np.minimum(np.searchsorted(edges, filled, side="right"), len(shares) - 1)
        last = len(shares) - 1
        if len(members) > 1 and not (parts == last).any():
            parts[0] = last
        elif len(members) > 1 and (parts == last).all():
            parts[0] = 0
        part_of_unit[members] = parts
    return part_of_unit[inverse]


def _require_classes(frame: pd.DataFrame, usecase: UseCase, found: Split) -> None:
    """Both sides must be able to teach and to judge."""
    target = frame[usecase.data.target]
    for name, rows in (("to learn from", found.development), ("held out", found.test)):
        if len(rows) == 0:
            raise DataUnusable(problem=f"no row is {name}.", hint="Collect more data, or change model.test_size.")
        counts = target.iloc[rows].value_counts()
        if len(counts) < 2:
            value = counts.index[0]
            raise DataUnusable(
                problem=f"the target {usecase.data.target!r} is {value!r} in all {len(rows)} rows {name}.",
                hint="There is nothing to tell apart: collect rows of the other values, or check how the target is made.",
            )
        if usecase.model.task == "binary" and counts.min() < _FEWEST_PER_CLASS:
            raise DataUnusable(
                problem=f"of the {len(rows)} rows {name} only {int(counts.min())} is of class {counts.idxmin()!r}.",
                hint=f"Collect more rows of class {counts.idxmin()!r}.",
            )
