"""Gates: what a model must reach before it is registered. All are judged, none can be switched off.

Beating the baseline is always asked; the others are asked where `acceptance` in usecase.yaml states a bound. What cannot
be measured does not pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from ai_factory_spec.usecase import Threshold, UseCase

from ai_factory_runtime.base.gate_result import GateResult, finite
from ai_factory_runtime.evaluation import behaviour_gates, group_gates
from ai_factory_runtime.evaluation.estimates import Estimate
from ai_factory_runtime.evaluation.kpi import Kpi
from ai_factory_runtime.evaluation.measured import Measured

BEATS_BASELINE, KPI, MODEL_CARD, DATA_SHEET = "beats-baseline", "kpi", "model-card", "data-sheet"


def judge(measured: Measured, usecase: UseCase) -> tuple[GateResult, ...]:
    """Every gate that the use case asks for, in a fixed order."""
    acceptance = usecase.acceptance
    results = [beats_baseline(measured.gain, measured.baseline_metric)]
    for name, bounds in acceptance.metrics.items():
        results += thresholds(f"metric:{name}", name, measured.metrics[name], bounds)
    if acceptance.kpi is not None:
        results += kpi(measured.kpi, acceptance.kpi, usecase)
    for part in acceptance.slices:
        results += group_gates.slices(measured.slices, part)
    if acceptance.fairness is not None:
        results += group_gates.fairness(measured.disparities, acceptance.fairness, usecase)
    return (*results, *behaviour_gates.judge(measured, acceptance))


def beats_baseline(gain: Estimate, metric: str) -> GateResult:
    """The 95 % interval of the paired improvement over the dummy must lie above 0."""
    passed = gain.low > 0  # False for NaN
    verb = "beats the dummy baseline" if passed else "does not beat the dummy baseline"
    interval = f"[{gain.low:.4g}, {gain.high:.4g}]"
    sentence = (
        f"the model {verb}: improvement in {metric} {gain.value:.4g}, 95 % interval {interval}, which must lie above 0"
    )
    return GateResult(BEATS_BASELINE, passed, finite(gain.value), 0.0, sentence)


def thresholds(gate: str, name: str, estimate: Estimate, bounds: Threshold) -> list[GateResult]:
    """A number, or with `confident` the worse end of its interval, must be within the bounds."""
    results = []
    for bound, value, word in (
        (bounds.min, estimate.low if bounds.confident else estimate.value, "at least"),
        (bounds.max, estimate.high if bounds.confident else estimate.value, "at most"),
    ):
        if bound is None:
            continue
        passed = value >= bound if word == "at least" else value <= bound
        which = (
            f"the {'lower' if word == 'at least' else 'upper'} end of its 95 % interval" if bounds.confident else "it"
        )
        sentence = f"{name} is {estimate}; {which} is {value:.4g} and must be {word} {bound:g}"
        suffix = "min" if word == "at least" else "max"
        results.append(GateResult(f"{gate}:{suffix}", bool(passed), finite(value), bound, sentence))
    return results


def kpi(measured: Kpi | None, bounds: Threshold, usecase: UseCase) -> list[GateResult]:
    """The business KPI that the project's own function computes must be within its bounds."""
    if measured is None:
        sentence = "acceptance.kpi bounds a number that nobody computes: model.py has no function `kpi`"
        return [GateResult(KPI, False, None, bounds.min if bounds.min is not None else bounds.max, sentence)]
    name = usecase.business.kpi.name if usecase.business.kpi else "the business KPI"
    return thresholds(KPI, name, measured.estimate, bounds)


def model_card(markdown: str, html: str, required: Sequence[str]) -> GateResult:
    """The card must be there and have every section, each with something in it."""
    return _complete(MODEL_CARD, markdown, html, required)


def data_sheet(markdown: str, html: str, required: Sequence[str]) -> GateResult:
    """The data sheet must be there and have every section, each with something in it."""
    return _complete(DATA_SHEET, markdown, html, required)


def _complete(gate: str, markdown: str, html: str, required: Sequence[str]) -> GateResult:
    missing = [title for title in required if not _has_section(markdown, title)]
    missing += ["the page"] if "</html>" not in html else []
    sentence = f"lacks {', '.join(missing)}" if missing else "complete"
    return GateResult(gate, not missing, None, None, sentence)


def _has_section(markdown: str, title: str) -> bool:
    _, found, after = f"\n{markdown}".partition(f"\n## {title}\n")
    return bool(found) and bool(after.partition("\n## ")[0].strip())
