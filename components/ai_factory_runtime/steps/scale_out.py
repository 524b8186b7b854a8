"""Many models: train, gate and register one for each partition, at once, on this machine's processors or a cluster's.

joblib runs them, by the name of its backend: `loky` (processes here), `sequential`, `ray` (a Ray cluster, by the extra of that
name), or any other that is registered with joblib. A partition that is refused, that raises, or that takes its process down fails
alone and is reported; the others are registered. On a cluster all machines see the repository under the same path.
"""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_factory_spec.errors import FactoryError
from ai_factory_spec.usecase import UseCase

from ai_factory_runtime.base.errors import WriteFailed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.runs import exclusive, new_run
from ai_factory_runtime.releases.partitions import column_of, partition_of, partition_values, values_of
from ai_factory_runtime.releases.scale_errors import (
    BackendUnavailable,
    PartitionsUnusable,
    UnknownPartition,
    WorkerLost,
)
from ai_factory_runtime.steps.prepare import read

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

LOKY, SEQUENTIAL, RAY = "loky", "sequential", "ray"
BACKENDS = (LOKY, SEQUENTIAL, RAY)
FAILURE = "failure.txt"
BUG = "bug"


@dataclass(frozen=True, slots=True)
class PartitionOutcome:
    """What became of one partition. `failed` is empty, or the slug of what refused it; `bug` for an error that is none of ours."""

    value: str
    rows: int
    seconds: float = 0.0
    run_id: str = ""
    version: int | None = None
    verdict: str = ""
    model: str = ""
    metric: float | None = None
    failed: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class ManyResult:
    """What became of all partitions, in the order of the data contract. `unassigned` rows have no value that has a model.

    `strange` lists values that the data contract does not have, with their numbers of rows.
    """

    column: str
    metric: str
    outcomes: tuple[PartitionOutcome, ...]
    rows: int
    unassigned: int
    strange: tuple[tuple[str, int], ...]
    allowed: float

    @property
    def failed(self) -> tuple[PartitionOutcome, ...]:
        """The partitions without a new model."""
        return tuple(outcome for outcome in self.outcomes if outcome.failed)

    @property
    def too_many_unassigned(self) -> bool:
        """Whether more rows belong to no model than the data contract allows to be bad."""
        return self.unassigned > self.allowed * self.rows

    @property
    def ok(self) -> bool:
        """Whether every partition has a new model and the rows belong to them."""
        return not self.failed and not self.too_many_unassigned


@dataclass(frozen=True)
class Given:
    """A `load` hook that gives rows that were read already."""

    frame: pd.DataFrame

    def __call__(self, _usecase: UseCase, _root: Path) -> pd.DataFrame:
        """The rows; their own copy."""
        return self.frame.copy()


def train_all(
    project: Project,
    *,
    backend: str = LOKY,
    jobs: int | None = None,
    tell: Callable[[PartitionOutcome], None] = lambda _: None,
) -> ManyResult:
    """Run the pipeline for each partition. `jobs` at once; None: one for each processor. `tell` hears of each as it ends.

    Raises PartitionsUnusable, BackendUnavailable, RunLocked, and what reading the rows raises; never for a partition's sake.
    """
    column = column_of(project)
    if column is None:
        raise UnknownPartition(value="", column=None, known=())
    with exclusive(project, new_run().run_id), _backend(backend, jobs) as parallel:
        frame = read(project)
        if column not in frame.columns:
            raise PartitionsUnusable(column=column, problem="data.py gives no such column")
        values = partition_values(frame, project.usecase)
        tasks = [_task(project, value, frame, values) for value in values_of(project)]
        done: dict[str, PartitionOutcome] = {}
        for outcome in _outcomes(parallel, tasks):
            done[outcome.value] = outcome
            tell(outcome)
    strange = values[values.notna() & ~values.isin(list(values_of(project)))].value_counts()
    return ManyResult(
        column=column,
        metric=project.usecase.model.primary_metric,
        outcomes=tuple(done[value] for value in values_of(project)),
        rows=len(frame),
        unassigned=int(values.isna().sum() + strange.sum()),
        strange=tuple((str(value), int(count)) for value, count in strange.head(10).items()),
        allowed=project.usecase.data.contract.max_bad_rows,
    )


