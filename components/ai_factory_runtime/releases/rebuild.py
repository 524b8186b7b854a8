"""Rebuild: a registry that is gone, made again from what versions left behind.

A package says its digest, run, figures and verdict. Its number stands in release records and stage files; of a model that neither
names (a challenger that was never signed) the order of the runs gives it: the lowest that are free between its neighbours', where there
is room for all. The champion is the
newest version whose verdict was to promote, as each run left it. What cannot be known is left out and told.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import DeploymentUnreadable
from ai_factory_runtime.base.runs import exclusive
from ai_factory_runtime.model_package.package import METRICS, model_fingerprint, package_digest
from ai_factory_runtime.releases.registry import CHALLENGER, CHAMPION, Registry, open_registry
from ai_factory_runtime.releases.registry_refusals import RebuildRefused, RegistryGone
from ai_factory_runtime.releases.stages import recorded
from ai_factory_runtime.releases.traces import packages_of, records_of

if TYPE_CHECKING:
    from ai_factory_runtime.releases.registry_mlflow import MlflowRegistry

BY_ORDER = "the order of the runs"


@dataclass(frozen=True, slots=True)
class Found:
    """A package that was a version. `version` is 0 as long as it is not known; `known_by` names what says it."""

    folder: Path
    digest: str
    verdict: str
    model: str
    metrics: Mapping[str, float]
    version: int = 0
    known_by: str = ""

    @property
    def run_id(self) -> str:
        """The run that made it."""
        return self.folder.name


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a registry was made again of. `left_out` says of each package, stage or number that has no version why, a sentence each."""

    versions: tuple[Found, ...]
    champion: int | None
    challenger: int | None
    left_out: tuple[str, ...]


def rebuild(project: Project) -> Rebuilt:
    """Make the registry again. Nothing is changed where it is refused.

    Raises RebuildRefused where it has versions, where nothing is here to make it of, or where what is here contradicts itself;
    RegistryUnavailable, RunLocked, WriteFailed.
    """
    registry = open_registry(project)
    with exclusive(project, "registry rebuild"):
        _require_none(registry)
        named, runs, unreadable = _named(project)
        packages, spoilt = _packages(project, named)
        problems = _contradictions(packages, named)
        if problems or not packages:
            what = problems or spoilt or [f"no package is in {project.models}"]
            hint = "Remove the release record or the stage file that is wrong (git knows when it came), then rebuild again."
            nothing = "Restore the registry from a backup; or move the folder artifacts/ away to begin anew."
            raise RebuildRefused(address=registry.address, problems=what, hint=hint if problems else nothing)
        taken = {version for numbers in named.values() for version in numbers}
        here = {package.digest for package in packages}
        gone = [Found(Path(run), d, "", "", {}, min(named[d])) for d, run in runs.items() if d not in here]
        numbered, unnumbered = number(sorted([*packages, *gone], key=lambda f: f.run_id), taken)
        versions = tuple(found for found in numbered if found.digest in here)
        with registry.anew() as fresh:
            champion, challenger = _fill(fresh, versions, highest=max(taken, default=0), address=registry.address)
    missing = sorted(taken - {f.version for f in versions})
    lost = [f"version {version} ({named_by(named, version)}): its package is not here" for version in missing]
    return Rebuilt(versions, champion, challenger, (*unreadable, *spoilt, *unnumbered, *lost))


def number(packages: Iterable[Found], taken: set[int]) -> tuple[tuple[Found, ...], tuple[str, ...]]:
    """Give each package, in the order of the runs, its version: those that no file names the free ones between their neighbours'.

    Returns the versions in their order, and a sentence for each package that has more than its neighbours leave room for.
    """
    done: list[Found] = []
    left_out: list[str] = []
    waiting: list[Found] = []
    below = 0
    for package in packages:
        if not package.version:
            waiting.append(package)
            continue
        free = [v for v in range(below + 1, package.version) if v not in taken]
        if len(free) < len(waiting):
            between = (
                f"between versions {below} and {package.version}" if below else f"before version {package.version}"
            )
            left_out += [f"{w.run_id}: no number is free {between} for all packages there" for w in waiting]
        else:
            done += [replace(w, version=v, known_by=BY_ORDER) for w, v in zip(waiting, free, strict=False)]
        waiting, below = [], max(below, package.version)  # a version of an earlier run may be higher
        done.append(package)
    after = max([below, *(f.version for f in done), *taken], default=0)
    done += [replace(w, version=after + n, known_by=BY_ORDER) for n, w in enumerate(waiting, start=1)]
    return tuple(sorted(done, key=lambda f: f.version)), tuple(left_out)


def named_by(named: Mapping[str, Mapping[int, str]], version: int) -> str:
    """What names a version."""
    return next(numbers[version] for numbers in named.values() if version in numbers)


