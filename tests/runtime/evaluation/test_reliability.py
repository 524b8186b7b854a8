"""The calibration error is the one of the definition, chance is told apart from fault, and an overconfident model is refused."""

from __future__ import annotations

import numpy as np
import pytest
from ai_factory_runtime.base.prediction import Prediction, decide
from ai_factory_runtime.evaluation.behaviour_gates import calibration as gate
from ai_factory_runtime.evaluation.estimates import Judged
from ai_factory_runtime.evaluation.reliability import calibration, calibration_error
from ai_factory_runtime.training.selection import signature_of
from ai_factory_spec.usecase import UseCase
from helpers_evaluation import SIGNATURE, answers, judged, people, skilled
from helpers_runtime import real_rows, usecase_document


def stated(probability: np.ndarray, seed: int = 0, *, truly: np.ndarray | None = None) -> Judged:
    """Rows whose outcome has the probability `truly`, of which a model says `probability`."""
    happens = np.random.default_rng(seed).random(len(probability)) < (probability if truly is None else truly)
    return Judged(np.where(happens, "yes", "no").astype(object), answers(probability), SIGNATURE)


def uniform(rows: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random(rows)


def test_the_error_is_the_mean_gap_over_the_bins() -> None:
    frame = people(2000)
    rows = judged(frame, skilled(frame))
    error = calibration_error(rows, seed=0)
    assert error is not None
    bins = calibration(rows)
    expected = sum(b.rows * abs(b.predicted - b.actual) for b in bins) / sum(b.rows for b in bins)
    assert error.estimate.value == pytest.approx(expected, abs=1e-12)
    assert error.estimate.low <= error.estimate.value


def test_a_perfectly_calibrated_model_shows_what_chance_says() -> None:
    for rows in (200, 2000):
        found = [calibration_error(stated(uniform(rows, s), 100 + s), seed=0) for s in range(20)]
        seen = np.mean([e.estimate.value for e in found if e is not None])
        said = np.mean([e.by_chance for e in found if e is not None])
        assert seen == pytest.approx(said, rel=0.2)


def test_an_overconfident_model_is_refused_and_a_calibrated_one_is_not() -> None:
    truly = uniform(4000)
    sure = 1 / (1 + np.exp(-4 * np.log(truly / (1 - truly))))
    result = gate(calibration_error(stated(sure, truly=truly), seed=0), max_error=0.05)
    assert not result.passed
    assert "the expected calibration error is 0.1" in result.sentence
    assert "at most 0.05 is allowed" in result.sentence
    assert gate(calibration_error(stated(truly), seed=0), max_error=0.05).passed


def test_many_classes_are_judged_by_the_probability_of_the_class_said() -> None:
    usecase = UseCase.model_validate(usecase_document(real_rows("wine"), "multiclass"))
    signature = signature_of(usecase)
    random = np.random.default_rng(0)
    table = random.dirichlet([1.0, 1.0, 1.0], 3000)
    truth = np.array([random.choice(signature.classes, p=p) for p in table], dtype=object)
    honest = calibration_error(Judged(truth, Prediction(decide(table, signature), table), signature), seed=0)
    sharp = table**4 / (table**4).sum(axis=1, keepdims=True)
    boasting = calibration_error(Judged(truth, Prediction(decide(sharp, signature), sharp), signature), seed=0)
    assert honest is not None
    assert boasting is not None
    assert honest.estimate.value < 0.04 < 0.15 < boasting.estimate.value


def test_a_regression_states_no_probabilities_and_does_not_pass() -> None:
    usecase = UseCase.model_validate(usecase_document(real_rows("diabetes"), "regression"))
    rows = Judged(np.arange(50.0), Prediction(np.arange(50.0), None), signature_of(usecase))
    assert calibration_error(rows, seed=0) is None
    assert not gate(None, max_error=1.0).passed


def test_bins_hold_every_row_once_in_order() -> None:
    frame = people(95)
    bins = calibration(judged(frame, skilled(frame)))
    assert len(bins) == 4
    assert sum(b.rows for b in bins) == 95
    assert [b.predicted for b in bins] == sorted(b.predicted for b in bins)
    assert all(0 <= b.actual <= 1 for b in bins)


def test_equal_predictions_share_a_bin() -> None:
    same = calibration(stated(np.full(500, 0.3)))
    assert [(b.predicted, b.rows) for b in same] == [(pytest.approx(0.3), 500)]


def test_a_handful_of_rows_is_one_bin() -> None:
    assert len(calibration(stated(uniform(3)))) == 1
