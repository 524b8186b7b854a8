"""Verdicts: what a look at a window says of each kind of drift, in words, and how they are to be read together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ai_factory_runtime.base.violations import Violation
from ai_factory_runtime.monitoring.code_drift import CodeDrift
from ai_factory_runtime.monitoring.concept import Concept, Shift
from ai_factory_runtime.monitoring.drift import ColumnDrift, DriftReport
from ai_factory_runtime.monitoring.quality import Quality
from ai_factory_runtime.monitoring.schema_drift import Breaks, Schema
from ai_factory_runtime.monitoring.windows import Window

if TYPE_CHECKING:
    from ai_factory_runtime.monitoring.monitor import MonitorResult

TITLES = {
    "schema": "Schema",
    "data": "Data",
    "predictions": "Predictions",
    "quality": "Quality",
    "concept": "Concept",
    "code": "Code",
}
NAMED = 5
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
        _of_schema(found.schema),
        _of_data(found.report),
        _of_predictions(found.report),
        _of_quality(found.quality, result),
        _of_concept(found.concept, result),
        _of_code(found.code),
    )


def reading(kinds: Collection[str], *, truth_known: bool) -> str:
    """What the kinds that moved mean together; empty where nothing moved."""
    said = []
    rows, worse, relation = bool({"data", "predictions"} & set(kinds)), "quality" in kinds, "concept" in kinds
    if "schema" in kinds:
        said.append("Rows or requests break the data contract: repair their source or the client, then look again.")
    if "code" in kinds:
        said.append("Other code answers than made the model: deploy the right one, or train again with this one.")
    if "schema" in kinds:
        return " ".join(said)  # what is damaged says nothing of the rest
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


def skipped(window: Window) -> list[str]:
    """What got no answer, a sentence each; nothing where all did."""
    said = []
    if window.skipped:
        rows = "1 row breaks" if window.skipped == 1 else f"{window.skipped:,} rows break"
        said.append(f"{rows} the data contract and got no answer.")
    if window.refused:
        said.append(f"{window.refused:,} {'request was' if window.refused == 1 else 'requests were'} refused.")
    return said


def told(part: Breaks, violation: Violation) -> str:
    """A rule, how often it was broken and examples, in one line."""
    if part.what == "rows":
        return str(violation)
    return f"{violation.rule_text} ({violation.count:,} request{'' if violation.count == 1 else 's'})"


def broken_rules(found: Schema) -> list[str]:
    """Every rule that rows or requests broke, also where it is no drift, in one line each."""
    return [told(part, violation) for part in found.parts for violation in part.violations]


def _of_schema(found: Schema) -> Verdict:
    return Verdict("schema", "; ".join(map(_breaks, _worth_saying(found))), moved=found.moved)


def _worth_saying(found: Schema) -> tuple[Breaks, ...]:
    """The rows, where there are any, and the requests, where some were refused."""
    requests = () if found.requests is None or not found.requests.broken else (found.requests,)
    return (found.rows, *requests) if found.rows.total or not requests else requests


def _breaks(part: Breaks) -> str:
    if not part.broken:
        return "every row fits the data contract"
    what = "break the data contract" if part.what == "rows" else "were refused"
    return f"{part.broken:,} of {part.total:,} {part.what} {what}, limit {part.limit:.1%}"


def _of_data(report: DriftReport) -> Verdict:
    if report.too_small:
        return Verdict("data", TOO_SMALL, moved=False, known=False)
    compared, moved = len(report.compared_columns), report.drifted_columns
    if not compared:
        return Verdict("data", "no value fits the data contract, so none was compared", moved=False, known=False)
    left = f"; {len(report.columns) - compared} not compared" if compared < len(report.columns) else ""
    if not moved:
        return Verdict("data", f"none of {compared} columns{left}", moved=False)
    names = ", ".join(c.name for c in moved[:NAMED]) + (", …" if len(moved) > NAMED else "")
    return Verdict("data", f"{len(moved)} of {compared} columns: {names}{left}", moved=True)


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


def _no_truth(result: MonitorResult) -> str:
    """Why nothing can be said of the answers."""
    window, needed = result.window, result.report.min_rows
    if not window.true_values:
        return "no true values have arrived"
    if not window.labelled:
        return (
            f"{window.true_values:,} true values have arrived, but their rows break the data contract and got no answer"
        )
    if window.labelled < needed:
        return f"true values of {window.labelled:,} answers are known; needed are {needed:,}"
    return "the metric is not known on these rows, or was not at registration"


def _of_quality(found: Quality | None, result: MonitorResult) -> Verdict:
    if found is None:
        return Verdict("quality", _no_truth(result), moved=False, known=False)
    said = f"{found.metric} {found.now} on {found.rows:,} rows; at registration {found.before}"
    return Verdict("quality", said, moved=found.worse)


def _of_concept(found: Concept | None, result: MonitorResult) -> Verdict:
    if found is None:
        return Verdict("concept", _no_truth(result), moved=False, known=False)
    worst = max(found.shifts, key=lambda s: (s.moved, s.name == "error"))
    said = _shift(worst, found.rows)
    unasked = (
        "" if found.ordered else "; no change within the window was looked for, for the rows have no time (data.time)"
    )
    return Verdict("concept", said + unasked, moved=found.moved)


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
