"""Serving: the deployed model behind SageMaker's contract, GET /ping and POST /invocations, with its own page at /docs.

The model is loaded before the service listens, and only where it may answer: outside dev it must be approved. What a
caller sends decides between 200 and 4xx, never 500. Nothing here imports the registry or its libraries.
"""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import io
import json
import logging
import os
import re
import secrets
import socket
import sys
import time
import traceback
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pydantic_core
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from ai_factory_runtime.api_page import example_record, render_page
from ai_factory_runtime.capture import Capture, Exchange
from ai_factory_runtime.lineage import code_sha256
from ai_factory_runtime.package import ModelPackage, Prediction
from ai_factory_runtime.project import Project
from ai_factory_runtime.refusals import AddressUnavailable
from ai_factory_runtime.requests import BAD_REQUEST, TOO_LARGE, RequestRefused, RequestSchema
from ai_factory_runtime.stages import Deployed, load_deployed

MAX_BODY = 6 * 1024 * 1024  # as SageMaker's own limit
BODY_SECONDS = 30.0
MAX_CONNECTIONS = 256
BACKLOG = 1024
SHUTDOWN_SECONDS = 10
CAPTURE_VARIABLE = "AI_FACTORY_CAPTURE_RATE"

JSON, CSV = "application/json", "text/csv"
TIMEOUT, NOT_ACCEPTABLE, UNSUPPORTED, FAILED = 408, 406, 415, 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A loaded model and what it needs to answer requests."""

    model: Deployed
    package: ModelPackage
    schema: RequestSchema
    capture: Capture

    async def answer(self, request: Request) -> Response:
        """The answer to POST /invocations; logs one line without the request's content."""
        started, request_id = time.perf_counter(), _request_id(request)
        rows = 0
        try:
            body_type, answer_type = _body_type(request), _answer_type(request)
            body = await _read_body(request)
            frame = self.schema.read_csv(body) if body_type == CSV else self.schema.read_json(body)
            rows = len(frame)
            prediction = self.package.predict(frame)
            content = self._csv(prediction) if answer_type == CSV else self._json(prediction, request_id)
            status = 200
        except RequestRefused as refused:
            content, status, answer_type = _dump({**refused.body(), "request_id": request_id}), refused.status, JSON
        except ClientDisconnect:
            content, status, answer_type = b"", BAD_REQUEST, JSON
        except Exception as error:  # noqa: BLE001 - the model's own code may raise anything; the service goes on
            _log_failure(error, request_id)
            failure = {"error": "The model failed on this request; the log has the place.", "request_id": request_id}
            content, status, answer_type = _dump(failure), FAILED, JSON
        else:
            self.capture.offer(Exchange(_now(), request_id, self.model.version, self.model.digest, frame, prediction))
        self._log_line(request_id, status, rows, started)
        return Response(content, status, media_type=answer_type, headers=self._headers(request_id))

    def _json(self, prediction: Prediction, request_id: str) -> bytes:
        values = prediction.values.tolist()
        answers: list[dict[str, object]] = [{"prediction": v} for v in values]
        if prediction.probabilities is not None:
            classes = self.package.signature.classes
            for answer, shares in zip(answers, prediction.probabilities.tolist(), strict=True):
                answer["probability"] = dict(zip(classes, shares, strict=True))
        model = {"version": self.model.version, "digest": self.model.digest}
        return _dump({"predictions": answers, "model": model, "request_id": request_id})

    def _csv(self, prediction: Prediction) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        shares = prediction.probabilities
        names = [] if shares is None else [f"probability_{c}" for c in self.package.signature.classes]
        writer.writerow(["prediction", *names])
        values = prediction.values.tolist()
        writer.writerows([v] for v in values) if shares is None else writer.writerows(
            [v, *p] for v, p in zip(values, shares.tolist(), strict=True)
        )
        return text.getvalue().encode()

    def _headers(self, request_id: str) -> dict[str, str]:
        return {
            "X-Request-Id": request_id,
            "X-Model-Version": str(self.model.version),
            "X-Model-Digest": self.model.digest,
            "X-Content-Type-Options": "nosniff",
        }

    def _log_line(self, request_id: str, status: int, rows: int, started: float) -> None:
        milliseconds = round((time.perf_counter() - started) * 1000, 2)
        line = {"event": "invocation", "request_id": request_id, "status": status, "rows": rows, "ms": milliseconds}
        _log.info("%s", json.dumps({"at": _now(), **line, "model_version": self.model.version}))


