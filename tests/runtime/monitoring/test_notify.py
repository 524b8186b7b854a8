"""Notices arrive by file, webhook, mail and plug-in over real connections; a channel that fails says so, without secrets."""

from __future__ import annotations

import datetime as dt
import importlib
import ipaddress
import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.monitoring import notify as notify_module
from ai_factory_runtime.monitoring.notify import Delivery, Notice, notify
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from helpers_monitoring import webhook, with_monitoring
from helpers_serving import make_project

NOTICE = Notice(
    event="drift",
    at="2026-03-01T12:00:00+00:00",
    project="Churn",
    stage="prod",
    subject="Churn: drift\r\nBcc: everybody@example.org",
    text="Data: 1 of 4 columns: rückruf",
    facts={"kinds": ["data"]},
)
HOOK = {"kind": "webhook", "address_variable": "HOOK"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify_module, "PAUSE", 0.01)
    monkeypatch.setattr(notify_module, "TIMEOUT", 2.0)


def told(
    project: Project, *channels: dict[str, Any], environment: dict[str, str] | None = None
) -> tuple[Delivery, ...]:
    return notify(with_monitoring(project, notify=channels), NOTICE, environment or {})


def test_a_file_gets_one_line_for_each_notice(project: Project) -> None:
    channel = {"kind": "file", "path": "artifacts/notices/all.jsonl"}
    for _ in range(2):
        assert told(project, channel) == (Delivery("file artifacts/notices/all.jsonl"),)
    lines = (project.root / "artifacts/notices/all.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["facts"] for line in lines] == [{"kinds": ["data"]}] * 2


def test_a_file_that_cannot_be_written_is_told(project: Project) -> None:
    (project.root / "taken").mkdir()
    (delivery,) = told(project, {"kind": "file", "path": "taken"})
    assert not delivery.sent
    assert "directory" in delivery.problem


def test_a_webhook_gets_text_for_people_and_the_notice_for_programs(project: Project) -> None:
    with webhook(200) as server:
        (delivery,) = told(project, HOOK, environment={"HOOK": server.address})
    assert delivery.sent
    (body,) = server.bodies
    assert "rückruf" in body["text"]
    assert body["notice"]["event"] == "drift"


def test_a_webhook_that_stumbles_is_tried_again_three_times_at_most(project: Project) -> None:
    with webhook(503, 502, 204) as server:
        assert told(project, HOOK, environment={"HOOK": server.address})[0].sent
        assert len(server.bodies) == 3
    with webhook(503) as server:
        (delivery,) = told(project, HOOK, environment={"HOOK": server.address})
        assert delivery.problem == "it answered 503"
        assert len(server.bodies) == 3


@pytest.mark.parametrize("status", [400, 404, 302, 307])
def test_a_webhook_that_refuses_or_sends_elsewhere_is_not_asked_again(project: Project, status: int) -> None:
    with webhook(status) as server:
        (delivery,) = told(project, HOOK, environment={"HOOK": server.address})
        assert delivery.problem == f"it answered {status}"
        assert len(server.bodies) == 1


@pytest.mark.parametrize("address", ["", "file:///etc/passwd", "hooks.example.org/secret-token", "http://"])
def test_an_address_that_is_none_is_told_and_not_shown(project: Project, address: str) -> None:
    (delivery,) = told(project, HOOK, environment={"HOOK": address} if address else {})
    assert not delivery.sent
    assert "HOOK" in delivery.problem
    assert "secret-token" not in delivery.problem


def test_a_webhook_that_nobody_answers_is_told_without_its_address(project: Project) -> None:
    with webhook() as server:
        gone = server.address
    (delivery,) = told(project, HOOK, environment={"HOOK": gone})
    assert delivery.problem == "it was not reached (ConnectionRefusedError)"


def test_one_channel_that_fails_keeps_nobody_else_from_hearing(project: Project) -> None:
    file = {"kind": "file", "path": "notices.jsonl"}
    deliveries = told(project, HOOK, file, {**HOOK, "address_variable": "OTHER"})
    assert [d.sent for d in deliveries] == [False, True, False]


# Mail -------------------------------------------------------------------------------------------------------------------


class Box:
    """Takes mail; refuses what `refused` names."""

    def __init__(self, *refused: str) -> None:
        self.mails: list[Envelope] = []
        self.refused = refused
        self.users: list[tuple[str, str]] = []

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Envelope, address: str, options: Any) -> str:
        if address in self.refused:
            return f"550 {address} unknown, said the token hunter2"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:
        self.mails.append(envelope)
        return "250 OK"

    def authenticate(self, server: SMTP, session: Any, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.users.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"hunter2")


