"""Search for the settings of a candidate, by successive halving (Jamieson & Talwalkar 2016, Non-stochastic Best Arm
Identification; scikit-learn's HalvingGridSearchCV).

Settings are drawn from the candidate's space, always with the candidate as it stands among them. All are tried on a share
of the rows, the best third on three times as many, and so on up to all. What is found joins the candidates under the
name `<candidate>_searched` and must then win like any other, on rows it was not fitted on: a search that only found
noise loses to the simpler candidate that it started from.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.metrics import METRICS
from ai_factory_spec.usecase import UseCase
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - makes the next import possible
from sklearn.model_selection import HalvingGridSearchCV, ParameterSampler
from sklearn.pipeline import Pipeline

from ai_factory_runtime.base.choices import Choice
from ai_factory_runtime.base.errors import ProjectCodeFailed
from ai_factory_runtime.base.prediction import Signature, predict
from ai_factory_runtime.evaluation.estimates import Judged, metric
from ai_factory_runtime.training.models import SPACES, default_candidates

Positions = npt.NDArray[np.int64]
Space = Mapping[str, Sequence[Any]]
Settings = dict[str, Any]

SUFFIX = "_searched"
MOST_ROWS = 50_000  # the last round is held to so many; what is best on these is best on more
MOST_FOLDS = 3  # a search compares many settings roughly; the finalists meet again on every fold
_FACTOR = 3
_FEWEST_OF_CLASS = 10  # rows of the rarest class in the first round
_THRESHOLDED = ("precision", "recall", "f1", "accuracy", "balanced_accuracy")


@dataclass(frozen=True, slots=True)
class Searched:
    """A candidate with a space of its own, for model.py: setting name -> the values to try."""

    estimator: Any
    space: Space


@dataclass(frozen=True)
class Field:
    """What a search runs on: rows to learn from and their truth, (learn, judge) positions in them, weights or None."""

    rows: pd.DataFrame
    target: npt.NDArray[Any]
    folds: Sequence[tuple[Positions, Positions]]
    signature: Signature
    weights: npt.NDArray[np.float64] | None = None


def bare(candidates: Mapping[str, Any]) -> dict[str, Any]:
    """The estimators themselves, without their spaces."""
    return {name: c.estimator if isinstance(c, Searched) else c for name, c in candidates.items()}


def spaces(candidates: Mapping[str, Any], usecase: UseCase) -> dict[str, Space]:
    """The space of each candidate that has one: given with it, or that of a family left as the runtime makes it.

    A family that model.py changed is left as it was written.
    """
    regression, made = usecase.model.task == "regression", default_candidates(usecase)
    found: dict[str, Space] = {}
    for name, candidate in candidates.items():
        if isinstance(candidate, Searched):
            found[name] = candidate.space
        elif name in made and repr(candidate) == repr(made[name]):
            found[name] = SPACES[name][1 if regression else 0]
    return found


def not_searched(usecase: UseCase, rows: int, spaces_found: Mapping[str, Space]) -> Choice | None:
    """Why nothing is searched, None where something is."""
    asked = usecase.model.search
    if asked.trials < 2:
        return Choice("search", "none", f"model.search.trials is {asked.trials}: every candidate keeps its settings")
    if rows < asked.min_rows:
        return Choice("search", "none", f"{rows} rows to learn from; model.search.min_rows is {asked.min_rows}")
    if not spaces_found:
        return Choice("search", "none", "model.py sets every candidate's settings itself")
    return None


def search(name: str, pipeline: Pipeline, space: Space, field: Field, usecase: UseCase, *, by: str) -> Settings | None:
    """The best settings by the metric `by`, None where the candidate's own are. Raises ProjectCodeFailed."""
    model, trials = usecase.model, draw(space, usecase.model.search.trials - 1, usecase.model.seed)
    if not trials:
        return None
    grid = [{}, *({f"model__{key}": [value] for key, value in trial.items()} for trial in trials)]
    rows = min(len(field.rows), MOST_ROWS)
    halving = HalvingGridSearchCV(
        clone(pipeline),
        grid,
        scoring=_scorer(by, field.signature),
        cv=list(field.folds[:MOST_FOLDS]),
        refit=False,
        factor=_FACTOR,
        max_resources=rows,
        min_resources=rows // _FACTOR ** _cuts(len(grid), rows, _fewest(field)),
        random_state=model.seed,
        return_train_score=False,
    )
    how = {} if field.weights is None else {"model__sample_weight": field.weights}
    try:
        with warnings.catch_warnings():
            # Settings that cannot be fitted on a small share of the rows drop out; the finalists are judged aloud.
            warnings.simplefilter("ignore", FitFailedWarning)
            warnings.filterwarnings("ignore", message=".*(Scoring failed|are non-finite)", category=UserWarning)
            halving.fit(field.rows, field.target, **how)
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
        text = lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1]}"  # the cause comes last
        raise ProjectCodeFailed(
            where=f"model.py: searching settings of {name!r}", problem=f"{type(error).__name__}: {text}"
        ) from error
    best = {key.removeprefix("model__"): value for key, value in halving.best_params_.items()}
    return best or None


def draw(space: Space, count: int, seed: int) -> list[Settings]:
    """`count` different settings out of a space, all of them where it has no more."""
    size = int(np.prod([len(values) for values in space.values()])) if space else 0
    if size == 0 or count < 1:
        return []
    listed = {key: list(values) for key, values in space.items()}
    return [dict(s) for s in ParameterSampler(listed, min(count, size), random_state=seed)]


def search_metric(usecase: UseCase, *, threshold_chosen: bool) -> str:
    """What a search ranks by: the primary metric, but how well rows are ordered where the threshold is chosen later."""
    primary = usecase.model.primary_metric
    return "average_precision" if threshold_chosen and primary in _THRESHOLDED else primary


def words(settings: Settings) -> str:
    """Settings for people."""
    return ", ".join(f"{key}={value}" for key, value in sorted(settings.items()))


def _cuts(trials: int, rows: int, fewest: int) -> int:
    """How often the trials are cut to a third: until one or two are left, or the first round would have too few rows."""
    cuts = 0
    while trials >= _FACTOR and rows // _FACTOR >= fewest:
        trials, rows, cuts = trials // _FACTOR, rows // _FACTOR, cuts + 1
    return cuts


def _fewest(field: Field) -> int:
    """Rows of the first round: enough for some of the rarest class."""
    if field.signature.task == "regression":
        return 2 * _FEWEST_OF_CLASS
    share = np.unique(field.target.astype(str), return_counts=True)[1].min() / len(field.target)
    return int(np.ceil(_FEWEST_OF_CLASS / share))


def _scorer(name: str, signature: Signature) -> Any:
    """The metric as scikit-learn calls it: more is better."""
    sign = 1.0 if METRICS[name].greater_is_better else -1.0

    def score(estimator: Any, rows: pd.DataFrame, truth: npt.NDArray[Any]) -> float:
        return sign * metric(name, Judged(truth, predict(estimator, signature, rows), signature))

    return score