def _require_none(registry: MlflowRegistry) -> None:
    try:
        known = [v.version for v in registry.versions()]
    except RegistryGone:
        return
    if known:
        problem = f"it has {len(known)} version{'s' if len(known) != 1 else ''}"
        hint = "`show` lists them. A registry that is wrong is moved away first, and put back if the new one is worse."
        raise RebuildRefused(address=registry.address, problems=[problem], hint=hint)


def _named(project: Project) -> tuple[dict[str, dict[int, str]], dict[str, str], list[str]]:
    """Digest to its versions and what says so; digest to run; which files say nothing.

    Of a partition only the records of its own packages: a record does not say whose it is.
    """
    named: dict[str, dict[int, str]] = {}
    runs: dict[str, str] = {}
    unreadable: list[str] = []
    own = {_digest(folder) for folder in packages_of(project)}
    for path, record in records_of(project):
        if not project.partition or record.digest in own:
            named.setdefault(record.digest, {})[record.version] = f"release record {path.name}"
            if record.evidence.results.get("run"):
                runs[record.digest] = str(record.evidence.results["run"])
    for stage in project.usecase.deployment.stages:
        try:
            for model in recorded(project, stage):
                named.setdefault(model.digest, {}).setdefault(model.version, f"stage {stage}")
                runs.setdefault(model.digest, model.folder.name)
        except DeploymentUnreadable as error:
            unreadable.append(f"stage {stage}: {error}")
    return named, runs, unreadable


def _digest(folder: Path) -> str:
    """A package's digest; empty where its files are not what they were."""
    try:
        return package_digest(folder)
    except FactoryError:
        return ""


def _packages(project: Project, named: Mapping[str, Mapping[int, str]]) -> tuple[list[Found], list[str]]:
    """The packages that can be versions, in the order of their runs, and why others cannot."""
    found: list[Found] = []
    spoilt: list[str] = []
    for folder in packages_of(project):
        try:
            digest = package_digest(folder)
            document = json.loads((folder / METRICS).read_bytes())
            if document["run"] != folder.name:
                raise ValueError(f"it is of run {document['run']}")
            values = {name: estimate["value"] for name, estimate in document["metrics"].items()}
            metrics = {n: float(v) for n, v in values.items() if v is not None and math.isfinite(v)}
            version, known_by = next(iter(named.get(digest, {}).items()), (0, ""))
            verdict = str(document["comparison"]["verdict"])
            found.append(Found(folder, digest, verdict, str(document["model"]), metrics, version, known_by))
        except FactoryError as error:
            spoilt.append(f"{folder.name}: {error}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            spoilt.append(f"{folder.name}: its {METRICS} cannot be used ({type(error).__name__}: {error})")
    return found, spoilt


def _contradictions(packages: Iterable[Found], named: Mapping[str, Mapping[int, str]]) -> list[str]:
    """Where one number has two models, or one model two numbers; models that are not here count, too."""
    problems = []
    here = {package.digest: package.run_id for package in packages}
    for digest, numbers in named.items():
        if len(numbers) > 1:
            said = ", ".join(f"version {v} by {by}" for v, by in sorted(numbers.items()))
            problems.append(f"the model {here.get(digest, digest[:12])} is {said}")
    models: dict[int, list[str]] = {}
    for digest, numbers in named.items():
        for version, by in numbers.items():
            models.setdefault(version, []).append(f"{here.get(digest, digest[:12])} by {by}")
    problems += [f"version {v} is {' and '.join(said)}" for v, said in sorted(models.items()) if len(said) > 1]
    return problems


def _fill(
    registry: Registry, versions: Iterable[Found], *, highest: int, address: str
) -> tuple[int | None, int | None]:
    """Register them under their numbers, and give the aliases back; the next number is above `highest`.

    Returns champion and challenger. Raises RebuildRefused where a number comes out as another.
    """
    newest: dict[str, int] = {}
    last = 0
    for found in versions:
        registry.skip(found.version - last - 1)
        tags = {"verdict": found.verdict, "model": found.model, "fingerprint": model_fingerprint(found.folder)}
        tags |= {"settled": "yes", "rebuilt": found.known_by}
        made = registry.register(
            found.folder, digest=found.digest, run_id=found.run_id, tags=tags, metrics=found.metrics
        )
        if made.version != found.version:  # on a server, somebody else's
            problem = f"it gave {found.run_id} the number {made.version}, not {found.version}: another run registered meanwhile"
            raise RebuildRefused(
                address=address, problems=[problem], hint="Rebuild again when no other run is at work."
            )
        newest["champion" if found.verdict == "promote" else "challenger"] = last = found.version
    registry.skip(highest - last)
    for alias, version in ((CHAMPION, newest.get("champion")), (CHALLENGER, newest.get("challenger"))):
        if version is not None:
            registry.set_alias(alias, version)
    return newest.get("champion"), newest.get("challenger")
