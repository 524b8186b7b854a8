"""A run's evidence as JSON, for machines: metrics.json in the model package, and the longer report.json in the run's folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ai_factory_runtime.base.gate_result import GateResult
from ai_factory_runtime.documents.card import CardFacts

REPORT = "report.json"


def metrics_document(facts: CardFacts, results: Sequence[GateResult]) -> dict[str, Any]:
    """The figures that a release is signed on: metrics with intervals, baseline, gates, comparison, parts, latency."""
    measured = facts.measured
    return {
        "run": facts.run_id,
        "made_at": facts.made_at.isoformat(timespec="seconds"),
        "model": facts.trained.name,
        "chosen_because": facts.trained.reason,
        "primary_metric": facts.usecase.model.primary_metric,
        "metrics": dict(measured.metrics),
        "baseline": {name: estimate.value for name, estimate in measured.baseline.items()},
        "gain_over_baseline": {"metric": measured.baseline_metric, **dataclasses.asdict(measured.gain)},
        "gates": list(results),
        "comparison": facts.comparison,
        "kpi": measured.kpi,
        "expected_cost": measured.cost,
        "slices": list(measured.slices),
        "groups": list(measured.groups),
        "disparities": list(measured.disparities),
        "calibration_error": measured.calibration_error,
        "latency": {**dataclasses.asdict(measured.latency), "p99_ms": measured.latency.p99_ms},
        "latency_1000_rows": {**dataclasses.asdict(measured.latency_many), "p99_ms": measured.latency_many.p99_ms},
        "candidates": list(facts.trained.candidates),
        "rows": facts.data,
    }


def report_document(facts: CardFacts, results: Sequence[GateResult]) -> dict[str, Any]:
    """Everything the run found: the figures above, what damage costs, what each feature is worth, and the lineage."""
    return {
        **metrics_document(facts, results),
        "importances": list(facts.measured.explained.features),
        "damages": list(facts.measured.damages),
        "calibration": list(facts.measured.calibration),
        "lineage": facts.lineage,
    }
