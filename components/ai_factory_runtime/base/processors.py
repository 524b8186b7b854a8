"""How many processors a step uses: decided by the size of the table, and never stored in a fitted model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from joblib import parallel_config
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

# With fewer rows a second thread gains nothing, and on a busy machine the threads wait for each other.
ONE_THREAD_BELOW = 20_000


@contextmanager
def processors(rows: int) -> Iterator[None]:
    """One thread for a table of few rows, all processors for a large one, for as long as the block lasts."""
    small = rows < ONE_THREAD_BELOW
    with (
        threadpool_limits(limits=1 if small else None),
        parallel_config(backend="threading", n_jobs=1 if small else -1),
    ):
        yield
