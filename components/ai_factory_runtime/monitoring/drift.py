"""Drift: how far a window of rows has moved from the sketch of the training data, judged with its size in mind.

A statistic drifts when it exceeds its limit. The limit is the larger of two numbers: the effect size the user asked for
(`monitoring.thresholds`), and what chance alone reaches in a window this small. On large windows the effect size
rules, for there everything is "significant"; on small ones chance does, for there everything looks large.

Chance is bounded for the whole window: each of its m statistics gets the level ALPHA / m (Bonferroni), so at most a
share ALPHA of windows without drift raises any alarm. With N reference and n window values, and h = 1/n + 1/N:

psi      h * chi2(k - 1 degrees of freedom) for k cells: Yurdakul & Naranjo, "Statistical properties of the population
         stability index", Journal of Risk Model Validation 14 (2020). Cells with fewer than MIN_EXPECTED reference or
         expected window values are merged; Cochran (Biometrics 10, 1954) found chi-squared to hold down to 1, and the
         half count added to each cell keeps the tail below it (benchmarks/drift_rates.py).
ks       sqrt(h * ln(2 / level) / 2): Smirnov's two-sample limit; conservative where values are tied.
missing  the smallest count that a conditional test of two rates would reject: Przyborowski & Wilenski, Biometrika 31
unseen   (1940). For values never seen in training the reference rate is the share of values seen exactly once,
         Good and Turing's estimate of what the next value has of being new (Good, Biometrika 40, 1953).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import DriftThresholds
from scipy.special import chdtri

from ai_factory_runtime.model_package.sketch import (
    CategorySketch,
    ColumnSketch,
    Floats,
    NumericSketch,
    Sketch,
    category_counts,
    numbers,
    prediction_series,
)
from ai_factory_runtime.monitoring.counts_by_chance import least_surprising_count
from ai_factory_runtime.monitoring.drift_bars import Bar, category_bars, numeric_bars

if TYPE_CHECKING:
    from ai_factory_runtime.base.prediction import Prediction

Ints = npt.NDArray[np.int64]
Statistic = Literal["psi", "ks", "missing", "unseen"]

ALPHA = 0.05
CELLS = 10
MIN_EXPECTED = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One statistic of one column: its value, the threshold asked for, and the limit at this window's size (>= threshold)."""

    statistic: Statistic
    value: float
    threshold: float
    limit: float

    @property
    def drifted(self) -> bool:
        """Whether the value exceeds the limit."""
        return self.value > self.limit

    @property
    def severity(self) -> float:
        """The value as a multiple of the limit; above 1 is drift."""
        return self.value / self.limit if self.limit > 0 else (2.0 if self.value > 0 else 0.0)


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """What moved in one column; without any finding there was nothing to compare. `unseen`: up to five values new to training."""

    name: str
    kind: str
    findings: tuple[Finding, ...]
    bars: tuple[Bar, ...]
    reference_missing: float
    current_missing: float
    unseen: tuple[str, ...] = ()

    @property
    def drifted(self) -> bool:
        """Whether any statistic of the column exceeds its limit."""
        return any(f.drifted for f in self.findings)

    @property
    def severity(self) -> float:
        """The largest severity of its statistics."""
        return max((f.severity for f in self.findings), default=0.0)


@dataclass(frozen=True, slots=True)
class DriftReport:
    """A window against its reference. A window of fewer than `min_rows` rows is too small and never drifts."""

    rows: int
    min_rows: int
    reference_rows: int
    columns: tuple[ColumnDrift, ...]
    predictions: tuple[ColumnDrift, ...]

    @property
    def too_small(self) -> bool:
        """Whether the window has too few rows to judge."""
        return self.rows < self.min_rows

    @property
    def compared_columns(self) -> tuple[ColumnDrift, ...]:
        """The feature columns that had values to compare."""
        return tuple(c for c in self.columns if c.findings)

    @property
    def drifted_columns(self) -> tuple[ColumnDrift, ...]:
        """The feature columns that drifted, worst first."""
        return () if self.too_small else _worst_first(c for c in self.columns if c.drifted)

    @property
    def drifted_predictions(self) -> tuple[ColumnDrift, ...]:
        """The model outputs that drifted, worst first."""
        return () if self.too_small else _worst_first(c for c in self.predictions if c.drifted)

    @property
    def drifted(self) -> bool:
        """Whether the data or the predictions drifted."""
        return bool(self.drifted_columns or self.drifted_predictions)


