"""The features: the same for one row as for many, and blind to what they must not see."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.data.frames import read_table, to_canonical
from ai_factory_runtime.data.screening import screen
from ai_factory_runtime.serving.requests import RequestSchema
from ai_factory_spec import UseCase

from {{ cookiecutter.package }}.features import build


@pytest.fixture
def frame(usecase: UseCase, rows: pd.DataFrame) -> pd.DataFrame:
    return to_canonical(rows, usecase.data.contract.columns)


def dense(matrix: object) -> np.ndarray:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=float)


def test_a_row_alone_gets_the_same_numbers_as_among_many(usecase: UseCase, frame: pd.DataFrame) -> None:
    transformer = build(usecase).fit(frame, frame[usecase.data.target])
    together = dense(transformer.transform(frame))
    for position in range(0, len(frame), 97):
        alone = dense(transformer.transform(frame.iloc[[position]]))
        np.testing.assert_array_equal(alone[0], together[position])


def test_training_batch_and_endpoint_make_the_same_numbers_of_the_same_rows(
    usecase: UseCase, rows: pd.DataFrame, tmp_path: Path
) -> None:
    """A file as training reads it, as a batch reads it, and its rows as JSON and CSV requests: equal to the last bit."""
    data, source = usecase.data, tmp_path / "rows.csv"
    rows.to_csv(source, index=False)
    learned = to_canonical(read_table(source, data.contract), data.contract.columns)
    names = [c.name for c in data.features]
    transformer = build(usecase).fit(learned[names], learned[data.target])
    expected = dense(transformer.transform(learned[names]))
    raw = pd.read_csv(source, dtype=str, keep_default_na=False)
    plain = learned[names].astype(object)
    records = plain.where(plain.notna(), None).to_dict(orient="records")
    schema = RequestSchema(data.features, ignored=frozenset(c.name for c in data.contract.columns) - set(names))
    ways = {
        "batch": screen(raw, data.features).frame,
        "json": schema.read_json(json.dumps({"records": records}).encode()),
        "csv": schema.read_csv(source.read_bytes()),
    }
    for way, frame in ways.items():
        np.testing.assert_array_equal(dense(transformer.transform(frame)), expected, err_msg=way)


def test_the_features_differ_between_different_rows(usecase: UseCase, frame: pd.DataFrame) -> None:
    transformed = dense(build(usecase).fit(frame, frame[usecase.data.target]).transform(frame))
    assert len(np.unique(transformed, axis=0)) > 1


def test_the_features_never_see_target_id_time_or_personal_data(usecase: UseCase, frame: pd.DataFrame) -> None:
    data = usecase.data
    allowed = {c.name for c in data.features}
    hidden = [c.name for c in data.contract.columns if c.name not in allowed]
    transformer = build(usecase).fit(frame, frame[data.target])
    shuffled = frame.copy()
    for name in hidden:
        shuffled[name] = frame[name].sample(frac=1.0, random_state=7).to_numpy()
    np.testing.assert_array_equal(dense(transformer.transform(shuffled)), dense(transformer.transform(frame)))


def test_a_missing_value_gives_numbers_too(usecase: UseCase, frame: pd.DataFrame) -> None:
    transformer = build(usecase).fit(frame, frame[usecase.data.target])
    row = frame.iloc[[0]].copy()
    for column in usecase.data.features:
        row[column.name] = pd.array([None], dtype=frame[column.name].dtype)
    assert np.isfinite(dense(transformer.transform(row))).all()
