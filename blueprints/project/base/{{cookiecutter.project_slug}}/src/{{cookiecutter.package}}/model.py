"""Which models are tried. Yours: written once, never overwritten.

Add a scikit-learn estimator to the table and it is trained, compared and gated with the others. Order is simplicity:
of two that are equally good, the earlier wins.
"""

from __future__ import annotations

from ai_factory_runtime.models import default_candidates
from ai_factory_spec import UseCase
from sklearn.base import BaseEstimator


def candidates(usecase: UseCase) -> dict[str, BaseEstimator]:
    """The estimators to try, by name, the simplest first."""
    return {**default_candidates(usecase)}
