"""Reasons: the effect of a column is what the output loses when the column has its usual value."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.serving.endpoint import Endpoint, open_endpoint
from ai_factory_runtime.serving.reasons import MOST_ROWS
from ai_factory_runtime.serving.server import create_app
from ai_factory_runtime.serving.typical import typical_record
from fastapi.testclient import TestClient
from helpers_serving import CALLED, SPEND, as_records, make_deployed, make_rows


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TestClient, Endpoint, Any]:
    project = make_deployed(tmp_path_factory.mktemp("reasons") / "project", task=request.param)
    return TestClient(create_app(project, "dev", capture_rate=0.0)), open_endpoint(project, "dev"), project


def output(endpoint: Endpoint, frame: pd.DataFrame, predicted: str) -> float:
    """What is followed, computed the long way: a table, scikit-learn, one value changed."""
    answer, signature = endpoint.package.predict(frame), endpoint.package.signature
    if answer.probabilities is None:
        return float(answer.values[0])
    return float(answer.probabilities[0, signature.classes.index(signature.positive or predicted)])


def test_each_effect_is_the_outputs_loss_under_the_columns_usual_value(
    served: tuple[TestClient, Endpoint, Any],
) -> None:
    client, endpoint, project = served
    records = as_records(make_rows(6, seed=21), project)
    answer = client.post("/invocations", json={"records": records, "reasons": 10}).json()
    typical = typical_record(endpoint.package)
    names = [c.name for c in endpoint.package.signature.features]
    for record, given in zip(records, answer["predictions"], strict=True):
        told = {r["column"]: r for r in given["reasons"]}
        assert [abs(r["effect"]) for r in given["reasons"]] == sorted(
            (abs(r["effect"]) for r in given["reasons"]), reverse=True
        )
        for name in names:
            before, after = (
                output(
                    endpoint,
                    to_canonical(pd.DataFrame([r], columns=names), endpoint.schema.features),
                    given["prediction"],
                )
                for r in (record, record | {name: typical[name]})
            )
            if name in told:
                assert told[name]["effect"] == pytest.approx(before - after, abs=1e-9)
                assert (told[name]["value"], told[name]["typical"]) == (record[name], typical[name])
            else:
                assert before == pytest.approx(after, abs=1e-12)


def test_a_linear_models_effects_are_its_weights_times_the_distance(tmp_path: Path) -> None:
    project = make_deployed(tmp_path / "project", task="regression")
    endpoint, client = open_endpoint(project, "dev"), TestClient(create_app(project, "dev", capture_rate=0.0))
    usual = typical_record(endpoint.package)
    row = {**usual, "age": usual["age"] + 10}  # type: ignore[operator]
    (reason,) = client.post("/invocations", json={"records": [row], "reasons": 5}).json()["predictions"][0]["reasons"]
    weight = endpoint.package.estimator[-1].coef_[0]
    assert (reason["column"], reason["effect"]) == ("age", pytest.approx(10 * weight, rel=1e-9))


def test_only_so_many_reasons_as_asked_and_none_unless_asked(served: tuple[TestClient, Endpoint, Any]) -> None:
    client, _, project = served
    records = as_records(make_rows(3, seed=22), project)
    few = client.post("/invocations", json={"records": records, "reasons": 1}).json()["predictions"]
    assert all(len(p["reasons"]) <= 1 for p in few)
    none = client.post("/invocations", json={"records": records}).json()["predictions"]
    assert all("reasons" not in p for p in none)


def test_sagemakers_custom_attributes_ask_for_reasons_of_a_csv(served: tuple[TestClient, Endpoint, Any]) -> None:
    client, _, _ = served
    headers = {"content-type": "text/csv", "X-Amzn-SageMaker-Custom-Attributes": "trace=1;reasons=2"}
    text = f'age,"{SPEND}",plan,{CALLED}\n80,900,gold,true\n'
    answer = client.post("/invocations", content=text.encode(), headers=headers).json()
    assert 1 <= len(answer["predictions"][0]["reasons"]) <= 2


def test_reasons_of_too_many_rows_are_refused(served: tuple[TestClient, Endpoint, Any]) -> None:
    client, _, project = served
    records = as_records(make_rows(MOST_ROWS + 1, seed=23), project)
    answer = client.post("/invocations", json={"records": records, "reasons": 1})
    assert answer.status_code == 413
    assert str(MOST_ROWS) in answer.json()["error"]
    assert client.post("/invocations", json={"records": records}).status_code == 200


def test_reasons_are_valid_json_where_a_value_is_missing(served: tuple[TestClient, Endpoint, Any]) -> None:
    client, _, project = served
    record = as_records(make_rows(1, seed=24), project)[0] | {SPEND: None, CALLED: None}
    answer = client.post(
        "/invocations",
        content=json.dumps({"records": [record], "reasons": 9}),
        headers={"content-type": "application/json"},
    )
    told = {r["column"]: r["value"] for r in answer.json()["predictions"][0]["reasons"]}
    assert told.get(SPEND) is None
    assert np.isfinite([r["effect"] for r in answer.json()["predictions"][0]["reasons"]]).all()
