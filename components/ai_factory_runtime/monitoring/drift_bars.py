"""The picture of one column: its values in the reference and in the window, as the shares that bars show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ai_factory_runtime.model_package.sketch import CategorySketch, Floats, NumericSketch

BARS = 20
TOP_CATEGORIES = 10


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the picture: the share of values in it, in the reference and in the window."""

    label: str
    reference: float
    current: float


def numeric_bars(sketch: NumericSketch, window: Floats) -> tuple[Bar, ...]:
    """Shares in equal cells over the middle 99 % of both; the outer bars hold what lies beyond."""
    if not sketch.present or not window.size:
        return ()
    points = np.asarray(sketch.points)
    low, high = (_quantiles(sketch, window, side) for side in (0.005, 0.995))
    if 1 < points.size <= BARS and np.isin(window, points).all():
        edges, labels = points[:-1], [f"{p:.6g}" for p in points]
    else:
        span = max(high - low, 1e-9 * max(1.0, abs(low), abs(high)))
        edges = low + span * (np.arange(1, BARS) / BARS)
        labels = [f"{a:.4g} – {b:.4g}" for a, b in zip([low, *edges], [*edges, low + span], strict=True)]
    at = np.searchsorted(points, edges, side="right")
    reached = np.concatenate([[0], np.asarray(sketch.at_most)])[at]
    reference = np.diff(reached, prepend=0, append=sketch.present) / sketch.present
    current = np.diff(np.searchsorted(window, edges, side="right"), prepend=0, append=window.size) / window.size
    return tuple(Bar(*bar) for bar in zip(labels, reference.tolist(), current.tolist(), strict=True))


def category_bars(sketch: CategorySketch, counts: dict[str, int]) -> tuple[Bar, ...]:
    """The most frequent values of both, the rest in one bar."""
    known, present = dict(sketch.counts), sum(counts.values())
    shares = {
        name: (known.get(name, 0) / max(1, sketch.present), counts.get(name, 0) / max(1, present))
        for name in [*known, *(c for c in counts if c not in known)]
    }
    ordered = sorted(shares, key=lambda name: (-max(shares[name]), name))
    bars = [Bar(name, *shares[name]) for name in ordered[:TOP_CATEGORIES]]
    rest = [shares[name] for name in ordered[TOP_CATEGORIES:]]
    if rest:
        bars.append(Bar(f"{len(rest)} others", sum(r for r, _ in rest), sum(c for _, c in rest)))
    return tuple(bars)


def _quantiles(sketch: NumericSketch, window: Floats, q: float) -> float:
    """The outer of both quantiles, kept where differences of two numbers cannot overflow."""
    index = int(np.searchsorted(np.asarray(sketch.at_most), q * sketch.present))
    both = sketch.points[min(index, len(sketch.points) - 1)], float(window[int(q * (window.size - 1))])
    return min(max(min(both) if q < 0.5 else max(both), -8e307), 8e307)
