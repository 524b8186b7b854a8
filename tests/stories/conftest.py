"""One generated repository for all stories that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from make_repository import make_repository


@pytest.fixture(scope="session")
def realtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("story") / "realtime")
