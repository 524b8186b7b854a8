"""Capture: a sample of what the endpoint was asked and what it answered, for the monitor.

Only feature columns and the model's outputs are written (never the target, and of the other columns the id alone, as
the PII policy leaves it, so that true values can be joined later), as JSON lines under artifacts/captures/<stage>/.
Each line names its request, its position there, the model and the code that answered. A thread of its own writes: an
answer never waits for the disk, and when the disk does not keep up, requests go uncaptured and are counted. The oldest
files are deleted above a total size.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np
import pandas as pd
from ai_factory_spec.usecase import Column

from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.data.frames import load_rows
from ai_factory_runtime.data.rows import Rows
from ai_factory_runtime.monitoring.background import Background
from ai_factory_runtime.monitoring.kept_ids import Keep

QUEUED_REQUESTS = 1000
ROWS_PER_REQUEST = 200
FILE_BYTES = 8_000_000
TOTAL_BYTES = 64_000_000
WRITE_SECONDS = 0.25
BLOCK_BYTES = 1_000_000
ROWS_IN_A_GO = 10  # then the writer pauses: a pause of the answers would be as long as its work
PAUSE_SECONDS = 0.002
ROWS_AT_ONCE = 2000
ROWS_PER_SECOND = 100.0  # on average; more would only make the kept window shorter, and answers wait for the writer

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One answered request: canonical rows and the answers to them."""

    at: str
    request_id: str
    version: int
    digest: str
    rows: Rows
    prediction: Prediction


@dataclass
class Capture:
    """Writes a sample of the exchanges it is offered. `rate` is the share of requests kept, from 0 (none) to 1 (all).

    Of many requests `rows_per_second` are kept on average, so that the newest files reach back as far as they can. `keep_ids`
    says what may be kept of the rows' ids; None: nothing. `code` is the sha256 of the code that answers (`lineage.code_sha256`), for the monitor to compare with the model's.
    """

    folder: Path
    features: Sequence[Column]
    rate: float = 1.0
    random: Random = field(default_factory=Random)
    file_bytes: int = FILE_BYTES
    total_bytes: int = TOTAL_BYTES
    dropped: int = 0
    code: str = ""
    keep_ids: Keep | None = None
    rows_per_second: float = ROWS_PER_SECOND
    kept: int = 0
    passed_over: int = 0

    def __post_init__(self) -> None:
        self._waiting: deque[Exchange] = deque()
        self._background = Background("capture", self._write_waiting, WRITE_SECONDS)
        self._path: Path | None = None
        self._failed = False
        self._room, self._filled = float(ROWS_AT_ONCE), time.monotonic()

    def start(self) -> None:
        """Start writing."""
        self._background.start()

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits, then stop. Waits at most `timeout` seconds."""
        self._background.close(timeout)

    def offer(self, exchange: Exchange) -> None:
        """Take an exchange, or leave it: never waits, never raises, and wakes no thread."""
        if self.rate <= 0 or (self.rate < 1 and self.random.random() >= self.rate) or not self._has_room(exchange):
            return
        if len(self._waiting) >= QUEUED_REQUESTS:
            self.dropped += 1
        else:
            self._waiting.append(exchange)

    def _has_room(self, exchange: Exchange) -> bool:
        """Whether its rows may be kept now: a bucket of ROWS_AT_ONCE rows that fills by `rows_per_second`."""
        at = time.monotonic()
        self._room = min(float(ROWS_AT_ONCE), self._room + (at - self._filled) * self.rows_per_second)
        self._filled = at
        rows = min(len(exchange.rows), ROWS_PER_REQUEST)
        if self._room < rows:
            self.passed_over += 1
            return False
        self._room -= rows
        return True

    def _write_waiting(self) -> None:
        while self._waiting:
            self._write_some()

    def _write_some(self) -> None:
        """Write what waits, up to a block."""
        lines, taken = bytearray(), 0
        while self._waiting and len(lines) < min(BLOCK_BYTES, self.file_bytes // 4):
            for some in self._lines(self._waiting.popleft()):
                lines += some
                self._background.pause(PAUSE_SECONDS)  # answers first
            taken += 1
        try:
            self._append(lines)
            self.kept += taken
            self._failed = False
        except OSError as error:
            self.dropped += taken
            if not self._failed:  # once, not for each request
                _log.warning("requests are not captured: %s", error)
            self._failed = True

    def _lines(self, exchange: Exchange) -> Iterator[bytes]:
        """An exchange's lines, a few rows at a time."""
        rows, prediction = exchange.rows, exchange.prediction
        chosen = list(range(len(rows)))
        if len(rows) > ROWS_PER_REQUEST:
            chosen = sorted(self.random.sample(chosen, ROWS_PER_REQUEST))
            rows = rows.take(chosen)
        common = {
            "at": exchange.at,
            "request": exchange.request_id,
            "version": exchange.version,
            "digest": exchange.digest,
            "code": self.code,
        }
        ids = self.keep_ids(rows.ids) if self.keep_ids and rows.ids is not None else [None] * len(chosen)
        for start in range(0, len(chosen), ROWS_IN_A_GO):
            part = slice(start, start + ROWS_IN_A_GO)
            at = chosen[part]
            values, shares = prediction.values[at].tolist(), prediction.probabilities
            probabilities = [None] * len(at) if shares is None else shares[at].tolist()
            plain = rows.take(range(start, start + len(at))).plain()
            lines = [
                json.dumps(
                    {**common, "position": i, "id": id_, "row": row, "prediction": v, "probabilities": p},
                    ensure_ascii=False,
                )
                for i, id_, row, v, p in zip(at, ids[part], plain, values, probabilities, strict=True)
            ]
            yield ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")

    def _append(self, lines: bytes | bytearray) -> None:
        if self._path is None or not self._path.exists() or self._path.stat().st_size + len(lines) > self.file_bytes:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._delete_oldest(self.total_bytes - self.file_bytes)
            stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S%f")
            self._path = self.folder / f"{stamp}-{os.getpid()}.jsonl"
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.write(lines)

    def _delete_oldest(self, allowed: int) -> None:
        files = sorted(self.folder.glob("*.jsonl"))
        total = sum(f.stat().st_size for f in files)
        while files and total > allowed:
            oldest = files.pop(0)
            total -= oldest.stat().st_size
            oldest.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Window:
    """Captured rows of one model, oldest first, and its answers to them.

    `keys` has for each row what its true value can be joined by: columns `request`, `position` (in the request) and `id`
    (None where unknown). `codes` are the sha256 of the code that gave the answers, the newest last.
    """

    frame: pd.DataFrame
    prediction: Prediction
    first: str
    last: str
    keys: pd.DataFrame
    codes: tuple[str, ...] = ()


