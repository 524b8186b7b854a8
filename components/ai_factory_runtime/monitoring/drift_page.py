"""The drift report as one HTML page: no script, nothing loaded from anywhere, readable on a phone and without colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ai_factory_runtime.documents.pages import template
from ai_factory_runtime.model_package.sketch import PREDICTION, PROBABILITY
from ai_factory_runtime.monitoring.concept import Concept
from ai_factory_runtime.monitoring.drift import ColumnDrift, Finding
from ai_factory_runtime.monitoring.drift_bars import Bar
from ai_factory_runtime.monitoring.verdicts import broken_rules, reading, verdicts

if TYPE_CHECKING:
    from ai_factory_runtime.monitoring.monitor import MonitorResult

WIDTH, HEIGHT = 320.0, 120.0
FEWEST_BINS = 4
NAMES = {
    "psi": "Population stability index",
    "ks": "Kolmogorov–Smirnov distance",
    "missing": "Rise in missing values",
    "unseen": "Values never seen in training",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One statistic. `raised`: its limit is above the threshold, for the window is small."""

    name: str
    value: str
    limit: str
    drifted: bool
    raised: bool


@dataclass(frozen=True, slots=True)
class Histogram:
    """A number's picture in a box of WIDTH x HEIGHT: the reference as an area, the window as a line over it."""

    area: str
    line: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """The labelled rows in time order in a box of WIDTH x HEIGHT: how wrong the answers were, as a line, over how wrong the
    model expected them to be (empty for a regression). `change`: where the relation changed, in the box's units.
    """

    wrong: str
    expected: str
    top: str
    rows: int
    change: float | None
    changed_at: int | None
    detector: str


@dataclass(frozen=True, slots=True)
class Card:
    """One column as the page shows it."""

    name: str
    drifted: bool
    compared: bool
    lines: tuple[Line, ...]
    missing: str
    unseen: tuple[str, ...]
    histogram: Histogram | None
    bars: tuple[Bar, ...]
    longest: float


def render_drift(result: MonitorResult, *, title: str) -> str:
    """The page for a result."""
    report = result.report
    columns = [card(c, too_small=report.too_small) for c in sorted(report.columns, key=lambda c: (-c.severity, c.name))]
    return template("drift.html").render(
        title=title,
        result=result,
        report=report,
        verdict=verdict(result),
        verdicts=verdicts(result),
        reading=reading(result.kinds, truth_known=result.findings.concept is not None),
        broken=broken_rules(result.findings.schema),
        timeline=timeline(result.findings.concept),
        predictions=[_output_card(c, result) for c in report.predictions],
        moved=[c for c in columns if c.drifted],
        still=[c for c in columns if not c.drifted],
        width=WIDTH,
        height=HEIGHT,
    )


def _output_card(column: ColumnDrift, result: MonitorResult) -> Card:
    """The card of a model output, named in the model's own terms."""
    shown = card(column, too_small=result.report.too_small)
    named = {PREDICTION: f"predicted {result.target}", PROBABILITY: "probability of the predicted class"}
    if len(result.classes) == 2:
        named[PROBABILITY] = f"probability of {result.classes[1]}"
    return replace(shown, name=named.get(column.name, column.name))


def verdict(result: MonitorResult) -> str:
    """The answer in one sentence."""
    report = result.report
    if report.too_small and not result.drifted:
        return f"Too few rows to judge: {report.rows}, needed are {report.min_rows}."
    if not result.drifted:
        return "No drift."
    found = []
    if result.findings.schema.moved:
        found.append("in the schema")
    if report.drifted_columns:
        found.append(f"in {len(report.drifted_columns)} of {len(report.compared_columns)} columns")
    if report.drifted_predictions:
        found.append("in the predictions")
    if result.quality is not None and result.quality.worse:
        found.append(f"in quality ({result.quality.metric})")
    if "concept" in result.kinds:
        found.append("in the relation of features to target")
    if "code" in result.kinds:
        found.append("in the code that answers")
    return f"Drift {_listed(found)}."


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def card(column: ColumnDrift, *, too_small: bool) -> Card:
    """What the page shows of one column."""
    numeric = column.kind == "number"
    return Card(
        name=column.name,
        drifted=column.drifted and not too_small,
        compared=bool(column.findings),
        lines=tuple(_line(f, judged=not too_small) for f in sorted(column.findings, key=lambda f: -f.severity)),
        missing=_missing(column),
        unseen=column.unseen,
        histogram=_histogram(column.bars) if numeric and column.bars else None,
        bars=() if numeric else column.bars,
        longest=max((max(b.reference, b.current) for b in column.bars), default=0.0) or 1.0,
    )


def _missing(column: ColumnDrift) -> str:
    """Both shares of missing values; empty where nothing is missing."""
    if not column.current_missing and not column.reference_missing:
        return ""
    return f"{column.current_missing:.1%} of the window, {column.reference_missing:.1%} of the training data"


def _line(finding: Finding, *, judged: bool) -> Line:
    share = finding.statistic in ("missing", "unseen")
    value, limit = (f"{x:.1%}" if share else f"{x:.3f}" for x in (finding.value, finding.limit))
    return Line(NAMES[finding.statistic], value, limit, finding.drifted and judged, finding.limit > finding.threshold)


def _histogram(bars: Sequence[Bar]) -> Histogram:
    top = max(max(b.reference, b.current) for b in bars) or 1.0
    return Histogram(
        area=_steps([b.reference / top for b in bars], closed=True),
        line=_steps([b.current / top for b in bars], closed=False),
        low=bars[0].label.split(" – ")[0],
        high=bars[-1].label.split(" – ")[-1],
    )


def timeline(found: Concept | None) -> Timeline | None:
    """The errors of the labelled rows, in time order; None where there are too few for a picture."""
    if found is None or len(found.bins) < FEWEST_BINS:
        return None
    expected = [b.expected for b in found.bins if b.expected is not None]
    top = max([b.wrong for b in found.bins] + expected) or 1.0
    changed = found.changed_at
    return Timeline(
        wrong=_steps([b.wrong / top for b in found.bins], closed=False),
        expected=_steps([e / top for e in expected], closed=True) if expected else "",
        top=f"{top:.1%}" if expected else f"{top:.4g}",
        rows=found.rows,
        change=None if changed is None else WIDTH * changed / found.rows,
        changed_at=None if changed is None else changed + 1,
        detector=found.detector,
    )


def _steps(shares: Sequence[float], *, closed: bool) -> str:
    """An SVG path of steps, one per bar, each of the same width; `closed` runs it along the bottom."""
    step, top = WIDTH / len(shares), 4.0
    points = [
        f"{'M' if i == 0 and not closed else 'L'}{i * step:.1f} {_y(s, top)}H{(i + 1) * step:.1f}"
        for i, s in enumerate(shares)
    ]
    return f"M0 {HEIGHT:.0f}{''.join(points)}V{HEIGHT:.0f}Z" if closed else "".join(points)


def _y(share: float, top: float) -> str:
    return f"{HEIGHT - share * (HEIGHT - top):.1f}"
