"""Windows: the rows that a monitor looks at, in time order, with the answers to them and what is known of the truth.

They come from a file, for which the model answers again, or from the captures of the endpoint, which hold its answers.
True values stand in the file, or arrive later and are joined (`labels`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import BatchUnusable, NothingCaptured
from ai_factory_runtime.batch.source_parts import open_source
from ai_factory_runtime.data.screening import screen
from ai_factory_runtime.evaluation.estimates import Judged
from ai_factory_runtime.model_package.package import ModelPackage
from ai_factory_runtime.model_package.sketch import Sketch
from ai_factory_runtime.monitoring.capture import Window as Captured
from ai_factory_runtime.monitoring.capture import read_captures
from ai_factory_runtime.monitoring.labels import Labels, join, protected_ids
from ai_factory_runtime.monitoring.request_counts import Requests, added, read_counts
from ai_factory_runtime.monitoring.schema_drift import (
    Breaks,
    Schema,
    absent_columns,
    breaks_of_requests,
    breaks_of_rows,
    broken_cells,
    unbroken,
    without_broken,
)
from ai_factory_runtime.releases.partitions import Slice

_PLACE = "\0place"  # no column's name

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Window:
    """The rows looked at. `skipped` rows break the data contract and got no prediction.

    `labelled` rows have an answer and a true value; `true_values` counts those without an answer too. `first` and `last` are
    when they were answered, where that is known. `refused` requests got no answer, None where they are not counted.
    """

    source: str
    rows: int
    skipped: int
    labelled: int = 0
    first: str = ""
    last: str = ""
    true_values: int = 0
    refused: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A window's rows (canonical), the answers to those that could be answered, and their true values where known.

    `broken`: for some columns the rows whose value breaks the contract. `ordered`: the rows are in the order of time. `code`
    is the sha256 of the code that gave the newest of captured answers, empty where that is not known.
    """

    window: Window
    frame: pd.DataFrame
    prediction: Prediction | None
    judged: Judged | None
    schema: Schema
    broken: Mapping[str, BoolArray]
    ordered: bool
    code: str = ""


def captured_window(project: Project, package: ModelPackage, stage: str, labels: Labels | None) -> Seen:
    """What the endpoint captured of this model, and how many requests it refused. Raises NothingCaptured where it had none."""
    folder, features = project.captures / stage, package.signature.features
    found = read_captures(folder, package.digest, features)
    asked = _counted(project, package, stage, found.first if found else "")
    if found is None and (asked is None or not asked.refused):
        raise NothingCaptured(stage=stage, folder=folder)
    judged = None if labels is None or found is None else _judged(package, found.prediction, join(labels, found.keys))
    rows, labelled = 0 if found is None else len(found.frame), judged.rows if judged else 0
    schema = Schema(unbroken(rows), None if asked is None else _asked(project, package, asked))
    return Seen(
        Window(
            "captured requests", rows, 0, labelled, found.first if found else "", found.last if found else "",
            true_values=labelled, refused=None if asked is None else asked.refused,
        ),
        screen(pd.DataFrame(), features).frame if found is None else found.frame,
        None if found is None else found.prediction, judged, schema, {}, ordered=True, code=_newest_code(found),
    )  # fmt: skip


def _counted(project: Project, package: ModelPackage, stage: str, since: str) -> Requests | None:
    """The requests since then; of a partition those of a service of its own, and of one that answers for several."""
    own = read_counts(project.captures / stage, package.digest, since)
    if not project.partition:
        return own
    # That one counts for all of them together: of a refused request the partition is not known.
    return added(own, read_counts(project.shared / project.captures.name / stage, None, since))


def _asked(project: Project, package: ModelPackage, asked: Requests) -> Breaks:
    allowed, known = project.usecase.data.contract.max_bad_rows, Sketch.from_json(package.sketch_json).rows
    return breaks_of_requests(asked, allowed=allowed, reference_rows=known)


def _newest_code(found: Captured | None) -> str:
    return found.codes[-1] if found is not None and found.codes else ""