@contextmanager
def mail_server(box: Box, **options: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    controller = Controller(box, hostname="127.0.0.1", port=port, **options)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def email(port: int, **changes: Any) -> dict[str, Any]:
    channel = {"kind": "email", "to": ["a@example.org", "b@example.org"], "sender": "ml@example.org"}
    return {**channel, "host": "127.0.0.1", "port": port, "starttls": False, **changes}


def test_a_mail_is_one_mail_to_all_with_a_subject_of_one_line(project: Project) -> None:
    box = Box()
    with mail_server(box) as port:
        assert told(project, email(port))[0].sent
    (mail,) = box.mails
    assert mail.rcpt_tos == ["a@example.org", "b@example.org"]
    message = message_from_bytes(bytes(mail.content or b""))
    assert message["Subject"] == "Churn: drift Bcc: everybody@example.org"
    assert message["Bcc"] is None
    assert "rückruf" in (message.get_payload(decode=True) or b"").decode()  # type: ignore[union-attr]


def test_a_mail_is_encrypted_and_signed_in_where_asked(
    project: Project, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, context = Box(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    user = {"AI_FACTORY_SMTP_USER": "ml", "AI_FACTORY_SMTP_PASSWORD": "hunter2"}
    options = {"tls_context": context, "require_starttls": True, "authenticator": box.authenticate}
    with mail_server(box, **options) as port:
        (stranger,) = told(project, email(port, starttls=True), environment=user)
        assert "SSLCertVerificationError" in stranger.problem
        assert box.mails == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert told(project, email(port, starttls=True), environment=user)[0].sent
        (refused,) = told(
            project, email(port, starttls=True), environment={**user, "AI_FACTORY_SMTP_PASSWORD": "wrong"}
        )
    assert "did not take AI_FACTORY_SMTP_USER" in refused.problem
    assert box.users == [("ml", "hunter2"), ("ml", "wrong")]
    assert len(box.mails) == 1


def test_a_server_that_cannot_encrypt_gets_no_mail(project: Project) -> None:
    box = Box()
    with mail_server(box) as port:
        (delivery,) = told(project, email(port, starttls=True))
    assert "SMTPNotSupportedError" in delivery.problem
    assert box.mails == []


def test_a_mail_that_some_did_not_get_is_told_without_the_servers_words(project: Project) -> None:
    with mail_server(Box("b@example.org")) as port:
        (delivery,) = told(project, email(port))
    assert delivery.problem == "the server refused b@example.org"
    with mail_server(Box("a@example.org", "b@example.org")) as port:
        (delivery,) = told(project, email(port))
    assert not delivery.sent
    assert "hunter2" not in delivery.problem


def test_a_mail_server_that_is_gone_is_told(project: Project) -> None:
    with mail_server(Box()) as port:
        pass
    (delivery,) = told(project, email(port))
    assert "refused" in delivery.problem


# Plug-ins ---------------------------------------------------------------------------------------------------------------


def test_an_installed_plug_in_is_told_and_its_failure_is_too(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A distribution as pip would leave it: a module and its metadata with an entry point."""
    (tmp_path / "pager.py").write_text(
        "HEARD = []\n"
        "def tell(notice, usecase): HEARD.append((notice.event, usecase.name))\n"
        "def fail(notice, usecase): raise RuntimeError('the token is hunter2')\n",
        encoding="utf-8",
    )
    info = tmp_path / "pager-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pager\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[ai_factory.notify]\npager = pager:tell\nbroken = pager:fail\nabsent = pager:nothing\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    deliveries = {d.channel: d.problem for d in told(project)}
    assert deliveries == {
        "plug-in pager": "",
        "plug-in broken": "RuntimeError",
        "plug-in absent": "AttributeError",
    }
    import pager  # type: ignore[import-not-found]

    assert pager.HEARD == [("drift", "Churn")]


def test_nobody_to_tell_is_no_failure(project: Project) -> None:
    assert told(project) == ()
