"""Model: what is learned, and how the best candidate is made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from ai_factory_spec import model_checks as checks
from ai_factory_spec.fields import ColumnName, Name, Number, Section, Text, Whole
from ai_factory_spec.findings import Finding
from ai_factory_spec.metrics import DEFAULT_METRIC, Task
from ai_factory_spec.view import View

ModelFamily = Literal["linear", "random_forest", "gradient_boosting"]


class Search(Section):
    """How the settings of each model family are searched: successive halving (Jamieson & Talwalkar 2016)."""

    trials: Whole = Field(8, ge=0, le=1000, description="Settings tried per family; 0: the defaults only.")
    min_rows: Whole = Field(
        1000, ge=20, description="With fewer rows to learn from nothing is searched: differences would be noise."
    )


class Costs(Section):
    """What one decision costs. Negative numbers are benefits. The decision threshold makes the expected cost smallest."""

    false_positive: Number = Field(description="The cost of acting where nothing was the matter.")
    false_negative: Number = Field(description="The cost of missing a case.")
    true_positive: Number = Field(0.0, description="The cost of acting rightly.")
    true_negative: Number = Field(0.0, description="The cost of rightly doing nothing.")
    unit: Text = Field("", description="The unit of the costs, e.g. EUR.")

    def _findings(self) -> Iterator[Finding]:
        return checks.costs_agree(View(self))


class ModelSpec(Section):
    """What is learned."""

    task: Task = Field(description="binary, multiclass or regression.")
    positive: str | None = Field(None, description="The class of interest (binary only), as text.")
    metric: Name | None = Field(
        None, description="The metric that picks the best candidate; empty: the task's default."
    )
    candidates: tuple[ModelFamily, ...] = Field(
        ("linear", "random_forest", "gradient_boosting"), min_length=1, description="The model families to try."
    )
    partition_by: ColumnName | None = Field(
        None, description="One model for each value of this category column, e.g. the market; empty: one model."
    )
    search: Search = Field(Search(), description="How the settings of each model family are searched.")
    calibrate: Literal["auto", "sigmoid", "isotonic", "none"] = Field(
        "auto",
        description="Probabilities: calibrated where that lowers the log loss on rows not fitted on (auto), by one method, or not.",
    )
    imbalance: Literal["none", "weights", "threshold"] | None = Field(
        None,
        description="Rare classes: weighted up in fitting, or met by the decision threshold. Empty: chosen from the data; the model card says which.",
    )
    costs: Costs | None = Field(None, description="What wrong and right decisions cost (binary only).")
    seed: Whole = Field(20_240_229, ge=0, lt=2**32, description="Everything random is derived from it.")
    test_size: Number = Field(0.2, gt=0.0, lt=0.9, description="The share of rows held out for evaluation.")

    @property
    def primary_metric(self) -> str:
        """The metric that ranks candidates and decides champion against challenger."""
        return self.metric or DEFAULT_METRIC[self.task]

    def _findings(self) -> Iterator[Finding]:
        return checks.model_agrees(View(self))
