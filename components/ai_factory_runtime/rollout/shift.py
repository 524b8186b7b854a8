"""Shift: how far the challenger's predictions lie from the champion's, on the requests that both met in one step.

The statistic is that of the drift monitor: the PSI, and what it may reach by chance at this size. It is looked at when the
challenger's requests have reached `min_requests` and each time they have doubled since; look j has the part
1 / ((j + 1)(j + 2)) of the level, which adds up to all of it, so looking on does not add false alarms. One row of each
request counts, because the rows of a request are alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import DriftThresholds
from ai_factory_spec.usecase import Rollout as Terms

from ai_factory_runtime.model_package.sketch import PREDICTION, PROBABILITY, sketch_column
from ai_factory_runtime.monitoring.drift import column_drift
from ai_factory_runtime.rollout.decisions import Shift, level, shares


@dataclass(frozen=True, slots=True)
class Outputs:
    """The first row's output of each request, in the order of the requests: its prediction and, for classes, a probability."""

    predictions: Sequence[Any]
    scores: npt.NDArray[np.float64] | None


def shifts(champion: Outputs, challenger: Outputs, terms: Terms, step: int) -> tuple[Shift, ...]:
    """The shift of each output at each look so far; none before the first, and none where the champion answers nothing."""
    found, share = [], shares(terms)[step]
    for look in range(looks(len(challenger.predictions), terms)):
        size = terms.min_requests * 2**look
        against = size if share == 0 else math.ceil(size * (100 - share) / share)  # shadow: the same requests
        found += _look(champion, challenger, (against, size), terms, look)
    return tuple(found)


def looks(requests: int, terms: Terms) -> int:
    """How often the challenger's first requests, `min_requests` doubled again and again, have been looked at."""
    if terms.strategy == "all-at-once" or requests < terms.min_requests:
        return 0
    return (requests // terms.min_requests).bit_length()


def _look(champion: Outputs, challenger: Outputs, sizes: tuple[int, int], terms: Terms, look: int) -> list[Shift]:
    outputs = 1 if challenger.scores is None else 2
    part = level(terms) / (outputs * (look + 1) * (look + 2))
    pairs = [(PREDICTION, champion.predictions, challenger.predictions)]
    if champion.scores is not None and challenger.scores is not None:
        pairs.append((PROBABILITY, champion.scores.tolist(), challenger.scores.tolist()))
    found = []
    for name, before, after in pairs:
        first, second = before[: sizes[0]], after[: sizes[1]]
        if len(first):
            found.append(_psi(name, first, second, terms.max_prediction_shift, part))
    return found


def _psi(name: str, champion: Sequence[Any], challenger: Sequence[Any], allowed: float, part: float) -> Shift:
    numeric = isinstance(champion[0], (int, float)) and not isinstance(champion[0], bool)
    kind = np.float64 if numeric else object
    reference = sketch_column(name, pd.Series(champion, dtype=kind), numeric=numeric)
    found = column_drift(reference, pd.Series(challenger, dtype=kind), DriftThresholds(psi=allowed), part)
    psi = next(f for f in found.findings if f.statistic == "psi")
    return Shift(name, len(challenger), psi.value, psi.limit)
