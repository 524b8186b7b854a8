"""The consumer on a laptop: a file of records through the service that runs there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ai_factory_infra.stream_rehearsal import main


class Service(BaseHTTPRequestHandler):
    """Answers rows with their number, and refuses a request in which one has none."""

    def do_POST(self) -> None:
        rows = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["records"]
        fine = all("n" in row for row in rows)
        body = {"predictions": [{"prediction": r["n"]} for r in rows]} if fine else {"detail": "n: missing"}
        raw = json.dumps(body).encode()
        self.send_response(200 if fine else 422)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    service = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{service.server_port}"
    service.shutdown()
    service.server_close()


def lines(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_each_line_ends_as_an_answer_or_with_a_reason(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    events = tmp_path / "events.jsonl"
    rows = [{"n": i} for i in range(1200)] + [{"m": 1}]
    events.write_text("\n".join(map(json.dumps, rows)) + "\n\n{broken\n", encoding="utf-8")
    assert main([str(events), "--service", address]) == 4
    assert "1200 answered, 2 refused" in capsys.readouterr().err
    assert [a["prediction"] for a in lines(tmp_path / "events.answers.jsonl")] == list(range(1200))
    assert [r["status"] for r in lines(tmp_path / "events.refused.jsonl")] == [422, 0]
    events.write_text('{"n": 1}\n', encoding="utf-8")
    assert main([str(events), "--service", address]) == 0
    assert lines(tmp_path / "events.refused.jsonl") == []


def test_a_service_that_is_not_there_is_said_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text('{"n": 1}\n', encoding="utf-8")
    assert main([str(events), "--service", "http://127.0.0.1:9"]) == 1
    assert "make serve" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.jsonl")]) == 1
    assert "make stream INPUT=" in capsys.readouterr().err
