"""Rare classes: whether there are any, and how they are met; said in the model card either way.

| handling    | what it does                                                                                          |
|-------------|-------------------------------------------------------------------------------------------------------|
| `none`      | nothing                                                                                               |
| `weights`   | each class weighs the same in fitting; the probabilities no longer say how often                       |
| `threshold` | fitting is untouched and probabilities stay honest; the class is decided at a chosen threshold (binary) |

A threshold decides as well as weights do wherever probabilities are right (Elkan 2001, The Foundations of Cost-Sensitive
Learning), so that for a binary task it is what is chosen where the use case does not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from ai_factory_spec.usecase import UseCase
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import has_fit_parameter

from ai_factory_runtime.base.choices import Choice

Handling = Literal["none", "weights", "threshold"]

# A class is rare with fewer rows than this share of what it would have were all classes equal: 20 % of a binary table.
RARE = 0.4
# Metrics in which every class counts the same; in others a rare class counts by its rows, and weights would worsen them.
_CLASSES_ALIKE = ("balanced_accuracy", "f1_macro")


def handle(target: npt.NDArray[Any], usecase: UseCase) -> tuple[Handling, tuple[Choice, ...]]:
    """How rare classes of the rows to learn from are met, and the choice for the card (none for a regression)."""
    model = usecase.model
    if model.task == "regression":
        return "none", ()
    names, counts = np.unique(target.astype(str), return_counts=True)
    rarest = int(np.argmin(counts))
    share = counts[rarest] / len(target)
    found = f"the rarest class {str(names[rarest])!r} has {share:.1%} of {len(target)} rows"
    rare = share < RARE / len(names)
    if model.imbalance is not None:
        return _choice(model.imbalance, f"model.imbalance asks for it; {found}")
    if not rare:
        return _choice("none", f"{found}, which is not rare (under {RARE / len(names):.1%})")
    if model.task == "binary":
        return _choice(
            "threshold",
            f"{found}; the decision threshold meets that, and the probabilities stay as frequent as they say",
        )
    if model.primary_metric in _CLASSES_ALIKE:
        return _choice("weights", f"{found}, and {model.primary_metric} counts every class alike")
    return _choice("none", f"{found}; {model.primary_metric} counts every row alike, so weights would worsen it")


def class_weights(target: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(rows,) weights with which every class weighs the same; their mean is 1."""
    return np.asarray(compute_sample_weight("balanced", target), dtype=np.float64)


def takes_weights(model: Any) -> bool:
    """Whether an estimator can be fitted with weights."""
    return bool(has_fit_parameter(model, "sample_weight"))


def without_weights(candidates: Mapping[str, Any]) -> tuple[str, ...]:
    """The candidates that cannot be fitted with weights."""
    return tuple(name for name, model in candidates.items() if not takes_weights(model))


def _choice(handling: Handling, reason: str) -> tuple[Handling, tuple[Choice, ...]]:
    return handling, (Choice("imbalance", handling, reason),)
