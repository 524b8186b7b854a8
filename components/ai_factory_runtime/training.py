"""Train the candidates, choose one on rows that are not held out, and fit it on all of those rows.

The choice is by the primary metric; of candidates whose difference to the best is within one standard error of that
paired difference, the simplest wins (the one-standard-error rule: Hastie, Tibshirani & Friedman 2009, The Elements of
Statistical Learning, section 7.10). Order in `model.candidates` is simplicity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_spec.metrics import METRICS
from ai_factory_spec.usecase import UseCase
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from ai_factory_runtime.errors import DataUnusable, ProjectCodeFailed
from ai_factory_runtime.evaluation import Estimate, Judged, estimate, standard_error_of_gain
from ai_factory_runtime.models import baseline
from ai_factory_runtime.package import Prediction, Signature, predict
from ai_factory_runtime.split import Split, folds

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model tried: its primary metric on rows it was not fitted on."""

    name: str
    score: Estimate


@dataclass(frozen=True)
class Trained:
    """The chosen pipeline, fitted on all rows that are not held out, and the baseline fitted on the same."""

    name: str
    estimator: Any
    baseline: Any
    signature: Signature
    candidates: tuple[Candidate, ...]
    reason: str


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
    _require_usable(candidates, usecase)
    signature = signature_of(usecase)
    target = target_of(frame, usecase)
    parts = list(folds(frame, usecase, split))
    judged: dict[str, Judged] = {}
    for name, model in candidates.items():
        on_candidate(name)
        judged[name] = _out_of_fold(name, _pipeline(features, model), frame, target, signature, parts, split)
    scores = {name: estimate(usecase.model.primary_metric, j, usecase.model.seed) for name, j in judged.items()}
    chosen, reason = choose(judged, scores, usecase)
    rows = split.development
    estimator = _fit(chosen, _pipeline(features, candidates[chosen]), frame, target, signature, rows)
    dummy = fit_baseline(frame, usecase, rows)
    return Trained(
        name=chosen,
        estimator=estimator,
        baseline=dummy,
        signature=signature,
        candidates=tuple(Candidate(name, scores[name]) for name in judged),
        reason=reason,
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


def _pipeline(features: Any, model: Any) -> Pipeline:
    return Pipeline([("features", clone(features)), ("model", clone(model))])


def _fit(name: str, pipeline: Pipeline, frame: pd.DataFrame, target: Any, signature: Signature, rows: Any) -> Pipeline:
    columns = [c.name for c in signature.features]
    try:
        return pipeline.fit(frame.iloc[rows][columns], target[rows])
    except Exception as error:
        raise _failed(f"fitting {name!r}", error) from error


def _out_of_fold(
    name: str,
    pipeline: Pipeline,
    frame: pd.DataFrame,
    target: Any,
    signature: Signature,
    parts: Sequence[tuple[Any, Any]],
    split: Split,
) -> Judged:
    """Answers for every row that some fold judges, each by a model that was not fitted on it."""
    values, probabilities, rows = [], [], []
    for learn, judge in parts:
        fitted = _fit(name, clone(pipeline), frame, target, signature, learn)
        try:
            answers = predict(fitted, signature, frame.iloc[judge])
        except Exception as error:
            raise _failed(f"predicting with {name!r}", error) from error
        _require_finite(name, answers)
        values.append(answers.values)
        rows.append(judge)
        if answers.probabilities is not None:
            probabilities.append(answers.probabilities)
    together = np.concatenate(rows)
    prediction = Prediction(np.concatenate(values), np.concatenate(probabilities) if probabilities else None)
    unit = split.unit[together] if split.how == "entity" else None
    return Judged(truth=target[together], prediction=prediction, signature=signature, unit=unit)


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


def _require_finite(name: str, answers: Prediction) -> None:
    numbers = answers.values if answers.probabilities is None else answers.probabilities
    if not np.isfinite(numbers.astype(np.float64)).all():
        raise ProjectCodeFailed(where=f"model.py: candidate {name!r}", problem="it answers with NaN or infinity")


def _failed(doing: str, error: Exception) -> ProjectCodeFailed:
    text = str(error).strip()
    return ProjectCodeFailed(
        where=f"features.py or model.py: {doing}",
        problem=f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}",
    )
