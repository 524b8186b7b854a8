"""Model card: what a model is for, how good it is and where it ends, as Markdown and as a page, filled from the run.

Sections follow Mitchell et al. 2019, Model Cards for Model Reporting. Every number comes from the run's own values;
every text of the user's is escaped for the format it lands in.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ai_factory_spec.metrics import METRICS
from ai_factory_spec.usecase import Threshold, UseCase
from markupsafe import Markup

from ai_factory_runtime.base.choices import Choice
from ai_factory_runtime.base.gate_result import GateResult
from ai_factory_runtime.documents.card_words import (
    DISPARITY_WORDS,
    PII_WORDS,
    SPLIT_WORDS,
    approvals_words,
    bound_words,
    calibration_words,
    lineage_rows,
)
from ai_factory_runtime.documents.pages import render_markdown_page, render_page
from ai_factory_runtime.documents.plots import calibration_plot, importance_plot, interval_plot
from ai_factory_runtime.evaluation.comparison import Comparison
from ai_factory_runtime.evaluation.estimates import Estimate
from ai_factory_runtime.evaluation.fairness import MIN_GROUP_SIZE, Group
from ai_factory_runtime.evaluation.measured import Measured
from ai_factory_runtime.evaluation.slices import Slice
from ai_factory_runtime.releases.lineage import Lineage
from ai_factory_runtime.training.selection import Trained

SECTIONS = (
    "Purpose", "Verdict", "Metrics", "Gates", "Slices", "Groups", "Calibration", "Features", "Damaged input", "Speed", "Data",
    "Model", "Limits", "Lineage", "Approvals",
)  # fmt: skip
_MOST_FEATURES = 20
_MOST_DAMAGES = 10
_MOST_SLICES = 30


@dataclass(frozen=True, slots=True)
class DataFacts:
    """How many rows there were, and what became of them. `cleansing` says in sentences what was done to copies of rows."""

    read: int
    set_aside: int
    learned_from: int
    held_out: int
    how: str
    cleansing: tuple[str, ...] = ()


@dataclass(frozen=True)
class CardFacts:
    """Everything a card tells. `answering` is how the model is served; `signers` are the roles that must approve a release."""

    usecase: UseCase
    run_id: str
    made_at: dt.datetime
    data: DataFacts
    trained: Trained
    measured: Measured
    gates: Sequence[GateResult]
    comparison: Comparison
    lineage: Lineage
    answering: Sequence[Choice] = ()
    signers: Sequence[str] = ()


def render_markdown(facts: CardFacts) -> str:
    """The card as Markdown (CommonMark with tables)."""
    return render_markdown_page("card.md.j2", _context(facts))


def render_html(facts: CardFacts) -> str:
    """The card as one HTML page with its plots inside."""
    return render_page("card.html.j2", {**_context(facts), **_plots(facts)})


def limits(facts: CardFacts) -> list[str]:
    """What a reader must not conclude from the numbers, told by the run itself."""
    usecase, data, measured = facts.usecase, facts.data, facts.measured
    found = [
        f"The figures hold for rows like the {data.held_out} held out from {usecase.data.source}; they say nothing about other populations.",
        "Intervals show the spread due to the choice of held-out rows, not the change of the world since.",
    ]
    if usecase.data.time is None:
        found.append("The rows have no time column, so the figures do not show how the model ages.")
    if data.how == "random":
        found.append(
            "Rows were split at random: if several rows describe one entity, name the entity in data.id, or the figures are too good."
        )
    if not usecase.data.sensitive:
        found.append("No sensitive column is named, so nobody has looked at differences between groups of people.")
    fairness = usecase.acceptance.fairness
    smallest = fairness.min_group_size if fairness else MIN_GROUP_SIZE
    small = [f"{g.column} = {g.value}" for g in measured.groups if g.rows < smallest]
    small += [f"{s.column} = {s.value}" for s in measured.slices if math.isnan(next(iter(s.metrics.values())).low)]
    if small:
        found.append(f"{len(small)} parts of the rows are too small to judge: {', '.join(dict.fromkeys(small[:5]))}.")
    if data.set_aside:
        found.append(
            f"{data.set_aside} rows broke the data contract and were set aside; the model knows none like them."
        )
    hidden = len(facts.trained.signature.features) - len(measured.explained.features)
    if hidden > 0:
        found.append(f"{hidden} features that vary least with the target were neither shuffled nor damaged.")
    return found


def _context(facts: CardFacts) -> dict[str, Any]:
    usecase, measured = facts.usecase, facts.measured
    primary, kpi = usecase.model.primary_metric, usecase.business.kpi
    importances = list(measured.explained.features[:_MOST_FEATURES])
    return {
        "f": facts,
        "u": usecase,
        "title": usecase.title or usecase.name,
        "primary": primary,
        "positive": usecase.model.positive,
        "passed": all(g.passed for g in facts.gates),
        "metrics": [_metric_row(name, e, facts) for name, e in _primary_first(measured.metrics, primary)],
        "kpi_name": kpi.name if kpi else "kpi",
        "kpi_unit": kpi.unit if kpi else "",
        "kpi_bound": bound_words(usecase.acceptance.kpi),
        "slices": _largest(measured.slices),
        "groups": [_group_row(g, usecase) for g in measured.groups],
        "disparity_words": {**DISPARITY_WORDS, "error": f"largest minus smallest {primary}"},
        "calibration_words": calibration_words(usecase),
        "importances": importances,
        "shap": [i for i in importances if math.isfinite(i.shap)],
        "damages": _worst(facts),
        "split_words": SPLIT_WORDS[facts.data.how],
        "pii_words": PII_WORDS,
        "limits": limits(facts),
        "lineage": lineage_rows(facts.lineage),
        "approvals_words": approvals_words(usecase, facts.signers),
    }


def _largest(slices: Sequence[Slice]) -> list[Slice]:
    """The slices with the most rows, in the order they came."""
    largest = sorted(slices, key=lambda s: -s.rows)[:_MOST_SLICES]
    return [s for s in slices if any(s is large for large in largest)]


def _worst(facts: CardFacts) -> list[Any]:
    ranked = sorted(facts.measured.damages, key=lambda d: -d.loss if not math.isnan(d.loss) else math.inf)
    return ranked[:_MOST_DAMAGES]


def _primary_first(metrics: Mapping[str, Estimate], primary: str) -> list[tuple[str, Estimate]]:
    return sorted(metrics.items(), key=lambda item: item[0] != primary)


def _metric_row(name: str, estimate: Estimate, facts: CardFacts) -> dict[str, Any]:
    return {
        "name": name,
        "estimate": estimate,
        "baseline": facts.measured.baseline[name].value,
        "better": "higher" if METRICS[name].greater_is_better else "lower",
        "bound": bound_words(facts.usecase.acceptance.metrics.get(name)),
    }


def _group_row(group: Group, usecase: UseCase) -> dict[str, Any]:
    rate: float | None = None
    if usecase.model.positive is not None and group.selection:
        classes = usecase.data.column(usecase.data.target).categories or ()
        rate = group.selection[classes.index(usecase.model.positive)]
    return {"group": group, "rate": rate}


def _plots(facts: CardFacts) -> dict[str, Markup | list[Markup]]:
    across, up = calibration_words(facts.usecase)
    measured, acceptance = facts.measured, facts.usecase.acceptance
    primary = facts.usecase.model.primary_metric
    plots = [
        _interval(name, estimate, measured.baseline[name].value, acceptance.metrics.get(name))
        for name, estimate in _primary_first(measured.metrics, primary)
    ]
    kpi = measured.kpi
    return {
        "metric_plots": plots,
        "kpi_plot": _interval("kpi", kpi.estimate, kpi.baseline, acceptance.kpi) if kpi else Markup(),
        "calibration_svg": calibration_plot(measured.calibration, across=across, up=up),
        "importance_svg": importance_plot(measured.explained.features[:_MOST_FEATURES], metric=primary),
    }


def _interval(name: str, estimate: Estimate, baseline: float, bounds: Threshold | None) -> Markup:
    agreed = [b for b in (bounds.min, bounds.max) if b is not None] if bounds else []
    return interval_plot(estimate, baseline=baseline, bounds=agreed, name=name)
