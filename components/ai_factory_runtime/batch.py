"""Batch scoring: a CSV or Parquet file in, predictions out, a chunk at a time, so that memory does not grow with the file.

Each row of the source ends in exactly one place: in the output with its prediction, or in the rejects file with every
reason. `row` (0 is the first row of data) and the id column lead back to the source. Both files appear whole or not at
all. Imports no registry.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
from ai_factory_spec.suggest import did_you_mean
from ai_factory_spec.usecase import Pii

from ai_factory_runtime.atomic import replacing
from ai_factory_runtime.package import ModelPackage
from ai_factory_runtime.pii import protect, read_key
from ai_factory_runtime.project import Project
from ai_factory_runtime.refusals import BatchUnusable, OutputRefused
from ai_factory_runtime.screening import Screened, screen
from ai_factory_runtime.stages import Deployed, load_deployed
from ai_factory_runtime.tables import Table, open_table

PARQUET, CSV = ".parquet", ".csv"
ROW = "row"
REJECT_HEADER = (ROW, "id", "column", "reason", "got", "allowed")

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """What became of the rows: `rows` = `scored` + `rejected`. `rejects` is None when no row was rejected."""

    source: Path
    output: Path
    rejects: Path | None
    rows: int
    scored: int
    rejected: int
    reasons: dict[str, int]
    version: int
    digest: str

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}


def score(project: Project, source: Path, out: Path | None, stage: str) -> ScoreResult:
    """Score every row of `source` with the model deployed in `stage`.

    `out` ends in .parquet or .csv; None: a new file under artifacts/scores/. Raises BatchUnusable when no row can be
    scored (the rejects file with the reasons is written all the same), DataUnreadable, OutputRefused, WriteFailed, and
    what a stage without an approved model raises. Where it raises, there is no output.
    """
    model, package = load_deployed(project, stage)
    output = out if out is not None else _new_output(project, source, stage)
    _check_output(output, source)
    table = open_table(source, project.usecase.data.contract)
    _check_columns(source, table, package)
    batch = _Batch(model, package, table, _Identity.of(project, table), output)
    count = _score(batch)
    if not count.rejected:
        batch.rejects.unlink(missing_ok=True)  # of an earlier run with the same output
    rejects = batch.rejects if count.rejected else None
    if not count.scored:
        raise BatchUnusable(source=source, problems=count.summary() or ["it has no rows"], rejects=rejects)
    return ScoreResult(
        source,
        output,
        rejects,
        count.rows,
        count.scored,
        count.rejected,
        dict(count.reasons),
        model.version,
        model.digest,
    )


@dataclass(frozen=True, slots=True)
class _Identity:
    """How a row is named in the output: by its position, and by the id column where usecase.yaml and the file have one."""

    column: str | None
    rules: tuple[Pii, ...]
    key: bytes

    @classmethod
    def of(cls, project: Project, table: Table) -> _Identity:
        data = project.usecase.data
        if data.id is None or data.id not in table.names:
            return cls(None, (), b"")
        rules = tuple(rule for rule in data.pii if rule.column == data.id)
        return cls(data.id, rules, read_key(rules))

    def values(self, chunk: pd.DataFrame) -> pd.Series[Any] | None:
        """The ids of a chunk, hashed where they are personal data; None where there are none."""
        if self.column is None:
            return None
        kept = protect(chunk[[self.column]], self.rules, self.key)
        return kept[self.column] if self.column in kept.columns else None

    @property
    def name(self) -> str:
        """The id's column in the output."""
        own = self.column or ""
        return f"{own} (id)" if own in (ROW, "prediction", "model_version", "model_digest") else own


@dataclass(frozen=True, slots=True)
class _Batch:
    model: Deployed
    package: ModelPackage
    table: Table
    identity: _Identity
    output: Path

    @property
    def rejects(self) -> Path:
        return self.output.with_name(f"{self.output.stem}.rejects.csv")

    @property
    def columns(self) -> list[str]:
        """What has to be read."""
        wanted = [c.name for c in self.package.signature.features if c.name in self.table.names]
        return list(dict.fromkeys([*wanted, *([self.identity.column] if self.identity.column else [])]))


@dataclass(slots=True)
class _Count:
    rows: int = 0
    scored: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, screened: Screened) -> None:
        bad = int(screened.bad.sum())
        self.rows += len(screened.bad)
        self.scored += len(screened.bad) - bad
        self.rejected += bad
        for rule in screened.broken:
            self.reasons[f"{rule.column.name!r} {rule.reason}"] += int(rule.rows.sum())

    def summary(self) -> list[str]:
        """The commonest reasons, one a line."""
        return [f"{reason} in {n} of {self.rows} rows" for reason, n in self.reasons.most_common(10)]


