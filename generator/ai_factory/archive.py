"""FileTree -> a tar.gz of the pristine render: what an update compares with. The same tree gives the same bytes."""

from __future__ import annotations

import gzip
import io
import tarfile

from ai_factory.tree import FileTree

_LEVEL = 1  # a fifth larger than level 6, in a quarter of the time


def pack(tree: FileTree) -> bytes:
    """The archive of every file, sorted; no owner, no clock."""
    buffer = io.BytesIO()
    # GNU format: a path of any length, and no headers that carry a time.
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, entry in tree.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(entry.data), entry.mode
            tar.addfile(info, io.BytesIO(entry.data))
    return gzip.compress(buffer.getvalue(), compresslevel=_LEVEL, mtime=0)
