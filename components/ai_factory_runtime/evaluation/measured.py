"""Measured: every number of a trained model on the held-out rows, as the gates judge them and the card tells them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ai_factory_runtime.evaluation.estimates import Estimate
from ai_factory_runtime.evaluation.expected_cost import ExpectedCost
from ai_factory_runtime.evaluation.explaining import Explained
from ai_factory_runtime.evaluation.fairness import Disparity, Group
from ai_factory_runtime.evaluation.kpi import Kpi
from ai_factory_runtime.evaluation.latency import Latency
from ai_factory_runtime.evaluation.reliability import Bin, CalibrationError
from ai_factory_runtime.evaluation.robustness import Damage
from ai_factory_runtime.evaluation.slices import Slice
from ai_factory_runtime.model_package.accelerator import UNCOMPARED, Acceleration


@dataclass(frozen=True, slots=True)
class Measured:
    """The numbers. `baseline` are the dummy's metrics; `gain` is the paired improvement over it in `baseline_metric`.

    `latency` is one row's, `latency_many` that of a thousand rows, both as `acceleration`
    says that the endpoint answers. None: not asked, or there is none for this task.
    """

    metrics: Mapping[str, Estimate]
    baseline: Mapping[str, Estimate]
    baseline_metric: str
    gain: Estimate
    slices: Sequence[Slice]
    groups: Sequence[Group]
    disparities: Sequence[Disparity]
    calibration: Sequence[Bin]
    calibration_error: CalibrationError | None
    explained: Explained
    damages: Sequence[Damage]
    latency: Latency
    latency_many: Latency
    kpi: Kpi | None = None
    cost: ExpectedCost | None = None
    acceleration: Acceleration = UNCOMPARED
