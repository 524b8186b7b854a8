"""What runs in the Lambda function of StreamScoring: records of a stream -> the endpoint -> answers on another stream.

Every record ends in exactly one place: an answer on the stream of answers, or a line under `refused/` of the bucket with the
endpoint's reason. One that cannot be answered *now* (the endpoint is busy, away or fails) ends in neither: its sequence
number is returned, and Lambda comes again from there. So a record is answered at least once; `event` tells copies apart.
A whole request is refused when one of its rows breaks the data contract; it is halved until the bad row stands alone.

Only the standard library and boto3, which the runtime brings: nothing is installed.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

CHUNK_BYTES = 4 * 1024 * 1024  # the least that any kind of endpoint takes in one request, with room
PUT_RECORDS = 500  # AWS takes no more in one call
NAMESPACE = "AIFactory"
REFUSALS = frozenset({400, 406, 413, 415, 422})  # what does not get better by asking again

Ask = Callable[[bytes], tuple[int, bytes]]
"""The body of a request -> status and body of the answer."""
Put = Callable[[Sequence[Mapping[str, Any]]], Sequence[bool]]
"""Records for the stream of answers (Data, PartitionKey) -> which of them were taken."""
Keep = Callable[[str, bytes], None]
"""The name of an object and its bytes, for what was refused."""


class TryAgain(Exception):  # noqa: N818 - not an error of this code: Lambda is to come again
    """The endpoint or the stream of answers cannot take a record now."""


@dataclass(frozen=True, slots=True)
class Event:
    """One record as it arrived. `row`: the JSON object in it; None where there is none, with `why`."""

    name: str
    sequence: str
    key: str
    arrived: float
    row: Mapping[str, Any] | None
    size: int
    why: str = ""


@dataclass(slots=True)
class Outcome:
    """What became of a batch. `again`: the sequence number that Lambda must come again from; empty when it is done."""

    answered: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)
    again: str = ""


@dataclass(frozen=True, slots=True)
class Doors:
    """Where a batch goes: the endpoint, the stream of answers, the folder of what was refused. `rows`: in one request."""

    ask: Ask
    put: Put
    keep: Keep
    rows: int = 100


def score(records: Sequence[Mapping[str, Any]], doors: Doors) -> Outcome:
    """Answer the records in their order; stop at the first that cannot be answered now.

    Refused ones are kept before the batch is called done, so a failure to keep them is also tried again.
    """
    outcome = Outcome()
    for chunk in _chunks([_event(r) for r in records], doors.rows):
        try:
            _answer(chunk, doors, outcome)
        except TryAgain as reason:
            outcome.again = chunk[0].sequence
            _log(json.dumps({"level": "warning", "event": "try again", "from": outcome.again, "because": str(reason)}))
            break
    if outcome.refused:
        lines = "".join(json.dumps(r) + "\n" for r in outcome.refused)
        doors.keep(outcome.refused[0]["event"].replace(":", "-") + ".jsonl", lines.encode())
    return outcome


def _event(record: Mapping[str, Any]) -> Event:
    told = record["kinesis"]
    row, why = None, ""
    data = base64.b64decode(told["data"])
    try:
        row = json.loads(data)
        if not isinstance(row, dict):
            row, why = None, "a record is one JSON object: column to value"
    except (ValueError, RecursionError) as reason:
        why = f"not JSON: {reason}"
    name = record["eventID"].removeprefix("shardId-")
    return Event(
        name, told["sequenceNumber"], told["partitionKey"], told["approximateArrivalTimestamp"], row, len(data), why
    )


def _chunks(events: Sequence[Event], rows: int) -> Iterator[list[Event]]:
    """Runs of events that fit into one request."""
    chunk: list[Event] = []
    size = 0
    for event in events:
        if chunk and (len(chunk) == rows or size + event.size > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(event)
        size += event.size
    if chunk:
        yield chunk


def _answer(chunk: Sequence[Event], doors: Doors, outcome: Outcome) -> None:
    """Answer one chunk whole. What was refused is only counted once its answers are on their stream."""
    refused: list[dict[str, Any]] = [_refusal(e, 0, e.why) for e in chunk if e.row is None]
    answers = list(_ask([e for e in chunk if e.row is not None], doors.ask, refused))
    _put(answers, doors.put)
    outcome.answered += len(answers)
    outcome.refused += sorted(refused, key=lambda r: str(r["event"]))


def _ask(events: Sequence[Event], ask: Ask, refused: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """An answer for each event that gets one; halves what is refused until the bad row stands alone."""
    if not events:
        return
    status, body = ask(json.dumps({"records": [e.row for e in events]}).encode())
    if status == 200:
        yield from _answers(events, json.loads(body))
    elif status not in REFUSALS:
        raise TryAgain(f"the endpoint answered {status}")
    elif len(events) == 1:
        refused.append(_refusal(events[0], status, body.decode(errors="replace")))
    else:
        half = len(events) // 2
        yield from _ask(events[:half], ask, refused)
        yield from _ask(events[half:], ask, refused)


def _answers(events: Sequence[Event], told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    common = {k: v for k, v in told.items() if k in ("model", "request_id")}
    for event, prediction in zip(events, told["predictions"], strict=True):
        result = {"event": event.name, "key": event.key, "arrived": event.arrived, **prediction, **common}
        yield {"Data": json.dumps(result).encode(), "PartitionKey": event.key}


def _refusal(event: Event, status: int, why: str) -> dict[str, Any]:
    return {
        "event": event.name,
        "key": event.key,
        "arrived": event.arrived,
        "status": status,
        "because": why[:4000],
        "row": event.row,
    }


def _put(answers: Sequence[Mapping[str, Any]], put: Put) -> None:
    """Put every answer on the stream; what is not taken is offered three times. Raises TryAgain for what is left."""
    left = list(answers)
    for attempt in range(3):
        if attempt:
            time.sleep(0.2 * attempt)
        parts = [left[i : i + PUT_RECORDS] for i in range(0, len(left), PUT_RECORDS)]
        left = [a for part in parts for a, taken in zip(part, put(part), strict=True) if not taken]
        if not left:
            return
    raise TryAgain(f"the stream of answers did not take {len(left)} of {len(answers)}")


def metrics(outcome: Outcome, project: str, stage: str) -> str:
    """One line in CloudWatch's embedded metric format: how many were answered and refused."""
    named = [{"Name": "stream_answered", "Unit": "Count"}, {"Name": "stream_refused", "Unit": "Count"}]
    about = {"Namespace": NAMESPACE, "Dimensions": [["project", "stage"]], "Metrics": named}
    told = {"project": project, "stage": stage}
    counts = {"stream_answered": outcome.answered, "stream_refused": len(outcome.refused)}
    stamp = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [about]}
    return json.dumps({"_aws": stamp, **told, **counts})


