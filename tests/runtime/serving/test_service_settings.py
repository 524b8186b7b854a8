"""What a service is told by its environment is understood or refused, and all that it says has one form."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.serving.limits import MIB, USUAL
from ai_factory_runtime.serving.log_lines import JsonLines
from ai_factory_runtime.serving.requests import MAX_ROWS
from ai_factory_runtime.serving.server import create_app, serve
from ai_factory_runtime.serving.settings import (
    BODY_VARIABLE,
    CAPTURE_VARIABLE,
    SECONDS_VARIABLE,
    ServiceSettingInvalid,
    read_settings,
)
from fastapi.testclient import TestClient
from helpers_serving import CALLED, SPEND, make_deployed

TESTS = Path(__file__).resolve().parents[2]
GOOD: dict[str, Any] = {"age": 41, SPEND: 12.5, "plan": "gold", CALLED: True}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a model in dev that no test changes."""
    return make_deployed(tmp_path_factory.mktemp("settings") / "project")


def test_an_absent_or_empty_variable_has_its_default() -> None:
    assert read_settings({}) == read_settings({CAPTURE_VARIABLE: "", SECONDS_VARIABLE: " ", BODY_VARIABLE: ""})
    assert read_settings({}).capture_rate == 1.0
    assert read_settings({}).limits == USUAL


@pytest.mark.parametrize("text", ["off", "0,1", "50%", "nan", "inf", "-0.1", "2", "none"])
def test_a_capture_rate_that_says_nothing_clear_is_refused_not_taken_for_all(text: str) -> None:
    with pytest.raises(ServiceSettingInvalid, match="a number from 0 to 1 is allowed") as refusal:
        read_settings({CAPTURE_VARIABLE: text})
    assert repr(text) in str(refusal.value)


def test_all_settings_that_cannot_be_used_are_told_at_once() -> None:
    bad = {CAPTURE_VARIABLE: "all", SECONDS_VARIABLE: "0", BODY_VARIABLE: "6MB"}
    with pytest.raises(ServiceSettingInvalid) as refusal:
        read_settings(bad)
    assert [p.partition(":")[0] for p in refusal.value.problems] == list(bad)


def test_nothing_is_begun_where_a_setting_cannot_be_used(shared: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAPTURE_VARIABLE, "off")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServiceSettingInvalid, match="'off'"):
        serve(shared, "dev", port=taken.getsockname()[1])  # it did not even look whether the port is free
    assert not (shared.captures / "dev").exists()


def test_a_larger_body_and_its_rows_are_taken_where_the_setting_says_so_and_fewer_wait(
    shared: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = list(GOOD)
    row = [GOOD[name] for name in names]
    body = json.dumps({"columns": names, "data": [row] * (MAX_ROWS + 1)}).encode() + b" " * (6 * MIB)
    text = (",".join(f'"{n}"' for n in names) + "\n" + "41,12.5,gold,true\n" * (MAX_ROWS + 1)).encode()
    with TestClient(create_app(shared, "dev", capture_rate=0.0)) as client:
        assert (
            client.post("/invocations", content=body, headers={"content-type": "application/json"}).status_code == 413
        )
        assert client.post("/invocations", content=text, headers={"content-type": "text/csv"}).status_code == 413
    monkeypatch.setenv(BODY_VARIABLE, "8")
    with TestClient(create_app(shared, "dev", capture_rate=0.0)) as client:
        answer = client.post("/invocations", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 200
        assert len(answer.json()["predictions"]) == MAX_ROWS + 1
        assert client.post("/invocations", content=text, headers={"content-type": "text/csv"}).status_code == 200
        long = {"content-type": "application/json"}
        assert client.post("/invocations", content=b" " * (8 * MIB + 1), headers=long).status_code == 413
    assert read_settings({BODY_VARIABLE: "100"}).limits.waiting == 3
    assert read_settings({BODY_VARIABLE: "1024"}).limits.waiting == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("POST", "/invocations/", 404), ("POST", "/ping", 405), ("DELETE", "/docs", 405)],
)
def test_what_is_asked_elsewhere_is_refused_in_the_form_of_every_refusal(
    shared: Project, method: str, path: str, status: int
) -> None:
    with TestClient(create_app(shared, "dev", capture_rate=0.0)) as client:
        answer = client.request(method, path, headers={"x-request-id": "mine"})
        assert answer.status_code == status
        assert set(answer.json()) == {"error", "request_id"}
        assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine"
        assert ("GET" in answer.headers.get("allow", "")) is (status == 405)


def test_a_page_that_fails_answers_in_the_same_form(shared: Project) -> None:
    app = create_app(shared, "dev", capture_rate=0.0)

    def broken() -> None:
        raise ValueError("a secret")

    app.add_api_route("/broken", broken)
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/broken")
    assert answer.status_code == 500
    assert set(answer.json()) == {"error", "request_id"}
    assert "a secret" not in answer.text


def test_a_line_of_anybody_is_one_json_object_without_an_errors_text() -> None:
    try:
        raise ValueError("row 7 of Ann")
    except ValueError:
        caught = sys.exc_info()
    record = logging.LogRecord("a.library", logging.ERROR, "x.py", 1, "it\nfailed for %s", ("good",), caught)
    line = json.loads(JsonLines().format(record))
    assert (line["event"], line["logger"], line["message"], line["error"]) == ("error", "a.library", "it", "ValueError")
    assert "Ann" not in json.dumps(line)
    ours = logging.LogRecord(
        "ai_factory_runtime.serving.x", logging.INFO, "x.py", 1, '{"event": "invocation"}', (), None
    )
    assert JsonLines().format(ours) == '{"event": "invocation"}'


SERVER = """
import sys, warnings
sys.path.insert(0, {tests!r})
from pathlib import Path
from ai_factory_runtime.base.project import Hooks, Project
from ai_factory_runtime.serving import server
from helpers_serving import make_usecase
server.log_to_stderr()
warnings.warn("a library's own")
server.serve(Project(Path({root!r}), "churn", make_usecase(), Hooks(None, None, None)), "dev", port=0)
"""


@pytest.fixture
def running(shared: Project) -> Iterator[subprocess.Popen[str]]:
    body = textwrap.dedent(SERVER.format(tests=str(TESTS), root=str(shared.root)))
    with subprocess.Popen([sys.executable, "-c", body], stderr=subprocess.PIPE, text=True) as server:
        yield server
        server.kill()


def test_every_line_of_the_log_is_json_also_for_a_request_that_is_no_http(running: subprocess.Popen[str]) -> None:
    assert running.stderr is not None
    warned, listening = (json.loads(running.stderr.readline()) for _ in range(2))
    assert "a library's own" in warned["message"]
    address = listening["url"].removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=10) as torn:
        torn.sendall(b"this is no HTTP at all\r\n\r\n")
        assert b"400" in torn.recv(1000)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(listening["url"] + "/nowhere", timeout=10)
    assert set(json.loads(refused.value.read())) == {"error", "request_id"}
    refused.value.close()
    running.terminate()
    _, rest = running.communicate(timeout=20)
    lines = [json.loads(line) for line in rest.splitlines()]
    assert [(line["event"], line["logger"]) for line in lines] == [("warning", "uvicorn.error")]
