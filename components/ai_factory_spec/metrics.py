"""The metrics a use case can be held to: which task each one fits, which way is better, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["binary", "multiclass", "regression"]
TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")

INFINITY = float("inf")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric by its scikit-learn name. `greater_is_better` is its direction; `low` and `high` its possible values."""

    name: str
    tasks: tuple[Task, ...]
    greater_is_better: bool
    low: float
    high: float


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("roc_auc", ("binary",), True, 0.0, 1.0),
        Metric("average_precision", ("binary",), True, 0.0, 1.0),
        Metric("precision", ("binary",), True, 0.0, 1.0),
        Metric("recall", ("binary",), True, 0.0, 1.0),
        Metric("f1", ("binary",), True, 0.0, 1.0),
        Metric("brier_score", ("binary",), False, 0.0, 1.0),
        Metric("f1_macro", ("multiclass",), True, 0.0, 1.0),
        Metric("accuracy", ("binary", "multiclass"), True, 0.0, 1.0),
        Metric("balanced_accuracy", ("binary", "multiclass"), True, 0.0, 1.0),
        Metric("log_loss", ("binary", "multiclass"), False, 0.0, INFINITY),
        Metric("r2", ("regression",), True, -INFINITY, 1.0),
        Metric("mean_absolute_error", ("regression",), False, 0.0, INFINITY),
        Metric("root_mean_squared_error", ("regression",), False, 0.0, INFINITY),
    )
}

DEFAULT_METRIC: dict[Task, str] = {
    "binary": "roc_auc",
    "multiclass": "balanced_accuracy",
    "regression": "root_mean_squared_error",
}


def metrics_for(task: Task) -> tuple[Metric, ...]:
    """The metrics that fit a task, in the table's order."""
    return tuple(m for m in METRICS.values() if task in m.tasks)
