"""Which models are tried. Yours: written once, never overwritten.

Add a scikit-learn estimator to the table and it is trained, compared and gated with the others. Order is simplicity:
of two that are equally good, the earlier wins. What you add keeps the settings you give it; to have some searched, wrap it:
`Searched(estimator, {"max_depth": [2, 4, 8]})`, from ai_factory_runtime.training.search. A function `kpi(usecase, rows, truth,
prediction)` here measures the business figure that acceptance.kpi bounds.
"""

from __future__ import annotations

from ai_factory_runtime.training.models import default_candidates
from ai_factory_spec import UseCase
from sklearn.base import BaseEstimator


def candidates(usecase: UseCase) -> dict[str, BaseEstimator]:
    """The estimators to try, by name, the simplest first."""
    return {**default_candidates(usecase)}
