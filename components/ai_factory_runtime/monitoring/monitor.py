"""Monitor: what came in lately against what the model was trained on, and whether that asks for retraining.

Six things are told apart (KINDS): rows or requests break the data contract (schema), the data moved (feature columns), the
predictions moved, the quality fell, the relation of features to target moved (concept), and other code answers than made the
model. Quality and concept need true values, in the window or joined to it later. Writes drift.json and drift.html under artifacts/reports/<stage>/<time>/.
"""

from __future__ import annotations

import datetime as dt
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.errors import WriteFailed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.data.named import named_by_caller
from ai_factory_runtime.model_package.package import ModelPackage
from ai_factory_runtime.model_package.sketch import Sketch
from ai_factory_runtime.monitoring.code_drift import CodeDrift, code_drift
from ai_factory_runtime.monitoring.concept import Concept, concept
from ai_factory_runtime.monitoring.drift import ColumnDrift, DriftReport, compare
from ai_factory_runtime.monitoring.drift_page import render_drift
from ai_factory_runtime.monitoring.labels import find_labels
from ai_factory_runtime.monitoring.notices import tell_of_drift
from ai_factory_runtime.monitoring.notify import Delivery
from ai_factory_runtime.monitoring.quality import Quality, quality
from ai_factory_runtime.monitoring.retraining import Retraining, decide
from ai_factory_runtime.monitoring.schema_drift import Schema
from ai_factory_runtime.monitoring.windows import Seen, Window, captured_window, file_window
from ai_factory_runtime.releases.stages import load_deployed

DOCUMENT, PAGE = "drift.json", "drift.html"
KINDS = ("schema", "data", "predictions", "quality", "concept", "code")


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look found: columns and predictions, and, each None where nothing can be said, quality and concept."""

    schema: Schema
    report: DriftReport
    quality: Quality | None
    concept: Concept | None
    code: CodeDrift

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which of KINDS moved."""
        moved = {
            "schema": self.schema.moved,
            "data": bool(self.report.drifted_columns),
            "predictions": bool(self.report.drifted_predictions),
            "quality": self.quality is not None and self.quality.worse,
            "concept": self.concept is not None and self.concept.moved,
            "code": self.code.moved,
        }
        return tuple(kind for kind in KINDS if moved[kind])


