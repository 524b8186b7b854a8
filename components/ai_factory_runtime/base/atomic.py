"""Files that appear whole or not at all: written beside their place, flushed to disk, then moved there in one step."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ai_factory_runtime.base.errors import WriteFailed


def write_atomically(path: Path, body: bytes) -> None:
    """Replace a file as a whole, or leave it as it was. Raises WriteFailed."""
    with replacing(path) as partial:
        partial.write_bytes(body)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path` to write to; it takes the place of `path` when the block ends, and is gone if it raises.

    Raises WriteFailed for what the operating system refuses, in the block too.
    """
    partial: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:80]}-", suffix=f".partial{path.suffix}")
        os.close(handle)
        partial = Path(name)
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except OSError as error:
        raise WriteFailed(path=path, problem=error.strerror or str(error)) from error
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
