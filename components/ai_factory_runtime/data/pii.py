"""Personal data: removed, replaced by a keyed hash or by a token before a row is stored, shown or learned from."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from ai_factory_spec.usecase import Pii

from ai_factory_runtime.base.errors import PiiKeyMissing
from ai_factory_runtime.data.tokens import Tokens
from ai_factory_runtime.data.values import by_value, plain

KEY_VARIABLE = "AI_FACTORY_PII_KEY"
SHORTEST_KEY = 16  # characters; with fewer the hash of an e-mail address can be found by trying


def read_key(rules: Sequence[Pii], environment: Mapping[str, str] = os.environ) -> bytes:
    """The key for hashes and tokens, empty where no rule needs one. Raises PiiKeyMissing where one is needed and there is none."""
    keyed = [rule.column for rule in rules if rule.action != "drop"]
    key = environment.get(KEY_VARIABLE, "")
    if keyed and len(key) < SHORTEST_KEY:
        raise PiiKeyMissing(columns=keyed, variable=KEY_VARIABLE, shortest=SHORTEST_KEY)
    return key.encode()


def protect(frame: pd.DataFrame, rules: Sequence[Pii], key: bytes, *, keep_apart: str | None = None) -> pd.DataFrame:
    """The rows without the columns to drop, with HMAC-SHA256 or tokens for the values of the others; missing stays missing.

    Equal values get equal hashes and equal tokens, however a file writes them (1 and 1.0), so such a column can still be the
    id that keeps an entity's rows together. A column to drop that is such an id (`keep_apart`) becomes a running number
    instead, which names nobody and is not stored.
    """
    dropped = [r.column for r in rules if r.action == "drop" and r.column != keep_apart]
    protected = frame.drop(columns=dropped, errors="ignore")
    for rule in rules:
        if rule.column not in protected.columns:
            continue
        values = protected[rule.column]
        if rule.action == "drop":
            codes = pd.Series(pd.factorize(values.astype(object))[0], index=values.index).astype("Int64").astype(object)
            protected[rule.column] = codes.where(values.notna(), None)
        else:
            protected[rule.column] = by_value(values, _hider(rule, key))
    return protected


def reveal(token: str, rules: Sequence[Pii], environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """(column, value) of a token that `protect` put there. Raises PiiKeyMissing, TokenUnreadable."""
    tokenised = [rule for rule in rules if rule.action == "tokenise"]
    return Tokens(read_key(tokenised, environment)).reveal(token, [rule.column for rule in tokenised])


def _hider(rule: Pii, key: bytes) -> Callable[[Any], str | None]:
    if rule.action == "tokenise":
        tokens = Tokens(key)
        return lambda value: _kept_absent(value, lambda text: tokens.hide(text, rule.column))
    return lambda value: _kept_absent(
        value, lambda text: hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()
    )


def _kept_absent(value: object, hide: Callable[[str], str]) -> str | None:
    text = plain(value)
    return None if text is None else hide(text)
