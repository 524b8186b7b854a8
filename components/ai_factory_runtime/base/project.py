"""Project: one generated repository as the runtime sees it, with its use case, its own code and its folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ai_factory_runtime.base.errors import NotAProject

if TYPE_CHECKING:
    import pandas as pd
    from ai_factory_spec.usecase import UseCase

    from ai_factory_runtime.base.prediction import Prediction

USECASE_FILE = "usecase.yaml"
PROJECT_VARIABLE = "AI_FACTORY_PROJECT"


@dataclass(frozen=True, slots=True)
class Hooks:
    """The scientist's functions: read the rows, build the features, name the candidate models, and perhaps value the answers.

    Features and candidates are scikit-learn objects; scikit-learn has no types, hence `Any`. `kpi` gets the held-out rows,
    their true targets and the model's answers, and returns the business KPI they would have earned.
    """

    load: Callable[[UseCase, Path], pd.DataFrame]
    features: Callable[[UseCase], Any]
    candidates: Callable[[UseCase], Mapping[str, Any]]
    kpi: Callable[[UseCase, pd.DataFrame, Any, Prediction], float] | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """A repository: where it is, what it is for, and its own code. Everything it writes is under `artifacts`.

    `partition` is set in the project of one partition (`partitions.partition_of`): its folder's name under artifacts/partitions.
    """

    root: Path
    package: str
    usecase: UseCase
    hooks: Hooks
    partition: str = ""

    @property
    def artifacts(self) -> Path:
        """The one folder the pipelines write to; ignored by git."""
        return self.shared / "partitions" / self.partition if self.partition else self.shared

    @property
    def shared(self) -> Path:
        """The artifacts folder of the repository, which all partitions have in common."""
        return self.root / "artifacts"

    @property
    def runs(self) -> Path:
        """One folder per run: report, card, quarantined rows, lineage."""
        return self.artifacts / "runs"

    @property
    def models(self) -> Path:
        """One folder per registered model package, named after its run."""
        return self.artifacts / "models"

    @property
    def registry_db(self) -> Path:
        """The registry's SQLite file."""
        return self.shared / "registry.db"

    @property
    def stages(self) -> Path:
        """One JSON file per stage: which model is deployed there."""
        return self.artifacts / "stages"

    @property
    def reports(self) -> Path:
        """Drift reports."""
        return self.artifacts / "reports"

    @property
    def scores(self) -> Path:
        """Scored batches."""
        return self.artifacts / "scores"

    @property
    def captures(self) -> Path:
        """Sampled requests of the endpoint, one folder per stage."""
        return self.artifacts / "captures"


def find_root(start: Path) -> Path:
    """The nearest folder, from `start` upwards, that has a usecase.yaml. Raises NotAProject."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / USECASE_FILE).is_file():
            return folder
    raise NotAProject(looked_in=start)


def open_project(package: str, hooks: Hooks | Callable[[], Hooks], *, root: Path | None = None) -> Project:
    """The project at `root`, else at $AI_FACTORY_PROJECT, else above the working folder.

    `hooks` may be a function that imports the project's own code: it is called last, when everything else is in order.
    Raises NotAProject, UsecaseError, ProjectCodeFailed.
    """
    from ai_factory_spec import load_usecase

    from ai_factory_runtime.base.project_code import call

    named = root or (Path(os.environ[PROJECT_VARIABLE]) if os.environ.get(PROJECT_VARIABLE) else None)
    if named is not None and not (named / USECASE_FILE).is_file():
        raise NotAProject(looked_in=named)
    found = named.resolve() if named is not None else find_root(Path.cwd())
    usecase = load_usecase(found / USECASE_FILE)
    own = call(f"src/{package}: import", hooks) if callable(hooks) else hooks
    return Project(root=found, package=package, usecase=usecase, hooks=own)
