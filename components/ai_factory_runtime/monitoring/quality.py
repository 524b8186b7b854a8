"""Quality: the primary metric on rows whose true value is known, beside its value at registration."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from ai_factory_spec.metrics import METRICS

from ai_factory_runtime.evaluation.estimates import Estimate, Judged, estimate
from ai_factory_runtime.model_package.package import METRICS as METRICS_FILE
from ai_factory_runtime.model_package.package import ModelPackage


@dataclass(frozen=True, slots=True)
class Quality:
    """The primary metric now and at registration, each with its 95 % interval."""

    metric: str
    rows: int
    now: Estimate
    before: Estimate

    @property
    def worse(self) -> bool:
        """Whether the two intervals lie apart, this one on the bad side."""
        if METRICS[self.metric].greater_is_better:
            return self.now.high < self.before.low
        return self.now.low > self.before.high


def quality(package: ModelPackage, judged: Judged | None, *, metric: str, min_rows: int, seed: int) -> Quality | None:
    """None where too few true values are known, or the metric is not defined on them or was not at registration."""
    before = _at_registration(package, metric)
    if judged is None or before is None or judged.rows < min_rows:
        return None
    now = estimate(metric, judged, seed)
    if not np.isfinite([now.value, now.low, now.high]).all():
        return None
    return Quality(metric, judged.rows, now, before)


def _at_registration(package: ModelPackage, metric: str) -> Estimate | None:
    """The metric on the held-out rows of the run that made the model."""
    document = json.loads((package.folder / METRICS_FILE).read_bytes())
    found = document.get("metrics", {}).get(metric)
    if not found or any(found.get(key) is None for key in ("value", "low", "high")):
        return None
    return Estimate(found["value"], found["low"], found["high"])
