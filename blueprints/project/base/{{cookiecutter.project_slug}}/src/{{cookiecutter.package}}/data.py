"""Where the rows come from. Yours: written once, never overwritten."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from ai_factory_runtime.data.sources import read_source
from ai_factory_spec import UseCase


def load(usecase: UseCase, root: Path) -> pd.DataFrame:
    """The rows to learn from: one per example, with every column of the data contract."""
    return read_source(usecase, root)
