"""Tokens: personal data that only the key's holder can read again.

A token is AES-SIV (RFC 5297) of the value, with the column's name as associated data: equal values of a column have equal
tokens, so a tokenised column can still be an id; the same value in another column has another token; and a token that
was changed, or made with another key, is refused. The AES key is derived from the secret by HKDF-SHA256 (RFC 5869).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ai_factory_runtime.data.data_refusals import TokenUnreadable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

PREFIX = "tok_"
_PURPOSE = b"ai-factory/pii/tokens/v1"
_KEY_BYTES = 64  # AES-256-SIV takes two keys of 32


class Tokens:
    """Makes and reads the tokens of one secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def hide(self, value: str, column: str) -> str:
        """The token of a value: letters, digits, `-` and `_`."""
        sealed: bytes = self._cipher.encrypt(value.encode("utf-8", "surrogatepass"), [column.encode()])
        return PREFIX + base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def reveal(self, token: str, columns: Sequence[str]) -> tuple[str, str]:
        """(column, value) of a token made for one of these columns. Raises TokenUnreadable; the token is not shown."""
        from cryptography.exceptions import InvalidTag

        for column in columns:
            try:
                value: bytes = self._cipher.decrypt(_sealed(token), [column.encode()])
            except (InvalidTag, ValueError):
                continue
            return column, value.decode("utf-8", "surrogatepass")
        raise TokenUnreadable(columns=columns)

    @cached_property
    def _cipher(self) -> AESSIV:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return AESSIV(HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=_PURPOSE).derive(self._secret))


def _sealed(token: str) -> bytes:
    """The bytes of a token. Raises ValueError where it is none."""
    body = token.strip()
    if not body.startswith(PREFIX):
        raise ValueError("not a token")
    body = body.removeprefix(PREFIX)
    try:
        return base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not a token") from error
