"""Calibration: a model that is too sure of itself is corrected, an honest one is left alone, and no row calibrates itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_factory_runtime.model_package.calibrated import Calibrated, apply_curves, mirrored
from ai_factory_runtime.model_package.model_file import dump_estimator, load_estimator, untrusted_types
from ai_factory_runtime.training.calibrating import calibrate, fit_curves, log_losses
from scipy.special import expit, softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

METHODS = ("sigmoid", "isotonic")


def said_and_true(count: int = 3000, overconfident: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose log-odds are `overconfident` times what they should be, and what came true."""
    random = np.random.default_rng(seed)
    odds = random.normal(size=count)
    truth = (random.random(count) < expit(odds)).astype(np.int64)
    said = expit(overconfident * odds)
    return np.column_stack([1 - said, said]), truth


def fifths(count: int) -> np.ndarray:
    return np.arange(count) % 5


@pytest.mark.parametrize("method", METHODS)
def test_a_curve_brings_an_overconfident_model_close_to_the_truth(method: Any) -> None:
    said, truth = said_and_true()
    fresh, fresh_truth = said_and_true(seed=1)
    curves = fit_curves(method, said, truth)
    honest = expit(np.log(fresh[:, 1] / fresh[:, 0]) / 3.0)
    bent = apply_curves(method, curves, fresh)
    assert bent.sum(axis=1) == pytest.approx(1.0)
    assert np.abs(bent[:, 1] - honest).mean() < 0.03
    assert log_losses(bent, fresh_truth).mean() < log_losses(fresh, fresh_truth).mean() - 0.1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("classes", [2, 3])
def test_the_curves_say_what_scikit_learns_own_calibration_says(method: Any, classes: int) -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, classes, 2000)
    rows = random.normal(size=(2000, 4)) + truth[:, None] * 0.7
    rows = np.repeat(rows, 2, axis=1)  # naive Bayes counts every feature twice and is too sure
    model = GaussianNB().fit(rows[:1000], truth[:1000])
    said = model.predict_proba(rows[1000:])
    ours = apply_curves(method, fit_curves(method, said, truth[1000:]), said)
    theirs = CalibratedClassifierCV(FrozenEstimator(model), method=method).fit(rows[1000:], truth[1000:])
    if method == "isotonic":
        assert ours == pytest.approx(theirs.predict_proba(rows[1000:]), abs=1e-9)
    else:  # theirs draws the line through probabilities where there are no log-odds, ours through the log-odds
        gap = log_losses(ours, truth[1000:]).mean() - log_losses(theirs.predict_proba(rows[1000:]), truth[1000:]).mean()
        assert gap < 0.01


def test_auto_takes_a_curve_where_it_lowers_the_log_loss_and_says_by_how_much() -> None:
    said, truth = said_and_true()
    calibration, choice = calibrate("auto", said, truth, fifths(len(truth)))
    assert calibration is not None
    assert choice.value == calibration.method == "sigmoid"  # the staircase gains nothing on a smooth bend
    assert "without, sigmoid" in choice.reason


def test_auto_takes_the_staircase_where_a_line_does_not_fit() -> None:
    random = np.random.default_rng(0)
    score = random.random(4000)
    truth = (random.random(4000) < np.where(score < 0.3, 0.02, np.where(score < 0.7, 0.5, 0.98))).astype(np.int64)
    said = np.column_stack([1 - score, score])
    calibration, _ = calibrate("auto", said, truth, fifths(4000))
    assert calibration is not None
    assert calibration.method == "isotonic"


def test_auto_leaves_an_honest_model_alone() -> None:
    chosen = [calibrate("auto", *said_and_true(1500, 1.0, seed), fifths(1500))[0] for seed in range(10)]
    assert chosen.count(None) >= 8


@pytest.mark.parametrize("asked", ["auto", "sigmoid", "isotonic"])
def test_too_few_rows_or_too_few_of_a_class_are_said_and_nothing_is_bent(asked: Any) -> None:
    said, truth = said_and_true(300)
    truth[:] = 0
    truth[:9] = 1
    calibration, choice = calibrate(asked, said, truth, fifths(300))
    assert calibration is None
    assert choice.value == "none"
    assert "10 are needed" in choice.reason


