"""Kept ids: an id that is personal data is kept under the policy or not at all."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from ai_factory_runtime.data.pii import KEY_VARIABLE
from ai_factory_runtime.monitoring.capture import read_captures
from ai_factory_runtime.monitoring.kept_ids import id_keeper
from ai_factory_runtime.releases.stages import deployed
from ai_factory_runtime.serving.server import create_app
from ai_factory_spec.usecase import UseCase
from fastapi.testclient import TestClient
from helpers_serving import as_records, make_deployed, make_rows, make_usecase

KEY = {KEY_VARIABLE: "k" * 32}


def usecase_with(action: str | None, *, named: bool = True) -> UseCase:
    """The use case whose id is `customer`, under a PII rule for it."""
    document = make_usecase().model_dump(mode="json", exclude_none=True)
    rules = [] if action is None else [{"column": "customer", "kind": "other", "action": action}]
    document["data"]["pii"] = [*document["data"]["pii"], *rules]
    if not named:
        document["data"]["id"] = None
    return UseCase.model_validate(document)


def test_an_id_that_is_no_personal_data_is_kept_as_text() -> None:
    assert id_keeper(usecase_with(None), {})(["c1", 7, 7.0, None, [1], "c2"]) == ["c1", "7", "7", None, None, "c2"]


@pytest.mark.parametrize("action", ["hash", "tokenise"])
def test_a_personal_id_is_hidden_and_equal_ids_stay_equal(action: str) -> None:
    kept = id_keeper(usecase_with(action), KEY)(["anna", "bert", "anna", None])
    assert kept[0] == kept[2] != kept[1]
    assert kept[3] is None
    assert not {"anna", "bert"} & {k for k in kept if k}


@pytest.mark.parametrize("environment", [{}, {KEY_VARIABLE: "short"}], ids=["no key", "short key"])
def test_without_the_key_no_id_is_kept_and_the_log_says_so(
    environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert id_keeper(usecase_with("hash"), environment)(["anna"]) == [None]
    assert "not captured" in caplog.text


def test_a_use_case_without_an_id_keeps_none() -> None:
    assert id_keeper(usecase_with(None, named=False), {})(["anna"]) == [None]


def test_a_served_request_leaves_its_ids_for_late_labels(tmp_path: Path) -> None:
    project = make_deployed(tmp_path / "project")
    records = as_records(make_rows(3, seed=8), project)
    with TestClient(create_app(project, "dev", capture_rate=1.0)) as client:
        body = {"records": [r | {"customer": f"c{i}"} for i, r in enumerate(records)]}
        client.post("/invocations", json=body, headers={"x-request-id": "r-1"})
    model = deployed(project, "dev")
    window = read_captures(project.captures / "dev", model.digest, project.usecase.data.features)
    assert window is not None
    assert window.keys.to_dict("list") == {"request": ["r-1"] * 3, "position": [0, 1, 2], "id": ["c0", "c1", "c2"]}
