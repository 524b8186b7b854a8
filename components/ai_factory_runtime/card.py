"""Model card: what a model is for, how good it is and where it ends, as Markdown and as a page, filled from the run.

Sections follow Mitchell et al. 2019, Model Cards for Model Reporting. Every number comes from the run's own values;
every text of the user's is escaped for the format it lands in.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_factory_spec.metrics import METRICS
from ai_factory_spec.usecase import Threshold, UseCase
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ai_factory_runtime.comparison import Comparison
from ai_factory_runtime.evaluation import Estimate
from ai_factory_runtime.fairness import Group
from ai_factory_runtime.gate_result import GateResult
from ai_factory_runtime.lineage import Lineage
from ai_factory_runtime.measuring import Measured
from ai_factory_runtime.plots import calibration_plot, importance_plot, interval_plot
from ai_factory_runtime.training import Trained

SECTIONS = (
    "Purpose", "Verdict", "Metrics", "Gates", "Groups", "Calibration", "Features", "Damaged input", "Data", "Model", "Limits",
    "Lineage", "Approvals",
)  # fmt: skip
_TEMPLATES = Path(__file__).parent / "templates"
_MOST_FEATURES = 20
_MOST_DAMAGES = 10


@dataclass(frozen=True, slots=True)
class DataFacts:
    """How many rows there were, and what became of them."""

    read: int
    set_aside: int
    learned_from: int
    held_out: int
    how: str


@dataclass(frozen=True)
class CardFacts:
    """Everything a card tells."""

    usecase: UseCase
    run_id: str
    made_at: dt.datetime
    data: DataFacts
    trained: Trained
    measured: Measured
    gates: Sequence[GateResult]
    comparison: Comparison
    lineage: Lineage


def render_markdown(facts: CardFacts) -> str:
    """The card as Markdown (CommonMark with tables)."""
    environment = _environment(autoescape=False)
    environment.filters["m"] = markdown_text
    return environment.get_template("card.md.j2").render(_context(facts))


def render_html(facts: CardFacts) -> str:
    """The card as one HTML page with its plots inside."""
    environment = _environment(autoescape=True)
    return environment.get_template("card.html.j2").render(_context(facts) | _plots(facts))


def markdown_text(value: object) -> str:
    """Text that Markdown shows as it is: on one line, with everything escaped that would mean something."""
    line = re.sub(r"\s+", " ", "".join(c if c.isprintable() or c.isspace() else " " for c in str(value))).strip()
    escaped = re.sub(r"([\\`*{}\[\]<>|~$&]|(?<!\w)_|_(?!\w))", r"\\\1", line)
    return re.sub(r"^(\d*)([-+#=.)])", r"\1\\\2", escaped)


def _environment(*, autoescape: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        autoescape=autoescape,  # noqa: S701 - off for Markdown alone, which the filter `m` escapes
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = number
    return environment


def number(value: float | None, digits: int = 4) -> str:
    """A number for people; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}g}"


def _context(facts: CardFacts) -> dict[str, Any]:
    usecase = facts.usecase
    primary = usecase.model.primary_metric
    damages = sorted(facts.measured.damages, key=lambda d: -d.loss if math.isfinite(d.loss) else math.inf)
    return {
        "f": facts,
        "u": usecase,
        "title": usecase.title or usecase.name,
        "primary": primary,
        "metrics": [_metric_row(name, e, facts) for name, e in _primary_first(facts.measured.metrics, primary)],
        "groups": [_group_row(g, usecase) for g in facts.measured.groups],
        "importances": list(facts.measured.explained.features[:_MOST_FEATURES]),
        "damages": damages[:_MOST_DAMAGES],
        "passed": all(g.passed for g in facts.gates),
        "limits": limits(facts),
        "positive": usecase.model.positive,
        "calibration_words": _calibration_words(usecase),
    }


def limits(facts: CardFacts) -> list[str]:
    """What a reader must not conclude from the numbers, told by the run itself."""
    usecase, data = facts.usecase, facts.data
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
    small = [
        g
        for g in facts.measured.groups
        if usecase.acceptance.fairness and g.rows < usecase.acceptance.fairness.min_group_size
    ]
    if small:
        found.append(
            f"{len(small)} groups are too small to judge: {', '.join(f'{g.column} = {g.value}' for g in small[:5])}."
        )
    if data.set_aside:
        found.append(
            f"{data.set_aside} rows broke the data contract and were set aside; the model knows none like them."
        )
    return found


def _primary_first(metrics: Any, primary: str) -> list[tuple[str, Estimate]]:
    return sorted(metrics.items(), key=lambda item: item[0] != primary)


def _metric_row(name: str, estimate: Estimate, facts: CardFacts) -> dict[str, Any]:
    bounds = facts.usecase.acceptance.metrics.get(name)
    return {
        "name": name,
        "estimate": estimate,
        "baseline": facts.measured.baseline[name].value,
        "better": "higher" if METRICS[name].greater_is_better else "lower",
        "bound": _bound_words(bounds),
    }


def _bound_words(bounds: Threshold | None) -> str:
    if bounds is None:
        return ""
    parts = [f"≥ {bounds.min:g}"] if bounds.min is not None else []
    parts += [f"≤ {bounds.max:g}"] if bounds.max is not None else []
    return " and ".join(parts) + (" (whole interval)" if bounds.confident else "")


def _group_row(group: Group, usecase: UseCase) -> dict[str, Any]:
    rate: float | None = None
    if usecase.model.positive is not None and group.selection:
        classes = usecase.data.column(usecase.data.target).categories or ()
        rate = group.selection[classes.index(usecase.model.positive)]
    return {"group": group, "rate": rate}


def _calibration_words(usecase: UseCase) -> tuple[str, str]:
    if usecase.model.task == "regression":
        return "predicted value", "actual value"
    if usecase.model.task == "binary":
        return f"predicted probability of {usecase.model.positive}", f"share that is {usecase.model.positive}"
    return "probability of the predicted class", "share that is right"


def _plots(facts: CardFacts) -> dict[str, Markup | list[Markup]]:
    across, up = _calibration_words(facts.usecase)
    plots = []
    for name, estimate in _primary_first(facts.measured.metrics, facts.usecase.model.primary_metric):
        bounds = facts.usecase.acceptance.metrics.get(name)
        limits = [b for b in (bounds.min, bounds.max) if b is not None] if bounds else []
        plots.append(interval_plot(estimate, baseline=facts.measured.baseline[name].value, bounds=limits, name=name))
    return {
        "metric_plots": plots,
        "calibration_svg": calibration_plot(facts.measured.calibration, across=across, up=up),
        "importance_svg": importance_plot(
            facts.measured.explained.features[:_MOST_FEATURES], metric=facts.usecase.model.primary_metric
        ),
    }
