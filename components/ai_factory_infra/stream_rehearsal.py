"""The stream's consumer on a laptop: the records of a file -> the service that `serve` runs -> two files beside it.

    python -m ai_factory_infra.stream_rehearsal events.jsonl [--service http://127.0.0.1:8080]

`events.answers.jsonl` gets what the stream of answers would get, `events.refused.jsonl` what the lake would get under `refused/`.
The code between is the function's own. Exit codes: 0 done, 1 no such file or the service is not there, 4 some were refused.
"""

from __future__ import annotations

import argparse
import base64
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ai_factory_infra.stream_consumer import Doors, TryAgain, score

BATCH = 500  # as Lambda hands them over
SECONDS = 60


def rehearse(events: Path, service: str) -> tuple[int, int, str]:
    """Answer a file's lines. Returns how many were answered and refused, and the first that got neither, with an empty
    text where there is none."""
    records = [_record(i, line) for i, line in enumerate(events.read_bytes().splitlines()) if line.strip()]
    beside = {what: events.with_suffix(f".{what}.jsonl") for what in ("answers", "refused")}
    for file in beside.values():
        file.write_bytes(b"")

    def put(answers: Sequence[Mapping[str, Any]]) -> list[bool]:
        _append(beside["answers"], b"".join(a["Data"] + b"\n" for a in answers))
        return [True] * len(answers)

    def keep(_name: str, lines: bytes) -> None:
        _append(beside["refused"], lines)

    doors, answered, refused = Doors(lambda body: _ask(service, body), put, keep), 0, 0
    for start in range(0, len(records), BATCH):
        outcome = score(records[start : start + BATCH], doors)
        answered, refused = answered + outcome.answered, refused + len(outcome.refused)
        if outcome.again:
            return answered, refused, f"line {outcome.again}"
    return answered, refused, ""


def _record(number: int, line: bytes) -> dict[str, Any]:
    """A line as Kinesis would hand it over; its sequence number is its line's."""
    told = {
        "sequenceNumber": str(number + 1),
        "partitionKey": str(number + 1),
        "data": base64.b64encode(line).decode(),
        "approximateArrivalTimestamp": 0.0,
    }
    return {"eventID": f"file:{number + 1}", "kinesis": told}


def _ask(service: str, body: bytes) -> tuple[int, bytes]:
    types = {"Content-Type": "application/json", "Accept": "application/json"}
    request = urllib.request.Request(f"{service}/invocations", body, types)  # noqa: S310 - the caller's own address
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - as above
            return int(answer.status), answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()
    except OSError as reason:
        raise TryAgain(f"the service is not there: {reason}") from reason


def _append(file: Path, lines: bytes) -> None:
    with file.open("ab") as out:
        out.write(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Rehearse, say what became of the records, return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", type=Path)
    parser.add_argument("--service", default="http://127.0.0.1:8080")
    asked = parser.parse_args(arguments)
    if not asked.events.is_file():
        return _say(
            1, f"There is no file {asked.events}. Name one with a JSON object a line: make stream INPUT=events.jsonl"
        )
    answered, refused, left = rehearse(asked.events, asked.service.rstrip("/"))
    said = f"{answered} answered, {refused} refused; see {asked.events.stem}.answers.jsonl and .refused.jsonl."
    if left:
        return _say(
            1, f"{said} Nothing from {left} on: does the service run on {asked.service}? Start it with `make serve`."
        )
    return _say(4 if refused else 0, said)


def _say(code: int, text: str) -> int:
    print(text, file=sys.stderr if code else sys.stdout)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
