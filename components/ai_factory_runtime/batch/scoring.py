"""Scoring one chunk of rows: the part of a batch that has no files, so that any process can do it.

A chunk's result is bytes in Arrow's IPC format: the scored rows as a table, the counts and the rejected lines in its metadata.
The same chunk and model give the same bytes, in whatever process and with however many beside it.
"""

from __future__ import annotations

import csv
import io
import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from ai_factory_spec.usecase import Pii

from ai_factory_runtime.data.pii import protect
from ai_factory_runtime.data.screening import Screened, screen
from ai_factory_runtime.model_package.package import ModelPackage
from ai_factory_runtime.releases.fleet import Answers, answers_of
from ai_factory_runtime.releases.stages import Deployed

ROW, FILE = "row", "file"
RESERVED = (ROW, FILE, "prediction", "model_version", "model_digest")
REJECT_HEADER = (ROW, "id", "column", "reason", "got", "allowed")
PARENT_SECONDS = 1.0
_FACTS, _REJECTS = b"facts", b"rejects"

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Identity:
    """How a row is named in the output: by its position, by its file where there are several, and by the id column if there is one."""

    column: str | None
    rules: tuple[Pii, ...] = ()
    key: bytes = field(default=b"", repr=False)

    def values(self, chunk: pd.DataFrame) -> pd.Series[Any] | None:
        """The ids of a chunk, hashed where they are personal data; None where there are none."""
        if self.column is None:
            return None
        if self.column not in chunk.columns:
            return pd.Series([None] * len(chunk), dtype=object)
        kept = protect(chunk[[self.column]], self.rules, self.key)
        return kept[self.column] if self.column in kept.columns else None

    @property
    def name(self) -> str:
        """The id's column in the output."""
        own = self.column or ""
        return f"{own} (id)" if own in RESERVED else own


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows as they stand in a file. `start` is the position of the first; `file` is empty where the source is one file."""

    file: str
    start: int
    frame: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of a chunk: `table` has its good rows, `rejects` CSV lines for the others."""

    table: pa.Table
    rejects: str
    rows: int
    scored: int
    reasons: dict[str, int]

    def to_bytes(self) -> bytes:
        """As bytes, for another process or a file."""
        facts = json.dumps({"rows": self.rows, "scored": self.scored, "reasons": self.reasons})
        table = self.table.replace_schema_metadata({_FACTS: facts.encode(), _REJECTS: self.rejects.encode()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue().to_pybytes())

    @classmethod
    def from_bytes(cls, body: bytes) -> Scored:
        """What `to_bytes` wrote."""
        table = pa.ipc.open_file(pa.py_buffer(body)).read_all()
        metadata = table.schema.metadata
        facts = json.loads(metadata[_FACTS])
        plain = table.replace_schema_metadata(None)
        return cls(plain, metadata[_REJECTS].decode(), facts["rows"], facts["scored"], facts["reasons"])


@dataclass(slots=True)
class Count:
    """What became of all rows so far."""

    rows: int = 0
    scored: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def rejected(self) -> int:
        """The rows without a prediction."""
        return self.rows - self.scored

    def add(self, scored: Scored) -> None:
        """Count a chunk."""
        self.rows += scored.rows
        self.scored += scored.scored
        self.reasons.update(scored.reasons)

    def summary(self) -> list[str]:
        """The commonest reasons, one a line."""
        return [f"{reason} in {n} of {self.rows} rows" for reason, n in self.reasons.most_common(10)]


@dataclass(frozen=True, slots=True)
class Scorer:
    """A loaded model, and how its rows are named."""

    model: Deployed
    package: ModelPackage
    identity: Identity

    def score(self, chunk: Chunk) -> Scored:
        """Answer the rows that satisfy the contract, and give every reason for the others."""
        screened = screen(chunk.frame, self.package.signature.features)
        rows = np.arange(chunk.start, chunk.start + len(chunk.frame), dtype=np.int64)
        ids = self.identity.values(chunk.frame)
        good = ~screened.bad
        table = self._table(chunk.file, screened.good, rows[good], None if ids is None else ids[good])
        reasons = {f"{b.column.name!r} {b.reason}": int(b.rows.sum()) for b in screened.broken}
        return Scored(table, _reject_lines(chunk.file, screened, rows, ids), len(rows), int(good.sum()), reasons)

    def _table(self, file: str, frame: pd.DataFrame, rows: Rows, ids: pd.Series[Any] | None) -> pa.Table:
        """The output's rows: file, position, id, prediction, a probability for each class, and which model said so."""
        signature, count = self.package.signature, len(rows)
        columns: dict[str, Any] = {FILE: _repeated(file, count)} if file else {}
        columns[ROW] = pa.array(rows)
        if ids is not None:
            columns[self.identity.name] = pa.array(ids.astype("str").where(ids.notna(), None), type=pa.string())
        answers = answers_of(self.package, self.model, frame) if count else Answers.none(signature)
        kind = pa.float64() if signature.task == "regression" else pa.string()
        columns["prediction"] = pa.array(answers.values.tolist(), type=kind)
        for position, name in enumerate(signature.classes if answers.probabilities is not None else ()):
            columns[f"probability_{name}"] = pa.array(answers.probabilities[:, position])  # type: ignore[index]
        columns["model_version"] = pa.array(answers.versions)
        digests = pa.array(answers.digests or [self.model.digest], type=pa.string())
        columns["model_digest"] = pa.DictionaryArray.from_arrays(pa.array(answers.digest_codes), digests)
        return pa.table(columns)


def plain(table: pa.Table) -> pa.Table:
    """The table with texts in place of dictionaries, as it goes to a file."""
    fields = [f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


_scorer: Scorer | None = None


def start_worker(scorer: Scorer, parent: int) -> None:
    """Keep the model in a worker process, which answers with one thread: there is a process for each processor.

    The model comes as the parent checked and loaded it: to check it anew takes longer than to score 100,000 rows. A worker
    whose `parent`, a process id, was killed ends, were it before this call: nobody would ever ask it or end it.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    global _scorer
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _scorer = scorer
    threadpool_limits(limits=1)


def is_started() -> bool:
    """Asked of a worker: its answer, whatever it is, comes when the worker can score."""
    return _scorer is not None


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_SECONDS)
    os._exit(1)


def score_in_worker(chunk: Chunk) -> bytes:
    """Score a chunk with the model that `start_worker` loaded."""
    assert _scorer is not None
    return _scorer.score(chunk).to_bytes()


def _repeated(text: str, count: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, dtype=np.int32)), pa.array([text]))


def _reject_lines(file: str, screened: Screened, rows: Rows, ids: pd.Series[Any] | None) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    for problem in screened.problems():
        name = "" if ids is None else ids.iloc[problem.row]
        where = (file, rows[problem.row]) if file else (rows[problem.row],)
        writer.writerow((*where, name, problem.column, problem.reason, problem.got, problem.allowed))
    return text.getvalue()
