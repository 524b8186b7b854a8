"""Labels: true values that arrive after the prediction, joined to it by the request or by the entity's id.

A file of labels is a CSV or Parquet table with the target's column and either `request_id` (the id in the endpoint's
answer; `row` is the row of that request, counted from 0, 0 where there is no such column) or the column that `data.id`
names. A label by request belongs to one answer; a label by id to every answer about that entity. The later one wins.
Files left in artifacts/labels/<stage>/ are found without being named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_spec.tables import PARQUET_SUFFIXES
from ai_factory_spec.usecase import Column, UseCase

from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import LabelsUnusable
from ai_factory_runtime.data.pii import protect, read_key
from ai_factory_runtime.data.screening import screen_column
from ai_factory_runtime.data.tables import open_table

FOLDER = "labels"
REQUEST, ROW = "request_id", "row"
SUFFIXES = (".csv", *PARQUET_SUFFIXES)


@dataclass(frozen=True, slots=True)
class Labels:
    """True values by what they are joined on: `by_request` is indexed by (request, row), `by_id` by the id as text.

    `unusable` counts values that are none of the target's; they are left out.
    """

    source: str
    by_request: pd.Series[Any]
    by_id: pd.Series[Any]
    unusable: int = 0

    def __len__(self) -> int:
        return len(self.by_request) + len(self.by_id)


def label_folder(project: Project, stage: str) -> Path:
    """Where labels of a stage are looked for."""
    return project.artifacts / FOLDER / stage


def find_labels(project: Project, stage: str, named: Path | None = None) -> Labels | None:
    """The labels in the file or folder `named`, else those of the stage's folder; None where there are none.

    Raises LabelsUnusable, DataUnreadable, PiiKeyMissing.
    """
    place = named if named is not None else label_folder(project, stage)
    files = _files(place)
    if not files and named is None:
        return None
    if not files:
        raise LabelsUnusable(source=place, problem=f"there is no {' or '.join(SUFFIXES)} file")
    return read_labels(project, files, source=place.name)


def read_labels(project: Project, files: Sequence[Path], *, source: str) -> Labels:
    """All labels of some files, in their order. Raises LabelsUnusable with the columns a file lacks, DataUnreadable."""
    tables = [_read(project, file) for file in files]
    found = pd.concat(tables, ignore_index=True)
    target = _target(project)
    values, broken = screen_column(found[target.name], target)
    bad = np.logical_or.reduce([rule.rows for rule in broken]) if broken else np.zeros(len(found), dtype=np.bool_)
    found, values = found[~bad], values[~bad]
    named = found[REQUEST].notna().to_numpy()
    requests = pd.MultiIndex.from_frame(found.loc[named, [REQUEST, ROW]])
    by_request = pd.Series(values[named].array, index=requests)
    identified = ~named & found["id"].notna().to_numpy()
    by_id = pd.Series(values[identified].array, index=pd.Index(found.loc[identified, "id"], dtype=object))
    return Labels(source, _latest(by_request), _latest(by_id), int(bad.sum()))


def join(labels: Labels, keys: pd.DataFrame) -> pd.Series[Any]:
    """The true value of each row of `keys` (columns `request`, `position`, `id`), missing where none has arrived."""
    wanted = pd.MultiIndex.from_frame(keys[["request", "position"]])
    truth = labels.by_request.reindex(wanted) if len(labels.by_request) else _nothing(len(keys))
    if len(labels.by_id):
        later = labels.by_id.reindex(pd.Index(id_texts(keys["id"]), dtype=object))
        truth = pd.Series(truth.array, dtype=object).where(truth.notna().to_numpy(), later.to_numpy(dtype=object))
    return pd.Series(truth.array, index=keys.index)


def id_texts(values: pd.Series[Any]) -> pd.Series[Any]:
    """Ids as text, so that 7, 7.0 and "7" are one; missing stays missing."""
    return values.astype(object).map(_id_text, na_action="ignore")


def protected_ids(usecase: UseCase, values: pd.Series[Any]) -> pd.Series[Any]:
    """Ids as they were captured: as text, and as the PII policy leaves them. Missing where the policy drops them."""
    name = usecase.data.id or "id"
    rules = tuple(rule for rule in usecase.data.pii if rule.column == name)
    kept = protect(id_texts(values).to_frame(name), rules, read_key(rules))
    return kept[name] if name in kept.columns else pd.Series(None, index=values.index, dtype=object)


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(p for p in place.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    return [place] if place.exists() else []


def _target(project: Project) -> Column:
    return project.usecase.data.column(project.usecase.data.target).model_copy(update={"nullable": False})


def _read(project: Project, file: Path) -> pd.DataFrame:
    """Columns request_id, row, id and the target; what the file lacks is missing."""
    data = project.usecase.data
    table = open_table(file, data.contract)
    wanted = [n for n in dict.fromkeys((REQUEST, ROW, data.id, data.target)) if n is not None and n in table.names]
    keys = [n for n in (REQUEST, data.id) if n in wanted]
    if data.target not in wanted or not keys:
        key = f"{REQUEST!r} or {data.id!r}" if data.id else repr(REQUEST)
        lacks = f"the column {data.target!r}" if data.target not in wanted else f"a column {key} to join by"
        raise LabelsUnusable(source=file, problem=f"it has not {lacks}")
    chunks = list(table.chunks(wanted))
    raw = pd.concat(chunks, ignore_index=True) if chunks else pd.DataFrame(columns=pd.Index(wanted), dtype=object)
    absent = pd.Series(None, index=raw.index, dtype=object)
    found = pd.DataFrame({data.target: raw[data.target]})
    found[REQUEST] = _filled(raw[REQUEST]) if REQUEST in wanted and data.id != REQUEST else absent
    rows = pd.to_numeric(raw[ROW], errors="coerce") if ROW in wanted and data.id != ROW else absent.astype("float64")
    found[ROW] = rows.fillna(0).astype("int64")
    found["id"] = protected_ids(project.usecase, _filled(raw[data.id])) if data.id in wanted else absent
    return found


def _filled(values: pd.Series[Any]) -> pd.Series[Any]:
    """An empty field of a CSV names nothing. (Other words for missing do: `NA` may be an id.)"""
    return values.astype(object).where(values.notna() & (values.astype(object) != ""), None)


def _latest(values: pd.Series[Any]) -> pd.Series[Any]:
    return values[~values.index.duplicated(keep="last")]


def _nothing(rows: int) -> pd.Series[Any]:
    return pd.Series(None, index=range(rows), dtype=object)


def _id_text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
