"""Negotiation: what a request's headers say about its body, the answer and its name. Decides between 406, 413, 415."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from ai_factory_runtime.serving.refused import BAD_REQUEST, TOO_LARGE, RequestRefused
from ai_factory_runtime.serving.requests import MAX_REASONS

JSON, CSV = "application/json", "text/csv"
NOT_ACCEPTABLE, UNSUPPORTED = 406, 415
MAX_BODY = 6 * 1024 * 1024  # as SageMaker's own limit for an answer at once

_RANDOM = Random()  # noqa: S311 - a request's name need not be hard to guess, and is made in a microsecond
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REASONS = re.compile(r"(?:^|[;, ])reasons=([0-9]{1,4})(?:$|[;, ])")
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s\";]+)")
_READ = frozenset(
    {
        b"content-type",
        b"content-encoding",
        b"content-length",
        b"accept",
        b"x-request-id",
        b"x-amzn-sagemaker-custom-attributes",
    }
)


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers that matter, as sent; empty where they are not there."""

    content_type: str = ""
    content_encoding: str = ""
    content_length: str = ""
    accept: str = ""
    x_request_id: str = ""
    x_amzn_sagemaker_custom_attributes: str = ""

    @classmethod
    def of(cls, raw: Iterable[tuple[bytes, bytes]]) -> Headers:
        """From an ASGI scope's list: lower-case names, values in Latin-1."""
        return cls(**{k.decode().replace("-", "_"): v.decode("latin-1") for k, v in raw if k in _READ})

    @property
    def request_id(self) -> str:
        """The caller's name for the request if it is a plain one, else a new one."""
        return self.x_request_id if _ID.fullmatch(self.x_request_id) else f"{_RANDOM.getrandbits(128):032x}"

    def body_type(self, most: int = MAX_BODY) -> str:
        """application/json or text/csv, in UTF-8, not compressed and at most so many bytes. Raises RequestRefused."""
        plain = self.content_type == JSON and not self.content_encoding
        given = JSON if plain else self._unusual_type()
        if self.content_length.isdecimal() and int(self.content_length[:20]) > most:
            raise too_large(most)
        return given

    def reasons(self) -> int:
        """For how many columns of each row the effect is asked: `reasons=3` among SageMaker's custom attributes, else 0."""
        asked = _REASONS.search(self.x_amzn_sagemaker_custom_attributes)
        return min(int(asked.group(1)), MAX_REASONS) if asked else 0

    def answer_type(self) -> str:
        """The first type of the Accept header that can be given. Raises RequestRefused where none can."""
        for part in self.accept.lower().split(","):
            kind = part.partition(";")[0].strip()
            if kind in ("*/*", "application/*", JSON, ""):
                return JSON
            if kind in ("text/*", CSV):
                return CSV
        raise RequestRefused(
            NOT_ACCEPTABLE, f"The answer can be {JSON} or {CSV}; asked for was {self.accept.lower()[:80]!r}."
        )

    def _unusual_type(self) -> str:
        given, _, parameters = self.content_type.lower().partition(";")
        given = given.strip()
        charset = _CHARSET.search(parameters)
        if given not in (JSON, CSV):
            raise RequestRefused(UNSUPPORTED, f"The Content-Type must be {JSON} or {CSV}; got {given[:80]!r}.")
        if charset and charset.group(1) not in ("utf-8", "utf8", "us-ascii"):
            raise RequestRefused(UNSUPPORTED, f"The body must be in UTF-8; got charset {charset.group(1)[:40]!r}.")
        if self.content_encoding.strip().lower() not in ("", "identity"):
            raise RequestRefused(UNSUPPORTED, "A compressed body is not accepted.")
        return given


def too_large(most: int) -> RequestRefused:
    """The refusal of a body of more bytes than that."""
    return RequestRefused(TOO_LARGE, f"The body is larger than {most} bytes. Score large data as a batch.")


def nothing_sent() -> RequestRefused:
    """What is logged where the caller went away before the body was there."""
    return RequestRefused(BAD_REQUEST, "The caller went away.")
