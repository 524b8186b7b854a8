"""Acceptance: what a model must reach before it is registered."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from ai_factory_spec import model_checks as checks
from ai_factory_spec.fields import ColumnName, Flag, Number, Section, Whole
from ai_factory_spec.findings import Finding
from ai_factory_spec.view import View


class Threshold(Section):
    """A bound on a metric on the held-out rows. `confident` asks it of the confidence interval's worse end."""

    min: Number | None = Field(None, description="The smallest value accepted.")
    max: Number | None = Field(None, description="The largest value accepted.")
    confident: Flag = Field(
        False, description="true: the 95 % confidence interval must clear the bound, not only the estimate."
    )

    def _findings(self) -> Iterator[Finding]:
        return checks.threshold_agrees(View(self))


class SliceBounds(Section):
    """Bounds on metrics in every part of the held-out rows that one column makes: each category, each quarter of a number."""

    column: ColumnName = Field(description="The column whose values make the slices.")
    metrics: dict[str, Threshold] = Field(min_length=1, description="Metric name to bounds, asked of every slice.")
    min_rows: Whole = Field(30, ge=1, description="Smaller slices are reported, not judged.")


class CalibrationBound(Section):
    """How far stated probabilities may lie from what happens."""

    max_error: Number = Field(
        0.05, gt=0.0, le=1.0, description="Largest expected calibration error: the mean gap between said and seen."
    )


class Fairness(Section):
    """Bounds on differences between the groups of each sensitive column."""

    max_selection_rate_difference: Number | None = Field(
        None, ge=0.0, le=1.0, description="Demographic parity: largest difference in the rate of positive predictions."
    )
    min_selection_rate_ratio: Number | None = Field(
        None,
        ge=0.0,
        le=1.0,
        description="Smallest ratio of two groups' rates of positive predictions; 0.8 is the four-fifths rule.",
    )
    max_equalized_odds_difference: Number | None = Field(
        None, ge=0.0, le=1.0, description="Largest difference between groups in true or in false positive rate."
    )
    max_error_difference: Number | None = Field(
        None, ge=0.0, description="Largest difference of the primary metric between groups."
    )
    min_group_size: Whole = Field(30, ge=1, description="Smaller groups are reported, not judged.")

    def _findings(self) -> Iterator[Finding]:
        return checks.fairness_agrees(View(self))


class Robustness(Section):
    """How much worse the primary metric may get on damaged input."""

    max_drop: Number = Field(
        0.2, ge=0.0, le=1.0,
        description="The share of the gain over the baseline that may be lost when a feature is missing, noisy, out of range or holds an unseen category.",
    )  # fmt: skip


class Latency(Section):
    """How fast one row must be answered."""

    p99_ms: Number = Field(200.0, gt=0.0, description="99th percentile of one row's prediction, in milliseconds.")
    p99_ms_1000_rows: Number | None = Field(
        None, gt=0.0, description="99th percentile of the prediction of 1,000 rows at once, in milliseconds."
    )


class Explainability(Section):
    """How far a model may rest on one feature."""

    max_share: Number = Field(
        gt=0.0, le=1.0, description="Largest share of the total permutation importance that one feature may carry."
    )


class Acceptance(Section):
    """What a model must reach before it is registered. Beating the baseline is always asked."""

    metrics: dict[str, Threshold] = Field(
        {},
        description="Metric name to bounds. Empty: the model must beat the dummy baseline with a 95 % interval that excludes it.",
    )
    slices: tuple[SliceBounds, ...] = Field((), description="Bounds on metrics in parts of the rows.")
    calibration: CalibrationBound | None = Field(None, description="Bounds on probabilities against what happens.")
    fairness: Fairness | None = Field(None, description="Bounds on group differences; needs `data.sensitive`.")
    robustness: Robustness | None = Field(None, description="Bounds on damage by bad input.")
    latency: Latency | None = Field(None, description="Bounds on prediction time.")
    explainability: Explainability | None = Field(None, description="Bounds on what the model rests on.")
    kpi: Threshold | None = Field(
        None, description="Bounds on the business KPI that the function `kpi` in model.py computes."
    )
    allowed_leakage: tuple[ColumnName, ...] = Field(
        (), description="Features that may predict the target almost perfectly; others stop the run as leaks."
    )

    def _findings(self) -> Iterator[Finding]:
        return checks.acceptance_agrees(View(self))
