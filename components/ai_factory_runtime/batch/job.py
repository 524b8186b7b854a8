"""Batch scoring: CSV or Parquet in, predictions out, a chunk at a time, on all processors, continued after a kill.

Each row of the source, a file or a folder of files, ends in exactly one place: in the output with its prediction, or in the
rejects file with every reason. `row` (0 is the first row of data of its file) and the id column lead back to the source. Finished
chunks are kept in a journal, so the same command after a kill goes on, and gives the same bytes. Imports no registry.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from ai_factory_runtime.base.errors import WriteFailed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import BatchUnusable, OutputRefused
from ai_factory_runtime.batch.crew import Submit, open_crew
from ai_factory_runtime.batch.journal import Journal, folder_of, open_journal, unfinished
from ai_factory_runtime.batch.scoring import (
    FILE,
    REJECT_HEADER,
    Count,
    Identity,
    Scored,
    Scorer,
    plain,
)  # fmt: skip
from ai_factory_runtime.batch.source_parts import Source, open_source
from ai_factory_runtime.data.pii import read_key
from ai_factory_runtime.releases.scale_errors import WorkerLost
from ai_factory_runtime.releases.stages import load_deployed

PARQUET, CSV = ".parquet", ".csv"
REJECTS = "rejects.csv"
CHUNKS_PER_WORKER = 16  # starting a process takes about as long as scoring so many
AHEAD = 8  # chunks for each process that may be scored before their turn to be written


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """What became of the rows: `rows` = `scored` + `rejected`. `rejects` is None when no row was rejected.

    `resumed` of the rows were scored by an earlier run that was stopped. `version` is 0 where each partition has its own.
    """

    source: Path
    output: Path
    rejects: Path | None
    rows: int
    scored: int
    rejected: int
    reasons: dict[str, int]
    version: int
    digest: str
    resumed: int = 0

    def to_dict(self) -> dict[str, object]:
        """Plain values for JSON."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in asdict(self).items()}


