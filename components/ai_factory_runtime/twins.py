"""Twins: rows that are equal in every column that matters, and whether chance explains them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

_ROWS_LOOKED_AT = 20_000


def twins(frame: pd.DataFrame, columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """A number for each row; rows that are equal in all these columns have the same number."""
    hashes = pd.util.hash_pandas_object(frame[list(columns)], index=False).to_numpy()
    return np.asarray(pd.factorize(hashes)[0], dtype=np.int64)


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
