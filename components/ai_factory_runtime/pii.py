"""Personal data: removed or replaced by a keyed hash before a row is stored, shown or learned from."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence

import pandas as pd
from ai_factory_spec.usecase import Pii

from ai_factory_runtime.errors import PiiKeyMissing

KEY_VARIABLE = "AI_FACTORY_PII_KEY"
SHORTEST_KEY = 16  # characters; with fewer the hash of an e-mail address can be found by trying


def read_key(rules: Sequence[Pii], environment: Mapping[str, str] = os.environ) -> bytes:
    """The key for hashing, empty where no rule hashes. Raises PiiKeyMissing where one is needed and there is none."""
    hashed = [rule.column for rule in rules if rule.action == "hash"]
    key = environment.get(KEY_VARIABLE, "")
    if hashed and len(key) < SHORTEST_KEY:
        raise PiiKeyMissing(columns=hashed, variable=KEY_VARIABLE, shortest=SHORTEST_KEY)
    return key.encode()


def protect(frame: pd.DataFrame, rules: Sequence[Pii], key: bytes, *, keep_apart: str | None = None) -> pd.DataFrame:
    """The rows without the columns to drop, and with HMAC-SHA256 of the values of columns to hash; missing stays missing.

    Equal values get equal hashes, so a hashed column can still be the id that keeps an entity's rows together. A column
    to drop that is such an id (`keep_apart`) becomes a running number instead, which names nobody and is not stored.
    """
    dropped = [r.column for r in rules if r.action == "drop" and r.column != keep_apart]
    protected = frame.drop(columns=dropped, errors="ignore")
    for rule in rules:
        if rule.column not in protected.columns:
            continue
        values = protected[rule.column].astype(object)
        if rule.action == "drop":
            codes = pd.Series(pd.factorize(values)[0], index=values.index).astype("Int64").astype(object)
            protected[rule.column] = codes.where(values.notna(), None)
        else:
            protected[rule.column] = values.map(lambda v: _hash(v, key), na_action="ignore")
    return protected


def _hash(value: object, key: bytes) -> str:
    return hmac.new(key, str(value).encode(), hashlib.sha256).hexdigest()
