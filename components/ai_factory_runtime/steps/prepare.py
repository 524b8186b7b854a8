"""The step `prepare`: from the project's source to protected, canonical rows, split, and searched for leaks.

A row that breaks the contract is set aside in the run's folder with its reasons; a table that breaks it, a leak or a
source that cannot be read stops the run here, before anything is learned. What the contract and the search for copies
found is written beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ai_factory_runtime.base.atomic import replacing, write_atomically
from ai_factory_runtime.base.errors import DataUnreadable, LeakageFound, ProjectCodeFailed
from ai_factory_runtime.base.jsontext import to_json
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.project_code import call
from ai_factory_runtime.base.runs import Progress
from ai_factory_runtime.data.cleansing import cleanse
from ai_factory_runtime.data.contract import hold, quarantine, require
from ai_factory_runtime.data.pii import protect, read_key
from ai_factory_runtime.documents.card import DataFacts
from ai_factory_runtime.releases.lineage import Lineage, source_sha256, trace, usecase_json
from ai_factory_runtime.training.leakage import find_leaks
from ai_factory_runtime.training.split import Positions, Split, split

QUARANTINE, USECASE, CONTRACT, CLEANSING = "quarantine.csv", "usecase.json", "contract.json", "cleansing.json"


@dataclass(frozen=True)
class Prepared:
    """Protected, canonical rows, how they are split, what became of the others, and where they come from."""

    frame: pd.DataFrame
    split: Split
    facts: DataFacts
    lineage: Lineage

    @property
    def held_out(self) -> pd.DataFrame:
        """The rows that no model learns from, numbered from 0."""
        return self.frame.iloc[self.split.test].reset_index(drop=True)

    @property
    def held_out_unit(self) -> Positions | None:
        """Which held-out rows belong to one entity; None where every row stands for itself."""
        return self.split.unit[self.split.test] if self.split.how == "entity" else None


def prepare(project: Project, folder: Path, say: Progress) -> Prepared:
    """Read, hold against the contract, cleanse, protect personal data, split, look for leaks. Bad rows go to a file in
    `folder`, and what was asked for, so that the run can be made again.

    Raises ContractBroken, DuplicateRows, LeakageFound, DataUnreadable, SourceUnavailable, PartsDisagree, DataUnusable,
    PiiKeyMissing, ProjectCodeFailed, WriteFailed.
    """
    usecase, data = project.usecase, project.usecase.data
    write_atomically(folder / USECASE, usecase_json(usecase))
    key = read_key(data.pii)
    say("read", data.source)
    raw = read(project)
    source = source_sha256(usecase, project.root, raw)
    say("contract", f"{len(raw)} rows")
    examined = hold(raw, data)
    write_atomically(folder / CONTRACT, to_json(examined.report.document()))
    if len(examined.set_aside):
        with replacing(folder / QUARANTINE) as partial:
            quarantine(examined, data.pii, key).to_csv(partial)
    require(examined, data.contract)
    cleansed = cleanse(examined.good, data)
    write_atomically(folder / CLEANSING, to_json(cleansed.facts.document()))
    frame = protect(cleansed.frame, data.pii, key, keep_apart=data.id)
    say("split", f"{len(frame)} rows")
    found = split(frame, usecase, together=cleansed.together)
    say("leakage", f"{len(data.features)} features")
    leaks = find_leaks(frame, usecase, found)
    if leaks:
        raise LeakageFound(leaks=leaks)
    facts = DataFacts(
        read=len(raw),
        set_aside=len(examined.set_aside),
        learned_from=len(found.development),
        held_out=len(found.test),
        how=found.how,
        cleansing=cleansed.facts.sentences(),
    )
    return Prepared(frame, found, facts, trace(project, frame, source=source))


def read(project: Project) -> pd.DataFrame:
    """The rows as the project's `load` gives them. Raises DataUnreadable, ProjectCodeFailed."""
    frame = call("data.py: load", project.hooks.load, project.usecase, project.root)
    if not isinstance(frame, pd.DataFrame):
        raise ProjectCodeFailed(
            where="data.py: load", problem=f"it returned a {type(frame).__name__}, not a pandas DataFrame"
        )
    if frame.empty:
        raise DataUnreadable(path=project.usecase.data.source, problem="it has no rows")
    return frame
