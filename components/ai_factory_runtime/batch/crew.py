"""Crew: the processes that score the chunks of a batch: this one, and others beside it where there are to be more.

Another process takes seconds to start. Until it has, and while the others have enough to do, this process scores itself.
Which process scores a chunk changes nothing of the result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field

from ai_factory_runtime.batch.scoring import Chunk, Scorer, is_started, score_in_worker, start_worker

HANDED_OUT = 2  # chunks for each other process: one it scores, one for when it is done

Submit = Callable[[Chunk], Future[bytes]]


@contextmanager
def open_crew(scorer: Scorer, processes: int) -> Iterator[Submit]:
    """A function that has a chunk scored: it returns at once, or when it has scored it itself. Every process has one thread.

    The function, or the future, raises BrokenExecutor where another process was killed.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(limits=1):  # the last bits of a sum depend on the number of threads
        if processes == 1:
            yield lambda chunk: _here(scorer, chunk)
            return
        from joblib.externals.loky import ProcessPoolExecutor

        others = processes - 1
        pool = ProcessPoolExecutor(
            others, initializer=start_worker, initargs=(scorer, os.getpid()), env={"OMP_NUM_THREADS": "1"}
        )
        try:
            yield _Crew(scorer, pool, HANDED_OUT * others).submit
        finally:
            pool.shutdown(kill_workers=True)


@dataclass(eq=False)
class _Crew:
    """`most` chunks are handed out to the other processes at a time."""

    scorer: Scorer
    pool: Executor
    most: int
    _handed_out: list[Future[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._started: Future[bool] = self.pool.submit(is_started)

    def submit(self, chunk: Chunk) -> Future[bytes]:
        """The chunk's result, now or later."""
        self._handed_out = [future for future in self._handed_out if not future.done()]
        if not self._started.done() or len(self._handed_out) >= self.most:
            return _here(self.scorer, chunk)
        self._started.result()
        self._handed_out.append(self.pool.submit(score_in_worker, chunk))
        return self._handed_out[-1]


def _here(scorer: Scorer, chunk: Chunk) -> Future[bytes]:
    done: Future[bytes] = Future()
    done.set_result(scorer.score(chunk).to_bytes())
    return done
