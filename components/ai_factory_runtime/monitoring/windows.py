"""Windows: the rows that a monitor looks at, in time order, with the answers to them and what is known of the truth.

They come from a file, for which the model answers again, or from the captures of the endpoint, which hold its answers.
True values stand in the file, or arrive later and are joined (`labels`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import BatchUnusable, NothingCaptured
from ai_factory_runtime.data.screening import screen
from ai_factory_runtime.data.tables import open_table
from ai_factory_runtime.evaluation.estimates import Judged
from ai_factory_runtime.model_package.package import ModelPackage
from ai_factory_runtime.monitoring.capture import read_captures
from ai_factory_runtime.monitoring.labels import Labels, join, protected_ids
from ai_factory_runtime.releases.partitions import Slice


@dataclass(frozen=True, slots=True)
class Window:
    """The rows looked at. `skipped` rows break the data contract: they count as data, but got no prediction.

    `labelled` rows have a true value; `first` and `last` are when they were answered, where that is known.
    """

    source: str
    rows: int
    skipped: int
    labelled: int = 0
    first: str = ""
    last: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A window's rows (canonical), the answers to those that could be answered, and their true values where known.

    `code` is the sha256 of the code that gave the newest of captured answers, empty where that is not known.
    """

    window: Window
    frame: pd.DataFrame
    prediction: Prediction | None
    judged: Judged | None
    code: str = ""


def captured_window(project: Project, package: ModelPackage, stage: str, labels: Labels | None) -> Seen:
    """What the endpoint captured of this model. Raises NothingCaptured."""
    folder = project.captures / stage
    found = read_captures(folder, package.digest, package.signature.features)
    if found is None:
        raise NothingCaptured(stage=stage, folder=folder)
    judged = None if labels is None else _judged(package, found.prediction, join(labels, found.keys))
    rows = len(found.frame)
    window = Window("captured requests", rows, 0, judged.rows if judged else 0, found.first, found.last)
    return Seen(window, found.frame, found.prediction, judged, found.codes[-1] if found.codes else "")


def file_window(project: Project, package: ModelPackage, source: Path, labels: Labels | None) -> Seen:
    """The rows of a file, in the order of `data.time` where it has that column. Raises BatchUnusable, DataUnreadable."""
    raw = _read(project, package, source)
    screened = screen(raw, package.signature.features)
    good = screened.good
    prediction = package.predict(good) if len(good) else None
    truth = _truth(project, package, raw[~screened.bad].reset_index(drop=True), labels)
    judged = None if prediction is None or truth is None else _judged(package, prediction, truth)
    window = Window(source.name, len(raw), int(screened.bad.sum()), judged.rows if judged else 0)
    return Seen(window, screened.frame, prediction, judged)


def _read(project: Project, package: ModelPackage, source: Path) -> pd.DataFrame:
    data, target = project.usecase.data, package.signature.target.name
    table = open_table(source, data.contract)
    features = [c.name for c in package.signature.features if c.name in table.names]
    if not features:
        raise BatchUnusable(source=source, problems=["it has none of the columns that the model reads"])
    others = [n for n in dict.fromkeys((target, data.id, data.time)) if n in table.names and n not in features]
    part = project.hooks.load if isinstance(project.hooks.load, Slice) else None
    if part is not None and part.column in table.names:
        others.append(part.column)
    wanted = [*features, *(n for n in others if n is not None)]
    chunks = list(table.chunks(wanted))
    raw = pd.concat(chunks, ignore_index=True) if chunks else pd.DataFrame(columns=pd.Index(wanted), dtype=object)
    if part is not None and part.column in wanted:  # one partition's model is not to be judged by the others' rows
        raw = part.of(raw)
    if data.time is None or data.time not in raw.columns:
        return raw
    return raw.iloc[np.argsort(_moments(raw[data.time]), kind="stable")].reset_index(drop=True)


def _moments(values: pd.Series[Any]) -> Any:
    """What orders the rows; rows without a readable time come last, in their order."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=np.float64, na_value=np.inf)
    moments = pd.to_datetime(values, errors="coerce", utc=True, format="ISO8601")
    return moments.fillna(pd.Timestamp.max.tz_localize("UTC")).to_numpy()


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
    target = package.signature.target.model_copy(update={"nullable": False})
    screened = screen(truth.rename(target.name).reset_index(drop=True).to_frame(), [target])
    known = ~screened.bad
    if not known.any():
        return None
    shares = prediction.probabilities
    answered = Prediction(prediction.values[known], None if shares is None else shares[known])
    return Judged(np.asarray(screened.frame.iloc[:, 0][known].to_numpy()), answered, package.signature)
