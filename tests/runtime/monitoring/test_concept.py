"""Concept drift: the learned relation changed, and not just the rows; seen where it happened, silent where it did not."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ai_factory_runtime.base.prediction import Prediction, Signature
from ai_factory_runtime.evaluation.estimates import Judged
from ai_factory_runtime.evaluation.residuals import residuals
from ai_factory_runtime.model_package.sketch import ResidualSketch
from ai_factory_runtime.monitoring.concept import by_adwin, by_labelled_windows, concept
from ai_factory_spec.usecase import Column
from helpers_monitoring import answered, estimated
from hypothesis import given
from hypothesis import strategies as st

DRAWS = {"binary": answered, "regression": estimated}


def at_training(task: str, random: np.random.Generator, rows: int = 2000) -> list[ResidualSketch]:
    return [r.summary() for r in residuals(DRAWS[task](rows, random))]


@pytest.mark.parametrize("adwin", [True, False])
@pytest.mark.parametrize("task", DRAWS)
def test_without_a_change_at_most_one_window_in_twenty_alarms(task: str, adwin: bool) -> None:
    alarms = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        alarms += concept(DRAWS[task](1000, random), at_training(task, random), adwin=adwin).moved
    assert alarms <= 3


@pytest.mark.parametrize("task", DRAWS)
def test_rows_that_move_are_no_change_of_the_relation(task: str) -> None:
    """The share of wrong answers does change: from a fifth to a sixth where the rows move away from the boundary."""
    alarms = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        alarms += concept(DRAWS[task](2000, random, shift=1.0), at_training(task, random)).moved
    assert alarms <= 2


@pytest.mark.parametrize("adwin", [True, False])
def test_a_relation_that_changes_within_the_window_is_found_where_it_changed(adwin: bool) -> None:
    found = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        judged = answered(4000, random, at=2000, slope=0.2)
        result = concept(judged, at_training("binary", random), adwin=adwin)
        assert result.moved
        assert result.changed_at is not None
        found.append(result.changed_at)
    assert 1700 <= np.median(found) <= 2300


def test_a_change_is_seen_without_any_reference_too() -> None:
    judged = answered(4000, np.random.default_rng(0), at=2000, slope=-1.0)
    result = concept(judged, ())
    assert result.moved
    assert all(s.reference is None for s in result.shifts)


@pytest.mark.parametrize(("task", "law"), [("binary", {"bias": 1.0}), ("binary", {"slope": 0.2}), ("regression", {"bias": 0.5}), ("regression", {"scale": 1.5})])  # fmt: skip
def test_a_window_that_lies_wholly_after_the_change_is_told_by_its_level(task: str, law: dict[str, float]) -> None:
    random = np.random.default_rng(3)
    result = concept(DRAWS[task](2000, random, **law), at_training(task, random))
    assert result.moved
    assert all(s.change is None for s in result.shifts)


def test_a_bias_that_leaves_the_error_as_it_is_is_found() -> None:
    """Every tenth answer that was sure turns out the other way: what was a coin toss now leans to one side."""
    random = np.random.default_rng(5)
    result = concept(answered(5000, random, bias=0.35), at_training("binary", random))
    moved = {s.name for s in result.shifts if s.moved}
    assert "bias" in moved


def test_answers_that_become_better_are_no_harm() -> None:
    random = np.random.default_rng(1)
    result = concept(estimated(4000, random, at=2000, scale=0.5), at_training("regression", random))
    assert not result.moved
    error = next(s for s in result.shifts if s.name == "error")
    assert error.change is not None
    assert error.change.after < error.change.before


def test_a_tiny_shift_of_very_many_rows_is_no_drift() -> None:
    random = np.random.default_rng(2)
    result = concept(answered(200_000, random, bias=0.03), at_training("binary", random, 50_000), adwin=False)
    bias = next(s for s in result.shifts if s.name == "bias")
    assert bias.reference is not None
    assert abs(bias.now - bias.reference) < bias.limit == 0.02
    assert not result.moved


def test_several_classes_are_judged_by_their_error_alone() -> None:
    random = np.random.default_rng(0)
    shares = random.dirichlet([2, 2, 2], 2000)
    classes = ("a", "b", "c")
    target = Column(name="y", type="category", categories=classes)
    signature = Signature("churn", "multiclass", (Column(name="x", type="number"),), target, classes)
    values = np.array(classes, dtype=object)[shares.argmax(axis=1)]
    truth = np.array([classes[random.choice(3, p=p)] for p in shares], dtype=object)
    reference = [
        r.summary() for r in residuals(Judged(truth[:1000], Prediction(values[:1000], shares[:1000]), signature))
    ]
    later = Judged(truth[1000:], Prediction(values[1000:], shares[1000:]), signature)
    assert [s.name for s in concept(later, reference).shifts] == ["error"]
    assert not concept(later, reference).moved
    shuffled = Judged(random.permutation(later.truth), later.prediction, signature)
    assert concept(shuffled, reference).moved


def test_without_the_extra_labelled_windows_are_compared_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "river", None)
    monkeypatch.setitem(sys.modules, "river.drift", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = concept(answered(4000, np.random.default_rng(0), at=2000, slope=-1.0), ())
    assert result.detector == "labelled windows"
    assert result.moved


def test_adwin_follows_a_change_and_back_again() -> None:
    """Only what holds now counts: an hour of nonsense that is over moved the windows, but left nothing to repair."""
    random = np.random.default_rng(0)
    rates = np.repeat([0.2, 0.7, 0.2], [3000, 600, 6000])
    at = by_adwin((random.random(rates.size) < rates).astype(np.float64))
    assert at is not None
    assert at > 3000
    constant = np.full(2000, 0.5)
    assert by_adwin(constant) is None
    assert by_labelled_windows(constant) is None


few = st.lists(st.sampled_from([0.0, 1.0, 0.5, 1e-300, 1.0 - 1e-16]), min_size=1, max_size=300)


@given(few)
def test_no_number_is_infinite_or_undefined_however_few_or_odd_the_rows(told: list[float]) -> None:
    p = np.asarray(told)
    values = np.where(p >= 0.5, "yes", "no").astype(object)
    signature = answered(1, np.random.default_rng(0)).signature
    judged = Judged(values, Prediction(values, np.column_stack([1 - p, p])), signature)
    result = concept(judged, [r.summary() for r in residuals(judged)])
    assert all(np.isfinite([s.now, s.limit]).all() for s in result.shifts)
    assert all(np.isfinite([b.wrong, b.expected or 0.0]).all() for b in result.bins)
    assert not result.moved
