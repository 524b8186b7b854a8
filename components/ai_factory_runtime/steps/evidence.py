"""Evidence: what a run writes about its model, as documents: the card, the metrics, the lineage and the whole report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ai_factory_runtime.base.gate_result import GateResult
from ai_factory_runtime.base.jsontext import to_json
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import PolicyInvalid
from ai_factory_runtime.base.runs import Run
from ai_factory_runtime.documents.card import SECTIONS, CardFacts, render_html, render_markdown
from ai_factory_runtime.documents.data_sheet import SECTIONS as SHEET_SECTIONS
from ai_factory_runtime.documents.data_sheet import SHEET_HTML, SHEET_MARKDOWN, data_sheet_facts, render_data_sheet
from ai_factory_runtime.documents.report import REPORT, metrics_document, report_document
from ai_factory_runtime.evaluation import gates as gate
from ai_factory_runtime.evaluation.comparison import Comparison
from ai_factory_runtime.model_package.package import ACCELERATOR, CARD_HTML, CARD_MARKDOWN, LINEAGE, METRICS
from ai_factory_runtime.steps.prepare import Prepared

if TYPE_CHECKING:
    from ai_factory_runtime.steps.judging import Evaluated


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
    """Write everything down. The data sheet and the card have gates: what lacks a section, or the page, does not pass."""
    sheet = data_sheet_facts(
        project.usecase, run.run_id, run.made_at, prepared.frame, prepared.split, prepared.facts, prepared.lineage
    )
    sheet_markdown, sheet_html = render_data_sheet(sheet)
    results = (*results, gate.data_sheet(sheet_markdown, sheet_html, SHEET_SECTIONS))
    trained, acceleration = evaluated.trained, evaluated.measured.acceleration
    facts = CardFacts(
        usecase=project.usecase,
        run_id=run.run_id,
        made_at=run.made_at,
        data=prepared.facts,
        trained=trained,
        measured=evaluated.measured,
        gates=results,
        comparison=comparison,
        lineage=prepared.lineage,
        answering=acceleration.choices(),
        signers=signers(project),
    )
    facts = with_own_gate(facts)
    markdown, html, every = render_markdown(facts), render_html(facts), tuple(facts.gates)
    documents = {
        METRICS: to_json(metrics_document(facts, every)),
        LINEAGE: to_json(facts.lineage),
        CARD_MARKDOWN: markdown.encode(),
        CARD_HTML: html.encode(),
        SHEET_MARKDOWN: sheet_markdown.encode(),
        SHEET_HTML: sheet_html.encode(),
        ACCELERATOR: acceleration.to_json(),
    }
    return Evidence(documents, to_json(report_document(facts, every)), every)


def with_own_gate(facts: CardFacts, required: Sequence[str] = SECTIONS) -> CardFacts:
    """The facts with the card's own gate among the gates, so that the card counts as many as the run.

    A section is there or not whatever the table of gates says, so the card without this gate tells.
    """
    own = gate.model_card(render_markdown(facts), render_html(facts), required)
    return replace(facts, gates=(*facts.gates, own))


def signers(project: Project) -> tuple[str, ...]:
    """The roles that must approve a release of this risk tier; empty where no valid policy says so (then nothing is approved)."""
    from ai_factory_runtime.releases.release import load_policy

    try:
        return load_policy(project).roles(project.usecase.risk.tier)
    except PolicyInvalid:
        return ()
