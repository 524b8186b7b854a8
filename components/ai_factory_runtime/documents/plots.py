"""Plots as inline SVG: no script, no font, no file beside the page. Values in, markup out.

Colours are of Okabe & Ito's palette, which people with colour-blindness tell apart; text takes the page's own colour.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from ai_factory_runtime.evaluation.estimates import Estimate
from ai_factory_runtime.evaluation.explaining import Importance
from ai_factory_runtime.evaluation.reliability import Bin

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#888888"
_WIDTH = 640
_BARS = 480  # narrower, so that its many labels stay legible on a small screen
_LABEL = 200
_RIGHT = 72
_ROW = 30


def interval_plot(estimate: Estimate, *, baseline: float, bounds: Sequence[float], name: str) -> Markup:
    """One metric: its 95 % interval as a bar, the baseline as a grey tick, bounds from `acceptance` as orange lines."""
    numbers = [v for v in (estimate.value, estimate.low, estimate.high, baseline, *bounds) if math.isfinite(v)]
    scale = _Scale(numbers, 10, _WIDTH - 10)
    parts = [_line(10, 20, _WIDTH - 10, 20, GREY, 1)]
    if math.isfinite(baseline):
        parts += [
            _line(scale(baseline), 10, scale(baseline), 30, GREY, 3),
            _mark(scale(baseline), 46, f"baseline {scale.label(baseline)}"),
        ]
    for bound in bounds:
        parts += [
            _line(scale(bound), 4, scale(bound), 36, ORANGE, 2),
            _mark(scale(bound), 66, f"bound {scale.label(bound)}"),
        ]
    if math.isfinite(estimate.low):
        parts.append(_line(scale(estimate.low), 20, scale(estimate.high), 20, BLUE, 8, opacity=0.45))
    if math.isfinite(estimate.value):
        parts.append(Markup('<circle cx="{:.1f}" cy="20" r="6" fill="{}"/>').format(scale(estimate.value), BLUE))
    return _svg(_WIDTH, 72, f"{name} {estimate}", parts)


def _mark(x: float, y: float, text: str) -> Markup:
    """A text at a tick, turned inwards where the tick is near an end: on a small screen its letters are large."""
    return _text(x, y, text, anchor="start" if x < 110 else "end" if x > _WIDTH - 110 else "middle")


def calibration_plot(bins: Sequence[Bin], *, across: str, up: str) -> Markup:
    """Predicted against actual, one dot a bin; on the diagonal they agree. Larger dots hold more rows."""
    size, margin = 320, 46
    numbers = [v for b in bins for v in (b.predicted, b.actual) if math.isfinite(v)]
    shares = bool(numbers) and min(numbers) >= 0 and max(numbers) <= 1
    numbers, pad = ([0.0, 1.0], 0.0) if shares else (numbers, 0.08)
    x, y = _Scale(numbers, margin, size - 14, pad=pad), _Scale(numbers, size - margin, 14, pad=pad)
    most = max((b.rows for b in bins), default=1)
    parts = [_line(x(x.low), y(x.low), x(x.high), y(x.high), GREY, 1)]
    parts += [
        _line(margin, 10, margin, size - margin, GREY, 1),
        _line(margin, size - margin, size - 10, size - margin, GREY, 1),
    ]
    points = " ".join(f"{x(b.predicted):.1f},{y(b.actual):.1f}" for b in bins)
    parts.append(
        Markup('<polyline points="{}" fill="none" stroke="{}" stroke-width="1.5" opacity=".6"/>').format(points, BLUE)
    )
    parts += [
        Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" fill="{}"><title>{}</title></circle>').format(
            x(b.predicted),
            y(b.actual),
            3 + 3 * b.rows / most,
            BLUE,
            f"{b.predicted:.3g} predicted, {b.actual:.3g} actual, {b.rows} rows",
        )
        for b in bins
    ]
    parts += [_text(margin, size - margin + 16, x.label(x.low)), _text(size - 16, size - margin + 16, x.label(x.high))]
    parts += [_text((size + margin) / 2, size - 10, across), _text(14, (size - margin) / 2, up, turn=-90)]
    return _svg(size, size, f"{up} against {across}", parts)


def importance_plot(importances: Iterable[Importance], *, metric: str) -> Markup:
    """One bar a feature: how much of the metric is lost when its values are shuffled."""
    shown = list(importances)
    scale = _Scale([0.0, *(i.loss for i in shown)], _LABEL, _BARS - _RIGHT, pad=0.0)
    parts = []
    for row, importance in enumerate(shown):
        middle = row * _ROW + _ROW / 2
        start, end = sorted((scale(0.0), scale(importance.loss)))
        label = importance.feature if len(importance.feature) <= 26 else importance.feature[:25] + "…"
        parts.append(_text(_LABEL - 8, middle + 4, label, anchor="end", full=importance.feature))
        bar = Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="16" rx="2" fill="{}"/>')
        parts.append(bar.format(start, middle - 8, max(end - start, 1.0), BLUE if importance.loss > 0 else GREY))
        parts.append(_text(end + 8, middle + 4, f"{importance.loss:.3g}", anchor="start"))
    return _svg(_BARS, max(len(shown), 1) * _ROW, f"loss of {metric} when a feature is shuffled", parts)


class _Scale:
    """Numbers to pixels, over the range of some numbers with a little room at both ends."""

    def __init__(self, numbers: Sequence[float], start: float, end: float, *, pad: float = 0.08) -> None:
        low, high = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
        room = (high - low) * pad or (0.0 if high > low else max(abs(high), 1.0) * 0.1)
        self.low, self.high = low - room, high + room
        self._start, self._end = start, end

    def label(self, number: float) -> str:
        """A number as an axis shows it: one that is nothing beside the range is 0."""
        return "0" if abs(number) < (self.high - self.low) / 500 else f"{number:.3g}"

    def __call__(self, number: float) -> float:
        return self._start + (number - self.low) / (self.high - self.low) * (self._end - self._start)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float, *, opacity: float = 1.0) -> Markup:
    template = Markup(
        '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="{}" stroke-width="{}" opacity="{}"/>'
    )
    return template.format(x1, y1, x2, y2, colour, width, opacity)


def _text(x: float, y: float, text: str, *, anchor: str = "middle", turn: int = 0, full: str = "") -> Markup:
    turned = Markup(' transform="rotate({} {:.1f} {:.1f})"').format(turn, x, y) if turn else Markup("")
    title = Markup("<title>{}</title>").format(full) if full else Markup("")
    return Markup(
        '<text x="{:.1f}" y="{:.1f}" text-anchor="{}" font-size="12" fill="currentColor"{}>{}{}</text>'
    ).format(x, y, anchor, turned, escape(_printable(text)), title)


def _svg(width: float, height: float, title: str, parts: Iterable[Markup]) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" width="{}" role="img" aria-label="{}">').format(
        width, height, width, _printable(title)
    )
    return head + Markup("").join(parts) + Markup("</svg>")


def _printable(text: str) -> str:
    """Without control characters, which XML cannot hold."""
    return "".join(c if c.isprintable() else " " for c in text)