def train_one(project: Project, value: str) -> PartitionOutcome:
    """Run the pipeline in a partition's project. Never raises: what stops it is the outcome."""
    from ai_factory_runtime.steps.pipeline import run

    rows, started = len(project.hooks.load(project.usecase, project.root)), time.monotonic()
    outcome = PartitionOutcome(value, rows)
    try:
        result = run(project)
    except FactoryError as error:
        outcome = replace(outcome, failed=error.slug, message=str(error))
    except Exception as error:  # noqa: BLE001 - one partition's bug must not take the others' models away
        outcome = replace(outcome, failed=BUG, message=_written_down(project, error))
    else:
        outcome = replace(
            outcome,
            run_id=result.run_id,
            version=result.registered.version if result.registered else None,
            verdict=result.verdict,
            model=result.model,
            metric=result.metrics[result.primary_metric].value,
        )
    return replace(outcome, seconds=round(time.monotonic() - started, 1))


_Task = tuple[Project, str]


def _task(project: Project, value: str, frame: pd.DataFrame, values: pd.Series[Any]) -> _Task:
    """A partition's project, its rows with it."""
    own = partition_of(project, value)
    rows = frame[(values == value).to_numpy(dtype=bool, na_value=False)].reset_index(drop=True)
    return replace(own, hooks=replace(own.hooks, load=Given(rows))), value


def _outcomes(
    parallel: Callable[[Sequence[_Task]], Iterator[PartitionOutcome]], tasks: list[_Task]
) -> Iterator[PartitionOutcome]:
    """Each task's outcome as it comes. Where a process is lost, those without an outcome are done again, each alone."""
    left = {value: (project, value) for project, value in tasks}
    try:
        for outcome in parallel(tasks):
            del left[outcome.value]
            yield outcome
    except Exception:  # noqa: BLE001 - `train_one` raises nothing, so the process or the cluster is what failed
        for project, value in list(left.values()):
            try:
                yield next(iter(parallel([(project, value)])))
            except Exception as error:  # noqa: BLE001 - as above; this one is to blame
                rows = len(project.hooks.load(project.usecase, project.root))
                yield PartitionOutcome(value, rows, failed=WorkerLost.slug, message=_lost(error))


def _lost(error: Exception) -> str:
    """What is known of a process that gave no outcome, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    return f"the process that trained it gave no answer ({type(error).__name__}: {lines[-1][:300]})"


@contextlib.contextmanager
def _backend(name: str, jobs: int | None) -> Iterator[Callable[[Sequence[_Task]], Iterator[PartitionOutcome]]]:
    """What runs tasks on joblib's backend of that name and gives their outcomes as they come. Raises BackendUnavailable."""
    from joblib import Parallel, delayed, parallel_config

    if name == RAY:
        _register_ray()
    try:
        settings = parallel_config(backend=name, n_jobs=-1 if jobs is None else max(1, jobs))
    except (ValueError, ImportError) as error:
        problem = str(error).splitlines()[0]
        raise BackendUnavailable(name=name, problem=problem, known=BACKENDS) from error

    def run(tasks: Sequence[_Task]) -> Iterator[PartitionOutcome]:
        # Rows are sent, never kept in a file for the workers to map: they may hold personal data.
        generator = _returns(name)
        parallel = Parallel(return_as=generator, max_nbytes=None, batch_size=1)
        yield from parallel(delayed(train_one)(project, value) for project, value in tasks)

    with settings:
        yield run


def _returns(name: str) -> str:
    """Outcomes as they come, where joblib can do so with the backend."""
    return "generator_unordered" if name in (LOKY, SEQUENTIAL) else "list"


def _register_ray() -> None:
    try:
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise BackendUnavailable(name=RAY, problem="the package ray is not installed", known=BACKENDS) from error
    register_ray()


def _written_down(project: Project, error: Exception) -> str:
    """Keep a bug's traceback in the partition's folder; returns one line about it."""
    text = "".join(traceback.format_exception(error))
    path = project.artifacts / FAILURE
    where = f"; {path} has the traceback"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as refused:
        where = f"; {WriteFailed(path=path, problem=refused.strerror or str(refused))}"
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0] if said else 'no message'}{where}"