def score(project: Project, source: Path, out: Path | None, stage: str, *, jobs: int | None = None) -> ScoreResult:
    """Score every row of `source`, a file or a folder of files, with the model deployed in `stage`.

    `out` ends in .parquet or .csv; None: a new file under artifacts/scores/, or the one that a killed run of the same scoring
    was to make. `jobs` is the number of processes; None: as many as there are processors and work for. The output does not depend on
    it. Raises BatchUnusable when no row can be scored (the rejects file with the reasons is written all the same),
    DataUnreadable, OutputRefused, WriteFailed, RunLocked, WorkerLost, and what a stage without an approved model raises.
    Where it raises, there is no output.
    """
    if out is not None:
        _check_output(out, source)
    model, package = load_deployed(project, stage)
    opened = open_source(source, project.usecase.data.contract, package.signature.features)
    scorer = Scorer(model, package, _identity(project, opened))
    workers = _workers(opened, jobs)
    with open_crew(scorer, workers) as submit:  # first, so that the others start while the plan is made
        plan = _plan(project, stage, scorer, opened)
        output = out or unfinished(project.scores / stage, plan) or _new_output(project, source, stage)
        batch = _Batch(scorer, opened, output, submit, workers)
        with open_journal(output, plan) as journal:
            count, resumed = _score(batch, journal)
            rejects = _deliver(batch, journal, count)
            if not count.scored:
                raise BatchUnusable(source=source, problems=count.summary() or ["it has no rows"], rejects=rejects)
    return ScoreResult(
        source, output, rejects, count.rows, count.scored, count.rejected, dict(count.reasons), model.version, model.digest,
        resumed,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Batch:
    scorer: Scorer
    source: Source
    output: Path
    submit: Submit
    workers: int

    @property
    def rejects(self) -> Path:
        return self.output.with_name(f"{self.output.stem}.rejects.csv")

    @property
    def placed(self) -> str:
        """The output's name in the journal."""
        return f"output{self.output.suffix.lower()}"

    @property
    def columns(self) -> list[str]:
        """What has to be read, where a file has it."""
        wanted = [c.name for c in self.scorer.package.signature.features]
        return list(dict.fromkeys([*wanted, *([self.scorer.identity.column] if self.scorer.identity.column else [])]))


def _identity(project: Project, source: Source) -> Identity:
    data = project.usecase.data
    if data.id is None or data.id not in source.names:
        return Identity(None)
    rules = tuple(rule for rule in data.pii if rule.column == data.id)
    return Identity(data.id, rules, read_key(rules))


def _plan(project: Project, stage: str, scorer: Scorer, source: Source) -> str:
    """Everything that decides the output; a journal of another plan is of no use."""
    from ai_factory_runtime.releases.lineage import code_sha256, environment_sha256

    identity = scorer.identity
    document = {
        "stage": stage,
        "model": [scorer.model.version, scorer.model.digest],
        "source": source.fingerprint(),
        "id": [identity.column, [r.model_dump(mode="json") for r in identity.rules], _sealed(identity.key)],
        "code": [code_sha256(project.root), environment_sha256()],
    }
    return json.dumps(document, indent=1, sort_keys=True)


def _sealed(key: bytes) -> str:
    """What tells two keys apart without telling a key: a slow hash, and only its beginning."""
    return hashlib.pbkdf2_hmac("sha256", key, b"batch journal", 100_000).hex()[:16] if key else ""


def _workers(source: Source, jobs: int | None) -> int:
    """How many processes: what was asked, else one for each processor that has some chunks to score."""
    from joblib import cpu_count

    if jobs is not None:
        return max(1, jobs)
    return max(1, min(int(cpu_count()), source.chunks // CHUNKS_PER_WORKER))


def _score(batch: _Batch, journal: Journal) -> tuple[Count, int]:
    """Score what the journal lacks and write everything, in order. Returns the counts, and the rows that the journal had."""
    count, resumed = Count(), 0
    header = ((FILE,) if batch.source.folder else ()) + REJECT_HEADER
    try:
        with (
            journal.place(REJECTS).open("w", newline="", encoding="utf-8") as rejects,
            _output(journal.place(batch.placed)) as write,
        ):
            csv.writer(rejects).writerow(header)
            for scored, kept in _all_scored(batch, journal):
                write(scored.table)
                rejects.write(scored.rejects)
                count.add(scored)
                resumed += scored.rows if kept else 0
    except OSError as error:
        raise WriteFailed(path=batch.output, problem=error.strerror or str(error)) from error
    return count, resumed


def _all_scored(batch: _Batch, journal: Journal) -> Iterator[tuple[Scored, bool]]:
    """Every chunk's result in order, and whether the journal had it. A bounded number of chunks is in memory."""
    pending: deque[tuple[int, bytes | Future[bytes]]] = deque()

    def next_result() -> tuple[Scored, bool]:
        number, body = pending.popleft()
        if isinstance(body, bytes):
            return Scored.from_bytes(body), True
        journal.keep(number, result := body.result())
        return Scored.from_bytes(result), False

    try:
        for number, chunk in enumerate(batch.source.read(batch.columns)):
            pending.append((number, journal.done(number) or batch.submit(chunk)))
            while pending and (len(pending) > AHEAD * batch.workers or _is_there(pending[0][1])):
                yield next_result()
        while pending:
            yield next_result()
    except BrokenExecutor as error:
        raise WorkerLost(jobs=batch.workers) from error


def _is_there(body: bytes | Future[bytes]) -> bool:
    return isinstance(body, bytes) or body.done()


@contextmanager
def _output(path: Path) -> Iterator[Callable[[pa.Table], None]]:
    """A function that appends rows to a new file, which is there from the first rows on: their columns are known then."""
    with ExitStack() as stack:
        writer: Any = None

        def write(table: pa.Table) -> None:
            nonlocal writer
            rows = plain(table)
            if writer is None and rows.num_rows:
                kind = pq.ParquetWriter if path.suffix == PARQUET else pc.CSVWriter
                writer = stack.enter_context(kind(str(path), rows.schema))
            if rows.num_rows:
                writer.write_table(rows)

        yield write


def _deliver(batch: _Batch, journal: Journal, count: Count) -> Path | None:
    """Put both files in their places, what there is of them. Returns the rejects' place, None where no row was rejected."""
    if count.rejected:
        journal.deliver(REJECTS, batch.rejects)
    if count.scored:
        journal.deliver(batch.placed, batch.output)
    if count.rejected:
        return batch.rejects
    batch.rejects.unlink(missing_ok=True)  # of an earlier run with the same output
    return None


def _check_output(output: Path, source: Path) -> None:
    if output.suffix.lower() not in (PARQUET, CSV):
        raise OutputRefused(path=output, problem=f"its name must end in {PARQUET} or {CSV}")
    if output.resolve() == source.resolve():
        raise OutputRefused(path=output, problem="it is the file to be scored")
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise OutputRefused(path=output, problem="it lies in the folder to be scored")


def _new_output(project: Project, source: Path, stage: str) -> Path:
    """A file of its own for each scoring: the source's name and the time."""
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    stem = f"{source.resolve().stem}-{stamp}"
    folder = project.scores / stage
    names = (f"{stem}{f'-{n}' if n else ''}{PARQUET}" for n in range(1000))
    return next(
        folder / name for name in names if not (folder / name).exists() and not folder_of(folder / name).exists()
    )
