"""Settings for every test: one thread a process, because two test processes share two cores and OpenMP's threads spin; and tests of
properties neither fail because the machine was busy nor by the luck of a draw: they try the same examples in every run.

`pytest --hypothesis-profile=default` looks for others.
"""

from __future__ import annotations

import gc
import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

settings.register_profile(
    "same", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: no collection need look through it, and tests of failing programs collect often."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Some libraries count at the end what was never freed, and would count all of it."""
    gc.unfreeze()
