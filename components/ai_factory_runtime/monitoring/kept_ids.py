"""Kept ids: the values of `data.id` as the capture may keep them, under the same policy as the data that was learned from."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from ai_factory_spec.usecase import UseCase

from ai_factory_runtime.base.errors import PiiKeyMissing
from ai_factory_runtime.data.pii import protect, read_key
from ai_factory_runtime.data.values import plain

Keep = Callable[[Sequence[Any]], "list[str | None]"]

_log = logging.getLogger(__name__)


def id_keeper(usecase: UseCase, environment: Mapping[str, str] = os.environ) -> Keep:
    """What becomes of the ids of a request: texts as they are, hashes or tokens where the id is personal data, else nothing.

    Where the key for hashes or tokens is missing no id is kept, and the log says so once.
    """
    name = usecase.data.id
    rules = [rule for rule in usecase.data.pii if rule.column == name]
    if name is None:
        return _none
    try:
        key = read_key(rules, environment)
    except PiiKeyMissing as missing:
        _log.warning("ids of requests are not captured: %s", missing)
        return _none

    def keep(values: Sequence[Any]) -> list[str | None]:
        texts = [None if isinstance(v, (dict, list)) or v is None else plain(v) for v in values]
        protected = protect(pd.DataFrame({name: pd.Series(texts, dtype=object)}), rules, key)[name] if rules else texts
        return [None if v is None or v != v else str(v) for v in protected]

    return keep


def _none(values: Sequence[Any]) -> list[str | None]:
    return [None] * len(values)
