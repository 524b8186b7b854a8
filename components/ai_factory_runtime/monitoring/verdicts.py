"""Verdicts: what a look at a window says of each kind of drift, in words, and how they are to be read together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ai_factory_runtime.monitoring.code_drift import CodeDrift
from ai_factory_runtime.monitoring.concept import Concept, Shift
from ai_factory_runtime.monitoring.drift import ColumnDrift, DriftReport
from ai_factory_runtime.monitoring.quality import Quality

if TYPE_CHECKING:
    from ai_factory_runtime.monitoring.monitor import MonitorResult

TITLES = {
    "data": "Data",
    "predictions": "Predictions",
    "quality": "Quality",
    "concept": "Concept",
    "code": "Code",
}
NAMED = 5
NO_TRUTH = "not known: no true values have arrived, or too few"
TOO_SMALL = "too few rows to judge"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of one kind. `known`: whether anything can be said."""

    kind: str
    said: str
    moved: bool
    known: bool = True

    @property
    def title(self) -> str:
        """The kind as a heading."""
        return TITLES[self.kind]

    @property
    def answer(self) -> str:
        """One word."""
        return "moved" if self.moved else "did not move" if self.known else "unknown"


def verdicts(result: MonitorResult) -> tuple[Verdict, ...]:
    """One verdict for each kind, in the order of `monitor.KINDS`."""
    found = result.findings
    return (
        _of_data(found.report),
        _of_predictions(found.report),
        _of_quality(found.quality),
        _of_concept(found.concept),
        _of_code(found.code),
    )


def reading(kinds: Collection[str], *, truth_known: bool) -> str:
    """What the kinds that moved mean together; empty where nothing moved."""
    said = []
    rows, worse, relation = bool({"data", "predictions"} & set(kinds)), "quality" in kinds, "concept" in kinds
    if "code" in kinds:
        said.append("Other code answers than made the model: deploy the right one, or train again with this one.")
    if relation and rows:
        said.append(
            "The rows moved, and the relation of features to target with them: repair the source, or train again."
        )
    elif relation:
        said.append("The rows are as they were, the relation of features to target is not: train on newer rows.")
    elif worse and rows:
        said.append("The rows moved to where the model is weaker, as it expects itself: train on rows like these.")
    elif worse:
        said.append("The quality fell while rows and relation stayed: look at the groups in which it fell.")
    elif rows and truth_known:
        said.append("The rows moved; where the truth is known the answers are as good as before.")
    elif rows:
        said.append("The rows moved; whether the answers got worse is not known without true values.")
    return " ".join(said)


def _of_data(report: DriftReport) -> Verdict:
    if report.too_small:
        return Verdict("data", TOO_SMALL, moved=False, known=False)
    moved = report.drifted_columns
    if not moved:
        return Verdict("data", f"none of {len(report.columns)} columns", moved=False)
    names = ", ".join(c.name for c in moved[:NAMED]) + (", …" if len(moved) > NAMED else "")
    return Verdict("data", f"{len(moved)} of {len(report.columns)} columns: {names}", moved=True)


def _of_predictions(report: DriftReport) -> Verdict:
    if report.too_small or not report.predictions:
        return Verdict("predictions", TOO_SMALL if report.too_small else "no row was answered", False, known=False)
    worst = max(report.predictions, key=lambda c: c.severity)
    return Verdict("predictions", _largest(worst), moved=bool(report.drifted_predictions))


def _largest(column: ColumnDrift) -> str:
    finding = max(column.findings, key=lambda f: f.severity, default=None)
    if finding is None:
        return f"{column.name}: nothing to compare"
    return f"{finding.statistic} of the {column.name} {finding.value:.3g}, limit {finding.limit:.3g}"


def _of_quality(found: Quality | None) -> Verdict:
    if found is None:
        return Verdict("quality", NO_TRUTH, moved=False, known=False)
    said = f"{found.metric} {found.now} on {found.rows:,} rows; at registration {found.before}"
    return Verdict("quality", said, moved=found.worse)


def _of_concept(found: Concept | None) -> Verdict:
    if found is None:
        return Verdict("concept", NO_TRUTH, moved=False, known=False)
    told = max(found.shifts, key=lambda s: (s.moved, s.name == "error"))
    return Verdict("concept", _shift(told, found.rows), moved=found.moved)


def _shift(shift: Shift, rows: int) -> str:
    what = "error beyond the model's own expectation" if shift.name == "error" else "bias of the answers"
    parts = [f"{what} {shift.now:+.3g}"]
    if shift.reference is not None:
        parts.append(f"at registration {shift.reference:+.3g}, limit ±{shift.limit:.2g}")
    if shift.change is not None and shift.moved:
        change = shift.change
        parts.append(
            f"from {change.before:+.3g} to {change.after:+.3g} at labelled row {change.position + 1:,} of {rows:,}"
        )
    return "; ".join(parts)


def _of_code(found: CodeDrift) -> Verdict:
    if not found.known:
        return Verdict("code", "the model does not say what made it", moved=False, known=False)
    if found.moved:
        return Verdict("code", "; ".join(map(str, found.differences)), moved=True)
    return Verdict("code", f"what answers is what made the model{_commits(found)}", moved=False)


def _commits(found: CodeDrift) -> str:
    """The commits, where they are known; they may differ where the code does not."""
    known = {"made at": found.commit[:12], "running": found.running_commit[:12]}
    if known["made at"] and known["made at"] == known["running"]:
        return f", commit {known['running']}"
    named = [f"{what} commit {commit}" for what, commit in known.items() if commit]
    return f"; {', '.join(named)}" if named else ""
