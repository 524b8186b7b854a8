"""Named files: what somebody named on the command line is refused by its own name, and never by `data.source`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ai_factory_runtime.base.errors import DataUnreadable

HINT = "Name a CSV file in UTF-8 or a Parquet file, or a folder of them, with the columns of data.contract."


@contextmanager
def named_by_caller() -> Iterator[None]:
    """What cannot be read here was named by the caller. A hint that says more than where the rows are stays as it is."""
    try:
        yield
    except DataUnreadable as error:
        if error.hint != DataUnreadable.HINT:
            raise
        raise DataUnreadable(path=error.path, problem=error.problem, hint=HINT) from error
