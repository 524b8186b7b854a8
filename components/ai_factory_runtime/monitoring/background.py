"""Work in the background: what is collected while answers are given is written now and then, from a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """Calls `work` every `seconds` from a thread called `name`, and once more when it is closed.

    `work` raises nothing: it would end the thread.
    """

    def __init__(self, name: str, work: Callable[[], None], seconds: float) -> None:
        self._work, self._seconds = work, seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start working."""
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Work once more, then end. Waits at most `timeout` seconds."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(timeout)

    def pause(self, seconds: float) -> None:
        """Let others run in the middle of the work; once it is closed this waits no longer."""
        self._ended.wait(seconds)

    def _run(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(self._seconds)
            self._work()
