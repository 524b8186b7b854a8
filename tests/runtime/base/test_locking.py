"""A lock holds whatever becomes of the note in its file, and what is read inside it is what is replaced."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ai_factory_runtime.base.errors import WriteFailed
from ai_factory_runtime.base.locking import locked, note_holder


def test_a_number_that_many_threads_count_up_loses_no_step(tmp_path: Path) -> None:
    number, together = tmp_path / "number", threading.Barrier(4)
    number.write_text("0")

    def count(_: int) -> None:
        together.wait()
        for _ in range(25):
            with locked(tmp_path / "locks" / "number.lock"):
                number.write_text(str(int(number.read_text()) + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(4)))
    assert number.read_text() == "100"


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteFailed, match="file"), locked(tmp_path / "file" / "lock"):
        pass


def test_a_note_that_the_disk_does_not_take_is_left_out(tmp_path: Path) -> None:
    with open("/dev/full", "a+", encoding="utf-8") as full:  # noqa: PTH123 - the device itself
        with pytest.raises(OSError, match="No space left") as refusal:
            os.write(full.fileno(), b"x")
        assert refusal.value.errno == errno.ENOSPC
        note_holder(full, "run 1")
    with (tmp_path / "lock").open("a+", encoding="utf-8") as file:
        note_holder(file, "the one before, which had a longer name")
        note_holder(file, "run 1")
    assert (tmp_path / "lock").read_text(encoding="utf-8") == "run 1"