def create_app(project: Project, stage: str, *, capture_rate: float | None = None) -> FastAPI:
    """The service for the model deployed in `stage`, loaded and ready.

    `capture_rate` is the share of requests kept for the monitor; None: $AI_FACTORY_CAPTURE_RATE, else all. Raises
    NothingDeployed, NotApproved, ReleaseInvalid, UnknownStage, ModelUnusable.
    """
    model, package = load_deployed(project, stage)
    known = {c.name for c in project.usecase.data.contract.columns}
    schema = RequestSchema(
        package.signature.features, ignored=frozenset(known - {c.name for c in package.signature.features})
    )
    rate = _capture_rate() if capture_rate is None else capture_rate
    code = code_sha256(project.root)
    capture = Capture(project.captures / stage, package.signature.features, rate, code=code)
    return _build(Endpoint(model, package, schema, capture), title=project.usecase.title or project.usecase.name)


def serve(project: Project, stage: str, host: str = "127.0.0.1", port: int = 8080) -> None:
    """Answer requests until SIGTERM or Ctrl-C; requests under way are finished first.

    Raises what `create_app` raises, and AddressUnavailable, before anything listens.
    """
    import uvicorn
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    _log_to_stderr()
    app = create_app(project, stage)
    listener = _listen(host, port)
    threadpool_limits(limits=1)  # one row gains nothing from more threads, and waking them costs more than the answer
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS, lifespan="on",
        )
    )  # fmt: skip
    shown = f"[{host}]" if ":" in host else host
    _log.info(
        "%s",
        json.dumps(
            {"at": _now(), "event": "listening", "url": f"http://{shown}:{listener.getsockname()[1]}", "stage": stage}
        ),
    )
    server.run(sockets=[listener])


def _build(endpoint: Endpoint, *, title: str) -> FastAPI:
    """The application around an endpoint: routes, their description, the capture's life."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        endpoint.capture.start()
        yield
        endpoint.capture.close()

    example = example_record(endpoint.package)
    app = FastAPI(title=title, version=str(endpoint.model.version), docs_url=None, redoc_url=None, lifespan=lifespan)
    app.add_api_route("/invocations", endpoint.answer, methods=["POST"], response_class=Response, openapi_extra=_describe(endpoint.schema, example))  # fmt: skip

    @app.get("/ping")
    async def ping() -> dict[str, object]:
        """200 once a model is loaded: there is no service without one."""
        model = endpoint.model
        return {"status": "ok", "stage": model.stage, "model": {"version": model.version, "digest": model.digest}}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        """The columns, an example, and a place to try it; one page that loads nothing from anywhere."""
        nonce = secrets.token_urlsafe(16)
        page = render_page(title, endpoint.model, endpoint.package.signature, example, nonce)
        policy = f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})

    return app


def _describe(schema: RequestSchema, example: dict[str, object]) -> dict[str, Any]:
    """The request body in OpenAPI's words."""
    records = {"type": "array", "items": schema.row_schema, "minItems": 1}
    split = {
        "columns": {"type": "array", "items": {"type": "string"}},
        "data": {"type": "array", "items": {"type": "array"}},
    }
    body = {
        "oneOf": [
            {"type": "object", "properties": {"records": records}, "required": ["records"]},
            {"type": "object", "properties": split, "required": ["columns", "data"]},
        ]
    }
    content = {JSON: {"schema": body, "example": {"records": [example]}}, CSV: {"schema": {"type": "string"}}}
    refusals = {
        str(BAD_REQUEST): "The body is not what its type says.",
        str(TOO_LARGE): "Too many bytes or rows.",
        str(UNSUPPORTED): f"The body is neither {JSON} nor {CSV}.",
        "422": "Values break the data contract; `problems` lists row, column and reason of each.",
    }
    return {
        "requestBody": {"required": True, "content": content},
        "responses": {code: {"description": text} for code, text in refusals.items()},
    }