def file_window(project: Project, package: ModelPackage, source: Path, labels: Labels | None) -> Seen:
    """The rows of a file, or of a folder of files, in the order of `data.time` where they have that column.

    Raises BatchUnusable where there is no row or none of the model's columns, DataUnreadable.
    """
    read, data, features = _read(project, package, source), project.usecase.data, package.signature.features
    raw, rows = read.raw, len(read.raw)
    screened, absent = screen(raw, features), absent_columns(raw.columns, features)
    good = screened.good
    prediction = package.predict(good) if len(good) else None
    truth = _truth(project, package, raw, labels)
    answered = None if truth is None else truth[~screened.bad].reset_index(drop=True)
    judged = None if prediction is None or answered is None else _judged(package, prediction, answered)
    schema = Schema(
        breaks_of_rows(
            screened, absent, allowed=data.contract.max_bad_rows, hidden={rule.column for rule in data.pii},
            reference_rows=Sketch.from_json(package.sketch_json).rows, places=read.places,
        )
    )  # fmt: skip
    window = Window(
        source.name, rows, int(screened.bad.sum()), judged.rows if judged else 0,
        true_values=0 if truth is None else int(_known(package, truth)[1].sum()),
    )  # fmt: skip
    broken = without_broken(broken_cells(screened), absent, rows)
    return Seen(window, screened.frame, prediction, judged, schema, broken, ordered=read.ordered)


@dataclass(frozen=True, slots=True)
class _Read:
    """Rows as they stand in a file; `places` are their positions there, None where there are several files.

    `ordered`: each has a time, and they are in its order.
    """

    raw: pd.DataFrame
    ordered: bool
    places: npt.NDArray[np.int64] | None


def _read(project: Project, package: ModelPackage, source: Path) -> _Read:
    data, target = project.usecase.data, package.signature.target.name
    table = open_source(source, data.contract, ())
    features = [c.name for c in package.signature.features if c.name in table.names]
    if not features:
        raise BatchUnusable(source=source, problems=["it has none of the columns that the model reads"])
    others = [n for n in dict.fromkeys((target, data.id, data.time)) if n in table.names and n not in features]
    part = project.hooks.load if isinstance(project.hooks.load, Slice) else None
    if part is not None and part.column in table.names:
        others.append(part.column)
    wanted = [*features, *(n for n in others if n is not None)]
    chunks = [chunk.frame for chunk in table.read(wanted)]
    raw = pd.concat(chunks, ignore_index=True) if chunks else pd.DataFrame(columns=pd.Index(wanted), dtype=object)
    raw[_PLACE] = np.arange(len(raw))
    if part is not None and part.column in wanted:  # one partition's model is not to be judged by the others' rows
        raw = part.of(raw)
    if not len(raw):
        raise BatchUnusable(source=source, problems=[f"it has no rows{f' of {part.value}' if part else ''}"])
    ordered = False
    if data.time is not None and data.time in raw.columns:
        moments, ordered = _moments(raw[data.time])
        raw = raw.iloc[np.argsort(moments, kind="stable")].reset_index(drop=True)
    return _Read(raw.drop(columns=_PLACE), ordered, None if table.folder else raw[_PLACE].to_numpy())


def _moments(values: pd.Series[Any]) -> tuple[Any, bool]:
    """What orders the rows, and whether every row has it; rows without a readable time come last, in their order."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=np.float64, na_value=np.inf), bool(values.notna().all())
    moments = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
    # NumPy sorts what is no time to the end.
    return moments.dt.tz_localize(None).to_numpy(), bool(moments.notna().all())


def _truth(project: Project, package: ModelPackage, raw: pd.DataFrame, labels: Labels | None) -> pd.Series[Any] | None:
    """What the file says itself, else the label of the row's id; None where neither is there."""
    target, name = package.signature.target.name, project.usecase.data.id
    own = raw[target] if target in raw.columns else None
    if labels is None or not len(labels.by_id) or name is None or name not in raw.columns:
        return own
    nobody = pd.Series(None, index=raw.index, dtype=object)
    keys = pd.DataFrame({"request": nobody, "position": 0, "id": protected_ids(project.usecase, raw[name])})
    joined = join(labels, keys).astype(object)
    return joined if own is None else own.astype(object).where(own.notna(), joined)


def _judged(package: ModelPackage, prediction: Prediction, truth: pd.Series[Any]) -> Judged | None:
    """The rows whose true value is known and is one the target can have; None where there is none."""
    values, known = _known(package, truth)
    if not known.any():
        return None
    shares = prediction.probabilities
    answered = Prediction(prediction.values[known], None if shares is None else shares[known])
    return Judged(np.asarray(values[known].to_numpy()), answered, package.signature)


def _known(package: ModelPackage, truth: pd.Series[Any]) -> tuple[pd.Series[Any], BoolArray]:
    """True values with the target's type, and which of them the target can have."""
    target = package.signature.target.model_copy(update={"nullable": False})
    screened = screen(truth.rename(target.name).reset_index(drop=True).to_frame(), [target])
    return screened.frame.iloc[:, 0], ~screened.bad
