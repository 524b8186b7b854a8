"""Train the candidates, choose one on rows that are not held out, and fit it on all of those rows.

Every candidate is met as it would be used: with settings as they stand and as a search found them, with probabilities
calibrated where that helps, and with the threshold that costs or rare classes ask for. The choice is by the primary
metric; of candidates whose difference to the best is within one standard error of that paired difference, the simplest
wins (the one-standard-error rule: Hastie, Tibshirani & Friedman 2009, The Elements of Statistical Learning, section
7.10). Order in `model.candidates` is simplicity. What was decided on the way is in `Trained.choices`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_spec.metrics import METRICS
from ai_factory_spec.usecase import UseCase
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ai_factory_runtime.base.choices import Choice
from ai_factory_runtime.base.errors import DataUnusable, ProjectCodeFailed
from ai_factory_runtime.base.prediction import Signature
from ai_factory_runtime.evaluation.estimates import Estimate, Judged, estimate, standard_error_of_gain
from ai_factory_runtime.training.deciding import DEFAULT_THRESHOLD, is_chosen
from ai_factory_runtime.training.finishing import Finished, finish, finished_pipeline
from ai_factory_runtime.training.imbalance import Handling, handle, without_weights
from ai_factory_runtime.training.models import baseline
from ai_factory_runtime.training.out_of_fold import Bench, bench_of
from ai_factory_runtime.training.search import SUFFIX, Field, bare, not_searched, search, search_metric, spaces, words
from ai_factory_runtime.training.skew import require_no_skew
from ai_factory_runtime.training.split import Split


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model tried: its primary metric on rows it was not fitted on."""

    name: str
    score: Estimate


@dataclass(frozen=True)
class Trained:
    """The chosen pipeline, fitted on all rows that are not held out, and the baseline fitted on the same.

    `choices` are the decisions that led to it, each with its reason, for the card.
    """

    name: str
    estimator: Any
    baseline: Any
    signature: Signature
    candidates: tuple[Candidate, ...]
    reason: str
    choices: tuple[Choice, ...] = ()

    @property
    def blind_signature(self) -> Signature:
        """The baseline's signature: it decides at 0.5, because a threshold chosen for the model would spoil it."""
        return replace(self.signature, threshold=None if self.signature.threshold is None else DEFAULT_THRESHOLD)


def signature_of(usecase: UseCase) -> Signature:
    """What every model of this use case takes and gives."""
    data, model = usecase.data, usecase.model
    target = data.column(data.target)
    return Signature(
        usecase=usecase.name,
        task=model.task,
        features=data.features,
        target=target,
        classes=() if model.task == "regression" else tuple(target.categories or ()),
        positive=model.positive,
        threshold=DEFAULT_THRESHOLD if model.task == "binary" else None,
    )