def _log(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - a function's log is what it prints


_doors: list[Doors] = []  # one connection pool for the life of the function, not one for each batch


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Lambda's entry point for a Kinesis event source with ReportBatchItemFailures."""
    if not _doors:
        _doors.append(_open(os.environ))
    outcome = score(event["Records"], _doors[0])
    _log(metrics(outcome, os.environ["AI_FACTORY_PROJECT"], os.environ["AI_FACTORY_STAGE"]))
    return {"batchItemFailures": [{"itemIdentifier": outcome.again}] if outcome.again else []}


def _open(environment: Mapping[str, str]) -> Doors:
    """The doors of one function, by what its environment names."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    patient = Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 2})
    endpoint, stream = environment["AI_FACTORY_ENDPOINT"], environment["AI_FACTORY_ANSWERS"]
    runtime = boto3.client("sagemaker-runtime", config=patient)
    kinesis, s3 = boto3.client("kinesis", config=patient), boto3.client("s3", config=patient)

    def ask(body: bytes) -> tuple[int, bytes]:
        asked = {"EndpointName": endpoint, "ContentType": "application/json", "Accept": "application/json"}
        try:
            return 200, runtime.invoke_endpoint(Body=body, **asked)["Body"].read()
        except ClientError as refused:  # of the container, its own status; of SageMaker itself (throttled, away), none
            told = refused.response
            return int(told.get("OriginalStatusCode", 503)), str(told.get("OriginalMessage", refused)).encode()
        except BotoCoreError as reason:
            raise TryAgain(str(reason)) from reason

    def put(answers: Sequence[Mapping[str, Any]]) -> list[bool]:
        try:
            told = kinesis.put_records(StreamName=stream, Records=list(answers))["Records"]
        except (ClientError, BotoCoreError) as reason:
            raise TryAgain(str(reason)) from reason
        return ["ErrorCode" not in t for t in told]

    def keep(name: str, lines: bytes) -> None:
        place = f"{environment['AI_FACTORY_REFUSED']}/{name}"
        s3.put_object(Bucket=environment["AI_FACTORY_LAKE"], Key=place, Body=lines)

    return Doors(ask, put, keep, int(environment.get("AI_FACTORY_ROWS", "100")))