class _NothingScored(Exception):  # noqa: N818 - leaves the block of an output that is not to appear
    pass


def _score(batch: _Batch) -> _Count:
    """Chunk by chunk. The rejects stay when nothing could be scored; the output does not appear then."""
    count = _Count()
    with replacing(batch.rejects) as rejects, rejects.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(REJECT_HEADER)
        try:
            with replacing(batch.output) as partial:
                with _scores_to(partial) as scores:
                    for chunk in batch.table.chunks(batch.columns):
                        _score_chunk(batch, chunk, count, scores, writer)
                if not count.scored:
                    raise _NothingScored
        except _NothingScored:
            pass
    return count


def _score_chunk(batch: _Batch, chunk: pd.DataFrame, count: _Count, scores: _Scores, rejects: Any) -> None:
    screened = screen(chunk, batch.package.signature.features)
    rows = np.arange(count.rows, count.rows + len(chunk), dtype=np.int64)
    ids = batch.identity.values(chunk)
    good = ~screened.bad
    if good.any():
        scores.write(_scored(batch, screened.good, rows[good], None if ids is None else ids[good]))
    for problem in screened.problems():
        name = "" if ids is None else ids.iloc[problem.row]
        rejects.writerow((rows[problem.row], name, problem.column, problem.reason, problem.got, problem.allowed))
    count.add(screened)


def _scored(batch: _Batch, frame: pd.DataFrame, rows: Rows, ids: pd.Series[Any] | None) -> pa.Table:
    """The output's rows: position, id, prediction, a probability for each class, and which model said so."""
    prediction, signature = batch.package.predict(frame), batch.package.signature
    columns: dict[str, Any] = {ROW: pa.array(rows)}
    if ids is not None:
        columns[batch.identity.name] = pa.array(ids.astype("str").where(ids.notna(), None), type=pa.string())
    kind = pa.float64() if signature.task == "regression" else pa.string()
    columns["prediction"] = pa.array(prediction.values.tolist(), type=kind)
    if prediction.probabilities is not None:
        for position, name in enumerate(signature.classes):
            columns[f"probability_{name}"] = pa.array(prediction.probabilities[:, position])
    columns["model_version"] = pa.array(np.full(len(rows), batch.model.version, dtype=np.int64))
    columns["model_digest"] = pa.array([batch.model.digest] * len(rows))
    return pa.table(columns)


class _Scores(Protocol):
    def write(self, table: pa.Table) -> None: ...


@dataclass(slots=True)
class _Writer:
    """Opens the file with the first rows, whose columns are then known."""

    path: Path
    open_file: Any = None

    def write(self, table: pa.Table) -> None:
        if self.open_file is None:
            kind = pq.ParquetWriter if self.path.suffix.lower() == PARQUET else pc.CSVWriter
            self.open_file = kind(str(self.path), table.schema)
        self.open_file.write_table(table)


@contextmanager
def _scores_to(path: Path) -> Iterator[_Scores]:
    writer = _Writer(path)
    try:
        yield writer
    finally:
        if writer.open_file is not None:
            writer.open_file.close()


def _check_output(output: Path, source: Path) -> None:
    if output.suffix.lower() not in (PARQUET, CSV):
        raise OutputRefused(path=output, problem=f"its name must end in {PARQUET} or {CSV}")
    if output.resolve() == source.resolve():
        raise OutputRefused(path=output, problem="it is the file to be scored")


def _check_columns(source: Path, table: Table, package: ModelPackage) -> None:
    """Every column that must have values is there. Raises BatchUnusable with the nearest names."""
    absent = [c.name for c in package.signature.features if not c.nullable and c.name not in table.names]
    if absent:
        raise BatchUnusable(
            source=source, problems=[f"the column {n!r} is missing{did_you_mean(n, table.names)}" for n in absent]
        )


def _new_output(project: Project, source: Path, stage: str) -> Path:
    """A file of its own for each scoring: the source's name and the time."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    stem = f"{source.stem}-{stamp}"
    folder = project.scores / stage
    names = (f"{stem}{f'-{n}' if n else ''}{PARQUET}" for n in range(1000))
    return next(folder / name for name in names if not (folder / name).exists())