@dataclass(frozen=True, slots=True)
class MonitorResult:
    """What was found, what follows, who was told, and where it is written."""

    stage: str
    version: int
    digest: str
    target: str
    classes: tuple[str, ...]
    at: str
    window: Window
    findings: Findings
    retraining: Retraining
    page: Path
    document: Path
    told: tuple[Delivery, ...] = ()

    @property
    def report(self) -> DriftReport:
        """The columns and the predictions against the sketch."""
        return self.findings.report

    @property
    def quality(self) -> Quality | None:
        """The primary metric now and at registration; None where it is not known."""
        return self.findings.quality

    @property
    def drifted(self) -> bool:
        """Whether anything moved; data, predictions, quality and concept never do in a window too small to judge them."""
        return bool(self.kinds)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which of KINDS moved."""
        return self.findings.kinds

    def to_dict(self) -> dict[str, object]:
        """Plain values, as in drift.json."""
        report, found = self.report, self.findings
        return {
            "apiVersion": "ai-factory/v1",
            "kind": "drift-report",
            "at": self.at,
            "stage": self.stage,
            "model": {"version": self.version, "digest": self.digest},
            "window": asdict(self.window),
            "reference_rows": report.reference_rows,
            "too_small": report.too_small,
            "min_rows": report.min_rows,
            "drifted": self.drifted,
            "kinds": list(self.kinds),
            "schema": found.schema.document(),
            "columns": [_column(c, report) for c in sorted(report.columns, key=lambda c: -c.severity)],
            "predictions": [_column(c, report) for c in report.predictions],
            "quality": None if found.quality is None else {**asdict(found.quality), "worse": found.quality.worse},
            "concept": None if found.concept is None else _concept(found.concept),
            "code": {**asdict(found.code), "moved": found.code.moved},
            "retraining": asdict(self.retraining),
            "told": [{**asdict(delivery), "sent": delivery.sent} for delivery in self.told],
        }


def monitor(
    project: Project,
    source: Path | None,
    stage: str,
    *,
    labels: Path | None = None,
    tell: bool = True,
    now: dt.datetime | None = None,
) -> MonitorResult:
    """Compare a file or a folder of files, or without one the requests captured by the endpoint, with the deployed model's training data.

    `labels`: a file or folder of true values that arrived later; without it, those left in the stage's folder. `tell`:
    notify as `monitoring.notify` says; a channel that fails is in `told`, and never hides the result. Raises
    NothingCaptured, BatchUnusable for a file without a row or without any of the model's columns, LabelsUnusable, DataUnreadable, and what a
    stage without an approved model raises. Drift is a result, not an error.
    """
    moment = now or dt.datetime.now(dt.UTC)
    model, package = load_deployed(project, stage)
    with named_by_caller():
        known = find_labels(project, stage, labels)
        seen = (
            captured_window(project, package, stage, known)
            if source is None
            else file_window(project, package, source, known)
        )
    findings = _findings(project, package, seen)
    folder = _new_folder(project.reports / stage, moment)
    result = MonitorResult(
        stage=stage, version=model.version, digest=model.digest, target=package.signature.target.name,
        classes=package.signature.classes, at=moment.isoformat(timespec="seconds"), window=seen.window,
        findings=findings, page=folder / PAGE, document=folder / DOCUMENT,
        retraining=decide(project, stage, findings.kinds, too_small=findings.report.too_small, now=moment),
    )  # fmt: skip
    _write(project, result)  # before anybody is told, for what they are told leads here
    told = tell_of_drift(project, result, now=moment) if tell else ()
    result = replace(result, told=told)
    if told:
        _write(project, result)
    return result


def _findings(project: Project, package: ModelPackage, seen: Seen) -> Findings:
    """What can be said of a window; quality and concept of one with enough true values alone."""
    watch, asked = project.usecase.monitoring, project.usecase.model
    sketch = Sketch.from_json(package.sketch_json)
    enough = seen.judged if seen.judged is not None and seen.judged.rows >= watch.min_rows else None
    return Findings(
        schema=seen.schema,
        report=compare(sketch, seen.frame, seen.prediction, watch.thresholds, watch.min_rows, seen.broken),
        quality=quality(package, enough, metric=asked.primary_metric, min_rows=watch.min_rows, seed=asked.seed),
        concept=None if enough is None else concept(enough, sketch.residuals, ordered=seen.ordered),
        code=code_drift(project, package.folder, seen.code),
    )


def _write(project: Project, result: MonitorResult) -> None:
    body = json.dumps(result.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(result.document, body.encode())
    write_atomically(result.page, render_drift(result, title=project.usecase.title or project.usecase.name).encode())


def _column(column: ColumnDrift, report: DriftReport) -> dict[str, object]:
    return {
        "name": column.name,
        "kind": column.kind,
        "drifted": column.drifted and not report.too_small,
        "missing": {"reference": column.reference_missing, "current": column.current_missing},
        "unseen": list(column.unseen),
        "findings": [{**asdict(f), "drifted": f.drifted} for f in column.findings],
    }


def _concept(found: Concept) -> dict[str, object]:
    return {
        "moved": found.moved,
        "rows": found.rows,
        "ordered": found.ordered,
        "detector": found.detector,
        "shifts": [{**asdict(s), "moved": s.moved} for s in found.shifts],
    }


def _new_folder(parent: Path, moment: dt.datetime) -> Path:
    """Make a folder that nobody else has, also where another look began within the same second. Raises WriteFailed."""
    stamp, n = moment.strftime("%Y%m%dT%H%M%SZ"), 0
    try:
        parent.mkdir(parents=True, exist_ok=True)
        while True:
            folder = parent / f"{stamp}{f'-{n}' if n else ''}"
            with suppress(FileExistsError):
                folder.mkdir()
                return folder
            n += 1
    except OSError as error:
        raise WriteFailed(path=parent, problem=error.strerror or str(error)) from error
