"""A fleet: the models of all partitions behind one face, each row answered by the model of its value.

Whatever takes a ModelPackage takes a Fleet. A value without a deployed model is no category of its signature, so a row with
it is refused or rejected as any value that breaks the contract is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import Column

from ai_factory_runtime.base.errors import NothingDeployed
from ai_factory_runtime.base.prediction import Prediction, Signature
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.model_package.package import MANIFEST, ModelPackage
from ai_factory_runtime.releases.partitions import column_of, folder_name, partition_of, values_of
from ai_factory_runtime.releases.scale_errors import PartitionNeeded, PartitionsUnusable
from ai_factory_runtime.releases.stages import Deployed, load_deployed


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers for n rows and who gave each: `versions` (n,), and `digest_codes` (n,) as positions in `digests`."""

    values: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float64] | None
    versions: npt.NDArray[np.int64]
    digest_codes: npt.NDArray[np.int32]
    digests: tuple[str, ...]

    @classmethod
    def none(cls, signature: Signature) -> Answers:
        """No rows, no answers, in the shape that answers have."""
        shares = None if signature.task == "regression" else np.zeros((0, len(signature.classes)))
        return cls(np.zeros(0, dtype=object), shares, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32), ())


@dataclass(frozen=True)
class Member:
    """The model of one value."""

    value: str
    model: Deployed
    package: ModelPackage


@dataclass(frozen=True, kw_only=True)
class Fleet(ModelPackage):
    """Several packages as one. `signature` is what all of them take together, and the column that chooses between them."""

    column: str
    members: tuple[Member, ...]

    def predict(self, frame: pd.DataFrame) -> Prediction:
        """Answers for canonical rows, each by its value's model."""
        answers = self.answers(frame)
        return Prediction(answers.values, answers.probabilities)

    def answers(self, frame: pd.DataFrame) -> Answers:
        """Answers for canonical rows, and which model gave each."""
        codes = self.routes(frame)
        regression = self.signature.task == "regression"
        values = np.zeros(len(frame), dtype=np.float64 if regression else object)
        shares = None if regression else np.zeros((len(frame), len(self.signature.classes)))
        for code in np.unique(codes):
            package, rows = self.members[code].package, np.flatnonzero(codes == code)
            names = [c.name for c in package.signature.features]
            said = package.predict(frame[names].iloc[rows].reset_index(drop=True))
            values[rows] = said.values
            if shares is not None:
                shares[rows] = said.probabilities
        versions = np.array([m.model.version for m in self.members], dtype=np.int64)
        return Answers(values, shares, versions[codes], codes, tuple(m.model.digest for m in self.members))

    def routes(self, frame: pd.DataFrame) -> npt.NDArray[np.int32]:
        """The position in `members` of each row's model."""
        return np.asarray(frame[self.column].map(self._places), dtype=np.int32)

    @cached_property
    def sketch_json(self) -> str:
        """None: each model has its own training rows. Raises PartitionNeeded."""
        raise PartitionNeeded(column=self.column, known=[m.value for m in self.members])

    @cached_property
    def reference(self) -> tuple[pd.DataFrame, Prediction]:
        """None: each model has its own reference rows. Raises PartitionNeeded."""
        raise PartitionNeeded(column=self.column, known=[m.value for m in self.members])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {member.value: place for place, member in enumerate(self.members)}


def answers_of(package: ModelPackage, model: Deployed, frame: pd.DataFrame) -> Answers:
    """The answers of one model, or of a fleet, and which model gave each."""
    if isinstance(package, Fleet):
        return package.answers(frame)
    said, count = package.predict(frame), len(frame)
    versions, codes = np.full(count, model.version, dtype=np.int64), np.zeros(count, dtype=np.int32)
    return Answers(said.values, said.probabilities, versions, codes, (model.digest,))


def load_fleet(
    project: Project, stage: str, environment: Mapping[str, str] = os.environ
) -> tuple[Deployed, ModelPackage]:
    """Every partition's model that may answer in a stage, checked and loaded.

    A container may be handed them (AI_FACTORY_MODEL): a folder with a package's folder for each partition. Raises
    NothingDeployed where no partition has a model there, PartitionsUnusable where their answers cannot be mixed, and what
    `load_deployed` raises for one of them.
    """
    column, members = column_of(project), []
    assert column is not None
    handed = Path(environment.get("AI_FACTORY_MODEL", ""))
    for value in values_of(project):
        folder = handed / folder_name(value)
        given = {"AI_FACTORY_MODEL": str(folder)} if (folder / MANIFEST).is_file() else {}
        try:
            members.append(Member(value, *load_deployed(partition_of(project, value), stage, given)))
        except NothingDeployed as error:
            nothing = error
    if not members:
        raise nothing
    return make_fleet(project.artifacts / "partitions", project.usecase.data.column(column), members)


def make_fleet(folder: Path, column: Column, members: Sequence[Member]) -> tuple[Deployed, Fleet]:
    """The members as one deployed model of version 0, whose digest is that of theirs. Raises PartitionsUnusable."""
    digests = {m.value: m.model.digest for m in members}
    digest = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()
    chooser = column.model_copy(update={"categories": tuple(digests), "nullable": False})
    first = members[0].package.signature
    thresholds = {m.package.signature.threshold for m in members}
    signature = replace(
        first,
        features=(chooser, *_together(column.name, members)),
        threshold=first.threshold if len(thresholds) == 1 else None,
    )
    fleet = Fleet(
        folder=folder, digest=digest, signature=signature, estimator=None, files={}, column=column.name, members=tuple(members)
    )  # fmt: skip
    latest = max(m.model.at for m in members)
    return Deployed(members[0].model.stage, 0, digest, folder, latest), fleet


def _together(column: str, members: Sequence[Member]) -> tuple[Column, ...]:
    """The columns that any member takes, each as wide as the widest. Raises PartitionsUnusable."""
    first, found = members[0].package.signature, dict[str, Column]()
    for member in members:
        signature = member.package.signature
        asked = (signature.task, signature.target.name, signature.classes, signature.positive)
        if asked != (first.task, first.target.name, first.classes, first.positive):
            raise _mixed(column, member.value, "answers another question than the others")
        for feature in signature.features:
            known = found.setdefault(feature.name, feature)
            if known.type != feature.type:
                raise _mixed(column, member.value, f"takes {feature.name!r} as {feature.type}, others as {known.type}")
            found[feature.name] = _widest(known, feature)
    return tuple(found.values())


def _widest(one: Column, other: Column) -> Column:
    """A column that takes what either takes; members trained on other rows may have had other bounds."""
    if one == other:
        return one
    low = None if one.min is None or other.min is None else min(one.min, other.min)
    high = None if one.max is None or other.max is None else max(one.max, other.max)
    kinds = None if one.categories is None else tuple(dict.fromkeys((*one.categories, *(other.categories or ()))))
    update = {"min": low, "max": high, "categories": kinds, "nullable": one.nullable or other.nullable}
    return one.model_copy(update=update)


def _mixed(column: str, value: str, problem: str) -> PartitionsUnusable:
    return PartitionsUnusable(
        column=column,
        problem=f"the model of {value!r} {problem}",
        hint=f"Train it again with `--partition {value} run`, so that all models have one data contract.",
    )