async def _read_body(request: Request) -> bytes:
    """The body, at most MAX_BODY bytes within BODY_SECONDS. Raises RequestRefused."""
    declared = request.headers.get("content-length", "")
    too_large = RequestRefused(TOO_LARGE, f"The body is larger than {MAX_BODY} bytes. Score large data as a batch.")
    if declared.isdecimal() and int(declared[:20]) > MAX_BODY:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise too_large
    except TimeoutError:
        raise RequestRefused(TIMEOUT, f"The body did not arrive within {BODY_SECONDS:.0f} s.") from None
    return bytes(body)


def _body_type(request: Request) -> str:
    """application/json or text/csv, in UTF-8 and not compressed. Raises RequestRefused."""
    given, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    charset = re.search(r"charset\s*=\s*\"?([^\s\";]+)", parameters)
    if given.strip() not in (JSON, CSV):
        raise RequestRefused(UNSUPPORTED, f"The Content-Type must be {JSON} or {CSV}; got {given.strip()[:80]!r}.")
    if charset and charset.group(1) not in ("utf-8", "utf8", "us-ascii"):
        raise RequestRefused(UNSUPPORTED, f"The body must be in UTF-8; got charset {charset.group(1)[:40]!r}.")
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise RequestRefused(UNSUPPORTED, "A compressed body is not accepted.")
    return given.strip()


def _answer_type(request: Request) -> str:
    """The first type of the Accept header that can be given. Raises RequestRefused where none can."""
    asked = request.headers.get("accept", "*/*")
    for part in asked.lower().split(","):
        kind = part.partition(";")[0].strip()
        if kind in ("*/*", "application/*", JSON, ""):
            return JSON
        if kind in ("text/*", CSV):
            return CSV
    raise RequestRefused(NOT_ACCEPTABLE, f"The answer can be {JSON} or {CSV}; asked for was {asked[:80]!r}.")


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return given if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else uuid.uuid4().hex


def _dump(document: object) -> bytes:
    """Strictly valid JSON: what is no number becomes null."""
    return pydantic_core.to_json(document, inf_nan_mode="null")


def _log_failure(error: Exception, request_id: str) -> None:
    """The kind of an error and its place; its text may repeat the request's content, so it stays out of the log."""
    place = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-8:]]
    line = {"at": _now(), "event": "failure", "request_id": request_id, "error": type(error).__name__, "place": place}
    _log.error("%s", json.dumps(line))


def _capture_rate() -> float:
    try:
        return min(1.0, max(0.0, float(os.environ.get(CAPTURE_VARIABLE, "1"))))
    except ValueError:
        return 1.0


def _listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Raises AddressUnavailable."""
    if not 0 <= port <= 65_535:  # the operating system would take it modulo 65,536
        raise AddressUnavailable(host=host, port=port, problem="a port is a number from 0 to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)  # from here on callers wait instead of being refused
        except OSError:
            listener.close()
            raise
    except OSError as error:
        problem = error.strerror or str(error)
        raise AddressUnavailable(host=host, port=port, problem=problem) from error
    return listener


def _log_to_stderr() -> None:
    """One JSON object a line for our own events; warnings and errors of others as they come."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("ai_factory_runtime").setLevel(logging.INFO)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