def test_auto_needs_more_rows_than_what_is_asked_for_by_name() -> None:
    said, truth = said_and_true(150)
    assert calibrate("auto", said, truth, fifths(150))[0] is None
    assert calibrate("sigmoid", said, truth, fifths(150))[0] is not None
    assert calibrate("none", *said_and_true(), fifths(3000))[0] is None


def test_no_row_is_calibrated_by_a_curve_that_knows_it() -> None:
    said, truth = said_and_true(1000)
    part = fifths(1000)
    calibration, _ = calibrate("isotonic", said, truth, part)
    assert calibration is not None
    turned = truth.copy()
    turned[part == 0] = 1 - turned[part == 0]  # whatever becomes of a part, its own probabilities do not know it
    again, _ = calibrate("isotonic", said, turned, part)
    assert again is not None
    np.testing.assert_array_equal(calibration.probabilities[part == 0], again.probabilities[part == 0])
    assert not np.array_equal(calibration.probabilities[part == 1], again.probabilities[part == 1])


def test_in_time_a_curve_must_help_the_newer_rows() -> None:
    said, truth = said_and_true(2000)
    newer = (np.arange(2000) >= 1000).astype(np.int64)
    honest, _ = said_and_true(2000, overconfident=1.0)
    changed = np.where(newer[:, None] == 1, honest, said)  # too sure in the past, honest since
    assert calibrate("auto", changed, truth, newer, in_time=True)[0] is None
    assert calibrate("auto", said, truth, newer, in_time=True)[0] is not None


def test_rows_of_one_entity_count_once_in_the_standard_error() -> None:
    said, truth = said_and_true(60, overconfident=1.5)
    many = np.tile(np.arange(60), 50)  # fifty copies of sixty rows know no more than sixty rows
    alone = calibrate("auto", said[many], truth[many], many % 5)[1]
    together = calibrate("auto", said[many], truth[many], many % 5, unit=many)[1]
    assert alone.value != "none"
    assert together.value == "none"


@pytest.mark.parametrize("method", METHODS)
def test_the_curve_of_the_other_class_is_the_mirror(method: Any) -> None:
    said, truth = said_and_true(800)
    (curve,) = fit_curves(method, said, truth)
    swapped = apply_curves(method, [mirrored(method, curve)], said[:, ::-1])
    np.testing.assert_allclose(swapped[:, ::-1], apply_curves(method, [curve], said), atol=1e-12)


def test_three_classes_sum_to_one_and_rows_without_any_keep_what_they_had() -> None:
    random = np.random.default_rng(0)
    said = softmax(random.normal(size=(500, 3)) * 3, axis=1)
    truth = random.integers(0, 3, 500)
    assert apply_curves("isotonic", fit_curves("isotonic", said, truth), said).sum(axis=1) == pytest.approx(1.0)
    nothing = [np.array([[0.0, 1.0], [0.0, 0.0]])] * 3
    np.testing.assert_array_equal(apply_curves("isotonic", nothing, said), said)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_calibrated_model_is_stored_and_loaded_without_pickle_and_answers_the_same(method: Any, classes: int) -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 3))
    truth = np.array(["a", "b", "c"], dtype=object)[(np.abs(rows[:, 0]) * 2).astype(int) % classes]
    model = LogisticRegression().fit(rows, truth)
    codes = np.searchsorted(model.classes_, truth)
    curves = fit_curves(method, model.predict_proba(rows), codes)
    calibrated = Calibrated(model, method, list(curves))
    body = dump_estimator(calibrated)
    assert untrusted_types(body) == ()
    loaded = load_estimator(body, folder="a test")
    np.testing.assert_array_equal(loaded.predict_proba(rows), calibrated.predict_proba(rows))
    assert list(loaded.predict(rows)) == list(calibrated.predict(rows))
    assert dump_estimator(loaded) == body
