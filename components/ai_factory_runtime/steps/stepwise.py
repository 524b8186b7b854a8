"""One step at a time: each reads its folders under `$FACTORY_IO/input` and leaves its own under `$FACTORY_IO/output`.

The same functions as in a whole run, with files between them, so that every step can have a container of its own. The
default folder is where SageMaker's processing jobs have theirs; a training job names its two folders itself.
"""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ai_factory_runtime.base.atomic import write_atomically
from ai_factory_runtime.base.errors import GateFailed, WriteFailed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.runs import Progress, exclusive, new_run, run_folder
from ai_factory_runtime.model_package.package import CARD_HTML
from ai_factory_runtime.releases.lineage import usecase_json
from ai_factory_runtime.releases.partitions import require_one_model
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.steps import table as steps
from ai_factory_runtime.steps.fitting import fit
from ai_factory_runtime.steps.handover import (
    read_evaluation,
    read_prepared,
    read_trained,
    write_evaluation,
    write_prepared,
    write_trained,
)
from ai_factory_runtime.steps.judging import judge
from ai_factory_runtime.steps.prepare import USECASE, prepare
from ai_factory_runtime.steps.registering import adopt_model, enrol, finish_interrupted, settle, write_model
from ai_factory_runtime.steps.step_errors import HandoverBroken

IO_VARIABLE, INPUT_VARIABLE, OUTPUT_VARIABLE = "FACTORY_IO", "FACTORY_INPUT", "FACTORY_OUTPUT"
DEFAULT_IO = "/opt/ml/processing"
# A training job's result arrives as one archive.
ARCHIVE = "model.tar.gz"


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a step finds what it is given, and where it leaves what it makes: a folder a name under each."""

    inputs: Path
    outputs: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Folders:
        """`$FACTORY_IO/input` and `/output`, unless $FACTORY_INPUT or $FACTORY_OUTPUT name others."""
        both = Path(environment.get(IO_VARIABLE) or DEFAULT_IO)
        return cls(
            inputs=Path(environment.get(INPUT_VARIABLE) or both / "input"),
            outputs=Path(environment.get(OUTPUT_VARIABLE) or both / "output"),
        )

    def given(self, name: str) -> Path:
        """The folder `name` that the step was given; what an earlier step left here, where it was given none.

        A training job's archive is unpacked. Raises HandoverBroken where there is neither.
        """
        handed, left = self.inputs / name, self.outputs / name
        if not handed.is_dir():
            if left.is_dir():
                return left
            raise HandoverBroken(path=handed, problem="there is no such folder")
        archive = handed / ARCHIVE
        return _unpacked(archive, self.inputs / f".{name}") / name if archive.is_file() else handed

    def has(self, name: str) -> bool:
        """Whether the step was given something of that name from outside."""
        return (self.inputs / name).is_dir()

    def left(self, name: str) -> Path:
        """The folder `name` that the step leaves, empty. Raises WriteFailed."""
        folder = self.outputs / name
        try:
            if folder.is_dir():  # a mounted folder stays, what is in it goes
                for path in folder.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteFailed(path=folder, problem=error.strerror or str(error)) from error
        return folder


@dataclass(frozen=True, slots=True)
class StepDone:
    """What a step came to: what it left, and one sentence about it."""

    step: str
    run_id: str
    left: tuple[Path, ...]
    sentence: str


def run_step(project: Project, name: str, folders: Folders, say: Progress) -> StepDone:
    """Run one step of `steps.TABLE`. Raises what the step raises in a whole run, HandoverBroken, and PartitionNeeded at once."""
    require_one_model(project)
    return _STEPS[name](project, folders, say)


def _prepare(project: Project, folders: Folders, say: Progress) -> StepDone:
    _bring(folders, steps.DATA, project.root / "data")
    folder, run = folders.left(steps.PREPARED), new_run()
    prepared = prepare(project, folder, say)
    write_prepared(folder, run, prepared)
    facts = prepared.facts
    sentence = f"{facts.learned_from} rows to learn from, {facts.held_out} held out, {facts.set_aside} set aside"
    return StepDone(steps.PREPARE, run.run_id, (folder,), sentence)


def _train(project: Project, folders: Folders, say: Progress) -> StepDone:
    run, prepared = read_prepared(folders.given(steps.PREPARED))
    folder = folders.left(steps.TRAINED)
    trained = fit(project, prepared, say)
    write_trained(folder, trained)
    return StepDone(steps.TRAIN, run.run_id, (folder,), f"{trained.name}: {trained.reason}")


def _evaluate(project: Project, folders: Folders, say: Progress) -> StepDone:
    """A failed gate is this step's finding, not its failure: evaluation.json tells the pipeline, which decides."""
    run, prepared = read_prepared(folders.given(steps.PREPARED))
    trained = read_trained(folders.given(steps.TRAINED), trusted_package=project.package)
    _bring(folders, steps.ARTIFACTS, project.artifacts)
    evaluation, package = folders.left(steps.EVALUATION), folders.left(steps.PACKAGE)
    judgement = judge(project, open_registry(project), run, prepared, trained, say)
    digest = ""
    if not judgement.failed:
        say("package", trained.name)
        digest = write_model(project, package / steps.MODEL, prepared, judgement).digest
    write_evaluation(evaluation, run, judgement, digest)
    write_atomically(evaluation / USECASE, usecase_json(project.usecase))
    missed = ", ".join(result.name for result in judgement.failed)
    sentence = f"gates failed: {missed}" if missed else f"every gate passed; verdict: {judgement.comparison.verdict}"
    return StepDone(steps.EVALUATE, run.run_id, (evaluation, package), sentence)


