"""Concept drift: whether the relation between features and target is still the one that was learned.

Judged on residuals (see `residuals`), which do not move when only the rows do. Two questions, each answered with its size
in mind as in `drift`:

level   is their mean another one than on the rows held out at training? Two-sample z test of means.
change  did their mean change within the window? By labelled windows: the boundary between equal windows at which the
        means before and after differ most, tested at DELTA divided by the number of boundaries. Where the extra
        `concept` is installed also by ADWIN (Bifet & Gavaldà, "Learning from time-changing data with adaptive
        windowing", SIAM 2007), which needs no fixed windows, follows several changes, and bounds its false alarms by
        DELTA. It sees less than the windows do and cuts later, so it is asked second (benchmarks/drift_rates.py).

The second is asked of rows whose order is that of time: the order of a file says nothing (a sorted one "changes" in the middle).

A shift below the effect sizes of `residuals` is no drift, however sure it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.special import ndtri

from ai_factory_runtime.evaluation.estimates import Judged
from ai_factory_runtime.evaluation.residuals import (
    EFFECT_OF_NUMBERS,
    EFFECT_OF_SHARES,
    Floats,
    Residuals,
    residuals,
    wrong_and_expected,
)
from ai_factory_runtime.model_package.sketch import ResidualName, ResidualSketch

Detector = Literal["labelled windows", "labelled windows and ADWIN", "their level alone"]

LEVEL_ALPHA = 0.005  # of all level tests of one look together
DELTA = 0.002
WINDOWS = 20
WINDOW_ROWS = 50
BINS = 24
CLIP = 5.0  # standard deviations, for a detector that wants bounded values


@dataclass(frozen=True, slots=True)
class Change:
    """Where the mean changed: the position of the first row after it, and the means on both sides."""

    position: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Shift:
    """One kind of residual: its mean now and at training (None where the model was made without), and a change within."""

    name: ResidualName
    now: float
    reference: float | None
    limit: float
    change: Change | None
    effect: float

    @property
    def moved(self) -> bool:
        """Whether its level left the reference's, or it changed on the way; a falling error is no harm."""
        level = self.reference is not None and _harm(self.name, self.now - self.reference) > self.limit
        change = self.change is not None and _harm(self.name, self.change.after - self.change.before) > self.effect
        return level or change


@dataclass(frozen=True, slots=True)
class Bin:
    """A stretch of the labelled rows: how wrong the answers were, and how wrong the model expected them to be."""

    rows: int
    wrong: float
    expected: float | None


@dataclass(frozen=True, slots=True)
class Concept:
    """What the labelled rows say of the learned relation. `ordered`: they are in time order; without it there are no `bins`."""

    rows: int
    detector: Detector
    shifts: tuple[Shift, ...]
    bins: tuple[Bin, ...]
    ordered: bool = True

    @property
    def moved(self) -> bool:
        """Whether any kind of residual moved."""
        return any(s.moved for s in self.shifts)

    @property
    def changed_at(self) -> int | None:
        """The row at which it changed, where that is known."""
        return next((s.change.position for s in self.shifts if s.moved and s.change is not None), None)


def concept(
    judged: Judged, reference: Sequence[ResidualSketch], *, adwin: bool | None = None, ordered: bool = True
) -> Concept:
    """Judge labelled rows. `reference` comes from the model's sketch and may be empty.

    `adwin`: whether to ask ADWIN too; None: where it is installed. `ordered`: whether the rows are in time order; else their
    level is judged alone. Every number in the answer is finite.
    """
    found, ask = residuals(judged), ordered and (adwin_installed() if adwin is None else adwin)
    known = {r.name: r for r in reference if r.rows}
    numbers = judged.prediction.probabilities is None
    find = by_both if ask else by_labelled_windows if ordered else _unasked
    shifts = tuple(_shift(r, known.get(r.name), find, len(found), numbers=numbers) for r in found)
    detector: Detector = "labelled windows and ADWIN" if ask else "labelled windows"
    if not ordered:
        return Concept(judged.rows, "their level alone", shifts, (), ordered=False)
    return Concept(judged.rows, detector, shifts, _bins(judged))


def _unasked(_: Floats) -> int | None:
    """Rows without an order cannot change on the way."""
    return None


def adwin_installed() -> bool:
    """Whether the extra `concept` is there."""
    from importlib.util import find_spec

    return find_spec("river") is not None


def _shift(
    found: Residuals, known: ResidualSketch | None, find: Callable[[Floats], int | None], kinds: int, *, numbers: bool
) -> Shift:
    """`numbers`: residuals of a regression, in the target's unit, so that effects are shares of their spread."""
    values = found.values
    spread = known.sd if known is not None and known.sd > 0 else float(values.std())
    effect = EFFECT_OF_NUMBERS * spread if numbers else EFFECT_OF_SHARES
    chance = 0.0
    if known is not None:
        error = math.sqrt(float(values.var()) / values.size + known.sd**2 / known.rows)
        chance = -float(ndtri(LEVEL_ALPHA / kinds / 2)) * error
    # Of a regression the values have no bounds: beyond CLIP standard deviations they count as much as there.
    width = CLIP * spread if numbers else 1.0
    centre = known.mean if known is not None and numbers else (float(np.median(values)) if numbers else 0.0)
    bounded = np.clip((values - centre) / width, -1.0, 1.0) / 2 + 0.5 if width > 0 else np.full(values.size, 0.5)
    at = find(bounded)
    change = None if at is None else Change(at, float(values[:at].mean()), float(values[at:].mean()))
    mean = None if known is None else known.mean
    return Shift(found.name, float(values.mean()), mean, max(effect, chance), change, effect)


def _harm(name: ResidualName, difference: float) -> float:
    return difference if name == "error" else abs(difference)


def by_both(values: Floats) -> int | None:
    """Where labelled windows find a change, else where ADWIN does; None where neither does."""
    return by_labelled_windows(values) or by_adwin(values)


def by_adwin(values: Floats) -> int | None:
    """The position from which ADWIN's last window holds, None where it never shrank. `values` are within 0 and 1."""
    from river.drift import ADWIN

    adwin, shrank = ADWIN(delta=DELTA), False
    for value in values.tolist():
        adwin.update(value)
        shrank = shrank or adwin.drift_detected
    at = values.size - round(adwin.width)
    return at if shrank and 0 < at < values.size else None


def by_labelled_windows(values: Floats) -> int | None:
    """The boundary of equal windows at which the means before and after differ most, None where chance explains it."""
    windows = min(WINDOWS, values.size // WINDOW_ROWS)
    if windows < 2:
        return None
    best, position = 0.0, None
    for at in (values.size * np.arange(1, windows) // windows).tolist():
        before, after = values[:at], values[at:]
        error = math.sqrt(float(before.var()) / before.size + float(after.var()) / after.size)
        score = abs(float(after.mean() - before.mean())) / error if error > 0 else 0.0
        if score > best:
            best, position = score, at
    return position if best > -float(ndtri(DELTA / (windows - 1) / 2)) else None


def _bins(judged: Judged) -> tuple[Bin, ...]:
    """Equal stretches of at least a few rows each, for the picture."""
    wrong, expected = wrong_and_expected(judged)
    count = max(1, min(BINS, wrong.size // 10))
    edges = (wrong.size * np.arange(count + 1) // count).tolist()
    return tuple(
        Bin(b - a, float(wrong[a:b].mean()), None if expected is None else float(expected[a:b].mean()))
        for a, b in pairwise(edges)
        if b > a
    )