def compare(
    sketch: Sketch,
    frame: pd.DataFrame,
    predictions: Prediction | None,
    thresholds: DriftThresholds,
    min_rows: int,
    broken: Mapping[str, npt.NDArray[np.bool_]] = MappingProxyType({}),
) -> DriftReport:
    """Compare a window with the sketch. Every column of the sketch must be in `frame` (canonical types).

    `predictions` are the model's outputs for the window, None when there are none to compare. `broken`: for some columns the
    rows whose value is none (`schema_drift`); they count as neither present nor missing. Every number in the report is finite.
    """
    outputs = [s for s, _ in prediction_series(predictions)] if predictions is not None else []
    known = {c.name: c for c in sketch.predictions}
    pairs = [(c, frame[c.name][~broken[c.name]] if c.name in broken else frame[c.name]) for c in sketch.columns]
    output_pairs = [(known[str(s.name)], s) for s in outputs if str(s.name) in known]
    level = ALPHA / max(1, 3 * (len(pairs) + len(output_pairs)))
    return DriftReport(
        rows=len(frame),
        min_rows=min_rows,
        reference_rows=sketch.rows,
        columns=tuple(
            column_drift(c, s, thresholds, level) if len(s) or c.name not in broken else _nothing_to_compare(c)
            for c, s in pairs
        ),
        predictions=tuple(_distribution_only(column_drift(c, s, thresholds, level)) for c, s in output_pairs),
    )


def _nothing_to_compare(sketch: ColumnSketch) -> ColumnDrift:
    return ColumnDrift(sketch.name, sketch.kind, (), (), sketch.missing_share, 0.0)


def _distribution_only(drift: ColumnDrift) -> ColumnDrift:
    """A model's output has no missing or unseen values to speak of."""
    return replace(drift, findings=tuple(f for f in drift.findings if f.statistic in ("psi", "ks")), unseen=())


def column_drift(
    sketch: ColumnSketch, values: pd.Series[Any], thresholds: DriftThresholds, level: float
) -> ColumnDrift:
    """Compare one column with its sketch; every statistic is judged at `level`, its share of ALPHA."""
    if isinstance(sketch, NumericSketch):
        return _numeric_drift(sketch, values, thresholds, level)
    return _category_drift(sketch, values, thresholds, level)


def _numeric_drift(
    sketch: NumericSketch, values: pd.Series[Any], thresholds: DriftThresholds, level: float
) -> ColumnDrift:
    window = numbers(values)
    findings = [_missing(sketch, len(values), len(values) - window.size, thresholds.missing, level)]
    if window.size and sketch.present:
        findings += [_numeric_psi(sketch, window, thresholds.psi, level), _ks(sketch, window, thresholds.ks, level)]
    return ColumnDrift(
        name=sketch.name,
        kind=sketch.kind,
        findings=tuple(findings),
        bars=numeric_bars(sketch, window),
        reference_missing=sketch.missing_share,
        current_missing=(len(values) - window.size) / max(1, len(values)),
    )


def _category_drift(
    sketch: CategorySketch, values: pd.Series[Any], thresholds: DriftThresholds, level: float
) -> ColumnDrift:
    counts = category_counts(values)
    present = sum(counts.values())
    known = dict(sketch.counts)
    new = sorted((v for v in counts if v not in known), key=lambda v: (-counts[v], v))
    findings = [_missing(sketch, len(values), len(values) - present, thresholds.missing, level)]
    if present and sketch.present:
        findings += [
            _category_psi(sketch, counts, thresholds.psi, level),
            _unseen(sketch, present, sum(counts[v] for v in new), thresholds.unseen, level),
        ]
    return ColumnDrift(
        name=sketch.name,
        kind=sketch.kind,
        findings=tuple(findings),
        bars=category_bars(sketch, counts),
        reference_missing=sketch.missing_share,
        current_missing=(len(values) - present) / max(1, len(values)),
        unseen=tuple(new[:5]),
    )


