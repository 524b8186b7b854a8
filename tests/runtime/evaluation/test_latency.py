"""A slow model is found out, with one row or with a thousand, and measuring it ends."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.evaluation.behaviour_gates import latency as gate
from ai_factory_runtime.evaluation.latency import MANY, latency
from helpers_evaluation import SIGNATURE, people
from sklearn.dummy import DummyClassifier

ROWS = to_canonical(people(50), SIGNATURE.features)
TRUTH = people(50)["outcome"].to_numpy(dtype=object)


class Sleeper(DummyClassifier):
    """A model that takes its time for each row."""

    def predict_proba(self, X: Any) -> Any:
        time.sleep(0.01 if len(X) == 1 else len(X) * 2e-5)
        return super().predict_proba(X)


class Counter(DummyClassifier):
    """A model that remembers how many rows it was asked for."""

    def predict_proba(self, X: Any) -> Any:
        self.__dict__.setdefault("asked", []).append(len(X))
        return super().predict_proba(X)


@pytest.mark.parametrize(("size", "said"), [(1, "one row takes"), (MANY, "1000 rows take")])
def test_a_slow_model_is_refused_and_a_quick_one_is_not(size: int, said: str) -> None:
    slow = latency(Sleeper().fit(ROWS, TRUTH), SIGNATURE, ROWS, size=size, calls=25)
    assert slow.p99_ms >= 10
    assert slow.p99.low <= slow.p99_ms <= slow.p99.high
    refused = gate(slow, p99_ms=9)
    assert not refused.passed
    assert said in refused.sentence
    assert "at most 9 ms" in refused.sentence
    assert gate(slow, p99_ms=10_000).passed
    assert refused.name == ("latency" if size == 1 else "latency:1000-rows")


def test_a_thousand_rows_are_asked_at_once_also_of_a_small_table() -> None:
    model = Counter().fit(ROWS, TRUTH)
    assert latency(model, SIGNATURE, ROWS, size=MANY, calls=3).rows == MANY
    assert model.asked == [MANY] * 4


def test_measuring_a_very_slow_model_ends_early() -> None:
    model = Sleeper().fit(ROWS, TRUTH)
    assert latency(model, SIGNATURE, ROWS, calls=100_000, seconds=0.01).calls == 20
