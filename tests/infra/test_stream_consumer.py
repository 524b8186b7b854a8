"""What the stream's consumer does with a batch: each record ends in exactly one place, or is asked for again in order."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
from ai_factory_infra import stream_consumer
from ai_factory_infra.stream_consumer import CHUNK_BYTES, Doors, Outcome, metrics, score
from moto import mock_aws


@dataclass
class World:
    """An endpoint that refuses rows with `bad` as the service does, a stream of answers, a folder."""

    down: set[int] = field(default_factory=set)
    full: int = 0
    asked: list[int] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    kept: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def ask(self, body: bytes) -> tuple[int, bytes]:
        rows = json.loads(body)["records"]
        self.asked.append(len(rows))
        if any(r.get("n") in self.down for r in rows):
            return 503, b"busy"
        if any("bad" in r for r in rows):
            return 422, b'{"detail": "bad: not in the contract"}'
        told = {"predictions": [{"prediction": r["n"]} for r in rows], "model": {"version": 3}, "request_id": "x"}
        return 200, json.dumps(told).encode()

    def put(self, answers: Sequence[Mapping[str, Any]]) -> list[bool]:
        taken = [True] * len(answers)
        if self.full:
            self.full -= 1
            taken[-1] = False
        self.answers += [json.loads(a["Data"]) for a, t in zip(answers, taken, strict=True) if t]
        return taken

    def keep(self, name: str, lines: bytes) -> None:
        self.kept[name] = [json.loads(line) for line in lines.splitlines()]

    def score(self, *data: object, rows: int = 100) -> Outcome:
        return score([record(i, d) for i, d in enumerate(data)], Doors(self.ask, self.put, self.keep, rows))

    @property
    def answered(self) -> list[int]:
        return [a["prediction"] for a in self.answers]


def record(number: int, data: object) -> dict[str, Any]:
    """A record as Lambda hands it over; `data` is JSON, or bytes as they are."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    told = {
        "sequenceNumber": str(1000 + number),
        "partitionKey": f"key-{number}",
        "data": base64.b64encode(raw).decode(),
        "approximateArrivalTimestamp": 1.5,
    }
    return {"eventID": f"shardId-000000000000:{1000 + number}", "kinesis": told}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_consumer.time, "sleep", lambda _: None)


def test_every_record_is_answered_in_order_with_its_event_and_key() -> None:
    world = World()
    outcome = world.score(*({"n": i} for i in range(7)), rows=3)
    assert (world.answered, world.asked, outcome.again) == (list(range(7)), [3, 3, 1], "")
    first = world.answers[0]
    assert (first["event"], first["key"], first["arrived"]) == ("000000000000:1000", "key-0", 1.5)
    assert (first["model"], first["request_id"]) == ({"version": 3}, "x")


def test_a_row_that_breaks_the_contract_is_kept_with_the_reason_and_the_others_are_answered() -> None:
    world = World()
    outcome = world.score({"n": 0}, {"n": 1, "bad": 1}, {"n": 2}, {"n": 3})
    assert (world.answered, outcome.answered, outcome.again) == ([0, 2, 3], 3, "")
    ((name, (kept,)),) = world.kept.items()
    assert name == "000000000000-1001.jsonl"
    assert (kept["status"], kept["row"], kept["event"]) == (422, {"n": 1, "bad": 1}, "000000000000:1001")
    assert "not in the contract" in kept["because"]


@pytest.mark.parametrize("data", [b"\xff", b"{", b"", [1], "text", 3, None, b"[" * 100_000], ids=repr)
def test_what_is_no_json_object_is_kept_and_never_asked(data: object) -> None:
    world = World()
    assert world.score(data, {"n": 1}).again == ""
    assert (world.answered, world.asked) == ([1], [1])
    assert [k["row"] for lines in world.kept.values() for k in lines] == [None]


def test_text_that_is_no_unicode_is_kept_all_the_same() -> None:
    world = World()
    world.score(b'{"n": 1, "bad": "\\ud800"}')
    assert [k["row"]["bad"] for lines in world.kept.values() for k in lines] == ["\ud800"]


def test_a_busy_endpoint_makes_lambda_come_again_from_the_first_record_without_an_answer() -> None:
    world = World(down={4})
    outcome = world.score(*({"n": i} for i in range(8)), rows=2)
    assert (world.answered, outcome.again) == ([0, 1, 2, 3], "1004")
    world.down.clear()
    again = [record(i, {"n": i}) for i in range(4, 8)]
    assert score(again, Doors(world.ask, world.put, world.keep, 2)).again == ""
    assert world.answered == list(range(8))


