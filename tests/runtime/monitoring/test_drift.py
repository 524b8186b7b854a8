"""Drift: silent without drift at every window size, loud with it, and finite whatever the columns hold."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.model_package.sketch import build_sketch, sketch_column
from ai_factory_runtime.monitoring.drift import ColumnDrift, DriftReport, column_drift, compare
from ai_factory_spec.usecase import DriftThresholds
from helpers_drift import columns, draw
from hypothesis import given
from hypothesis import strategies as st

THRESHOLDS = DriftThresholds()
NO_EFFECT_SIZE = DriftThresholds(psi=1e-9, ks=1e-9, missing=1e-9, unseen=0.0)
COLUMNS = columns(normal=4, skewed=3, mostly_zero=3, plan=4, shop=2, flag=2)


def window(rows: int, seed: int, *, reference: int = 1000, thresholds: DriftThresholds = THRESHOLDS) -> DriftReport:
    """A window without drift against its reference."""
    random = np.random.default_rng(seed)
    frame, prediction = draw(COLUMNS, reference, random)
    sketch = build_sketch(frame, COLUMNS, prediction)
    return compare(sketch, *draw(COLUMNS, rows, random), thresholds, min_rows=50)


@pytest.mark.parametrize(("reference", "rows"), [(300, 50), (300, 1000), (2000, 300)])
def test_at_most_one_window_in_twenty_without_drift_raises_an_alarm(reference: int, rows: int) -> None:
    """Even with no effect size asked for, so that chance alone decides. 5 of 40 or more has probability 0.05 at 5 %."""
    alarms = sum(window(rows, seed, reference=reference, thresholds=NO_EFFECT_SIZE).drifted for seed in range(40))
    assert alarms <= 4


def test_rare_categories_raise_no_more_alarms_than_the_level_allows() -> None:
    """Nine of ten categories expect less than one of the window's rows: where chi-squared is least to be trusted."""
    random, names = np.random.default_rng(2), [f"rare{i}" for i in range(9)]

    def series(rows: int) -> pd.Series[str]:
        return pd.Series(random.choice(["common", *names], rows, p=[0.91, *[0.01] * 9]), dtype="str")

    sketch = sketch_column("x", series(1000), numeric=False)
    found = [column_drift(sketch, series(60), NO_EFFECT_SIZE, level=0.01) for _ in range(300)]
    alarms = sum(f.drifted for drift in found for f in drift.findings if f.statistic == "psi")
    assert alarms <= 8  # 9 or more of 300 have probability 0.004 at 1 %


def moved(name: str, change: Callable[[pd.Series[float]], object], rows: int = 300) -> ColumnDrift:
    """One column of a window changed; returns what is found in it."""
    random = np.random.default_rng(7)
    frame, prediction = draw(COLUMNS, 2000, random)
    sketch = build_sketch(frame, COLUMNS, prediction)
    later, answers = draw(COLUMNS, rows, random)
    later[name] = change(later[name])
    report = compare(sketch, later, answers, THRESHOLDS, min_rows=50)
    assert [c.name for c in report.drifted_columns] == [name]
    return next(c for c in report.columns if c.name == name)


def statistics(drift: ColumnDrift) -> set[str]:
    return {f.statistic for f in drift.findings if f.drifted}


def test_a_shift_of_a_number_is_found() -> None:
    assert statistics(moved("normal0", lambda s: s + 0.75)) == {"psi", "ks"}


def test_another_unit_of_a_number_is_found() -> None:
    assert "ks" in statistics(moved("skewed0", lambda s: s * 25.4))


def test_values_that_go_missing_are_found() -> None:
    assert statistics(moved("normal1", lambda s: s.where(np.arange(len(s)) % 5 != 0))) == {"missing"}


def test_values_that_are_all_missing_are_found() -> None:
    assert statistics(moved("plan0", lambda s: pd.Series(np.nan, index=s.index, dtype="str"))) == {"missing"}


def test_categories_never_seen_are_found_and_named() -> None:
    drift = moved("plan1", lambda s: s.where(np.arange(len(s)) % 20 != 0, "new"))
    assert statistics(drift) == {"unseen"}
    assert drift.unseen == ("new",)


def test_a_shifted_mix_of_categories_is_found() -> None:
    assert statistics(moved("plan2", lambda s: s.where(np.arange(len(s)) % 3 != 0, "c"))) == {"psi"}


@pytest.mark.parametrize("direction", [-1.0, 1.0])
def test_a_constant_column_that_takes_another_value_is_found(direction: float) -> None:
    sketch = sketch_column("x", pd.Series(np.full(500, 7.0)), numeric=True)
    still = column_drift(sketch, pd.Series(np.full(100, 7.0)), THRESHOLDS, level=0.001)
    other = column_drift(sketch, pd.Series(np.full(100, 7.0 + direction)), THRESHOLDS, level=0.001)
    assert not still.drifted
    assert other.drifted