def _numeric_psi(sketch: NumericSketch, window: Floats, threshold: float, level: float) -> Finding:
    """PSI over up to CELLS cells, cut at the sketch's points nearest to equal shares of the reference."""
    reached = np.asarray(sketch.at_most[:-1], dtype=np.float64)
    targets = sketch.present * np.arange(1, CELLS) / CELLS
    cuts = np.unique([np.abs(reached - t).argmin() for t in targets]) if reached.size else np.empty(0, dtype=np.intp)
    edges = np.asarray(sketch.points)[cuts]
    reference = np.diff(reached[cuts], prepend=0, append=sketch.present).astype(np.int64)
    current = np.diff(np.searchsorted(window, edges, side="right"), prepend=0, append=window.size).astype(np.int64)
    return _psi(*_merge_small(reference, current), threshold, level)


def _category_psi(sketch: CategorySketch, counts: dict[str, int], threshold: float, level: float) -> Finding:
    """PSI over the most frequent categories of the reference and, in one cell, all others.

    More cells would be chosen by the reference's own chance (the rare values that happened to occur), and alarm by it.
    """
    top = sketch.counts[: CELLS - 1]
    reference = np.asarray([n for _, n in top] + [sketch.present - sum(n for _, n in top)], dtype=np.int64)
    current = np.asarray([counts.get(name, 0) for name, _ in top] + [0], dtype=np.int64)
    current[-1] = sum(counts.values()) - current.sum()
    return _psi(*_merge_small(reference, current), threshold, level)


def _merge_small(reference: Ints, current: Ints) -> tuple[Ints, Ints]:
    """Join neighbouring cells until each has MIN_EXPECTED reference values and expects as many window values.

    What is left over at the end joins the last cell.
    """
    needed = MIN_EXPECTED * max(1.0, float(reference.sum() / current.sum()))
    starts, filled = [0], 0
    for i, count in enumerate(reference.tolist()):
        if filled >= needed:
            starts.append(i)
            filled = 0
        filled += count
    if filled < needed and len(starts) > 1:
        starts.pop()
    return np.add.reduceat(reference, starts), np.add.reduceat(current, starts)


def _psi(reference: Ints, current: Ints, threshold: float, level: float) -> Finding:
    """sum((q - p) * ln(q / p)), half a count added to each cell so that an empty one stays finite."""
    n, big_n, k = int(current.sum()), int(reference.sum()), reference.size
    p = (reference + 0.5) / (big_n + 0.5 * k)
    q = (current + 0.5) / (n + 0.5 * k)
    value = float(np.sum((q - p) * np.log(q / p))) if k > 1 else 0.0
    chance = (1 / n + 1 / big_n) * float(chdtri(k - 1, level)) if k > 1 else 0.0
    return Finding("psi", max(0.0, value), threshold, max(threshold, chance))


def _ks(sketch: NumericSketch, window: Floats, threshold: float, level: float) -> Finding:
    """The largest distance of the two distribution functions, at and just below each of the sketch's points."""
    points, n, big_n = np.asarray(sketch.points), window.size, sketch.present
    at = np.asarray(sketch.at_most) / big_n - np.searchsorted(window, points, side="right") / n
    below = np.asarray(sketch.below) / big_n - np.searchsorted(window, points, side="left") / n
    value = float(max(np.abs(at).max(), np.abs(below).max()))
    chance = math.sqrt(0.5 * math.log(2 / level) * (1 / n + 1 / big_n))
    return Finding("ks", value, threshold, max(threshold, min(1.0, chance)))


def _missing(sketch: ColumnSketch, rows: int, missing: int, threshold: float, level: float) -> Finding:
    """The rise in the share of missing values; a fall is 0."""
    if not rows or not sketch.rows:
        return Finding("missing", 0.0, threshold, threshold)
    least = least_surprising_count(sketch.missing, sketch.rows, rows, level)
    share = sketch.missing_share
    rise = max(0.0, missing / rows - share)
    return Finding("missing", rise, threshold, max(threshold, (least - 1) / rows - share))


def _unseen(sketch: CategorySketch, present: int, unseen: int, threshold: float, level: float) -> Finding:
    """The share of values never seen in training, beyond what training itself makes likely."""
    once = sum(1 for _, n in sketch.counts if n == 1)
    least = least_surprising_count(once, sketch.present, present, level)
    limit = max(threshold + once / sketch.present, (least - 1) / present)
    return Finding("unseen", unseen / present, threshold, limit)


def _worst_first(columns: Iterable[ColumnDrift]) -> tuple[ColumnDrift, ...]:
    return tuple(sorted(columns, key=lambda c: (-c.severity, c.name)))