def test_nothing_of_a_request_that_is_asked_again_is_kept_twice() -> None:
    """The bad row of a chunk whose other half cannot be answered now is refused when the chunk is answered whole."""
    world = World(down={3})
    outcome = world.score({"n": 0, "bad": 1}, {"n": 1}, {"n": 2}, {"n": 3})
    assert (outcome.again, outcome.refused, world.kept, world.answered) == ("1000", [], {}, [])


def test_answers_that_the_stream_does_not_take_are_offered_again() -> None:
    world = World(full=2)
    assert world.score({"n": 0}, {"n": 1}).again == ""
    assert sorted(world.answered) == [0, 1]


def test_a_stream_of_answers_that_stays_full_makes_lambda_come_again() -> None:
    assert World(full=9).score({"n": 0}).again == "1000"


def test_a_request_stays_under_what_an_endpoint_takes() -> None:
    world = World()
    world.score(*({"n": i, "text": "x" * (CHUNK_BYTES // 2)} for i in range(3)))
    assert world.asked == [1, 1, 1]


def test_what_was_answered_and_refused_becomes_metrics_of_the_stage() -> None:
    told = json.loads(metrics(Outcome(5, [{}, {}]), "churn", "dev"))
    (about,) = told["_aws"]["CloudWatchMetrics"]
    assert about["Dimensions"] == [["project", "stage"]]
    assert {m["Name"]: told[m["Name"]] for m in about["Metrics"]} == {"stream_answered": 5, "stream_refused": 2}


class Runtime(BaseHTTPRequestHandler):
    """SageMaker's runtime as it speaks over the wire: what the container refused, a machine that is away, an answer."""

    def do_POST(self) -> None:
        row = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["records"][0]
        body, kind = {"predictions": [{"prediction": 1}], "model": {}}, ""
        if row["n"] == "bad":
            body, kind = {"OriginalStatusCode": 422, "OriginalMessage": "n: not a number", "Message": "m"}, "ModelError"
        if row["n"] == "away":
            body, kind = {"Message": "Endpoint churn-dev-endpoint not found"}, "ValidationError"
        raw = json.dumps(body).encode()
        self.send_response(400 if kind else 200)
        self.send_header("Content-Length", str(len(raw)))
        self.send_header("x-amzn-ErrorType", kind)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., dict[str, Any]]]:
    """The function with its environment, on an emulator's stream and bucket."""
    runtime = ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
    threading.Thread(target=runtime.serve_forever, args=(0.01,), daemon=True).start()
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": f"http://127.0.0.1:{runtime.server_port}",
        "AI_FACTORY_PROJECT": "churn", "AI_FACTORY_STAGE": "dev", "AI_FACTORY_ENDPOINT": "churn-dev-endpoint",
        "AI_FACTORY_ANSWERS": "answers", "AI_FACTORY_LAKE": "lake", "AI_FACTORY_REFUSED": "refused",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stream_consumer, "_doors", [])
    with mock_aws(config={"core": {"passthrough": {"urls": [r"http://127\.0\.0\.1.*"]}}}):
        boto3.client("kinesis").create_stream(StreamName="answers", ShardCount=1)
        boto3.client("s3").create_bucket(Bucket="lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield lambda *rows: stream_consumer.handler({"Records": [record(i, r) for i, r in enumerate(rows)]}, None)
    runtime.shutdown()
    runtime.server_close()


def test_what_the_container_refuses_over_the_wire_is_kept_in_the_lake(function: Callable[..., dict[str, Any]]) -> None:
    assert function({"n": "bad"}, b"{") == {"batchItemFailures": []}
    s3 = boto3.client("s3")
    (kept,) = s3.list_objects_v2(Bucket="lake")["Contents"]
    assert kept["Key"] == "refused/000000000000-1000.jsonl"
    lines = s3.get_object(Bucket="lake", Key=kept["Key"])["Body"].read().splitlines()
    assert [json.loads(line)["status"] for line in lines] == [422, 0]


def test_an_endpoint_that_is_not_there_skips_nothing(
    function: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert function({"n": "away"}) == {"batchItemFailures": [{"itemIdentifier": "1000"}]}
    assert '"stream_answered": 0' in capsys.readouterr().out


def test_answers_arrive_on_the_other_stream(function: Callable[..., dict[str, Any]]) -> None:
    assert function({"n": 1}) == {"batchItemFailures": []}
    kinesis = boto3.client("kinesis")
    shard = kinesis.list_shards(StreamName="answers")["Shards"][0]["ShardId"]
    start = kinesis.get_shard_iterator(StreamName="answers", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    (told,) = kinesis.get_records(ShardIterator=start["ShardIterator"])["Records"]
    assert told["PartitionKey"] == "key-0"
    assert json.loads(told["Data"])["prediction"] == 1
