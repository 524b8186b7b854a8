"""Workers: a few threads for calls whose time nobody can know, so that the service goes on whatever a model does.

A call that finds too many before it is refused at once; one that takes too long is given up, and its thread counts as stuck
until the call returns. Threads cannot be stopped from outside: when all are stuck, the service says that it is not well.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

Result = TypeVar("Result")


class TooBusy(Exception):  # noqa: N818 - what happened
    """Every thread is at work and the queue is full."""


class TookTooLong(Exception):  # noqa: N818 - what happened
    """A call was not answered in time."""


@dataclass(eq=False)
class _Job:
    function: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    given_up: bool = False


@dataclass(eq=False)
class Workers:
    """`threads` run calls, `waiting` more may wait; each call has `seconds` from the moment it is handed over."""

    threads: int
    waiting: int
    seconds: float
    _since: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._queue: queue.Queue[_Job] = queue.Queue(self.waiting)
        self._started = False

    def start(self) -> None:
        """Start the threads. They end with the process, also when they are stuck."""
        if not self._started:
            self._started = True
            for number in range(self.threads):
                threading.Thread(target=self._work, args=(number,), name=f"worker-{number}", daemon=True).start()

    async def run(self, function: Callable[[], Result]) -> Result:
        """What `function` returns or raises, run in a thread. Raises TooBusy, TookTooLong."""
        loop = asyncio.get_running_loop()
        job = _Job(function, loop, loop.create_future())
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            raise TooBusy from None
        try:
            async with asyncio.timeout(self.seconds):
                answer: Result = await job.future
                return answer
        except TimeoutError:
            job.given_up = True
            if job.future.done() and not job.future.cancelled() and isinstance(job.future.exception(), TimeoutError):
                raise  # the call's own
            raise TookTooLong from None

    @property
    def queued(self) -> int:
        """How many calls wait for a thread."""
        return self._queue.qsize()

    @property
    def full(self) -> bool:
        """Whether a further call would be refused."""
        return self._queue.full()

    @property
    def stuck(self) -> bool:
        """Whether every thread has been at one call for longer than a call may take."""
        late = time.monotonic() - self.seconds
        since = list(self._since.values())
        return len(since) == self.threads and all(begun < late for begun in since)

    def _work(self, number: int) -> None:
        while True:
            job = self._queue.get()
            if job.given_up:
                continue
            self._since[number] = time.monotonic()
            try:
                answer, error = job.function(), None
            except BaseException as raised:  # noqa: BLE001 - handed to the caller
                answer, error = None, raised
            finally:
                del self._since[number]
            try:
                job.loop.call_soon_threadsafe(_deliver, job.future, answer, error)
            except RuntimeError:  # the loop ended meanwhile: nobody waits any more
                return


def _deliver(future: asyncio.Future[Any], answer: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)
