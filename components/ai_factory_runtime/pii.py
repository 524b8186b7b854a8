"""Personal data: removed or replaced by a keyed hash before a row is stored, shown or learned from."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence

import pandas as pd
from ai_factory_spec.usecase import Contract, Data, Pii

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


def protect(frame: pd.DataFrame, rules: Sequence[Pii], key: bytes) -> pd.DataFrame:
    """The rows without the columns to drop, and with HMAC-SHA256 of the values of columns to hash; missing stays missing.

    Equal values get equal hashes, so a hashed column can still be the id that keeps an entity's rows together.
    """
    protected = frame.drop(columns=[r.column for r in rules if r.action == "drop"], errors="ignore")
    for rule in rules:
        if rule.action == "hash" and rule.column in protected.columns:
            protected[rule.column] = (
                protected[rule.column].astype(object).map(lambda v: _hash(v, key), na_action="ignore")
            )
    return protected


def protected_contract(data: Data) -> Contract:
    """The contract that rows satisfy after `protect`: dropped columns gone, hashed ones text."""
    actions = {rule.column: rule.action for rule in data.pii}
    columns = []
    for column in data.contract.columns:
        action = actions.get(column.name)
        if action is None:
            columns.append(column)
        elif action == "hash":
            text = {"type": "text", "min": None, "max": None, "categories": None}
            columns.append(column.model_copy(update=text))
    return data.contract.model_copy(update={"columns": tuple(columns)})


def _hash(value: object, key: bytes) -> str:
    return hmac.new(key, str(value).encode(), hashlib.sha256).hexdigest()
