"""Notify: a notice goes out by every channel that usecase.yaml lists; each delivery is an answer, never a silence.

| kind    | what it does                                                                                             |
|---------|----------------------------------------------------------------------------------------------------------|
| file    | appends one JSON line                                                                                    |
| webhook | posts JSON (`text` for chat services, `notice` for programs) to the address in an environment variable   |
| email   | sends a mail by SMTP, encrypted by STARTTLS (port 465: TLS from the start)                               |

Further channels are plug-ins: an installed distribution, the project's own too, names a function in the entry-point group
`ai_factory.notify`; it is called with the notice and the use case. A channel that fails is tried again (webhook), then told
in its delivery; the others are not kept waiting for more than TIMEOUT seconds an attempt. Addresses and passwords are
secrets: no message holds them.
"""

from __future__ import annotations

import json
import os
import smtplib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ai_factory_spec.usecase import Channel, UseCase

from ai_factory_runtime.base.project import Project

GROUP = "ai_factory.notify"
TIMEOUT = 10.0  # seconds for one attempt
ATTEMPTS = 3
PAUSE = 0.5  # seconds before the second attempt; doubled before each further one
SMTP_USER, SMTP_PASSWORD = "AI_FACTORY_SMTP_USER", "AI_FACTORY_SMTP_PASSWORD"
TLS_PORT = 465

Send = Callable[[], None]
Plugin = Callable[["Notice", UseCase], object]


@dataclass(frozen=True, slots=True)
class Notice:
    """What people are told: `event` for programs, one line of `subject`, the `text`, and facts as plain values."""

    event: str
    at: str
    project: str
    stage: str
    subject: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a notice in one channel; `problem` is empty where it was taken."""

    channel: str
    problem: str = ""

    @property
    def sent(self) -> bool:
        """Whether the channel took it."""
        return not self.problem


class _NotTaken(Exception):  # noqa: N818 - a reason, told in the delivery
    pass


def notify(project: Project, notice: Notice, environment: Mapping[str, str] = os.environ) -> tuple[Delivery, ...]:
    """Send a notice by every channel and plug-in; what fails is in its delivery. Never raises for a channel's failure."""
    return tuple(_deliver(name, send) for name, send in _channels(project, notice, environment))


def _channels(project: Project, notice: Notice, environment: Mapping[str, str]) -> Iterator[tuple[str, Send]]:
    for channel in project.usecase.monitoring.notify:
        if channel.kind == "file":
            yield f"file {channel.path}", lambda c=channel: _append(project.root / c.path, notice)  # type: ignore[misc]
        elif channel.kind == "webhook":
            variable = channel.address_variable
            yield f"webhook ${variable}", lambda v=variable: _post(environment.get(v, ""), v, notice)  # type: ignore[misc]
        else:
            yield f"email {channel.host}", lambda c=channel: _mail(c, notice, environment)  # type: ignore[misc]
    for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
        yield f"plug-in {point.name}", lambda p=point: _plugged(p.load(), notice, project.usecase)  # type: ignore[misc]


def _deliver(name: str, send: Send) -> Delivery:
    try:
        send()
    except _NotTaken as reason:
        return Delivery(name, str(reason))
    except Exception as error:  # noqa: BLE001 - a channel may be anything; what it raises must not hide what was found
        return Delivery(name, _problem(error))
    return Delivery(name)


def _plugged(plugin: Plugin, notice: Notice, usecase: UseCase) -> None:
    plugin(notice, usecase)


def _append(path: Path, notice: Notice) -> None:
    """One line, in one write: lines of two processes do not mix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(notice), ensure_ascii=False, default=str) + "\n"
    with path.open("ab") as file:
        file.write(line.encode())


def _post(address: str, variable: str, notice: Notice) -> None:
    parts = urlsplit(address)
    if not address:
        raise _NotTaken(f"the variable {variable} is not set")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _NotTaken(f"the variable {variable} holds no http or https address")
    body = {"text": f"*{notice.subject}*\n{notice.text}", "notice": asdict(notice)}
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked above
        address,
        data=json.dumps(body, default=str).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "ai-factory"},
        method="POST",
    )
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _opener().open(request, timeout=TIMEOUT):
                return
        except urllib.error.HTTPError as error:
            error.close()
            if attempt == ATTEMPTS or error.code < 500:
                raise _NotTaken(f"it answered {error.code}") from None
        except OSError as error:
            if attempt == ATTEMPTS:
                raise _NotTaken(f"it was not reached ({type(getattr(error, 'reason', error)).__name__})") from None
        time.sleep(PAUSE * 2 ** (attempt - 1))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET elsewhere: it counts as not taken."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_NoRedirect())


def _mail(channel: Channel, notice: Notice, environment: Mapping[str, str]) -> None:
    message = EmailMessage()
    message["Subject"] = " ".join(notice.subject.split())  # a header is one line
    message["From"], message["To"] = channel.sender, ", ".join(channel.to)
    message.set_content(notice.text)
    secure = ssl.create_default_context()
    server: smtplib.SMTP
    if channel.port == TLS_PORT:
        server = smtplib.SMTP_SSL(channel.host, channel.port, timeout=TIMEOUT, context=secure)
    else:
        server = smtplib.SMTP(channel.host, channel.port, timeout=TIMEOUT)
    with server:
        if channel.starttls and channel.port != TLS_PORT:
            server.starttls(context=secure)
        _sign_in(server, environment.get(SMTP_USER, ""), environment.get(SMTP_PASSWORD, ""))
        refused = server.send_message(message)
    if refused:
        raise _NotTaken(f"the server refused {', '.join(sorted(refused))}")


def _sign_in(server: smtplib.SMTP, user: str, password: str) -> None:
    try:
        if user:
            server.login(user, password)
    except smtplib.SMTPException as error:
        raise _NotTaken(f"the server did not take {SMTP_USER} and its password ({type(error).__name__})") from None


def _problem(error: Exception) -> str:
    """An error in one line. Of the mail server's words only the code: they may repeat what was sent."""
    if isinstance(error, smtplib.SMTPResponseException):
        return f"the server answered {error.smtp_code} ({type(error).__name__})"
    text = error.strerror if isinstance(error, OSError) and error.strerror else ""
    return f"{type(error).__name__}{f': {text}' if text else ''}"
