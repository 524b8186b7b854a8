"""The sketch: exact where it can be, small where it must be, and the same after a trip through JSON."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.base.refusals import SketchUnreadable
from ai_factory_runtime.model_package.sketch import (
    POINTS,
    CategorySketch,
    NumericSketch,
    Sketch,
    build_sketch,
    sketch_column,
)
from ai_factory_spec.usecase import Column
from hypothesis import given
from hypothesis import strategies as st

values = st.lists(st.floats(allow_nan=True, allow_infinity=True) | st.integers(-3, 3).map(float), max_size=60)


@given(values)
def test_counts_of_a_number_are_exact_at_every_point(given_values: list[float]) -> None:
    series = pd.Series(given_values, dtype=np.float64, name="x")
    sketch = sketch_column("x", series, numeric=True)
    assert isinstance(sketch, NumericSketch)
    finite = series[np.isfinite(series)]
    assert sketch.present == len(finite)
    for point, at_most, below in zip(sketch.points, sketch.at_most, sketch.below, strict=True):
        assert at_most == (finite <= point).sum()
        assert below == (finite < point).sum()


@given(values, st.lists(st.sampled_from(["a", "ü", "", "{{ x }}", None]), max_size=30))
def test_a_sketch_survives_json_unchanged(numbers: list[float], words: list[str | None]) -> None:
    columns = (
        sketch_column("n", pd.Series(numbers, dtype=np.float64), numeric=True),
        sketch_column("c", pd.Series(words, dtype=object), numeric=False),
    )
    sketch = Sketch(rows=len(numbers), columns=columns, predictions=columns[:1])
    assert Sketch.from_json(sketch.to_json()) == sketch
    assert Sketch.from_json(sketch.to_json()).to_json() == sketch.to_json()


def test_a_large_column_is_kept_small_with_its_extremes() -> None:
    random = np.random.default_rng(0).normal(size=20_000)
    sketch = sketch_column("x", pd.Series(random), numeric=True)
    assert isinstance(sketch, NumericSketch)
    assert len(sketch.points) == POINTS
    assert (sketch.points[0], sketch.points[-1]) == (random.min(), random.max())
    steps = np.diff(sketch.at_most)
    assert steps.max() <= 2 * 20_000 / POINTS


def test_categories_are_counted_most_frequent_first_and_booleans_are_categories() -> None:
    column = sketch_column("b", pd.Series([True, None, True, False], dtype="boolean"), numeric=False)
    assert column == CategorySketch("b", rows=4, missing=1, counts=(("True", 2), ("False", 1)))


def test_predictions_are_summarised_by_task() -> None:
    frame, columns = pd.DataFrame({"x": [1.0, 2.0]}), [Column(name="x", type="number")]

    def kinds(prediction: Prediction) -> list[tuple[str, str]]:
        return [(c.name, c.kind) for c in build_sketch(frame, columns, prediction).predictions]

    assert kinds(Prediction(np.array([0.5, 1.5]), None)) == [("prediction", "number")]
    classes = Prediction(np.array(["a", "b"], dtype=object), np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert kinds(classes) == [("prediction", "category"), ("probability", "number")]
    assert build_sketch(frame, columns, classes).predictions[1].points == (0.1, 0.8)  # type: ignore[union-attr]
    three = Prediction(np.array(["a", "b"], dtype=object), np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]]))
    assert build_sketch(frame, columns, three).predictions[1].points == (0.5, 0.7)  # type: ignore[union-attr]


def _broken_sketches() -> list[str]:
    good = json.loads(Sketch(1, (sketch_column("x", pd.Series([1.0]), numeric=True),), ()).to_json())
    column = good["columns"][0]
    return [
        "",
        "[]",
        "{}",
        json.dumps({**good, "format": 2}),
        json.dumps({**good, "columns": [{**column, "kind": "text"}]}),
        json.dumps({**good, "columns": [{**column, "points": [1.0, 2.0]}]}),
        json.dumps({**good, "columns": [{k: v for k, v in column.items() if k != "below"}]}),
        json.dumps({**good, "columns": [{**column, "points": ["one"]}]}),
    ]


@pytest.mark.parametrize("text", _broken_sketches())
def test_anything_else_than_a_sketch_is_refused(text: str) -> None:
    with pytest.raises(SketchUnreadable):
        Sketch.from_json(text)
