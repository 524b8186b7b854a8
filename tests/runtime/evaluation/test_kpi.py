"""The scientist's own KPI is computed on the held-out rows, has an interval, and is held to its bound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import ProjectCodeFailed
from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.evaluation.estimates import Judged, metric
from ai_factory_runtime.evaluation.gates import kpi as gate
from ai_factory_runtime.evaluation.kpi import Kpi, measure_kpi
from ai_factory_spec.usecase import Threshold, UseCase
from helpers_evaluation import SIGNATURE, USECASE, blind, judged, people, skilled


def share_right(usecase: UseCase, rows: pd.DataFrame, truth: Any, prediction: Prediction) -> float:
    assert list(rows.index) == list(range(len(rows)))
    assert len(rows) == len(truth) == len(prediction.values)
    assert (rows[usecase.data.target].to_numpy() == truth).all()
    return float(np.mean(truth == prediction.values))


def measured(function: Any, frame: pd.DataFrame | None = None) -> Kpi:
    frame = people() if frame is None else frame
    return measure_kpi(function, USECASE, frame, judged(frame, skilled(frame)), judged(frame, blind(frame)))


def test_the_function_gets_the_rows_the_truth_and_the_answers() -> None:
    frame = people()
    found = measured(share_right)
    assert found.estimate.value == metric("accuracy", judged(frame, skilled(frame)))
    assert found.baseline == metric("accuracy", judged(frame, blind(frame)))


def test_its_interval_is_that_of_the_metric_it_computes() -> None:
    from ai_factory_runtime.evaluation.estimates import estimate

    frame = people()
    theirs = estimate("accuracy", judged(frame, skilled(frame)), USECASE.model.seed)
    ours = measured(share_right).estimate
    assert ours.low == pytest.approx(theirs.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.high, abs=0.01)


def test_entities_are_drawn_whole() -> None:
    frame = pd.concat([people(60)] * 10, ignore_index=True)
    rows = judged(frame, skilled(frame))
    whole = Judged(rows.truth, rows.prediction, SIGNATURE, np.tile(np.arange(60), 10))
    by_row = measure_kpi(share_right, USECASE, frame, rows, rows).estimate
    by_entity = measure_kpi(share_right, USECASE, frame, whole, whole).estimate
    assert by_entity.high - by_entity.low > 2 * (by_row.high - by_row.low)


def test_a_kpi_below_its_bound_is_refused_with_both_numbers() -> None:
    (result,) = gate(measured(share_right), Threshold(min=0.9), USECASE)
    assert not result.passed
    assert result.name == "kpi:min"
    assert "must be at least 0.9" in result.sentence
    (fine,) = gate(measured(share_right), Threshold(min=0.6, confident=True), USECASE)
    assert fine.passed


def test_a_bound_without_a_function_does_not_pass() -> None:
    (result,) = gate(None, Threshold(max=3.0), USECASE)
    assert not result.passed
    assert "model.py has no function `kpi`" in result.sentence


@pytest.mark.parametrize(
    ("returned", "said"),
    [(float("nan"), "nan, not a finite number"), (float("inf"), "inf, not a finite"), ("much", "'much', not a number"), (None, "not a number")],
)  # fmt: skip
def test_what_is_no_number_stops_the_run(returned: object, said: str) -> None:
    with pytest.raises(ProjectCodeFailed, match=said):
        measured(lambda *_: returned)


def test_a_function_that_raises_is_named_with_its_place() -> None:
    def broken(*_: object) -> float:
        raise KeyError("revenue")

    with pytest.raises(ProjectCodeFailed, match=r"model\.py: kpi failed: KeyError: 'revenue'"):
        measured(broken)
