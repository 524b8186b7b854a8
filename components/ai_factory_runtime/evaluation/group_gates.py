"""Gates on parts of the rows: every slice must be served, and the groups of sensitive columns alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from ai_factory_spec.usecase import Fairness, SliceBounds, Threshold, UseCase

from ai_factory_runtime.base.gate_result import GateResult, finite
from ai_factory_runtime.evaluation.estimates import Estimate
from ai_factory_runtime.evaluation.fairness import Disparity, Kind
from ai_factory_runtime.evaluation.slices import Slice

_MOST_NAMED = 5


def slices(found: Sequence[Slice], asked: SliceBounds) -> list[GateResult]:
    """Each metric must be within its bounds in every slice of the column that has enough rows; there must be such a slice."""
    large = [s for s in found if s.column == asked.column and s.rows >= asked.min_rows]
    return [
        _slices(asked, large, name, bounds, side)
        for name, bounds in asked.metrics.items()
        for side in ("min", "max")
        if getattr(bounds, side) is not None
    ]


def _slices(asked: SliceBounds, large: Sequence[Slice], name: str, bounds: Threshold, side: str) -> GateResult:
    gate = f"slice:{asked.column}:{name}:{side}"
    bound, word = (bounds.min, "at least") if side == "min" else (bounds.max, "at most")
    assert bound is not None
    if not large:
        few = f"no slice of {asked.column!r} has {asked.min_rows} held-out rows or more"
        return GateResult(gate, False, None, bound, f"{few}; lower its min_rows or hold out more rows")
    value = _judged_end(bounds, side)
    missed = [s for s in large if not _holds(value(s.metrics[name]), bound, side)]
    order = 1 if side == "min" else -1
    ranked = sorted(
        missed or large, key=lambda s: order * value(s.metrics[name]) if _known(s, name, value) else -math.inf
    )
    worst = ranked[0]
    what = f"the {'lower' if side == 'min' else 'upper'} end of {name}'s 95 % interval" if bounds.confident else name
    if missed:
        named = ", ".join(f"{s.value!r} {s.metrics[name]} on {s.rows} rows" for s in ranked[:_MOST_NAMED])
        sentence = f"{what} must be {word} {bound:g} in every slice of {asked.column!r}; missed in {len(missed)} of {len(large)}: {named}"
    else:
        sentence = f"{what} is {word} {bound:g} in all {len(large)} slices of {asked.column!r}; the worst is {worst.value!r} with {worst.metrics[name]}"
    return GateResult(gate, not missed, finite(value(worst.metrics[name])), bound, sentence)


def _judged_end(bounds: Threshold, side: str) -> Callable[[Estimate], float]:
    if not bounds.confident:
        return lambda e: e.value
    return (lambda e: e.low) if side == "min" else (lambda e: e.high)


def _known(part: Slice, name: str, value: Callable[[Estimate], float]) -> bool:
    return math.isfinite(value(part.metrics[name]))


def _holds(value: float, bound: float, side: str) -> bool:
    return value >= bound if side == "min" else value <= bound  # False for NaN


def fairness(found: Sequence[Disparity], bounds: Fairness, usecase: UseCase) -> list[GateResult]:
    """How far apart groups may be, for each sensitive column. Groups that are too small are not judged, but two must remain."""
    positive, primary = usecase.model.positive, usecase.model.primary_metric
    asked: tuple[tuple[Kind, str, float | None], ...] = (
        ("selection-rate", f"the rate of predicted {positive!r}", bounds.max_selection_rate_difference),
        ("selection-rate-ratio", f"the rate of predicted {positive!r}", bounds.min_selection_rate_ratio),
        ("equalized-odds", "the true or false positive rate", bounds.max_equalized_odds_difference),
        ("error", primary, bounds.max_error_difference),
    )
    return [
        _disparity(found, column, kind, what, bound, bounds.min_group_size)
        for column in usecase.data.sensitive
        for kind, what, bound in asked
        if bound is not None
    ]


def _disparity(
    found: Sequence[Disparity], column: str, kind: Kind, what: str, bound: float, min_group_size: int
) -> GateResult:
    name = f"fairness:{column}:{kind}"
    one = next((d for d in found if (d.column, d.kind) == (column, kind)), None)
    if one is None or not math.isfinite(one.estimate.value):
        count = one.groups if one else 0
        few = f"{count} group{'s' if count != 1 else ''} of {column!r} ha{'ve' if count != 1 else 's'} {min_group_size} held-out rows or more"
        undefined = "" if count < 2 else ", and it is not defined for two of them"
        hint = "lower acceptance.fairness.min_group_size or hold out more rows"
        return GateResult(name, False, None, bound, f"{what} cannot be compared: {few}{undefined}; {hint}")
    value = one.estimate.value
    if kind == "selection-rate-ratio":
        sentence = f"{what} of one of {one.groups} groups is {one.estimate} of another's, at least {bound:g} is asked"
        return GateResult(name, value >= bound, value, bound, sentence)
    sentence = f"{what} differs by up to {one.estimate} between {one.groups} groups, at most {bound:g} is allowed"
    return GateResult(name, value <= bound, value, bound, sentence)
