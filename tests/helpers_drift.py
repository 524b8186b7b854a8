"""What the tests of drift and benchmarks/drift_rates.py share: columns of the shapes that real tables have, and rows without drift."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from ai_factory_runtime.base.prediction import Prediction
from ai_factory_spec.usecase import Column


def columns(*, normal: int, skewed: int, mostly_zero: int, plan: int, shop: int, flag: int) -> tuple[Column, ...]:
    """So many columns of each shape; `draw` knows a shape by its column's name."""
    return (
        *(Column(name=f"normal{i}", type="number") for i in range(normal)),
        *(Column(name=f"skewed{i}", type="number") for i in range(skewed)),
        *(Column(name=f"mostly_zero{i}", type="integer") for i in range(mostly_zero)),
        *(Column(name=f"plan{i}", type="category", categories=("a", "b", "c", "d", "e")) for i in range(plan)),
        *(Column(name=f"shop{i}", type="category", categories=("0",)) for i in range(shop)),
        *(Column(name=f"flag{i}", type="boolean", nullable=True) for i in range(flag)),
    )


def draw(drawn: Sequence[Column], rows: int, random: np.random.Generator) -> tuple[pd.DataFrame, Prediction]:
    """Rows of independent columns, and predictions: always of the same distribution."""
    make: dict[str, Callable[[], object]] = {
        "normal": lambda: random.normal(size=rows),
        "skewed": lambda: random.exponential(size=rows) ** 2,
        "mostly_zero": lambda: np.where(random.random(rows) < 0.7, 0.0, random.poisson(3.0, rows)),
        "plan": lambda: random.choice(list("abcde"), rows, p=[0.5, 0.3, 0.15, 0.04, 0.01]),
        "shop": lambda: random.zipf(1.7, rows).clip(max=200).astype(str),
        "flag": lambda: pd.array(
            np.where(random.random(rows) < 0.05, None, random.random(rows) < 0.1), dtype="boolean"
        ),
    }
    frame = pd.DataFrame({c.name: make[c.name.rstrip("0123456789")]() for c in drawn})
    share = random.beta(2.0, 5.0, rows)
    classes = np.where(share > 0.4, "yes", "no").astype(object)
    return frame, Prediction(classes, np.column_stack([1 - share, share]))
