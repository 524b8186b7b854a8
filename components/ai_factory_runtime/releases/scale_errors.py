"""What training many models and scoring many rows refuse.

FactoryError (ai_factory_spec.errors)
├── WorkerLost           a worker process was killed, mostly for want of memory           exit 1
├── PartitionNeeded      the command is about one model, and the project has many              1
├── UnknownPartition     no model was ever trained for that value                              1
├── PartitionsUnusable   the rows cannot be divided into models                                1
├── BackendUnavailable   joblib's backend of that name is not installed, or is none            1
└── ParallelForOneModel  --backend or --jobs is given, and one model is trained, without them    1
"""

# ruff: noqa: N818 - the names say what happened, as in `errors`.

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ai_factory_spec.errors import FactoryError
from ai_factory_spec.suggest import did_you_mean


class WorkerLost(FactoryError):
    """A worker process ended without an answer."""

    slug = "worker-lost"

    def __init__(self, *, jobs: int) -> None:
        super().__init__(
            f"One of {jobs} worker processes was killed; the operating system does so when memory runs out.",
            hint="Run the same command again with fewer `--jobs`: it goes on behind the rows that are scored.",
        )


class PartitionNeeded(FactoryError):
    """The project has one model for each value of a column, and the command is about one model."""

    slug = "partition-needed"

    def __init__(self, *, column: str, known: Sequence[str]) -> None:
        listed = ", ".join(known[:8]) or "none yet"
        super().__init__(
            f"This project has one model for each {column} ({listed}{', …' if len(known) > 8 else ''}); which one is meant?",
            hint="Name it before the command: `--partition VALUE`. `partitions` lists them.",
        )


class UnknownPartition(FactoryError):
    """There is no model for that value."""

    slug = "unknown-partition"

    def __init__(self, *, value: str, column: str | None, known: Sequence[str]) -> None:
        if column is None:
            problem, hint = "this project has one model for all rows", "Leave `--partition` out."
        else:
            problem = f"{value!r} is no value of {column}{did_you_mean(value, known)}"
            hint = f"The data contract lists them: {', '.join(known[:8])}{', …' if len(known) > 8 else ''}."
        super().__init__(f"There is no such partition: {problem}.", hint=hint)


class PartitionsUnusable(FactoryError):
    """The column that divides the rows does not do so."""

    slug = "partitions-unusable"

    def __init__(self, *, column: str, problem: str, hint: str = "") -> None:
        super().__init__(
            f"The rows cannot be divided by {column!r}: {problem}.",
            hint=hint or "model.partition_by in usecase.yaml names the column; data.py decides which rows there are.",
        )


class BackendUnavailable(FactoryError):
    """The way to run in parallel that was asked for is not there."""

    slug = "backend-unavailable"

    def __init__(self, *, name: str, problem: str, known: Sequence[str]) -> None:
        super().__init__(
            f"The backend {name!r} cannot be used: {problem}.",
            hint=f"Choose one of {', '.join(known)} with `--backend`; `ray` needs the extra of that name.",
        )


class ParallelForOneModel(FactoryError):
    """A way to run many trainings in parallel was asked for, and there is one training. `asked`: the options and their values."""

    slug = "parallel-for-one-model"

    def __init__(self, *, asked: Mapping[str, object], known: Sequence[str], instead: str) -> None:
        given = " ".join(f"{option} {value}" for option, value in asked.items())
        super().__init__(
            f"`{given}` would change nothing: this is one model, trained in this process. A backend ({', '.join(known)}) "
            "runs the trainings of many in several processes, where model.partition_by names a column.",
            hint=f"Leave {' and '.join(f'`{option}`' for option in asked)} out: `{instead}`.",
        )
