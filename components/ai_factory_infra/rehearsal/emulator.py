"""AWS on this machine: moto, in a process of its own, which writes down every call and how it was answered.

`python -m ai_factory_infra.rehearsal.emulator PORT FILE` is that process.
"""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from ai_factory_infra.errors import RehearsalRefused

HOST = "127.0.0.1"
SECONDS_TO_START = 60.0
SERVICE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
SERVER_ERROR = 500


@dataclass(frozen=True, slots=True)
class Call:
    """One call of AWS's API, and the HTTP status that it was answered with."""

    service: str
    operation: str
    status: int


@contextmanager
def emulator(account: str, log: Path) -> Iterator[str]:
    """Start it for one account (twelve digits) and stop it at the end; gives its address. Raises RehearsalRefused."""
    if find_spec("moto") is None:
        raise RehearsalRefused(
            problems=["the emulator moto is not installed"],
            hint="`.venv/bin/pip install 'moto[server]'`, or `uv pip install --python .venv/bin/python 'moto[server]'`.",
        )
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", __name__, str(port), str(log)]
    with log.with_suffix(".out").open("w", encoding="utf-8") as out:
        process = subprocess.Popen(
            command, env={**os.environ, "MOTO_ACCOUNT_ID": account}, stdout=out, stderr=out, start_new_session=True
        )
    try:
        _wait(process, port, log.with_suffix(".out"))
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait()


def calls(log: Path) -> Sequence[Call]:
    """Every call so far, in order."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return tuple(Call(**json.loads(line)) for line in lines)


def unanswered(log: Path) -> Sequence[tuple[Call, int]]:
    """The calls that the emulator had no answer to (status 500 and above), each once with how often it came."""
    found: dict[Call, int] = {}
    for call in calls(log):
        if call.status >= SERVER_ERROR:
            found[call] = found.get(call, 0) + 1
    return tuple(sorted(found.items(), key=lambda item: (item[0].service, item[0].operation)))


def _wait(process: subprocess.Popen[bytes], port: int, out: Path) -> None:
    until = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection((HOST, port), 0.2).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    said = out.read_text(encoding="utf-8").strip().splitlines()[-3:]
    raise RehearsalRefused(problems=["the emulator did not start", *said], hint=f"{out} holds all that it said.")


class Recorder:
    """WSGI middleware: one JSON line a call. What moto has not learned is answered 501, which no client tries again."""

    def __init__(self, app: Any, log: Path) -> None:
        self._app, self._log = app, log

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) if _is_query(environ) else None
        if body is not None:
            environ["wsgi.input"] = io.BytesIO(body)
        service, operation = _named(environ, body or b"")

        def answer(status: str, *rest: Any) -> Any:
            self._note(Call(service, operation, int(status.split()[0])))
            return start_response(status, *rest)

        try:
            found: Iterable[bytes] = self._app(environ, answer)
        except NotImplementedError as error:
            text = json.dumps({"__type": "NotImplementedException", "message": str(error) or "not implemented"})
            answer("501 Not Implemented", [("Content-Type", "application/x-amz-json-1.1")])
            return [text.encode()]
        return found

    def _note(self, call: Call) -> None:
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(call)) + "\n")


def _is_query(environ: dict[str, Any]) -> bool:
    return str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")


def _named(environ: dict[str, Any], body: bytes) -> tuple[str, str]:
    """The service by the signature's scope; the operation by its header, its form field, or method and path."""
    signed = SERVICE.search(str(environ.get("HTTP_AUTHORIZATION", "")))
    service = signed[1] if signed else "?"
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return service, str(target).rsplit(".", 1)[-1]
    if action := parse_qs(body.decode("latin-1")).get("Action"):
        return service, action[0]
    query = str(environ.get("QUERY_STRING", "")).partition("&")[0].partition("=")[0]
    return service, f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{f'?{query}' if query else ''}"


def _serve(port: int, log: Path) -> None:
    from moto.iam.access_control import PermissionResult
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from moto.s3.models import FakeBucket
    from werkzeug.serving import run_simple

    # moto reads no conditions, so "deny without TLS" would deny everything: here no bucket policy is enforced.
    setattr(FakeBucket, "get_permission", lambda *_: PermissionResult.NEUTRAL)  # noqa: B010 - mypy: it is a method
    app = Recorder(DomainDispatcherApplication(create_backend_app), log)
    run_simple(HOST, port, app, threaded=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
