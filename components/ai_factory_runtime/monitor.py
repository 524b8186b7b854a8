"""Monitor: what came in lately against what the model was trained on, and whether that asks for retraining.

Three things are told apart: the data moved (feature columns), the predictions moved, the quality fell (only where the
true target is in the window). Writes drift.json and drift.html under artifacts/reports/<stage>/<time>/.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_spec.metrics import METRICS
from ai_factory_spec.usecase import Column

from ai_factory_runtime.atomic import write_atomically
from ai_factory_runtime.capture import read_captures
from ai_factory_runtime.drift import ColumnDrift, DriftReport, compare
from ai_factory_runtime.drift_page import render_drift
from ai_factory_runtime.evaluation import Estimate, Judged, estimate
from ai_factory_runtime.package import METRICS as METRICS_FILE
from ai_factory_runtime.package import ModelPackage, Prediction
from ai_factory_runtime.project import Project
from ai_factory_runtime.refusals import BatchUnusable, NothingCaptured
from ai_factory_runtime.retraining import Retraining, decide
from ai_factory_runtime.screening import screen
from ai_factory_runtime.sketch import Sketch
from ai_factory_runtime.stages import load_deployed
from ai_factory_runtime.tables import open_table

DOCUMENT, PAGE = "drift.json", "drift.html"


@dataclass(frozen=True, slots=True)
class Window:
    """The rows looked at. `skipped` rows break the data contract: they count as data, but got no prediction."""

    source: str
    rows: int
    skipped: int
    first: str = ""
    last: str = ""


@dataclass(frozen=True, slots=True)
class Quality:
    """The primary metric on the rows whose target is known, beside its value at registration."""

    metric: str
    rows: int
    now: Estimate
    before: Estimate

    @property
    def worse(self) -> bool:
        """Whether the two 95 % intervals lie apart, this one on the bad side."""
        if METRICS[self.metric].greater_is_better:
            return self.now.high < self.before.low
        return self.now.low > self.before.high


@dataclass(frozen=True, slots=True)
class MonitorResult:
    """What was found, what follows, and where it is written."""

    stage: str
    version: int
    digest: str
    target: str
    classes: tuple[str, ...]
    at: str
    window: Window
    report: DriftReport
    quality: Quality | None
    retraining: Retraining
    page: Path
    document: Path

    @property
    def drifted(self) -> bool:
        """Whether data, predictions or quality moved; never for a window too small to judge."""
        return bool(self.kinds)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which of "data", "predictions" and "quality" moved."""
        return found_kinds(self.report, self.quality)

    def to_dict(self) -> dict[str, object]:
        """Plain values, as in drift.json."""
        report = self.report
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
            "columns": [_column(c, report) for c in sorted(report.columns, key=lambda c: -c.severity)],
            "predictions": [_column(c, report) for c in report.predictions],
            "quality": None if self.quality is None else {**asdict(self.quality), "worse": self.quality.worse},
            "retraining": asdict(self.retraining),
        }


def found_kinds(report: DriftReport, quality: Quality | None) -> tuple[str, ...]:
    """Which of "data", "predictions" and "quality" moved."""
    found = {
        "data": bool(report.drifted_columns),
        "predictions": bool(report.drifted_predictions),
        "quality": quality is not None and quality.worse,
    }
    return tuple(kind for kind, moved in found.items() if moved)