def read_captures(folder: Path, digest: str, features: Sequence[Column]) -> Window | None:
    """The captured exchanges of the model `digest`; None where there are none. A line torn by a crash is passed over."""
    entries = sorted((e for e in _entries(folder) if e["digest"] == digest), key=lambda e: str(e["at"]))
    if not entries:
        return None
    frame = load_rows({"columns": [c.name for c in features], "data": [e["row"] for e in entries]}, features)
    shares = None if entries[0]["probabilities"] is None else np.array([e["probabilities"] for e in entries])
    values = np.array([e["prediction"] for e in entries], dtype=np.float64 if shares is None else object)
    codes = dict.fromkeys(str(e["code"]) for e in reversed(entries) if e.get("code"))
    return Window(
        frame,
        Prediction(values, shares),
        first=str(entries[0]["at"]),
        last=str(entries[-1]["at"]),
        keys=_keys(entries),
        codes=tuple(reversed(codes)),
    )


def _keys(entries: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """What true values can be joined by. A line without a position is the next row of its request."""
    keys = pd.DataFrame(
        {name: pd.Series([e.get(name) for e in entries], dtype=object) for name in ("request", "position", "id")}
    )
    counted = keys.groupby("request", dropna=False).cumcount()
    return keys.assign(position=keys["position"].where(keys["position"].notna(), counted).astype("int64"))


def _entries(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.keys() >= {"at", "digest", "row", "prediction", "probabilities"}:
                yield cast("dict[str, Any]", entry)
