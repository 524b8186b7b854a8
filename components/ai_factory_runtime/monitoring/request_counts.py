"""Request counts: how many requests an endpoint answered and refused, and for which rules; nothing of their content.

A refused request is never captured, for what it holds fits no contract and may be anything. Its count alone tells a monitor
of a client that is broken. Each service writes one small JSON file an hour beside its captures, from a thread of its own: an
answer never waits for the disk. The oldest files are deleted.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import secrets
import threading
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.errors import WriteFailed
from ai_factory_runtime.monitoring.background import Background

SUFFIX = ".counts.json"
WRITE_SECONDS = 2.0
KEPT_FILES = 24 * 35
OTHER = "holds something that is no column of the model"

Rule = tuple[str, str]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Requests:
    """What became of requests: how many were answered and refused; `rules` counts the refused ones by (column, rule)."""

    answered: int
    refused: int
    rules: Mapping[Rule, int]


def rules_of(problems: Collection[tuple[str, str]], known: Collection[str], otherwise: str) -> frozenset[Rule]:
    """The rules that a refused request broke, from (column, reason) of its values. Only `known` columns are named.

    A name that the caller made up is content of the request. A problem without a column is one of a whole row. `otherwise`: what
    to say where no value was looked at.
    """
    if not problems:
        return frozenset({("", otherwise)})
    return frozenset((column, reason) if column in known or not column else ("", OTHER) for column, reason in problems)


@dataclass(slots=True)
class _Tally:
    answered: int = 0
    refused: int = 0
    rules: Counter[Rule] = field(default_factory=Counter)

    def copy(self) -> _Tally:
        return _Tally(self.answered, self.refused, self.rules.copy())

    def document(self) -> dict[str, object]:
        rules = [{"column": c, "rule": r, "requests": n} for (c, r), n in sorted(self.rules.items())]
        return {"answered": self.answered, "refused": self.refused, "rules": rules}


class RequestCounter:
    """Counts requests by the model that was asked (its digest) and writes the counts into `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # In a container every process has the same number: one that is started again must not replace what was counted.
        self._own = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock = threading.Lock()
        self._background = Background("request-counts", self._write_changed, WRITE_SECONDS)
        self._tallies: dict[str, _Tally] = {}
        self._hour, self._changed, self._failed = "", False, False

    def start(self) -> None:
        """Start writing."""
        self._background.start()

    def close(self, timeout: float = 10.0) -> None:
        """Write what was counted since, then stop."""
        self._background.close(timeout)

    def answered(self, digest: str) -> None:
        """Count a request that was answered."""
        with self._lock:
            self._tally(digest).answered += 1

    def refused(self, digest: str, rules: Collection[Rule]) -> None:
        """Count a request that was refused, once for each rule."""
        with self._lock:
            tally = self._tally(digest)
            tally.refused += 1
            tally.rules.update(rules)

    def _tally(self, digest: str) -> _Tally:
        self._changed = True
        found = self._tallies.get(digest)
        if found is None:
            found = self._tallies[digest] = _Tally()
        return found

    def _write_changed(self) -> None:
        if self._changed:
            self._write(dt.datetime.now(dt.UTC))

    def _write(self, now: dt.datetime) -> None:
        """Write this hour's file; a new hour begins with counts of its own, after the old one's were written."""
        hour = now.strftime("%Y%m%dT%H")
        with self._lock:  # answers wait for it: a copy, and the work on it after
            counted = {digest: tally.copy() for digest, tally in self._tallies.items()}
            written = self._hour or hour
            self._hour, self._changed = hour, False
            if written != hour:
                self._tallies = {}
        try:
            documents = {digest: tally.document() for digest, tally in counted.items()}
            write_counts(self.folder / f"{written}-{self._own}{SUFFIX}", now, documents)
            self._failed = False
        except (OSError, WriteFailed) as error:
            if not self._failed:  # once, not for each time
                _log.warning("requests are not counted: %s", error)
            self._failed = self._changed = True  # tried again


def write_counts(path: Path, until: dt.datetime, counted: Mapping[str, Mapping[str, object]]) -> None:
    """Write counts by model; a model's digest is empty where it is not known. `until`: the newest of them.

    Raises OSError, WriteFailed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"until": until.isoformat(timespec="seconds"), "models": counted}
    write_atomically(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
    for old in sorted(path.parent.glob(f"*{SUFFIX}"))[:-KEPT_FILES]:
        old.unlink(missing_ok=True)


def read_counts(folder: Path, digest: str | None, since: str = "") -> Requests | None:
    """The counts of the model `digest` (None: of all models), from `since` on; None where nothing was counted.

    A damaged file is passed over.
    """
    return added(*(counted for path in sorted(folder.glob(f"*{SUFFIX}")) for counted in _read(path, digest, since)))


def added(*counted: Requests | None) -> Requests | None:
    """Counts of several places together; None where nothing was counted in any."""
    known, rules = [some for some in counted if some is not None], Counter[Rule]()
    for some in known:
        rules.update(some.rules)
    answered, refused = sum(some.answered for some in known), sum(some.refused for some in known)
    return Requests(answered, refused, rules) if answered or refused else None


def _read(path: Path, digest: str | None, since: str) -> list[Requests]:
    """What a file counted of a model; nothing where it is older than `since` or damaged."""
    try:
        document = json.loads(path.read_bytes())
        if str(document["until"]) < since[:19]:
            return []
        return [_requests(c) for d, c in document["models"].items() if digest is None or d in ("", digest)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _requests(counted: Mapping[str, Any]) -> Requests:
    rules = {(str(rule["column"]), str(rule["rule"])): int(rule["requests"]) for rule in counted["rules"]}
    return Requests(int(counted["answered"]), int(counted["refused"]), rules)
