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
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ai_factory_runtime.monitoring.capture import Capture, Exchange
from ai_factory_runtime.monitoring.request_counts import RequestCounter
from ai_factory_runtime.serving.answers import as_csv, as_json, dump
from ai_factory_runtime.serving.api_page import render_page
from ai_factory_runtime.serving.description import describe
from ai_factory_runtime.serving.elsewhere import refuse_alike
from ai_factory_runtime.serving.endpoint import Answer, Answering, Call
from ai_factory_runtime.serving.limits import USUAL, Limits
from ai_factory_runtime.serving.log_lines import told
from ai_factory_runtime.serving.metrics_endpoint import ServiceMetrics
from ai_factory_runtime.serving.negotiation import CSV, JSON, Headers, nothing_sent, too_large
from ai_factory_runtime.serving.refused import BAD_REQUEST, BROKEN, RequestRefused
from ai_factory_runtime.serving.typical import typical_record
from ai_factory_runtime.serving.workers import TooBusy, TookTooLong, Workers

PATH = "/invocations"
BODY_SECONDS = 30.0
METHOD, TIMEOUT, FAILED, UNAVAILABLE, GATEWAY_TIMEOUT = 405, 408, 500, 503, 504
JSON_HEADER, CSV_HEADER = JSON.encode(), f"{CSV}; charset=utf-8".encode()

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Reply:
    """What goes back to a caller."""

    status: int
    content: bytes
    kind: str = JSON
    answer: Answer | None = None
    refused: RequestRefused | None = None


