"""How many broken rows are too many: more than the contract allows, than one in a hundred, and than chance brings."""

from __future__ import annotations

import pytest
from ai_factory_runtime.base.violations import Violation
from ai_factory_runtime.monitoring.counts_by_chance import least_surprising_count
from ai_factory_runtime.monitoring.request_counts import Requests
from ai_factory_runtime.monitoring.schema_drift import LEVEL, SHARE, Breaks, Schema, breaks_of_requests, limit, unbroken
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom


@given(
    seen=st.integers(0, 50),
    reference=st.integers(50, 5000),
    rows=st.integers(1, 300),
    level=st.sampled_from([0.05, LEVEL]),
)
def test_the_least_surprising_count_is_the_first_that_is_improbable_enough(
    seen: int, reference: int, rows: int, level: float
) -> None:
    share = rows / (rows + reference)
    found = least_surprising_count(seen, reference, rows, level)
    if found <= rows:
        assert binom.sf(found - 1, found + seen, share) <= level * (1 + 1e-9)
    if found > 1:
        assert binom.sf(found - 2, found - 1 + seen, share) > level * (1 - 1e-9)


@pytest.mark.parametrize(
    ("total", "reference", "allowed", "expected"),
    [
        (10_000, 10_000, 0.0, SHARE),
        (1_000_000, 1_000_000, 0.2, 0.2),
        (0, 600, 0.0, SHARE),
        (0, 600, 0.2, 0.2),
        (20, 0, 0.2, 0.2),
        (20, 600, 0.0, 1 / 20),  # one of twenty may be chance, two are not
    ],
)
def test_a_large_window_is_held_to_the_contract_and_a_small_one_to_chance(
    total: int, reference: int, allowed: float, expected: float
) -> None:
    assert limit(total, reference, allowed) == pytest.approx(expected, rel=0.02)


def test_what_the_contract_allows_is_no_drift_and_more_is() -> None:
    def asked(refused: int) -> Breaks:
        requests = Requests(10_000 - refused, refused, {("age", "has no value"): refused - 1, ("", "odd"): 1})
        return breaks_of_requests(requests, allowed=0.2, reference_rows=1_000_000)

    assert not Schema(unbroken(0), asked(2000)).moved
    much = asked(2200)
    assert Schema(unbroken(0), much).moved
    assert much.severity > 1
    assert much.violations == (Violation("age", "has no value", 2199), Violation("", "odd", 1))
    assert much.rules_moved == much.violations[:1]
