"""Run commands, and a repository's own tests, with this environment's packages but the repository's own code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def in_repository(repository: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with this environment's packages but the repository's own code."""
    paths = os.pathsep.join(str(repository / part) for part in ("src", "components"))
    environment = {
        **os.environ,
        "PYTHONPATH": paths,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "NO_COLOR": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(command, cwd=repository, env=environment, text=True, capture_output=True, check=False)


def own_tests(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return in_repository(repository, sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments)