def _register(project: Project, folders: Folders, say: Progress) -> StepDone:
    """Asked twice for one run, it registers once. A judgement with a failed gate is refused, whoever asks."""
    evaluation = folders.given(steps.EVALUATION)
    found = read_evaluation(evaluation)
    run = found.run
    if found.outcome.failed:
        raise GateFailed(results=found.outcome.failed, card=evaluation / CARD_HTML)
    package = folders.given(steps.PACKAGE) / steps.MODEL
    _bring(folders, steps.ARTIFACTS, project.artifacts)
    registry = open_registry(project)
    with exclusive(project, run.run_id):
        finish_interrupted(project, registry)
        version = next((v for v in registry.versions() if v.run_id == run.run_id), None)
        if version is None:
            with run_folder(project, run.run_id) as folder:
                for path in sorted(evaluation.iterdir()):
                    write_atomically(folder / path.name, path.read_bytes())
                adopted = adopt_model(project, package, project.models / run.run_id, found.digest)
                version = enrol(project, registry, run, adopted, found.outcome, say)
        else:
            version = settle(project, registry, version)
    left: tuple[Path, ...] = ()
    if folders.has(steps.ARTIFACTS):
        left = (folders.left(steps.ARTIFACTS),)
        _copy(project.artifacts, left[0])
    sentence = f"version {version.version}, {', '.join(version.aliases) or 'no alias'}"
    return StepDone(steps.REGISTER, run.run_id, left, sentence)


_STEPS = {steps.PREPARE: _prepare, steps.TRAIN: _train, steps.EVALUATE: _evaluate, steps.REGISTER: _register}


def _bring(folders: Folders, name: str, into: Path) -> None:
    """Copy what came from outside to where the project expects it; without it the project's own is used."""
    if folders.has(name):
        _copy(folders.inputs / name, into)


def _copy(source: Path, into: Path) -> None:
    try:
        shutil.copytree(source, into, dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise WriteFailed(path=into, problem=str(error)) from error


def _unpacked(archive: Path, into: Path) -> Path:
    """The folder that holds an archive's files. Raises HandoverBroken for one that would leave it, and for links and devices.

    Python's own filter for that (PEP 706) came with 3.11.4.
    """
    inside = into.resolve()
    try:
        with gzip.open(archive) as whole, tarfile.open(fileobj=whole) as found:
            members = found.getmembers()
            for member in members:
                if not (member.isfile() or member.isdir()) or not (inside / member.name).resolve().is_relative_to(
                    inside
                ):
                    raise HandoverBroken(
                        path=archive, problem=f"{member.name} is a link or a device, or lies outside the destination"
                    )
            for member in members:
                _write_member(found, member, inside / member.name)
            while whole.read(1 << 20):
                pass  # what was read is right only once the checksum at the end is
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise HandoverBroken(path=archive, problem=str(error)) from error
    return into


def _write_member(archive: tarfile.TarFile, member: tarfile.TarInfo, to: Path) -> None:
    """Its bytes only: neither owner nor permissions are taken over."""
    content = archive.extractfile(member)
    if content is None:
        to.mkdir(parents=True, exist_ok=True)
        return
    to.parent.mkdir(parents=True, exist_ok=True)
    with content, to.open("wb") as file:
        shutil.copyfileobj(content, file)
