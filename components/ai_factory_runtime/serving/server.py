"""Serving: the model deployed in a stage, as a process that answers until it is told to end.

The model is loaded before the service listens, and only where it may answer: outside dev it must be approved. Nothing
here imports the registry or its libraries.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import socket
import sys

from fastapi import FastAPI

from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import AddressUnavailable
from ai_factory_runtime.monitoring.capture import Capture
from ai_factory_runtime.monitoring.kept_ids import id_keeper
from ai_factory_runtime.monitoring.request_counts import RequestCounter
from ai_factory_runtime.releases.lineage import code_sha256
from ai_factory_runtime.serving.endpoint import Endpoint
from ai_factory_runtime.serving.fleet_endpoint import FleetEndpoint, capture_each
from ai_factory_runtime.serving.log_lines import log_to_stderr
from ai_factory_runtime.serving.router import open_answering
from ai_factory_runtime.serving.service import Service, now
from ai_factory_runtime.serving.settings import read_settings

MAX_CONNECTIONS = 256
BACKLOG = 1024
SHUTDOWN_SECONDS = 10
SWITCH_SECONDS = 0.0005  # a thread that writes captures gives way to an answer this soon

_log = logging.getLogger(__name__)


def create_app(project: Project, stage: str, *, capture_rate: float | None = None) -> FastAPI:
    """The service for the model deployed in `stage`, loaded and ready.

    `capture_rate` is the share of requests kept for the monitor; None: what the environment says (`settings`). Raises
    ServiceSettingInvalid, NothingDeployed, NotApproved, ReleaseInvalid, UnknownStage, ModelUnusable.
    """
    settings = read_settings(os.environ)
    answering = open_answering(project, stage)
    rate = settings.capture_rate if capture_rate is None else capture_rate

    def capture_of(project: Project, endpoint: Endpoint) -> Capture:
        return Capture(
            project.captures / stage, endpoint.schema.features, rate,
            code=code_sha256(project.root), keep_ids=id_keeper(project.usecase),
        )  # fmt: skip

    if isinstance(answering, FleetEndpoint):
        capture: Capture = capture_each(project, answering, capture_of)
    else:
        capture = capture_of(project, answering.endpoint)
    title = project.usecase.title or project.usecase.name
    counter = RequestCounter(project.captures / stage) if rate > 0 else None
    return Service(answering, capture, title=title, limits=settings.limits, counter=counter)


def serve(project: Project, stage: str, host: str = "127.0.0.1", port: int = 8080) -> None:
    """Answer requests until SIGTERM or Ctrl-C; requests under way are finished first.

    Raises what `create_app` raises, and AddressUnavailable, before anything listens.
    """
    import uvicorn
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    log_to_stderr()
    app = create_app(project, stage)
    listener = _listen(host, port)
    sys.setswitchinterval(SWITCH_SECONDS)
    threadpool_limits(limits=1)  # one row gains nothing from more threads, and waking them costs more than the answer
    server = uvicorn.Server(
        uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS, lifespan="on",
        )
    )  # fmt: skip
    gc.collect()
    gc.freeze()  # model and libraries stay: to look through all they hold is a tenth of a second in which nobody is answered
    shown = f"[{host}]" if ":" in host else host
    _log.info(
        "%s",
        json.dumps(
            {"at": now(), "event": "listening", "url": f"http://{shown}:{listener.getsockname()[1]}", "stage": stage}
        ),
    )
    server.run(sockets=[listener])


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
