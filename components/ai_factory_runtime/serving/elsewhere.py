"""Elsewhere: what is asked beside /invocations and refused has the form of its refusals, `{"error", "request_id"}`."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from ai_factory_runtime.serving.answers import dump
from ai_factory_runtime.serving.negotiation import JSON, Headers

NOT_FOUND, NOT_ALLOWED, FAILED = 404, 405, 500
_SHOWN = 80


def refuse_alike(app: FastAPI) -> None:
    """Have `app` answer an unknown path, another method and a page that fails in the service's own form."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _refusal(request, error.status_code, _sentence(request, error), dict(error.headers or {}))

    async def failed(request: Request, _: Exception) -> Response:
        return _refusal(request, FAILED, "The service failed on this request; the log has the place.", {})

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(Exception, failed)


def _sentence(request: Request, error: HTTPException) -> str:
    path = request.url.path[:_SHOWN]
    if error.status_code == NOT_FOUND:
        return f"There is nothing at {path!r}: POST /invocations answers; GET /ping, /ready, /metrics and /docs tell."
    if error.status_code == NOT_ALLOWED:
        return f"{path} does not take {request.method[:20]}."
    return f"{error.detail}."


def _refusal(request: Request, status: int, sentence: str, headers: dict[str, str]) -> Response:
    request_id = Headers.of(request.scope["headers"]).request_id
    told = {**headers, "x-request-id": request_id, "x-content-type-options": "nosniff"}
    return Response(
        dump({"error": sentence, "request_id": request_id}), status_code=status, headers=told, media_type=JSON
    )
