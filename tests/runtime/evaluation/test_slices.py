"""A model that fails one part of the rows is found out, also where it is good on the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.evaluation.estimates import Judged, metric
from ai_factory_runtime.evaluation.group_gates import slices
from ai_factory_runtime.evaluation.slices import measure_slices, parts_of
from ai_factory_spec.usecase import SliceBounds, UseCase
from helpers_evaluation import failed, judged, people, skilled, use_case, worse_for_b
from sklearn.metrics import recall_score


def asking(frame: pd.DataFrame, *asked: dict[str, Any]) -> UseCase:
    return use_case(frame, acceptance={"slices": list(asked)})


def canonical(frame: pd.DataFrame, usecase: UseCase) -> pd.DataFrame:
    return to_canonical(frame, usecase.data.contract.columns)


def results_of(frame: pd.DataFrame, prediction: Any, **asked: Any) -> list[Any]:
    usecase = asking(frame, asked)
    found = measure_slices(judged(frame, prediction), canonical(frame, usecase), usecase)
    return slices(found, usecase.acceptance.slices[0])


def test_a_slice_has_the_metrics_of_its_rows_alone() -> None:
    frame = people()
    usecase = asking(frame, {"column": "group", "metrics": {"recall": {"min": 0.5}}})
    found = measure_slices(judged(frame, skilled(frame)), canonical(frame, usecase), usecase)
    assert [s.value for s in found] == ["a", "b", "c"]
    for part in found:
        rows = (frame["group"] == part.value).to_numpy()
        expected = recall_score(frame["outcome"][rows], skilled(frame).values[rows], pos_label="yes")
        assert part.metrics["recall"].value == pytest.approx(expected, abs=1e-12)
        assert set(part.metrics) == {"roc_auc", "recall"}
        assert part.rows == rows.sum()


def test_a_model_that_guesses_for_one_group_is_refused_and_the_group_is_named() -> None:
    frame = people(2000)
    assert metric("roc_auc", judged(frame, worse_for_b(frame))) > 0.7
    (result,) = results_of(frame, worse_for_b(frame), column="group", metrics={"roc_auc": {"min": 0.7}})
    assert not result.passed
    assert result.name == "slice:group:roc_auc:min"
    assert "missed in 1 of 3: 'b' 0.4" in result.sentence
    (fine,) = results_of(frame, skilled(frame), column="group", metrics={"roc_auc": {"min": 0.7}})
    assert fine.passed
    assert "in all 3 slices of 'group'" in fine.sentence


def test_an_upper_bound_names_the_largest() -> None:
    frame = people(2000)
    (result,) = results_of(frame, worse_for_b(frame), column="group", metrics={"log_loss": {"max": 0.6}})
    assert not result.passed
    assert "'b' 1." in result.sentence


def test_confident_asks_every_slice_for_its_whole_interval() -> None:
    frame = people(600)
    loose = results_of(frame, skilled(frame), column="group", metrics={"roc_auc": {"min": 0.6}}, min_rows=20)
    strict = results_of(
        frame, skilled(frame), column="group", metrics={"roc_auc": {"min": 0.8, "confident": True}}, min_rows=20
    )
    assert failed(loose) == []
    assert failed(strict) == ["slice:group:roc_auc:min"]


def test_a_small_slice_is_reported_without_interval_and_not_judged() -> None:
    frame = people(300)
    usecase = asking(frame, {"column": "group", "metrics": {"roc_auc": {"min": 0.6}}, "min_rows": 50})
    small = measure_slices(judged(frame, skilled(frame)), canonical(frame, usecase), usecase)[2]
    assert small.rows < 50
    assert np.isfinite(small.metrics["roc_auc"].value)
    assert np.isnan(small.metrics["roc_auc"].low)
    (result,) = results_of(frame, skilled(frame), column="group", metrics={"roc_auc": {"min": 0.6}}, min_rows=50)
    assert "in all 2 slices" in result.sentence


def test_no_slice_that_is_large_enough_does_not_pass() -> None:
    frame = people(100)
    (result,) = results_of(frame, skilled(frame), column="group", metrics={"roc_auc": {"min": 0.1}}, min_rows=1000)
    assert not result.passed
    assert "no slice of 'group' has 1000 held-out rows" in result.sentence


def test_a_metric_that_a_slice_does_not_have_does_not_pass() -> None:
    frame = people(600)
    frame.loc[frame["group"] == "b", "outcome"] = "no"
    (result,) = results_of(frame, skilled(frame), column="group", metrics={"roc_auc": {"min": 0.1}})
    assert not result.passed
    assert "'b' nan" in result.sentence
    assert result.value is None


def test_a_column_that_was_removed_has_no_slices_and_does_not_pass() -> None:
    frame = people(100)
    usecase = asking(frame, {"column": "group", "metrics": {"roc_auc": {"min": 0.1}}})
    assert measure_slices(judged(frame, skilled(frame)), frame[["x"]], usecase) == ()
    assert failed(slices((), usecase.acceptance.slices[0])) == ["slice:group:roc_auc:min"]


def test_rows_of_one_entity_are_drawn_together_in_a_slice_too() -> None:
    frame = pd.concat([people(100)] * 8, ignore_index=True)
    usecase = asking(frame, {"column": "group", "metrics": {"roc_auc": {"min": 0.1}}})
    rows = judged(frame, skilled(frame))
    entities = Judged(rows.truth, rows.prediction, rows.signature, np.tile(np.arange(100), 8))
    by_row, by_entity = (
        measure_slices(j, canonical(frame, usecase), usecase)[0].metrics["roc_auc"] for j in (rows, entities)
    )
    assert by_entity.high - by_entity.low > 2 * (by_row.high - by_row.low)


@pytest.mark.parametrize("bounds", [SliceBounds(column="when", metrics={"accuracy": {"min": 0.1}})])  # type: ignore[dict-item]
def test_times_are_cut_into_quarters_in_order(bounds: SliceBounds) -> None:
    when = pd.Series(pd.date_range("2024-01-01", periods=100, freq="D"))
    parts = parts_of(when)
    assert len(parts) == 4
    assert parts[0][0].startswith("2023-12-31")
    assert sum(rows.sum() for _, rows in parts) == 100
    assert parts[-1][1][-1]


def test_booleans_texts_and_few_numbers_are_slices_by_value() -> None:
    assert [t for t, _ in parts_of(pd.Series([True, False, None], dtype="boolean"))] == ["False", "True", "(missing)"]
    assert [t for t, _ in parts_of(pd.Series([10.0, 2.0, np.nan]))] == ["2", "10", "(missing)"]
    assert [t for t, _ in parts_of(pd.Series(["b", "a"], dtype="string"))] == ["a", "b"]
