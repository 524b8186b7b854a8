"""Service: the HTTP around what answers; POST /invocations and GET /ping as SageMaker has them, and a page at /docs.

What a caller sends decides between 200 and 4xx, never 500. /invocations is plain ASGI, before any routing: what a
framework does for one small request takes longer than the answer itself.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
import secrets
import time
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ai_factory_runtime.answers import as_csv, as_json, dump
from ai_factory_runtime.api_page import example_record, render_page
from ai_factory_runtime.capture import Capture, Exchange
from ai_factory_runtime.endpoint import Answer, Answering, Call
from ai_factory_runtime.negotiation import CSV, JSON, MAX_BODY, UNSUPPORTED, Headers, nothing_sent, too_large
from ai_factory_runtime.requests import BAD_REQUEST, TOO_LARGE, RequestRefused, RequestSchema

PATH = "/invocations"
BODY_SECONDS = 30.0
METHOD, TIMEOUT, FAILED = 405, 408, 500

_log = logging.getLogger(__name__)


class Service(FastAPI):
    """An ASGI application that answers for `answering` and keeps a sample of the exchanges in `capture`."""

    def __init__(self, answering: Answering, capture: Capture, *, title: str) -> None:
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            capture.start()
            yield
            capture.close()

        deployed = answering.endpoint
        super().__init__(
            title=title, version=str(deployed.model.version), docs_url=None, redoc_url=None, lifespan=lifespan
        )
        self.answering, self.capture = answering, capture
        self._example = example_record(deployed.package)
        self.add_api_route("/ping", self.ping)
        self.add_api_route("/docs", self.page, include_in_schema=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer /invocations at once, everything else by its route."""
        if scope["type"] == "http" and scope["path"] == PATH:
            await self._invoke(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The description of the service, /invocations with the model's columns."""
        document = super().openapi()
        document["paths"].setdefault(PATH, {"post": _describe(self.answering.endpoint.schema, self._example)})
        return document

    async def ping(self) -> dict[str, object]:
        """200 once a model is loaded: there is no service without one."""
        model = self.answering.endpoint.model
        return {"status": "ok", "stage": model.stage, "model": {"version": model.version, "digest": model.digest}}

    async def page(self) -> Response:
        """The columns, an example, and a place to try it; one page that loads nothing from anywhere."""
        nonce, deployed = secrets.token_urlsafe(16), self.answering.endpoint
        page = render_page(self.title, deployed.model, deployed.package.signature, self._example, nonce)
        policy = f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})

    async def _invoke(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer to a call; logs one line without the request's content."""
        started, headers = time.perf_counter(), Headers.of(scope["headers"])
        request_id, kind = headers.request_id, JSON
        answer: Answer | None = None
        try:
            if scope["method"] != "POST":
                raise RequestRefused(METHOD, f"{PATH} takes POST; got {scope['method'][:20]}.")
            body_type, answer_type = headers.body_type(), headers.answer_type()
            body = await _read_body(receive)
            answer = self.answering.answer(Call(request_id, body, text=body_type == CSV))
            content = as_csv(answer) if answer_type == CSV else as_json(answer, request_id)
            status, kind = 200, answer_type
        except RequestRefused as refused:
            content, status = dump({**refused.body(), "request_id": request_id}), refused.status
        except ClientDisconnect:
            content, status = dump(nothing_sent().body()), BAD_REQUEST
        except Exception as error:  # noqa: BLE001 - the model's own code may raise anything; the service goes on
            _log_failure(error, request_id)
            failure = {"error": "The model failed on this request; the log has the place.", "request_id": request_id}
            content, status = dump(failure), FAILED
        await _send(send, status, content, kind, request_id, answer)
        if answer is not None:
            model, frame = answer.model, answer.rows.frame()
            self.capture.offer(Exchange(now(), request_id, model.version, model.digest, frame, answer.prediction))
        self._log_line(request_id, status, answer, started)

    def _log_line(self, request_id: str, status: int, answer: Answer | None, started: float) -> None:
        milliseconds = round((time.perf_counter() - started) * 1000, 2)
        rows, model = (0, self.answering.endpoint.model) if answer is None else (len(answer.rows), answer.model)
        line = {"event": "invocation", "request_id": request_id, "status": status, "rows": rows, "ms": milliseconds}
        _log.info("%s", json.dumps({"at": now(), **line, "model_version": model.version}))


async def _send(send: Send, status: int, content: bytes, kind: str, request_id: str, answer: Answer | None) -> None:
    headers = [
        (b"content-type", kind.encode() if kind == JSON else b"text/csv; charset=utf-8"),
        (b"content-length", str(len(content)).encode()),
        (b"x-request-id", request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    if answer is not None:
        headers += [
            (b"x-model-version", str(answer.model.version).encode()),
            (b"x-model-digest", answer.model.digest.encode()),
        ]
    if status == METHOD:
        headers.append((b"allow", b"POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def _read_body(receive: Receive) -> bytes:
    """The body, at most MAX_BODY bytes within BODY_SECONDS. Raises RequestRefused, ClientDisconnect."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    raise too_large()
                more = message.get("more_body", False)
    except TimeoutError:
        raise RequestRefused(TIMEOUT, f"The body did not arrive within {BODY_SECONDS:.0f} s.") from None
    return bytes(body)


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


def _log_failure(error: Exception, request_id: str) -> None:
    """The kind of an error and its place; its text may repeat the request's content, so it stays out of the log."""
    place = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-8:]]
    line = {"at": now(), "event": "failure", "request_id": request_id, "error": type(error).__name__, "place": place}
    _log.error("%s", json.dumps(line))


def now() -> str:
    """The time as ISO 8601 in UTC, to the millisecond."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
