"""Everything that is measured of a trained model on the held-out rows: what the gates judge and the card tells."""

from __future__ import annotations

import pandas as pd
from ai_factory_spec.usecase import UseCase

from ai_factory_runtime.base.prediction import Prediction, predict
from ai_factory_runtime.base.processors import processors
from ai_factory_runtime.evaluation.estimates import Judged, Positions, estimates, gain
from ai_factory_runtime.evaluation.expected_cost import expected_cost
from ai_factory_runtime.evaluation.explaining import explain
from ai_factory_runtime.evaluation.fairness import MIN_GROUP_SIZE, disparities, groups
from ai_factory_runtime.evaluation.kpi import KpiFunction, measure_kpi
from ai_factory_runtime.evaluation.latency import MANY, latency
from ai_factory_runtime.evaluation.measured import Measured
from ai_factory_runtime.evaluation.reliability import calibration, calibration_error
from ai_factory_runtime.evaluation.robustness import damages
from ai_factory_runtime.evaluation.slices import measure_slices
from ai_factory_runtime.model_package.accelerator import accepted, examine
from ai_factory_runtime.training.models import baseline_metric
from ai_factory_runtime.training.selection import Trained, target_of


def answers_of(trained: Trained, rows: pd.DataFrame, usecase: UseCase, unit: Positions | None) -> tuple[Judged, Judged]:
    """What the model and the dummy baseline say about canonical rows. `unit` are the entities they belong to, or None."""
    truth = target_of(rows, usecase)
    model = predict(trained.estimator, trained.signature, rows)
    dummy = predict(trained.baseline, trained.blind_signature, rows)
    return Judged(truth, model, trained.signature, unit), Judged(truth, dummy, trained.signature, unit)


def measure(
    trained: Trained, rows: pd.DataFrame, judged: Judged, blind: Judged, usecase: UseCase, kpi: KpiFunction | None
) -> Measured:
    """Measure all of it. `judged` and `blind` are `answers_of` these rows; `kpi` is the project's own function, if it has one.

    Raises ProjectCodeFailed where `kpi` cannot be used.
    """
    seed, primary = usecase.model.seed, usecase.model.primary_metric
    against = baseline_metric(primary)
    fairness = usecase.acceptance.fairness
    sensitive = rows[[c for c in usecase.data.sensitive if c in rows.columns]]

    def answer(frame: pd.DataFrame) -> Prediction:
        return predict(trained.estimator, trained.signature, frame)

    acceleration = examine(trained.estimator, trained.signature, rows, seed=seed)
    compiled = accepted(trained.estimator, trained.signature, acceleration)
    with processors(1):  # as the endpoint answers
        one = latency(trained.estimator, trained.signature, rows, compiled=compiled)
        many = latency(trained.estimator, trained.signature, rows, compiled=compiled, size=MANY)
    return Measured(
        metrics=estimates(judged, seed),
        baseline=estimates(blind, seed),
        baseline_metric=against,
        gain=gain(against, judged, blind, seed),
        slices=measure_slices(judged, rows, usecase),
        groups=groups(primary, judged, sensitive),
        disparities=disparities(
            primary,
            judged,
            sensitive,
            min_group_size=fairness.min_group_size if fairness else MIN_GROUP_SIZE,
            seed=seed,
        ),
        calibration=calibration(judged),
        calibration_error=calibration_error(judged, seed),
        explained=explain(primary, answer, rows, judged, seed),
        damages=damages(against, answer, rows, judged, blind, seed),
        latency=one,
        latency_many=many,
        kpi=measure_kpi(kpi, usecase, rows, judged, blind) if kpi else None,
        cost=expected_cost(usecase, judged, blind),
        acceleration=acceleration,
    )
