"""Cleansing: copies and near copies of rows, treated as `data.duplicates` says. Whatever it does is counted and told.

It sees canonical rows before personal data is taken out of them, because two people who differ only in their names are no
copies of each other; it stores and shows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import Data

from ai_factory_runtime.data.data_refusals import DuplicateRows
from ai_factory_runtime.data.twins import Numbers, chance_of_near_twins, chance_of_twins, near_twins, twins

Exact = Literal["drop", "keep", "stop"]
Near = Literal["keep", "together", "drop"]

# A group of this share of all rows is no copy made by mistake: the columns say too little to tell rows apart.
LARGEST_GROUP = 0.05
COINCIDENCE = "So few different rows are possible that equal rows are coincidence; they count as different rows."
_SHOWN_PLACES = 10


@dataclass(frozen=True, slots=True)
class CleansingFacts:
    """What cleansing found and did. `near_rows` have a near twin that is no copy; `note` says why they were left alone."""

    rows: int
    exact_policy: Exact
    exact_copies: int
    exact_dropped: int
    near_policy: Near
    near_rows: int
    near_groups: int
    near_dropped: int
    note: str = ""

    @property
    def kept(self) -> int:
        """The rows that are left."""
        return self.rows - self.exact_dropped - self.near_dropped

    def sentences(self) -> tuple[str, ...]:
        """The facts for a report, one sentence each; the first is always there."""
        if not self.exact_copies:
            told = ["No row is a copy of another in every column."]
        else:
            kept = "kept" if self.note == COINCIDENCE else "kept, on one side of the split"
            done = "dropped" if self.exact_dropped else kept
            told = [
                f"{self.exact_copies} of {self.rows} rows are copies of an earlier row in every column; they were {done}."
            ]
        if self.near_rows:
            done = {
                "keep": "they were treated as different rows",
                "together": "each group was kept on one side of the split",
                "drop": f"{self.near_dropped} were dropped and the first of each group kept",
            }[self.near_policy]
            groups = f"{self.near_groups} group{'s' if self.near_groups > 1 else ''}"
            told.append(
                f"{self.near_rows} rows in {groups} are equal but for rounding, letter case and blanks; {done}."
            )
        return (*told, *([self.note] if self.note else []))

    def document(self) -> dict[str, object]:
        """The facts as JSON values."""
        return asdict(self)

    @classmethod
    def of_document(cls, document: Mapping[str, object]) -> CleansingFacts:
        """The facts that `document` wrote."""
        return cls(**document)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Cleansed:
    """The rows that are left, with an index 0..n-1, and what became of the others.

    `together` numbers the rows: those with the same number say the same, so a split keeps them on one side; None where every
    row stands for itself.
    """

    frame: pd.DataFrame
    facts: CleansingFacts
    together: Numbers | None


def cleanse(frame: pd.DataFrame, data: Data) -> Cleansed:
    """Treat copies and near copies among canonical rows. Raises DuplicateRows where the policy for copies is stop.

    Of copies the first stays. Unless usecase.yaml says so, copies are dropped only where rows have an id or a time and the
    columns take so many values that equal rows are no coincidence.
    """
    names = [c.name for c in data.contract.columns if c.name in frame.columns]
    policy = exact_policy(data)
    exact = twins(frame, names)
    copies = _later(exact)
    if copies.any() and policy == "stop":
        raise DuplicateRows(
            copies=int(copies.sum()), rows=len(frame), places=np.flatnonzero(copies)[:_SHOWN_PLACES].tolist()
        )
    coincidence = bool(copies.any()) and chance_of_twins(frame, names) >= 1
    if coincidence and data.duplicates.exact is None:
        policy = "keep"
    dropped = copies if policy == "drop" else np.zeros(len(frame), dtype=np.bool_)
    rest, exact = _without(frame, dropped), exact[~dropped]
    if coincidence:  # so few different rows are possible that equal ones are no copies, and need not stay together
        near, note = np.arange(len(rest), dtype=np.int64), COINCIDENCE if policy == "keep" else ""
        exact = near
    else:
        near, note = _near(rest, exact, data)
    surplus = _later(near) & ~_later(exact) if data.duplicates.near == "drop" else np.zeros(len(rest), dtype=np.bool_)
    groups = _groups(near, exact)
    facts = CleansingFacts(
        rows=len(frame),
        exact_policy=policy,
        exact_copies=int(copies.sum()),
        exact_dropped=int(dropped.sum()),
        near_policy=data.duplicates.near,
        near_rows=int(np.isin(near, groups).sum()),
        near_groups=len(groups),
        near_dropped=int(surplus.sum()),
        note=note,
    )
    kept = _without(rest, surplus)
    number = (exact if data.duplicates.near == "keep" else near)[~surplus]
    return Cleansed(kept, facts, number if len(np.unique(number)) < len(number) else None)


def exact_policy(data: Data) -> Exact:
    """What becomes of copies: as usecase.yaml says, else dropped where rows have an id or a time."""
    return data.duplicates.exact or ("drop" if data.id is not None or data.time is not None else "keep")


def _near(frame: pd.DataFrame, exact: Numbers, data: Data) -> tuple[Numbers, str]:
    """Near twins, copies among them, and why they were not looked for where that says nothing."""
    columns = [c.name for c in data.contract.columns if c.name in frame.columns and c.name != data.id and not c.unique]
    exactly = {data.time} if data.time else set()
    if not columns or len(frame) < 2 or chance_of_near_twins(frame, columns, exactly) >= 1:
        return exact, ""
    found = near_twins(frame, columns, exactly=exactly)
    largest = int(np.bincount(found).max())
    if largest > max(LARGEST_GROUP * len(frame), int(np.bincount(exact).max()), 2):
        return exact, (
            f"{largest} of {len(frame)} rows are nearly equal to each other, too many to be copies; "
            "near duplicates were not looked for."
        )
    return found, ""


def _groups(near: Numbers, exact: Numbers) -> Numbers:
    """The groups of near twins that hold different rows, not only copies of one."""
    first = ~_later(exact)
    counts = np.bincount(near[first], minlength=int(near.max()) + 1 if len(near) else 0)
    return np.flatnonzero(counts > 1)


def _later(number: Numbers) -> npt.NDArray[np.bool_]:
    """The rows whose number an earlier row has."""
    return pd.Series(number).duplicated(keep="first").to_numpy(dtype=np.bool_)


def _without(frame: pd.DataFrame, rows: npt.NDArray[np.bool_]) -> pd.DataFrame:
    return frame[~rows].reset_index(drop=True) if rows.any() else frame