def test_predictions_that_move_while_the_data_stays_are_told_apart() -> None:
    random = np.random.default_rng(3)
    frame, prediction = draw(COLUMNS, 2000, random)
    sketch = build_sketch(frame, COLUMNS, prediction)
    later, _ = draw(COLUMNS, 500, random)
    all_yes = Prediction(np.full(500, "yes", dtype=object), np.tile([0.1, 0.9], (500, 1)))
    report = compare(sketch, later, all_yes, THRESHOLDS, min_rows=50)
    assert not report.drifted_columns
    assert {c.name for c in report.drifted_predictions} == {"prediction", "probability"}


def test_a_window_smaller_than_min_rows_is_too_small_and_never_drifts() -> None:
    sketch = sketch_column("x", pd.Series(np.arange(500.0)), numeric=True)
    far = pd.DataFrame({"x": np.full(49, 1e6)})
    random = np.random.default_rng(1)
    frame, prediction = draw(COLUMNS, 500, random)
    report = compare(build_sketch(frame, COLUMNS, prediction), *draw(COLUMNS, 49, random), THRESHOLDS, min_rows=50)
    assert report.too_small
    assert column_drift(sketch, far["x"], THRESHOLDS, level=0.001).drifted
    assert not report.drifted


def test_the_limit_falls_to_the_threshold_as_the_window_grows() -> None:
    limits = []
    for rows in (60, 600, 60_000):
        report = window(rows, 1, reference=20_000)
        limits.append({f.statistic: f.limit for f in report.columns[0].findings})
    for statistic in ("psi", "ks"):
        falling = [found[statistic] for found in limits]
        assert falling == sorted(falling, reverse=True)
        assert falling[0] > getattr(THRESHOLDS, statistic) == falling[-1]


def test_a_tiny_shift_of_a_huge_window_is_no_drift() -> None:
    """Any test of significance would reject here; the effect size does not."""
    random = np.random.default_rng(5)
    sketch = sketch_column("x", pd.Series(random.normal(size=100_000)), numeric=True)
    assert not column_drift(sketch, pd.Series(random.normal(0.05, 1.0, 100_000)), THRESHOLDS, level=0.001).drifted


numbers = st.lists(
    st.one_of(
        st.floats(allow_nan=True, allow_infinity=True),
        st.sampled_from([0.0, -0.0, 1.0, 1e308, -1e308, 5e-324]),
    ),
    max_size=80,
)


@given(numbers, numbers)
def test_no_number_of_a_report_is_infinite_or_undefined(reference: list[float], later: list[float]) -> None:
    sketch = sketch_column("x", pd.Series(reference, dtype=np.float64), numeric=True)
    assert_finite(column_drift(sketch, pd.Series(later, dtype=np.float64), THRESHOLDS, level=0.001))


words = st.lists(st.sampled_from(["a", "b", "c", "", "ü", None]), max_size=80)


@given(words, words)
def test_no_number_of_a_category_report_is_infinite_or_undefined(
    reference: list[str | None], later: list[str | None]
) -> None:
    sketch = sketch_column("x", pd.Series(reference, dtype=object), numeric=False)
    assert_finite(column_drift(sketch, pd.Series(later, dtype=object), THRESHOLDS, level=0.001))


def assert_finite(drift: ColumnDrift) -> None:
    found = [x for f in drift.findings for x in (f.value, f.limit, f.severity)]
    found += [x for bar in drift.bars for x in (bar.reference, bar.current)]
    assert all(math.isfinite(x) and x >= 0 for x in (*found, drift.reference_missing, drift.current_missing))
    for total in (sum(b.reference for b in drift.bars), sum(b.current for b in drift.bars)):
        assert min(total, abs(total - 1)) < 1e-9  # 0 where one side has no values


@given(
    st.lists(st.integers(0, 5).map(float), min_size=1, max_size=60), st.lists(st.integers(0, 5).map(float), min_size=1)
)
def test_ks_equals_the_largest_distance_of_both_distribution_functions(
    reference: list[float], later: list[float]
) -> None:
    sketch = sketch_column("x", pd.Series(reference), numeric=True)
    found = {f.statistic: f.value for f in column_drift(sketch, pd.Series(later), THRESHOLDS, 0.001).findings}
    a, b = np.asarray(reference), np.asarray(later)
    expected = max(abs((a <= x).mean() - (b <= x).mean()) for x in (*reference, *later))
    assert found["ks"] == pytest.approx(expected)
