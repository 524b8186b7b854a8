"""The stream's consumer on this repository's own service: each record is answered as the model does, or refused with a reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import pytest
from ai_factory_infra.stream_consumer import Doors, score
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.serving.server import create_app
from fastapi.testclient import TestClient


class World:
    """What the consumer reaches: the service, the stream of answers, the folder of what was refused."""

    def __init__(self, client: TestClient) -> None:
        self.client, self.answers, self.refused = client, list[dict[str, Any]](), list[dict[str, Any]]()
        self.doors = Doors(self.ask, self.put, self.keep, rows=10)

    def ask(self, body: bytes) -> tuple[int, bytes]:
        answer = self.client.post("/invocations", content=body, headers={"Content-Type": "application/json"})
        return answer.status_code, answer.content

    def put(self, answers: Sequence[Mapping[str, Any]]) -> list[bool]:
        self.answers += [json.loads(a["Data"]) for a in answers]
        return [True] * len(answers)

    def keep(self, _name: str, lines: bytes) -> None:
        self.refused += [json.loads(line) for line in lines.splitlines()]


@pytest.fixture
def world(trained: Project) -> Iterator[World]:
    with TestClient(create_app(trained, "dev")) as client:
        yield World(client)


def records(project: Project, rows: pd.DataFrame, count: int) -> list[dict[str, Any]]:
    """Rows as the stream hands them over."""
    features = [c.name for c in project.usecase.data.features]
    found = json.loads(rows[features].head(count).to_json(orient="records", date_format="iso"))
    return [record(i, row) for i, row in enumerate(found)]


def record(number: int, row: object) -> dict[str, Any]:
    told = {
        "sequenceNumber": str(number),
        "partitionKey": f"key-{number}",
        "data": base64.b64encode(json.dumps(row).encode()).decode(),
        "approximateArrivalTimestamp": 0.0,
    }
    return {"eventID": f"shardId-000000000000:{number}", "kinesis": told}


def test_every_record_is_answered_as_the_endpoint_answers(world: World, trained: Project, rows: pd.DataFrame) -> None:
    asked = records(trained, rows, 25)
    outcome = score(asked, world.doors)
    assert (outcome.answered, outcome.refused, outcome.again) == (25, [], "")
    assert [a["key"] for a in world.answers] == [f"key-{i}" for i in range(25)]
    bodies = [json.loads(base64.b64decode(r["kinesis"]["data"])) for r in asked]
    direct = world.client.post("/invocations", json={"records": bodies}).json()
    served = [a["prediction"] for a in world.answers]
    numbers = isinstance(served[0], float)
    wanted = [p["prediction"] for p in direct["predictions"]]
    assert served == (pytest.approx(wanted) if numbers else wanted)
    assert {json.dumps(a["model"]) for a in world.answers} == {json.dumps(direct["model"])}


def test_a_record_that_breaks_the_contract_is_refused_with_its_column_and_stops_no_other(
    world: World, trained: Project, rows: pd.DataFrame
) -> None:
    asked = records(trained, rows, 12)
    column = trained.usecase.data.features[0].name
    broken = json.loads(base64.b64decode(asked[5]["kinesis"]["data"])) | {column: {"not": "a value"}}
    asked[5] = record(5, broken)
    outcome = score(asked, world.doors)
    assert (outcome.answered, len(outcome.refused), outcome.again) == (11, 1, "")
    (refused,) = world.refused
    assert refused["status"] == 422
    assert json.dumps(column)[1:-1] in refused["because"]
    assert refused["row"] == broken
