"""The model card tells every number of its run, is one inert page, and shows any text as it was given."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from ai_factory_runtime.base.choices import Choice
from ai_factory_runtime.base.gate_result import GateResult
from ai_factory_runtime.documents.card import SECTIONS, CardFacts, DataFacts, limits, render_html, render_markdown
from ai_factory_runtime.documents.pages import markdown_text
from ai_factory_runtime.documents.plots import importance_plot, interval_plot
from ai_factory_runtime.evaluation import gates
from ai_factory_runtime.evaluation.comparison import without_champion
from ai_factory_runtime.evaluation.estimates import Estimate
from ai_factory_runtime.evaluation.expected_cost import ExpectedCost
from ai_factory_runtime.evaluation.explaining import Explained, Importance
from ai_factory_runtime.evaluation.fairness import Disparity, Group
from ai_factory_runtime.evaluation.kpi import Kpi
from ai_factory_runtime.evaluation.latency import Latency
from ai_factory_runtime.evaluation.measured import Measured
from ai_factory_runtime.evaluation.reliability import Bin, CalibrationError
from ai_factory_runtime.evaluation.robustness import Damage
from ai_factory_runtime.evaluation.slices import Slice
from ai_factory_runtime.releases.lineage import Lineage
from ai_factory_runtime.steps.evidence import with_own_gate
from ai_factory_runtime.training.selection import Candidate, Trained, signature_of
from ai_factory_spec.usecase import UseCase
from helpers_runtime import TASKS, real_rows, usecase_document
from hypothesis import given, settings
from hypothesis import strategies as st

NASTY = "<script>alert(1)</script> | `x` {{ 7*7 }} **b**\n# ü \"q\" 'a' &amp; \\ [l](javascript:x)"


def facts(name: str = "breast_cancer", text: str = "plain", **changes: Any) -> CardFacts:
    frame = real_rows(name)
    document = usecase_document(frame, TASKS[name], title=text, description=text, owner=text, **changes)
    document["business"] = {
        "driver": text,
        "sponsor": text,
        "consumers": [text],
        "kpi": {"name": text, "unit": text, "baseline": 1, "target": 2},
    }
    usecase = UseCase.model_validate(document)
    estimate = Estimate(0.81234, 0.7, 0.9)
    names = {
        "binary": ["roc_auc", "log_loss"],
        "multiclass": ["balanced_accuracy"],
        "regression": ["root_mean_squared_error", "r2"],
    }
    metrics = dict.fromkeys(names[TASKS[name]], estimate)
    selection = (0.4, 0.6) if TASKS[name] == "binary" else ()
    measured = Measured(
        metrics=metrics,
        baseline=dict.fromkeys(metrics, Estimate(0.5, 0.5, 0.5)),
        baseline_metric=next(iter(metrics)),
        gain=Estimate(0.3, 0.2, 0.4),
        slices=(Slice(text, text, 61, {next(iter(metrics)): Estimate(0.7171, 0.61, 0.79)}),),
        groups=(Group(text, text, 77, 0.654, selection),),
        disparities=(Disparity(text, "error", 2, Estimate(0.111, 0.1, 0.12)),),
        calibration=(Bin(0.1, 0.2, 40), Bin(0.8, 0.7, 57)),
        calibration_error=CalibrationError(Estimate(0.0444, 0.04, 0.05), 0.033),
        explained=Explained(
            (Importance(text, 0.2, 0.18, 0.22, 1.0, 0.0321), Importance("noise", -0.01)), Estimate(1.0, 1.0, 1.0)
        ),
        damages=(Damage(text, "missing", float("nan")), Damage(text, "noise", float("inf"), text)),
        latency=Latency(1.5, Estimate(2.5, 2.4, 2.6), 100),
        latency_many=Latency(15.0, Estimate(25.5, 24.0, 26.0), 100, 1000),
        kpi=Kpi(Estimate(123.4, 120.0, 125.0), 99.5),
        cost=ExpectedCost(Estimate(6.543, 6.1, 6.9), 8.25, "EUR"),
    )
    return CardFacts(
        usecase=usecase, run_id="20240229T000000000Z-aaaa", made_at=dt.datetime(2024, 2, 29, tzinfo=dt.UTC),
        data=DataFacts(500, 3, 400, 97, "random", (text,)),
        trained=Trained(text, None, None, signature_of(usecase), (Candidate(text, estimate),), text, (Choice(text, text, text),)),
        measured=measured,
        gates=(GateResult("beats-baseline", True, 0.3, 0.0, text), GateResult("latency", False, 9.0, 1.0, text)),
        comparison=without_champion(text), answering=(Choice(text, text, text),), signers=("owner", "risk"),
        lineage=Lineage("data/rows.csv", "s" * 64, "r" * 64, 500, "u" * 64, "", "c" * 64, "", False, 7, "3.11.7", {"numpy": "2"}),
    )  # fmt: skip


class Page(HTMLParser):
    """The tags, the text, and what is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "hr", "img", "link", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", list(TASKS))
