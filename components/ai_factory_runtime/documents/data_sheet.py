"""Data sheet: what a model learned from, column by column, and what was done to it, as Markdown and as a page.

Sections follow Gebru et al. 2021, Datasheets for Datasets. It is made of protected rows, and shows no value of a column that
names persons or entities, none that fewer than ten rows have, and of numbers no extremes but the 5th and 95th percentile.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from ai_factory_spec.usecase import Column, Data, UseCase

from ai_factory_runtime.documents.card import DataFacts
from ai_factory_runtime.documents.card_words import PII_WORDS, SPLIT_WORDS
from ai_factory_runtime.documents.pages import number, percent, render_markdown_page, render_page
from ai_factory_runtime.releases.lineage import Lineage
from ai_factory_runtime.training.split import Positions, Split

SECTIONS = ("Motivation", "Composition", "Target", "Columns", "Collection", "Preparation", "Personal data", "Split", "Uses", "Maintenance")  # fmt: skip
SHEET_MARKDOWN, SHEET_HTML = "data_sheet.md", "data_sheet.html"
FEWEST_ROWS = 10  # a value that fewer rows have could point at somebody
_MOST_VALUES = 8


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One column as a reader may know it: its part, its type, how many values are missing and different, and a summary."""

    name: str
    part: str
    type: str
    missing: float
    different: int
    summary: str


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """A class (or the percentiles of a number) among the rows learned from and those held out."""

    name: str
    learned_from: str
    held_out: str


@dataclass(frozen=True)
class DataSheetFacts:
    """Everything a data sheet tells."""

    usecase: UseCase
    run_id: str
    made_at: dt.datetime
    data: DataFacts
    lineage: Lineage
    columns: Sequence[ColumnFacts]
    target: Sequence[TargetFacts]
    span: str


def data_sheet_facts(
    usecase: UseCase,
    run_id: str,
    made_at: dt.datetime,
    frame: pd.DataFrame,
    split: Split,
    data: DataFacts,
    lineage: Lineage,
) -> DataSheetFacts:
    """The facts of protected, canonical rows."""
    return DataSheetFacts(
        usecase=usecase,
        run_id=run_id,
        made_at=made_at,
        data=data,
        lineage=lineage,
        columns=tuple(_column(column, frame, usecase.data) for column in usecase.data.contract.columns),
        target=_target(frame, usecase, split),
        span=_span(frame, usecase.data),
    )


def render_data_sheet(facts: DataSheetFacts) -> tuple[str, str]:
    """(Markdown, HTML)."""
    usecase = facts.usecase
    context = {
        "f": facts,
        "u": usecase,
        "title": usecase.title or usecase.name,
        "rules": rules(usecase.data),
        "uses": uses(facts),
        "split_words": SPLIT_WORDS[facts.data.how],
        "pii_words": PII_WORDS,
        "fewest": FEWEST_ROWS,
    }
    return render_markdown_page("data_sheet.md.j2", context), render_page("data_sheet.html.j2", context)


def rules(data: Data) -> list[str]:
    """What the contract asks of the table as a whole."""
    contract = data.contract
    found = [
        f"At least {contract.min_rows} row{'s' if contract.min_rows > 1 else ''}"
        + (f", at most {contract.max_rows}" if contract.max_rows else "")
        + "."
    ]
    if contract.max_age_days is not None:
        found.append(f"The newest {data.time} is at most {contract.max_age_days:g} days old.")
    bad = percent(contract.max_bad_rows)
    found.append(
        f"At most {bad} of the rows may break a rule; they are set aside."
        if contract.max_bad_rows
        else "No row breaks a rule."
    )
    unique = [c.name for c in contract.columns if c.unique]
    return [*found, *([f"Every value of {', '.join(unique)} is different."] if unique else [])]


def uses(facts: DataSheetFacts) -> list[str]:
    """What the rows were used for, and what they must not be used for without a new look."""
    data, usecase = facts.usecase.data, facts.usecase
    found = [
        f"They taught and judged one model, which predicts {data.target}. Another question needs another look at them.",
        f"They describe what {data.source} held{facts.span and f' {facts.span}'}; they are no sample of anything else.",
    ]
    if data.sensitive:
        found.append(f"The groups of {', '.join(data.sensitive)} were compared; the model card tells how they fare.")
    else:
        found.append("No sensitive column is named: whether groups of people are missing or rare was not looked at.")
    if usecase.risk.tier == "high":
        found.append("The risk tier is high: a wrong prediction can touch people's rights or safety.")
    return found


def _column(column: Column, frame: pd.DataFrame, data: Data) -> ColumnFacts:
    part = _part(column, data)
    if column.name not in frame.columns:
        return ColumnFacts(column.name, part, column.type, float("nan"), 0, "removed on read")
    values = frame[column.name]
    hidden = column.name == data.id or column.type == "text" or column.name in {p.column for p in data.pii}
    summary = "not shown" if hidden else _summary(values, column)
    return ColumnFacts(column.name, part, column.type, float(values.isna().mean()), int(values.nunique()), summary)


def _part(column: Column, data: Data) -> str:
    parts = {data.target: "target", data.id: "id", data.time: "time"}
    part = parts.get(column.name)
    if part is None and column.name in {p.column for p in data.pii}:
        part = "personal data"
    if part is None:
        part = "feature" if column in data.features else "not used"
    return f"{part}, sensitive" if column.name in data.sensitive else part


def _summary(values: pd.Series[Any], column: Column) -> str:
    known = values.dropna()
    if known.empty:
        return "no value"
    if column.type in ("integer", "number"):
        low, middle, high = np.quantile(known.to_numpy(dtype=np.float64), [0.05, 0.5, 0.95])
        return f"{number(middle)} (90 % between {number(low)} and {number(high)})"
    if column.type == "datetime":
        return f"{known.min():%Y-%m-%d} to {known.max():%Y-%m-%d}"
    shares = known.astype(str).value_counts()
    shown = shares[shares >= FEWEST_ROWS].head(_MOST_VALUES)
    told = [f"{value} {percent(count / len(known))}" for value, count in shown.items()]
    others = len(shares) - len(shown)
    return ", ".join([*told, *([f"{others} other values"] if others else [])])


def _target(frame: pd.DataFrame, usecase: UseCase, split: Split) -> tuple[TargetFacts, ...]:
    target = frame[usecase.data.target]
    sides: tuple[Positions, Positions] = (split.development, split.test)
    if usecase.model.task == "regression":
        wanted = {"5th percentile": 0.05, "median": 0.5, "95th percentile": 0.95}
        numbers = [target.iloc[side].to_numpy(dtype=np.float64) for side in sides]
        return tuple(
            TargetFacts(name, *(number(float(np.quantile(n, at))) for n in numbers)) for name, at in wanted.items()
        )
    classes = usecase.data.column(usecase.data.target).categories or ()
    return tuple(TargetFacts(name, *(_share(target.iloc[side], name) for side in sides)) for name in classes)


def _share(values: pd.Series[Any], name: str) -> str:
    hits = (values == name).to_numpy(dtype=np.bool_, na_value=False)
    return f"{int(hits.sum())} rows, {percent(float(hits.mean()))}"


def _span(frame: pd.DataFrame, data: Data) -> str:
    """From when to when the rows are; empty where nothing says so."""
    if data.time is None or data.time not in frame.columns:
        return ""
    times = frame[data.time].dropna()
    if times.empty or not pd.api.types.is_datetime64_any_dtype(times.dtype):
        return ""
    return f"from {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}"
