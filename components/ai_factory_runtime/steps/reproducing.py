"""Reproduce: make a registered model again from the same data, code and seed, and compare it bit for bit.

The use case is the one the run was asked for, kept beside its report; rows, code and libraries are those that are here
now. Where the model comes out otherwise, what differs between then and now is named. Nothing is registered.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ai_factory_spec.usecase import UseCase
from pydantic import ValidationError

from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.runs import Progress, new_run
from ai_factory_runtime.model_package.package import model_fingerprint
from ai_factory_runtime.releases.lineage import Lineage, usecase_sha256
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.steps.fitting import fit
from ai_factory_runtime.steps.history import PastRun, find_run
from ai_factory_runtime.steps.judging import judge
from ai_factory_runtime.steps.prepare import USECASE, prepare
from ai_factory_runtime.steps.registering import write_model
from ai_factory_runtime.steps.step_errors import NothingToReproduce

# What each part of the lineage is called by people; the other parts are told by these.
_NAMES = {
    "source_sha256": "data source",
    "rows_sha256": "rows learned from",
    "usecase_sha256": "use case",
    "code_sha256": "code",
    "git_commit": "git commit",
    "git_changed": "files not in git",
    "constraints_sha256": "constraints.txt",
    "environment_sha256": "installed libraries",
    "libraries": "main libraries",
    "python": "Python",
    "machine": "machine",
    "seed": "seed",
    "factory": "factory version",
    "blueprints": "blueprints",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One part of the lineage that is not what it was. Hashes are shortened."""

    what: str
    then: str
    now: str


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A model made again. `same`: byte for byte. `differences` are between then and now, also where the model is the same."""

    run_id: str
    version: int
    then: str
    now: str
    differences: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether model, signature, sketch and the recorded answers are equal to the last bit."""
        return self.then == self.now


def reproduce(project: Project, name: str, say: Progress) -> Reproduction:
    """Make the model of a run (its id, the beginning of it, or its version) again.

    Raises UnknownRun, NothingToReproduce, and what a run raises where the data can no longer be used.
    """
    past = find_run(project, name)
    if past.version is None:
        why = f"it was refused ({past.refused})" if past.refused else "the registry has no version of it"
        raise NothingToReproduce(run_id=past.run_id, reason=why)
    asked = _asked(past, project)
    timeless = dataclasses.replace(project, usecase=_without_age(asked))
    with tempfile.TemporaryDirectory(prefix="reproduce-") as scratch:
        folder = Path(scratch)
        prepared = prepare(timeless, folder, say)
        lineage = dataclasses.replace(prepared.lineage, usecase_sha256=usecase_sha256(asked))
        trained = fit(timeless, prepared, say)
        judgement = judge(timeless, open_registry(project), new_run(), prepared, trained, say)
        say("package", trained.name)
        fingerprint = model_fingerprint(write_model(timeless, folder / "model", prepared, judgement).folder)
    recorded = dict(past.version.tags).get("fingerprint", "")
    differences = compare_lineage(past.report.get("lineage", {}), lineage)
    return Reproduction(past.run_id, past.version.version, recorded, fingerprint, differences)


def compare_lineage(then: Mapping[str, Any], now: Lineage) -> tuple[Difference, ...]:
    """What of a run's recorded lineage (as JSON has it) is otherwise now. What was not recorded then is not compared."""
    here: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(now)))
    return tuple(
        Difference(name, _shown(then[key]), _shown(here[key]))
        for key, name in _NAMES.items()
        if key in then and then[key] != here[key]
    )


def _asked(past: PastRun, project: Project) -> UseCase:
    """The use case as it was; the present one where a run of an older runtime did not keep it."""
    path = past.folder / USECASE
    if not path.is_file():
        return project.usecase
    try:
        return UseCase.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        reason = f"{path} is not a use case that this runtime can read ({str(error).splitlines()[0]})"
        raise NothingToReproduce(run_id=past.run_id, reason=reason) from error


def _without_age(usecase: UseCase) -> UseCase:
    """The same without a demand on how new the rows are: an old model is made of old rows."""
    contract = usecase.data.contract.model_copy(update={"max_age_days": None})
    return usecase.model_copy(update={"data": usecase.data.model_copy(update={"contract": contract})})


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value[:5])) + (f" and {len(value) - 5} more" if len(value) > 5 else "") or "none"
    text = str(value)
    return f"{text[:12]}…" if len(text) in (40, 64) and text.isalnum() else text or "none"