def test_a_card_has_every_section_and_passes_its_gate(name: str) -> None:
    markdown, html = render_markdown(facts(name)), render_html(facts(name))
    assert re.findall(r"^## (.+)$", markdown, flags=re.MULTILINE) == list(SECTIONS)
    assert gates.model_card(markdown, html, SECTIONS).passed
    page = Page(html)
    assert page.open == []
    for title in SECTIONS:
        assert title in page.text


@pytest.mark.parametrize("section", SECTIONS)
def test_a_card_without_a_section_does_not_pass_its_gate(section: str) -> None:
    markdown = render_markdown(facts())
    emptied = re.sub(rf"(?ms)^## {section}\n.*?(?=^## |\Z)", f"## {section}\n\n", markdown)
    assert emptied != markdown
    assert not gates.model_card(emptied, "</html>", SECTIONS).passed


def test_a_card_counts_its_own_gate_too() -> None:
    good = replace(facts(), gates=(GateResult("beats-baseline", True, 0.3, 0.0, "better"),))
    judged = with_own_gate(good)
    assert [g.name for g in judged.gates] == ["beats-baseline", "model-card"]
    assert "| model-card | yes | complete |" in render_markdown(judged)
    assert "2 of 2" in render_html(judged)
    broken = with_own_gate(good, (*SECTIONS, "Weather"))
    assert "| model-card | **no** | lacks Weather |" in render_markdown(broken)
    assert "1 of 2" in render_html(broken)
    assert "this model was not registered" in render_markdown(broken)


def test_the_numbers_of_the_run_are_on_both_cards() -> None:
    for card in (render_markdown(facts()), render_html(facts())):
        for shown in (
            "0.8123", "0.7", "0.9", "0.654", "77", "400", "97", "2.5", "25.5", "s" * 64,
            "61", "0.7171", "0.111", "0.0444", "0.033", "123.4", "6.543", "8.25", "0.0321", "owner, risk",
        ):  # fmt: skip
            assert shown in card, shown
        assert "this model was not registered" in card


def test_the_page_is_inert_and_needs_nothing_from_elsewhere() -> None:
    page = Page(render_html(facts(text=NASTY)))
    assert not {"script", "link", "iframe", "img", "object", "form", "a"} & set(page.tags)
    assert [k for k, _ in page.attributes if k.startswith("on") or k in ("href", "src")] == []
    assert page.tags.count("svg") == 5
    assert page.text.count(NASTY.split("\n")[0]) >= 5


@settings(max_examples=15)
@given(st.text(min_size=1, max_size=200))
def test_any_text_keeps_the_page_well_formed(text: str) -> None:
    page = Page(render_html(facts(text=text)))
    assert page.open == []
    assert "script" not in page.tags


@given(st.text())
def test_any_text_stays_on_its_line_of_markdown(text: str) -> None:
    shown = markdown_text(text)
    assert len(shown.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`<\[*]", shown)
    assert not re.match(r"[#>+=-]|\d+[.)]", shown)


def test_a_table_of_markdown_keeps_its_columns_under_any_text() -> None:
    markdown = render_markdown(facts(text=NASTY))
    for block in re.findall(r"(?m)(?:^\|.*\n)+", markdown):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(widths) == 1, block


def test_limits_are_told_by_the_run_itself() -> None:
    told = " ".join(limits(facts()))
    assert "no time column" in told
    assert "No sensitive column" in told
    assert "3 rows broke the data contract" in told


def test_plots_take_numbers_that_are_not_defined() -> None:
    nothing = Estimate(float("nan"), float("nan"), float("nan"))
    assert "nan" not in interval_plot(nothing, baseline=float("nan"), bounds=[], name="m").replace(
        "m nan [nan, nan]", ""
    )
    assert "<svg" in importance_plot([], metric="m")
    assert "<svg" in importance_plot([Importance("x", 0.0)], metric="m")


@pytest.mark.parametrize(("baseline", "anchor"), [(0.0, "start"), (0.5, "middle"), (1.0, "end")])
def test_a_label_near_the_end_of_a_plot_stays_inside_it(baseline: float, anchor: str) -> None:
    estimate = Estimate(0.5, 0.0, 1.0)
    plot = str(interval_plot(estimate, baseline=baseline, bounds=(), name="roc_auc"))
    assert f'text-anchor="{anchor}"' in plot