def train(
    frame: pd.DataFrame,
    usecase: UseCase,
    split: Split,
    features: Any,
    candidates: Mapping[str, Any],
    *,
    on_candidate: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Fit and compare the candidates. Raises ProjectCodeFailed for a candidate or transformer that cannot be used."""
    models = bare(candidates)
    _require_usable(models, usecase)
    target = target_of(frame, usecase)
    handling, choices = _handling(models, target[split.development], usecase)
    bench = bench_of(frame, target, usecase, split, signature_of(usecase), weighted=handling == "weights")
    pipelines = {name: bench.pipeline(features, model) for name, model in models.items()}
    pipelines, searched = _search(pipelines, candidates, bench, handling, on_candidate)
    finished: dict[str, Finished] = {}
    for name, pipeline in pipelines.items():
        on_candidate(name)
        finished[name] = finish(bench.try_out(name, pipeline), bench, handling)
    judged = {name: f.judged for name, f in finished.items()}
    scores = {name: estimate(usecase.model.primary_metric, j, usecase.model.seed) for name, j in judged.items()}
    chosen, reason = choose(judged, scores, usecase)
    taken = finished[chosen]
    estimator = finished_pipeline(bench.fit(chosen, pipelines[chosen], split.development), taken)
    signature = replace(bench.signature, threshold=taken.threshold)
    require_no_skew(chosen, estimator, signature, frame.iloc[split.development])
    return Trained(
        name=chosen,
        estimator=estimator,
        baseline=fit_baseline(frame, usecase, split.development),
        signature=signature,
        candidates=tuple(Candidate(name, scores[name]) for name in judged),
        reason=reason,
        choices=(Choice("model", chosen, reason), *searched, *choices, *taken.choices),
    )


def _handling(models: Mapping[str, Any], target: Any, usecase: UseCase) -> tuple[Handling, tuple[Choice, ...]]:
    """How rare classes are met, said with the candidates that cannot follow. Raises ProjectCodeFailed."""
    handling, choices = handle(target, usecase)
    unable = without_weights(models) if handling == "weights" else ()
    if not unable:
        return handling, choices
    listed = ", ".join(map(repr, unable))
    if usecase.model.imbalance == "weights":
        raise ProjectCodeFailed(
            where="model.py: candidates",
            problem=f"model.imbalance asks for weights, and {listed} cannot be fitted with sample weights",
        )
    said = tuple(
        replace(c, reason=f"{c.reason}; fitted without weights, which they do not take: {listed}") for c in choices
    )
    return handling, said


def _search(
    pipelines: Mapping[str, Pipeline],
    candidates: Mapping[str, Any],
    bench: Bench,
    handling: Handling,
    on_candidate: Callable[[str], None],
) -> tuple[dict[str, Pipeline], tuple[Choice, ...]]:
    """The candidates, each followed by itself with the settings that a search found, and what was searched."""
    usecase, development = bench.usecase, bench.split.development
    found = spaces(candidates, usecase)
    nothing = not_searched(usecase, len(development), found)
    if nothing is not None:
        return dict(pipelines), (nothing,)
    by = search_metric(usecase, threshold_chosen=is_chosen(usecase, handling))
    field = _field(bench)
    joined: dict[str, Pipeline] = {}
    said = []
    for name, pipeline in pipelines.items():
        joined[name] = pipeline
        if name not in found:
            continue
        on_candidate(f"{name}: searching settings")
        settings = search(name, pipeline, found[name], field, usecase, by=by)
        if settings is not None:
            better = clone(pipeline).set_params(**{f"model__{key}": value for key, value in settings.items()})
            joined[f"{name}{SUFFIX}"] = better
        said.append(f"{name}: {words(settings) if settings else 'as it stands'}")
    reason = f"best {by} by successive halving of {usecase.model.search.trials} settings for each family"
    return joined, (Choice("search", "; ".join(said), reason),)


def _field(bench: Bench) -> Field:
    """The rows to learn from as a search takes them: numbered from 0."""
    rows = bench.split.development
    place = np.full(len(bench.frame), -1)
    place[rows] = np.arange(len(rows))
    return Field(
        rows=bench.frame.iloc[rows][[c.name for c in bench.signature.features]].reset_index(drop=True),
        target=bench.target[rows],
        folds=[(place[learn], place[judge]) for learn, judge in bench.folds],
        signature=bench.signature,
        weights=None if bench.weights is None else bench.weights[rows],
    )


def choose(judged: Mapping[str, Judged], scores: Mapping[str, Estimate], usecase: UseCase) -> tuple[str, str]:
    """The name of the candidate to take, and why. Candidates come simplest first; all are judged on the same rows."""
    metric = METRICS[usecase.model.primary_metric]
    sign = 1.0 if metric.greater_is_better else -1.0
    defined = [name for name in judged if np.isfinite(scores[name].value)]
    if not defined:
        raise DataUnusable(
            problem=f"the metric {metric.name} is not defined on the rows that candidates are compared on.",
            hint="Collect more rows of the rare class, or choose another model.metric.",
        )
    best = max(defined, key=lambda name: sign * scores[name].value)
    for name in defined[: defined.index(best)]:
        lost = sign * (scores[best].value - scores[name].value)
        allowed = standard_error_of_gain(metric.name, judged[best], judged[name], usecase.model.seed)
        if lost <= allowed:
            return (
                name,
                f"simpler than {best}, and within one standard error of it ({lost:.4g} ≤ {allowed:.4g} in {metric.name})",
            )
    if len(defined) == 1:
        return best, "the only candidate"
    return best, f"the best {metric.name} on rows it was not fitted on"


def target_of(frame: pd.DataFrame, usecase: UseCase) -> Any:
    """The target as scikit-learn takes it: float64 numbers, or class texts as objects."""
    values = frame[usecase.data.target]
    return values.to_numpy(dtype=np.float64) if usecase.model.task == "regression" else values.to_numpy(dtype=object)


def fit_baseline(frame: pd.DataFrame, usecase: UseCase, rows: Any) -> Any:
    """The dummy that every model must beat."""
    names = [c.name for c in usecase.data.features]
    model = baseline(usecase)
    return model.fit(frame.iloc[rows][names], target_of(frame, usecase)[rows])


def _require_usable(candidates: Mapping[str, Any], usecase: UseCase) -> None:
    """All problems with what model.py returned, at once."""
    where = "model.py: candidates"
    if not candidates:
        raise ProjectCodeFailed(where=where, problem="it returned no candidate; at least one is needed")
    problems = []
    for name, model in candidates.items():
        if not hasattr(model, "fit") or not hasattr(model, "get_params"):
            problems.append(f"{name!r} is a {type(model).__name__}, not a scikit-learn estimator")
        elif usecase.model.task != "regression" and not hasattr(model, "predict_proba"):
            problems.append(
                f"{name!r} ({type(model).__name__}) gives no probabilities; wrap it in CalibratedClassifierCV"
            )
    if problems:
        raise ProjectCodeFailed(where=where, problem="; ".join(problems))
