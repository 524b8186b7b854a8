"""The pieces a project's features.py is built from: numbers, categories, booleans.

Each gives a row the same numbers alone as among others, takes missing values and values it never saw, and holds nothing
but scikit-learn's own classes, so that the fitted transformer can be stored without pickle.
"""

from __future__ import annotations

from ai_factory_spec.usecase import UseCase
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

RARE = 10  # categories with fewer rows share one column, and an unknown category joins them
MOST_COLUMNS = 50  # per category column; the least frequent categories share the last one


def numbers() -> Pipeline:
    """Numbers, centred and scaled; the median stands in for a missing one, and a second column says that it was missing."""
    return Pipeline(
        [
            ("impute", SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)),
            ("scale", StandardScaler()),
        ]
    )


def categories() -> OneHotEncoder:
    """One column per category; missing is a category too, rare and unknown ones share a column."""
    return OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=RARE, max_categories=MOST_COLUMNS, sparse_output=False
    )


def booleans() -> SimpleImputer:
    """1 for true, 0 for false, the share of true for missing."""
    return SimpleImputer(strategy="mean", keep_empty_features=True)


def default_features(usecase: UseCase) -> ColumnTransformer:
    """The transformer from the contract's feature columns to a dense matrix; what a new project's features.py spells out."""
    kinds = (
        ("numbers", numbers, ("integer", "number")),
        ("categories", categories, ("category",)),
        ("booleans", booleans, ("boolean",)),
    )
    chosen = [(name, make(), [c.name for c in usecase.data.features if c.type in types]) for name, make, types in kinds]
    return ColumnTransformer([step for step in chosen if step[2]], verbose_feature_names_out=False)
