"""What the model sees of a row. Yours: written once, never overwritten.

The one transformer built here is fitted in training and then used, unchanged, by batch scoring and by the endpoint, so
the three cannot disagree. It must give a row the same numbers alone as among a thousand.
"""

from __future__ import annotations

from ai_factory_runtime.training.features import booleans, categories, numbers
from ai_factory_spec import UseCase
from sklearn.compose import ColumnTransformer


def build(usecase: UseCase) -> ColumnTransformer:
    """The transformer from the contract's feature columns to the model's inputs."""
    names = {kind: [c.name for c in usecase.data.features if c.type in kind] for kind in KINDS}
    return ColumnTransformer(
        [(step, make(), names[kind]) for kind, (step, make) in KINDS.items() if names[kind]],
        verbose_feature_names_out=False,
    )


KINDS = {
    ("integer", "number"): ("numbers", numbers),
    ("category",): ("categories", categories),
    ("boolean",): ("booleans", booleans),
}
