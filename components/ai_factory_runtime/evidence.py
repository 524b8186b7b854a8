"""Evidence: what a run writes about its model, as documents: the card, the metrics, the lineage and the whole report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ai_factory_runtime import gates as gate
from ai_factory_runtime.card import SECTIONS, CardFacts, render_html, render_markdown
from ai_factory_runtime.comparison import Comparison
from ai_factory_runtime.gates import GateResult
from ai_factory_runtime.jsontext import to_json
from ai_factory_runtime.lineage import trace
from ai_factory_runtime.package import CARD_HTML, CARD_MARKDOWN, LINEAGE, METRICS
from ai_factory_runtime.prepare import Prepared
from ai_factory_runtime.project import Project
from ai_factory_runtime.report import REPORT, metrics_document, report_document
from ai_factory_runtime.runs import Run

if TYPE_CHECKING:
    from ai_factory_runtime.judging import Evaluated


@dataclass(frozen=True)
class Evidence:
    """`documents` go into the model package, `report` stays with the run; `gates` are all gates, the card's own among them."""

    documents: Mapping[str, bytes]
    report: bytes
    gates: tuple[GateResult, ...]

    @property
    def files(self) -> dict[str, bytes]:
        """Everything that the run's folder keeps."""
        return {REPORT: self.report, **self.documents}


def document(
    project: Project,
    run: Run,
    prepared: Prepared,
    evaluated: Evaluated,
    results: Sequence[GateResult],
    comparison: Comparison,
) -> Evidence:
    """Write everything down. The card has a gate of its own: what lacks a section, or the page, is no card."""
    facts = CardFacts(
        usecase=project.usecase,
        run_id=run.run_id,
        made_at=run.made_at,
        data=prepared.facts,
        trained=evaluated.trained,
        measured=evaluated.measured,
        gates=results,
        comparison=comparison,
        lineage=trace(project, prepared.frame),
    )
    markdown, html = render_markdown(facts), render_html(facts)
    every = (*results, gate.model_card(markdown, html, SECTIONS))
    documents = {
        METRICS: to_json(metrics_document(facts, every)),
        LINEAGE: to_json(facts.lineage),
        CARD_MARKDOWN: markdown.encode(),
        CARD_HTML: html.encode(),
    }
    return Evidence(documents, to_json(report_document(facts, every)), every)
