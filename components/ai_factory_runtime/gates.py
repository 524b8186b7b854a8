"""Gates: what a model must reach before it is registered. All are judged, none can be switched off.

Beating the baseline is always asked; the others are asked where `acceptance` in usecase.yaml states a bound. What cannot
be measured does not pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ai_factory_spec.metrics import METRICS
from ai_factory_spec.usecase import Acceptance, Fairness, Threshold, UseCase

from ai_factory_runtime.evaluation import Estimate
from ai_factory_runtime.inspection import Damage, Group, Latency

BEATS_BASELINE, ROBUSTNESS, LATENCY, MODEL_CARD = "beats-baseline", "robustness", "latency", "model-card"


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate: the number it looked at, the bound, and a sentence that says both. `value` is None where nothing could be measured."""

    name: str
    passed: bool
    value: float | None
    bound: float | None
    sentence: str

    def __str__(self) -> str:
        return f"{self.name}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers the gates look at."""

    metrics: Mapping[str, Estimate]
    baseline_metric: str
    gain: Estimate
    groups: Sequence[Group]
    damages: Sequence[Damage]
    latency: Latency


def judge(measured: Measured, usecase: UseCase) -> tuple[GateResult, ...]:
    """Every gate that the use case asks for, in a fixed order."""
    acceptance: Acceptance = usecase.acceptance
    results = [beats_baseline(measured.gain, measured.baseline_metric)]
    for name, bounds in acceptance.metrics.items():
        results += thresholds(name, measured.metrics[name], bounds)
    if acceptance.fairness is not None:
        results += fairness(measured.groups, acceptance.fairness, usecase)
    if acceptance.robustness is not None:
        results.append(robustness(measured.damages, acceptance.robustness.max_drop))
    if acceptance.latency is not None:
        results.append(latency(measured.latency, acceptance.latency.p99_ms))
    return tuple(results)


def beats_baseline(gain: Estimate, metric: str) -> GateResult:
    """The 95 % interval of the paired improvement over the dummy must lie above 0."""
    passed = gain.low > 0  # False for NaN
    verb = "beats the dummy baseline" if passed else "does not beat the dummy baseline"
    interval = f"[{gain.low:.4g}, {gain.high:.4g}]"
    sentence = (
        f"the model {verb}: improvement in {metric} {gain.value:.4g}, 95 % interval {interval}, which must lie above 0"
    )
    return GateResult(BEATS_BASELINE, passed, _number(gain.value), 0.0, sentence)


def thresholds(name: str, estimate: Estimate, bounds: Threshold) -> list[GateResult]:
    """The metric, or with `confident` the worse end of its interval, must be within the bounds."""
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
        results.append(GateResult(f"metric:{name}:{suffix}", bool(passed), _number(value), bound, sentence))
    return results


def fairness(groups: Sequence[Group], bounds: Fairness, usecase: UseCase) -> list[GateResult]:
    """The largest differences between groups of each sensitive column. Groups that are too small are not judged."""
    results = []
    for column in usecase.data.sensitive:
        judged = [g for g in groups if g.column == column and g.rows >= bounds.min_group_size]
        few = f"{len(judged)} group{'s' if len(judged) != 1 else ''} of {column!r} ha{'ve' if len(judged) != 1 else 's'} {bounds.min_group_size} held-out rows or more"
        if bounds.max_selection_rate_difference is not None:
            rates = {g.value: g.selection for g in judged}
            difference = selection_rate_difference(judged, usecase)
            what = (
                f"the rate of predicted {usecase.model.positive!r}"
                if usecase.model.positive
                else "the rate of a predicted class"
            )
            results.append(
                _difference(
                    f"fairness:{column}:selection-rate",
                    what,
                    difference,
                    bounds.max_selection_rate_difference,
                    few,
                    len(rates),
                )
            )
        if bounds.max_error_difference is not None:
            values = [g.metric for g in judged if math.isfinite(g.metric)]
            difference = max(values) - min(values) if len(values) > 1 else float("nan")
            what = f"{METRICS[usecase.model.primary_metric].name}"
            results.append(
                _difference(f"fairness:{column}:error", what, difference, bounds.max_error_difference, few, len(values))
            )
    return results


def selection_rate_difference(groups: Iterable[Group], usecase: UseCase) -> float:
    """Demographic parity difference (Agarwal et al. 2018): the largest difference between groups in the rate of the
    positive class; for a multiclass task the largest over all classes. NaN with fewer than two groups, or no classes.
    """
    rates = np.array([g.selection for g in groups])
    if len(rates) < 2 or rates.shape[1] == 0:
        return float("nan")
    differences = rates.max(axis=0) - rates.min(axis=0)
    if usecase.model.positive is not None:
        classes = usecase.data.column(usecase.data.target).categories or ()
        return float(differences[classes.index(usecase.model.positive)])
    return float(differences.max())


def robustness(damages: Sequence[Damage], max_drop: float) -> GateResult:
    """No damage to one feature may cost more than this share of the gain over the baseline."""
    if not damages or any(math.isnan(d.loss) for d in damages):
        return GateResult(ROBUSTNESS, False, None, max_drop, "there is no gain over the baseline, so none to lose")
    worst = max(damages, key=lambda d: d.loss)
    over = [d for d in damages if d.loss > max_drop]
    named = ", ".join(f"{d.feature!r} {d.kind} {_lost(d)}" for d in sorted(over, key=lambda d: -d.loss)[:5])
    if over:
        sentence = f"at most {max_drop:.0%} of the gain over the baseline may be lost; lost with {named}"
    else:
        sentence = f"at most {worst.loss:.1%} of the gain over the baseline is lost ({worst.feature!r} {worst.kind}), allowed is {max_drop:.0%}"
    return GateResult(ROBUSTNESS, not over, _number(worst.loss), max_drop, sentence)


def latency(measured: Latency, p99_ms: float) -> GateResult:
    """One row's prediction must be fast enough 99 times in 100."""
    sentence = f"one row takes {measured.p99_ms:.3g} ms at the 99th percentile of {measured.calls} calls, at most {p99_ms:g} ms are allowed"
    return GateResult(LATENCY, measured.p99_ms <= p99_ms, measured.p99_ms, p99_ms, sentence)


def model_card(markdown: str, html: str, required: Sequence[str]) -> GateResult:
    """The card must be there and have every section, each with something in it."""
    missing = [title for title in required if not _has_section(markdown, title)]
    missing += ["the page"] if "</html>" not in html else []
    sentence = f"lacks {', '.join(missing)}" if missing else "complete"
    return GateResult(MODEL_CARD, not missing, None, None, sentence)


def _has_section(markdown: str, title: str) -> bool:
    _, found, after = f"\n{markdown}".partition(f"\n## {title}\n")
    return bool(found) and bool(after.partition("\n## ")[0].strip())


def _difference(name: str, what: str, difference: float, bound: float, few: str, count: int) -> GateResult:
    if not math.isfinite(difference):
        sentence = f"{what} cannot be compared: {few}; lower acceptance.fairness.min_group_size or hold out more rows"
        return GateResult(name, False, None, bound, sentence)
    sentence = f"{what} differs by up to {difference:.4g} between {count} groups, at most {bound:g} is allowed"
    return GateResult(name, difference <= bound, difference, bound, sentence)


def _lost(damage: Damage) -> str:
    return f"(it raised {damage.error})" if damage.error else f"{damage.loss:.1%}"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
