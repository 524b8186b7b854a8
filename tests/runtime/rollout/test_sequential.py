"""Sequential tests: looked at all the time they keep their promise, where a test made for one look breaks it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from ai_factory_runtime.rollout.sequential import (
    MIN_COUNT,
    Difference,
    Sample,
    difference_of_means,
    mean_of_differences,
    rate_exceeds,
)

ALPHA = 0.05
RUNS = 400
# 400 runs with a true rate of ALPHA give more than this in one of 10,000 repetitions of the test.
MOST_FALSE_ALARMS = 0.095

Paths = npt.NDArray[np.float64]


def paths(rate: float, requests: int, seed: int, *, arms: int = 2) -> Paths:
    """Running counts of right answers: runs x arms x requests."""
    random = np.random.default_rng(seed)
    return np.cumsum(random.random((RUNS, arms, requests)) < rate, axis=2, dtype=np.float64)


def bernoulli(right: float, count: int) -> Sample:
    return Sample(count, right / count, right / count * (1 - right / count))


def decides(found: Difference) -> bool:
    return found.low > 0 or found.high < 0


def ever_decides(first: Paths, second: Paths, every: int, ratio: int = 1) -> bool:
    """Whether the test, looked at after each batch, ever says that the arms differ. `second` has `ratio` times the requests."""
    return any(
        decides(difference_of_means(bernoulli(first[n - 1], n), bernoulli(second[n * ratio - 1], n * ratio), ALPHA))
        for n in range(every, first.size + 1, every)
    )


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5, 0.95])
def test_two_equal_arms_looked_at_all_the_time_raise_few_false_alarms(rate: float) -> None:
    counts = paths(rate, 4000, seed=1)
    assert np.mean([ever_decides(a, b, every=50) for a, b in counts]) <= MOST_FALSE_ALARMS


def test_a_small_share_of_the_traffic_keeps_the_promise_too() -> None:
    first, second = paths(0.1, 1500, seed=2, arms=1)[:, 0], paths(0.1, 13_500, seed=3, arms=1)[:, 0]
    assert np.mean([ever_decides(a, b, every=50, ratio=9) for a, b in zip(first, second, strict=True)]) <= ALPHA


def test_a_test_made_for_one_look_breaks_the_promise_on_the_same_arms() -> None:
    """The reason for all this: the same looks with a z-test at 5 % find a difference in every fourth pair of equal arms."""
    counts = paths(0.1, 4000, seed=1)
    looks = np.arange(50, 4001, 50)
    shares = counts[:, :, looks - 1] / looks
    pooled = shares.mean(axis=1)
    z = (shares[:, 0] - shares[:, 1]) / np.sqrt(np.maximum(pooled * (1 - pooled), 1e-9) * 2 / looks)
    assert np.mean((np.abs(z) > 1.96).any(axis=1)) > 0.2


def test_a_real_difference_is_found() -> None:
    random = np.random.default_rng(4)
    worse, better = (np.cumsum(random.random((100, 12_000)) < p, axis=1, dtype=np.float64) for p in (0.10, 0.12))
    assert np.mean([ever_decides(a, b, every=200) for a, b in zip(better, worse, strict=True)]) >= 0.9


def test_the_interval_holds_the_truth_and_points_the_right_way() -> None:
    better, worse = Sample(5000, 0.90, 0.09), Sample(5000, 0.80, 0.16)
    found = difference_of_means(better, worse, ALPHA)
    assert found.value == pytest.approx(0.10)
    assert 0 < found.low < 0.10 < found.high < 0.15
    back = difference_of_means(worse, better, ALPHA)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_it_is_the_formula_of_the_paper() -> None:
    """For two arms of n, equation 8 of "Peeking at A/B tests" reaches 1 / alpha exactly where the interval ends."""
    n, sigma2 = 800, 0.21
    found = difference_of_means(Sample(n, 0.7, sigma2), Sample(n, 0.7, sigma2), ALPHA)
    d, tau2 = found.high, 0.01 * sigma2
    ratio = math.sqrt(2 * sigma2 / (2 * sigma2 + n * tau2)) * math.exp(
        n**2 * tau2 * d**2 / (4 * sigma2 * (2 * sigma2 + n * tau2))
    )
    assert ratio == pytest.approx(1 / ALPHA)


def test_too_few_requests_decide_nothing() -> None:
    few = Sample.of([1.0] * (MIN_COUNT - 1))
    found = difference_of_means(few, Sample.of([0.0] * 5000), ALPHA)
    assert (found.value, found.low, found.high) == (1.0, -math.inf, math.inf)
    assert mean_of_differences(few, ALPHA).low == -math.inf
    assert Sample.of([]) == Sample(0, 0.0, 0.0)


def test_arms_that_were_right_every_time_are_not_told_apart_by_chance() -> None:
    """No variance seen is no proof that there is none."""
    found = difference_of_means(Sample(150, 1.0, 0.0), Sample(150, 1.0, 0.0), ALPHA)
    assert found.low < 0 < found.high
    one_wrong = difference_of_means(bernoulli(149, 150), Sample(150, 1.0, 0.0), ALPHA)
    assert one_wrong.low < 0 < one_wrong.high


def test_pairs_on_the_same_requests_find_a_difference_sooner() -> None:
    random = np.random.default_rng(5)
    base = random.normal(0, 10, 1000)
    first, second = base + random.normal(0.5, 1, 1000), base
    assert mean_of_differences(Sample.of(first - second), ALPHA).low > 0
    assert not decides(difference_of_means(Sample.of(first), Sample.of(second), ALPHA))


@pytest.mark.parametrize(("rate", "bound"), [(0.01, 0.01), (0.002, 0.01), (0.2, 0.2)])
def test_a_rate_within_its_bound_is_seldom_taken_for_one_above_it(rate: float, bound: float) -> None:
    counts = paths(rate, 5000, seed=6, arms=1)[:, 0]
    looks = range(20, 5001, 20)
    alarms = [any(rate_exceeds(int(run[n - 1]), n, bound, ALPHA) for n in looks) for run in counts]
    assert np.mean(alarms) <= MOST_FALSE_ALARMS


def test_a_rate_above_its_bound_is_found_and_the_worse_the_sooner() -> None:
    def needed(rate: float) -> float:
        counts = paths(rate, 4000, seed=7, arms=1)[:100, 0]
        found = [
            next((n for n in range(10, 4001, 10) if rate_exceeds(int(r[n - 1]), n, 0.01, ALPHA)), 0) for r in counts
        ]
        assert np.mean(np.array(found) > 0) >= 0.95
        return float(np.median(found))

    assert needed(0.5) <= 20 < needed(0.05) < 300 < needed(0.025)


@pytest.mark.parametrize(
    ("events", "trials", "bound", "exceeds"),
    [(0, 0, 0.01, False), (0, 10**6, 0.01, False), (10, 10, 0.01, True), (1, 1, 0.0, True), (9, 9, 1.0, False)],
)
def test_the_ends_of_the_scale(events: int, trials: int, bound: float, exceeds: bool) -> None:
    assert rate_exceeds(events, trials, bound, ALPHA) is exceeds
