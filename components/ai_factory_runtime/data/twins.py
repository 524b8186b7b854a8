"""Twins: rows that are equal in every column that matters, exactly or nearly, and whether chance explains them."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ai_factory_runtime.data.values import by_value

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_ROWS_LOOKED_AT = 20_000
NEAR = 0.01  # of a column's standard deviation: what rounding in an export changes at most
_CELL = 4.0  # the width of a block's cells in units of NEAR: a pair is seldom parted by an edge
_BLOCK_COLUMNS = 4  # more part more pairs, fewer make large blocks
_NEIGHBOURS = 3  # rows of a block that each row is compared with
_ROUNDS = 4
_MISSING = 1e15  # equal to itself and far from every number


def twins(frame: pd.DataFrame, columns: Sequence[Hashable]) -> Numbers:
    """A number for each row; rows that are equal in all these columns have the same number."""
    return np.asarray(pd.factorize(row_hashes(frame[list(columns)]))[0], dtype=np.int64)


def row_hashes(frame: pd.DataFrame) -> npt.NDArray[np.uint64]:
    """A hash of each row's values, the same on every machine; values of a column that has no one type count as texts."""
    texts = {name: frame[name].map(str) if frame[name].dtype == object else frame[name] for name in frame.columns}
    hashes = pd.util.hash_pandas_object(pd.DataFrame(texts, copy=False), index=False)
    return np.asarray(hashes, dtype=np.uint64)


def near_twins(frame: pd.DataFrame, columns: Sequence[str], *, exactly: Collection[str] = ()) -> Numbers:
    """A number for each row; rows that are equal but for rounding, letter case and blanks have the same number.

    Two rows are near where no number differs by more than NEAR of its column's standard deviation, texts agree without case
    and with each run of blanks as one, and all other columns, and those of `exactly`, agree as they are; twins of twins are
    twins. Near rows are looked for in blocks that agree on the cells of some columns, in several rounds with other columns
    (locality-sensitive hashing), so that a pair on both sides of one round's edge meets in another.
    """
    numbers = [name for name in columns if frame[name].dtype == np.float64 and name not in exactly]
    rest = frame[[name for name in columns if name not in numbers]].copy(deep=False)
    for name in rest.columns:
        if isinstance(rest[name].dtype, pd.StringDtype) and name not in exactly:
            rest[name] = by_value(rest[name], lambda text: " ".join(str(text).casefold().split()))
    alike = twins(rest, list(rest.columns)) if len(rest.columns) else np.zeros(len(frame), dtype=np.int64)
    if not numbers:
        return alike
    scaled = np.column_stack([in_steps(frame[name]) for name in numbers])
    scaled[np.isnan(scaled)] = _MISSING
    pairs = [_near_pairs(alike, scaled, np.random.default_rng(round_)) for round_ in range(_ROUNDS)]
    first, second = np.concatenate(pairs, axis=1)
    return _connected(len(frame), first, second)


def in_steps(values: pd.Series[Any]) -> Floats:
    """A column of numbers in units of NEAR of its standard deviation; one that never varies in units of 1."""
    spread = float(values.std(ddof=0))
    return values.to_numpy(dtype=np.float64) / (spread * NEAR if np.isfinite(spread) and spread > 0 else 1.0)


def _near_pairs(alike: Numbers, scaled: Floats, random: np.random.Generator) -> Numbers:
    """Pairs of near rows (2 × pairs) that share a block: the same cells of a few columns, next to each other in the others."""
    width = scaled.shape[1]
    chosen = random.choice(width, min(width, _BLOCK_COLUMNS), replace=False)
    cells = np.floor(scaled[:, chosen] / _CELL + random.random(len(chosen)))
    block = twins(pd.DataFrame(np.column_stack([alike, cells])), range(len(chosen) + 1))
    company = np.flatnonzero(np.bincount(block)[block] > 1)  # most rows are alone in their block
    order = company[np.lexsort((scaled[company] @ random.random(width), block[company]))]
    found = []
    for apart in range(1, _NEIGHBOURS + 1):
        first, second = order[:-apart], order[apart:]
        same = block[first] == block[second]
        first, second = first[same], second[same]
        near = np.abs(scaled[first] - scaled[second]).max(axis=1, initial=0.0) <= 1.0
        found.append(np.stack([first[near], second[near]]))
    return np.concatenate(found, axis=1)


def united(first: Numbers, second: Numbers) -> Numbers:
    """One number for rows that share either of two numbers, also by way of other rows."""
    _, first_row = np.unique(first, return_index=True)
    _, second_row = np.unique(second, return_index=True)
    rows = np.arange(len(first))
    leaders = first_row[np.unique(first, return_inverse=True)[1]], second_row[np.unique(second, return_inverse=True)[1]]
    return _connected(len(first), np.concatenate([rows, rows]), np.concatenate(leaders))


def _connected(rows: int, first: Numbers, second: Numbers) -> Numbers:
    """A number for each row; rows that a chain of pairs connects have the same number, in the order of their first rows."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    pairs = coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(rows, rows))
    return np.asarray(connected_components(pairs, directed=False)[1], dtype=np.int64)


def chance_of_twins(frame: pd.DataFrame, columns: Sequence[str]) -> float:
    """How many twins a row would have by chance: rows × the probability that two rows agree in every column.

    Columns count as independent (the product of Σp² over each one's values), so correlated columns have more twins than
    this. Below 1, copies are the likelier explanation of a table in which many rows have a twin.
    """
    rows = frame[list(columns)]
    if len(rows) > _ROWS_LOOKED_AT:
        rows = rows.sample(_ROWS_LOOKED_AT, random_state=0)
    logarithm = float(np.log(len(frame)))
    for column in columns:
        shares = rows[column].value_counts(normalize=True, dropna=False).to_numpy(dtype=np.float64)
        logarithm += float(np.log(np.square(shares).sum()))
    return float(np.exp(logarithm))


def chance_of_near_twins(frame: pd.DataFrame, columns: Sequence[str], exactly: Collection[str] = ()) -> float:
    """`chance_of_twins` for rows that `near_twins` takes for equal: numbers count as equal within a cell of twice NEAR."""
    rows = frame[list(columns)]
    if len(rows) > _ROWS_LOOKED_AT:
        rows = rows.sample(_ROWS_LOOKED_AT, random_state=0)
    coarse = rows.copy(deep=False)
    for name in columns:
        if coarse[name].dtype == np.float64 and name not in exactly:
            coarse[name] = np.floor(in_steps(rows[name]) / 2)
    return chance_of_twins(coarse, columns) * len(frame) / max(len(rows), 1)
