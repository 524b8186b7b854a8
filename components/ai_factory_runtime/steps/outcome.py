"""Outcome: a judgement in short, as the registry, the next step and a pipeline's condition want to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ai_factory_runtime.base.gate_result import GateResult
from ai_factory_runtime.evaluation.comparison import Comparison
from ai_factory_runtime.evaluation.estimates import Estimate
from ai_factory_runtime.steps.judging import Judgement


@dataclass(frozen=True, slots=True)
class Outcome:
    """Which model it is, its metrics on the held-out rows, every gate, and what the champion said to it."""

    model: str
    metrics: Mapping[str, Estimate]
    gates: tuple[GateResult, ...]
    comparison: Comparison

    @property
    def failed(self) -> tuple[GateResult, ...]:
        """The gates that the model did not pass."""
        return tuple(result for result in self.gates if not result.passed)


def outcome_of(judgement: Judgement) -> Outcome:
    """What of a judgement is handed on."""
    evaluated = judgement.evaluated
    return Outcome(
        model=evaluated.trained.name,
        metrics=dict(evaluated.measured.metrics),
        gates=tuple(judgement.gates),
        comparison=judgement.comparison,
    )