class Service(FastAPI):
    """An ASGI application that answers for `answering`, keeps a sample of the exchanges in `capture` and counts all in `counter`."""

    def __init__(
        self,
        answering: Answering,
        capture: Capture,
        *,
        title: str,
        limits: Limits = USUAL,
        counter: RequestCounter | None = None,
    ) -> None:
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            capture.start()
            if counter is not None:
                counter.start()
            answering.start()
            self.workers.start()
            self._open = True
            yield
            self._open = False
            answering.close()
            capture.close()
            if counter is not None:
                counter.close()

        deployed = answering.endpoint
        super().__init__(
            title=title, version=str(deployed.model.version), docs_url=None, redoc_url=None, lifespan=lifespan
        )
        self.answering, self.capture, self.counter, self.limits = answering, capture, counter, limits
        self.workers = Workers(limits.threads, limits.waiting, limits.seconds)
        self.metrics = ServiceMetrics(answering, capture, self.workers)
        self._open = False
        self.add_api_route("/ping", self.ping)
        self.add_api_route("/ready", self.ready)
        self.add_api_route("/metrics", self.measured, include_in_schema=False)
        self.add_api_route("/docs", self.page, include_in_schema=False)
        refuse_alike(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer /invocations at once, everything else by its route."""
        if scope["type"] == "http" and scope["path"] == PATH:
            await self._invoke(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The description of the service, /invocations with the columns of the model that is deployed now."""
        deployed = self.answering.endpoint
        example = typical_record(deployed.package)
        document = dict(super().openapi())
        document["paths"] = {**document["paths"], PATH: {"post": describe(deployed.schema, example)}}
        return document

    async def ping(self, response: Response) -> dict[str, object]:
        """Health: 200 while the model can answer; 503 where every thread is stuck in it, so that the container is replaced."""
        model, stuck = self.answering.endpoint.model, self.workers.stuck
        response.status_code = UNAVAILABLE if stuck else 200
        named = {"version": model.version, "digest": model.digest}
        return {"status": "stuck" if stuck else "ok", "stage": model.stage, "model": named}

    async def ready(self, response: Response) -> dict[str, object]:
        """Readiness: 200 while a further call would be taken; 503 before the start, at the end, and while too many wait."""
        why = "closed" if not self._open else "stuck" if self.workers.stuck else "busy" if self.workers.full else ""
        response.status_code = UNAVAILABLE if why else 200
        return {"status": why or "ready"}

    async def measured(self, request: Request) -> Response:
        """Counts and times, for Prometheus."""
        text, kind = self.metrics.render(request.headers.get("accept", ""))
        return Response(text, headers={"Content-Type": kind})

    async def page(self) -> Response:
        """The columns, an example, and a place to try it; one page that loads nothing from anywhere."""
        nonce, deployed = secrets.token_urlsafe(16), self.answering.endpoint
        example = typical_record(deployed.package)
        page = render_page(self.title, deployed, example, nonce)
        policy = f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": policy})

    async def _invoke(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reply to a call, then count, log and keep it; the log has one line without the request's content."""
        started, headers = time.perf_counter(), Headers.of(scope["headers"])
        request_id = headers.request_id
        reply = await self._reply(scope["method"], headers, request_id, receive)
        await _send(send, reply, request_id)
        seconds, at, answer = time.perf_counter() - started, now(), reply.answer
        model = self.answering.endpoint.model if answer is None else answer.model
        rows = 0 if answer is None else len(answer.rows)
        if answer is not None:
            self.capture.offer(Exchange(at, request_id, model.version, model.digest, answer.rows, answer.prediction))
        if self.counter is not None:
            self._count(self.counter, reply, model.digest)
        self.metrics.observe(reply.status, model.version, rows, seconds)
        # Every part of the line is a number or made of plain characters.
        _log.info(
            f'{{"at": "{at}", "event": "invocation", "request_id": "{request_id}", "status": {reply.status}, '
            f'"rows": {rows}, "ms": {seconds * 1000:.2f}, "model_version": {model.version}}}'
        )

    async def _reply(self, method: str, headers: Headers, request_id: str, receive: Receive) -> _Reply:
        """The reply to a call, whatever happens."""
        try:
            if method != "POST":
                raise RequestRefused(METHOD, f"{PATH} takes POST; got {method[:20]}.")
            body_type, answer_type = headers.body_type(self.limits.body), headers.answer_type()
            body = await _read_body(receive, self.limits.body)
            call = Call(request_id, body, body_type == CSV, headers.reasons(), self.limits.rows)
            answer = await self._answer(call)
            if answer_type == CSV:
                return _Reply(200, as_csv(answer), CSV, answer)
            return _Reply(200, as_json(answer, request_id), JSON, answer)
        except RequestRefused as refused:
            return _Reply(refused.status, dump({**refused.body(), "request_id": request_id}), refused=refused)
        except ClientDisconnect:
            return _Reply(BAD_REQUEST, dump(nothing_sent().body()))
        except TooBusy:
            return _failure(UNAVAILABLE, "Too many requests wait for an answer; try again in a moment.", request_id)
        except TookTooLong:
            return _failure(GATEWAY_TIMEOUT, f"The model took longer than {self.limits.seconds:g} s.", request_id)
        except Exception as error:  # noqa: BLE001 - the model's own code may raise anything; the service goes on
            _log_failure(error, request_id)
            return _failure(FAILED, "The model failed on this request; the log has the place.", request_id)

    def _count(self, counter: RequestCounter, reply: _Reply, digest: str) -> None:
        """Count a call for the monitor: what was answered, and what a client has to repair."""
        if reply.answer is not None:
            counter.answered(digest)
        elif reply.refused is not None and reply.refused.status in BROKEN:
            counter.refused(digest, reply.refused.rules(self._columns))

    @property
    def _columns(self) -> frozenset[str]:
        return frozenset(column.name for column in self.answering.endpoint.schema.features)

    async def _answer(self, call: Call) -> Answer:
        """The answer: here where it takes milliseconds, else in a thread with a time limit. Raises TooBusy, TookTooLong."""
        if self.answering.is_quick(call):
            return self.answering.answer(call)
        return await self.workers.run(lambda: self.answering.answer(call))


def _failure(status: int, message: str, request_id: str) -> _Reply:
    return _Reply(status, dump({"error": message, "request_id": request_id}))


async def _send(send: Send, reply: _Reply, request_id: str) -> None:
    headers = [
        (b"content-type", JSON_HEADER if reply.kind == JSON else CSV_HEADER),
        (b"content-length", str(len(reply.content)).encode()),
        (b"x-request-id", request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    if reply.answer is not None:
        model = reply.answer.model
        headers += [
            (b"x-model-version", str(model.version).encode()),
            (b"x-model-digest", model.digest.encode()),
        ]
    if reply.status == METHOD:
        headers.append((b"allow", b"POST"))
    if reply.status == UNAVAILABLE:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.content})


async def _read_body(receive: Receive, most: int) -> bytes:
    """The body, at most so many bytes within BODY_SECONDS. Raises RequestRefused, ClientDisconnect."""
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                body += message.get("body", b"")
                if len(body) > most:
                    raise too_large(most)
                more = message.get("more_body", False)
    except TimeoutError:
        raise RequestRefused(TIMEOUT, f"The body did not arrive within {BODY_SECONDS:.0f} s.") from None
    return bytes(body)


def _log_failure(error: Exception, request_id: str) -> None:
    """The kind of an error and its place; its text may repeat the request's content, so it stays out of the log."""
    line = {"at": now(), "event": "failure", "request_id": request_id, **told(error)}
    _log.error("%s", json.dumps(line))


def now() -> str:
    """The time as ISO 8601 in UTC, to the millisecond."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