def monitor(project: Project, source: Path | None, stage: str, *, now: dt.datetime | None = None) -> MonitorResult:
    """Compare a file, or without one the requests captured by the endpoint, with the deployed model's training data.

    Raises NothingCaptured, BatchUnusable for a file without any of the model's columns, DataUnreadable, and what a stage
    without an approved model raises. Drift is a result, not an error.
    """
    moment = now or dt.datetime.now(dt.UTC)
    model, package = load_deployed(project, stage)
    seen = _captured(project, package, stage) if source is None else _file(project, package, source)
    watch = project.usecase.monitoring
    report = compare(
        Sketch.from_json(package.sketch_json), seen.frame, seen.prediction, watch.thresholds, watch.min_rows
    )
    quality = _quality(project, package, seen)
    folder = _new_folder(project.reports / stage, moment)
    result = MonitorResult(
        stage=stage, version=model.version, digest=model.digest, target=package.signature.target.name,
        classes=package.signature.classes, at=moment.isoformat(timespec="seconds"), window=seen.window,
        report=report, quality=quality, page=folder / PAGE, document=folder / DOCUMENT,
        retraining=decide(project, stage, found_kinds(report, quality), too_small=report.too_small, now=moment),
    )  # fmt: skip
    write_atomically(
        result.document, (json.dumps(result.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    )
    write_atomically(result.page, render_drift(result, title=project.usecase.title or project.usecase.name).encode())
    return result


@dataclass(frozen=True, slots=True)
class _Seen:
    """A window: all rows, the predictions for those that could be answered, and their true values where known."""

    window: Window
    frame: pd.DataFrame
    prediction: Prediction | None
    truth: pd.Series[Any] | None = None


def _captured(project: Project, package: ModelPackage, stage: str) -> _Seen:
    folder = project.captures / stage
    found = read_captures(folder, package.digest, package.signature.features)
    if found is None:
        raise NothingCaptured(stage=stage, folder=folder)
    window = Window("captured requests", len(found.frame), 0, found.first, found.last)
    return _Seen(window, found.frame, found.prediction)


def _file(project: Project, package: ModelPackage, source: Path) -> _Seen:
    table = open_table(source, project.usecase.data.contract)
    features, target = package.signature.features, package.signature.target
    wanted = [c.name for c in (*features, target) if c.name in table.names]
    if not set(wanted) - {target.name}:
        raise BatchUnusable(source=source, problems=["it has none of the columns that the model reads"])
    chunks = list(table.chunks(wanted))
    raw = pd.concat(chunks, ignore_index=True) if chunks else pd.DataFrame(columns=pd.Index(wanted), dtype=object)
    screened = screen(raw, features)
    good = screened.good
    prediction = package.predict(good) if len(good) else None
    window = Window(source.name, len(raw), int(screened.bad.sum()))
    truth = raw.loc[~screened.bad, target.name].reset_index(drop=True) if target.name in wanted else None
    return _Seen(window, screened.frame, prediction, truth)


def _quality(project: Project, package: ModelPackage, seen: _Seen) -> Quality | None:
    """None where no true values are in the window, or too few, or the metric is not defined on them."""
    before = _at_registration(package, project.usecase.model.primary_metric)
    if seen.truth is None or seen.prediction is None or before is None:
        return None
    screened = screen(seen.truth.to_frame(), [_always_there(package.signature.target)])
    known = ~screened.bad
    rows = int(known.sum())
    if rows < project.usecase.monitoring.min_rows:
        return None
    shares = seen.prediction.probabilities
    prediction = Prediction(seen.prediction.values[known], None if shares is None else shares[known])
    truth = np.asarray(screened.frame.iloc[:, 0][known].to_numpy())
    metric = project.usecase.model.primary_metric
    now = estimate(metric, Judged(truth, prediction, package.signature), project.usecase.model.seed)
    if not np.isfinite([now.value, now.low, now.high]).all():
        return None
    return Quality(metric, rows, now, before)


def _always_there(target: Column) -> Column:
    return target.model_copy(update={"nullable": False})


def _at_registration(package: ModelPackage, metric: str) -> Estimate | None:
    """The metric on the held-out rows of the run that made the model."""
    document = json.loads((package.folder / METRICS_FILE).read_bytes())
    found = document.get("metrics", {}).get(metric)
    if not found or any(found.get(key) is None for key in ("value", "low", "high")):
        return None
    return Estimate(found["value"], found["low"], found["high"])


def _column(column: ColumnDrift, report: DriftReport) -> dict[str, object]:
    return {
        "name": column.name,
        "kind": column.kind,
        "drifted": column.drifted and not report.too_small,
        "missing": {"reference": column.reference_missing, "current": column.current_missing},
        "unseen": list(column.unseen),
        "findings": [{**asdict(f), "drifted": f.drifted} for f in column.findings],
    }


def _new_folder(parent: Path, moment: dt.datetime) -> Path:
    stamp = moment.strftime("%Y%m%dT%H%M%SZ")
    names = (f"{stamp}{f'-{n}' if n else ''}" for n in range(1000))
    return next(parent / name for name in names if not (parent / name).exists())
