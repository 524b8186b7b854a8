"""Sketch: a small summary of the training data, kept in the model package, against which later windows are compared.

A number is summarised by its empirical distribution at up to `POINTS` of its values, a category by its counts. No row
can be put together again from it, so production holds no training rows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.usecase import Column

from ai_factory_runtime.base.refusals import SketchUnreadable

if TYPE_CHECKING:
    from ai_factory_runtime.base.prediction import Prediction

Floats = npt.NDArray[np.float64]
ResidualName = Literal["bias", "error"]

FORMAT = 1
POINTS = 512
NUMERIC_TYPES = ("integer", "number")
PREDICTION = "prediction"
PROBABILITY = "probability"


@dataclass(frozen=True, slots=True)
class ResidualSketch:
    """What the held-out rows said of one kind of residual; kept with the model."""

    name: ResidualName
    rows: int
    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class NumericSketch:
    """The distribution of a number: `at_most[i]` values are <= `points[i]`, `below[i]` are < it (both exact counts).

    With at most POINTS different values it is the whole empirical distribution, otherwise quantiles 1/511 apart.
    Values that are not finite count as missing.
    """

    kind: ClassVar[str] = "number"
    name: str
    rows: int
    missing: int
    points: tuple[float, ...]
    at_most: tuple[int, ...]
    below: tuple[int, ...]

    @property
    def present(self) -> int:
        """How many values are there."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        """Missing values as a share of the rows; 0 for no rows."""
        return self.missing / self.rows if self.rows else 0.0


@dataclass(frozen=True, slots=True)
class CategorySketch:
    """How often each value of a category occurred, the most frequent first."""

    kind: ClassVar[str] = "category"
    name: str
    rows: int
    missing: int
    counts: tuple[tuple[str, int], ...]

    @property
    def present(self) -> int:
        """How many values are there."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        """Missing values as a share of the rows; 0 for no rows."""
        return self.missing / self.rows if self.rows else 0.0


ColumnSketch = NumericSketch | CategorySketch


@dataclass(frozen=True, slots=True)
class Sketch:
    """The summary of the feature columns, and of the model's own predictions and residuals on the rows held out for evaluation.

    Without residuals concept drift can be judged within a window only.
    """

    rows: int
    columns: tuple[ColumnSketch, ...]
    predictions: tuple[ColumnSketch, ...]
    residuals: tuple[ResidualSketch, ...] = ()

    def to_json(self) -> str:
        """Canonical JSON: the same sketch gives the same text; strictly valid (no NaN, no Infinity)."""
        document = {
            "format": FORMAT,
            "rows": self.rows,
            "columns": [_column_document(c) for c in self.columns],
            "predictions": [_column_document(c) for c in self.predictions],
            "residuals": [asdict(r) for r in self.residuals],
        }
        return json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Sketch:
        """The sketch that `to_json` wrote. Raises SketchUnreadable for anything else."""
        try:
            document = json.loads(text)
            if document["format"] != FORMAT:
                raise SketchUnreadable(expected=FORMAT, reason=f"its format is {document['format']!r}")
            return Sketch(
                rows=int(document["rows"]),
                columns=tuple(_read_column(c) for c in document["columns"]),
                predictions=tuple(_read_column(c) for c in document["predictions"]),
                residuals=tuple(_read_residuals(r) for r in document.get("residuals", ())),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise SketchUnreadable(expected=FORMAT, reason=f"{type(error).__name__}: {error}") from error


def build_sketch(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    predictions: Prediction,
    residuals: Sequence[ResidualSketch] = (),
) -> Sketch:
    """Summarise the feature `columns` of `frame`, the `predictions` made for (some of) its rows, and their `residuals`."""
    return Sketch(
        rows=len(frame),
        columns=tuple(sketch_column(c.name, frame[c.name], numeric=c.type in NUMERIC_TYPES) for c in columns),
        predictions=tuple(sketch_column(str(s.name), s, numeric=n) for s, n in prediction_series(predictions)),
        residuals=tuple(residuals),
    )


def sketch_column(name: str, values: pd.Series[Any], *, numeric: bool) -> ColumnSketch:
    """Summarise one column as a number or as a category."""
    if numeric:
        return _sketch_numbers(name, numbers(values), rows=len(values))
    ordered = sorted(category_counts(values).items(), key=lambda item: (-item[1], item[0]))
    return CategorySketch(name, len(values), len(values) - sum(n for _, n in ordered), tuple(ordered))


def prediction_series(predictions: Prediction) -> list[tuple[pd.Series[Any], bool]]:
    """The outputs whose distribution is watched, each with whether it is a number.

    Regression: the prediction. Classes: the predicted class, and a probability: that of the second class of a binary
    model, of the predicted class otherwise.
    """
    values = np.asarray(predictions.values)
    numeric = predictions.probabilities is None and values.dtype.kind in "iuf"
    outputs = [(pd.Series(values, name=PREDICTION), numeric)]
    if predictions.probabilities is not None:
        shares = np.asarray(predictions.probabilities, dtype=np.float64)
        outputs.append(
            (pd.Series(shares[:, 1] if shares.shape[1] == 2 else shares.max(axis=1), name=PROBABILITY), True)
        )
    return outputs


def numbers(values: pd.Series[Any]) -> Floats:
    """The finite numbers of a column, sorted; what is missing or not finite is left out."""
    array = np.asarray(values.to_numpy(dtype=np.float64, na_value=np.nan))
    return np.sort(array[np.isfinite(array)])


def category_counts(values: pd.Series[Any]) -> dict[str, int]:
    """How often each value of a category occurs, as text; missing values are not counted. A boolean gives "True" and "False"."""
    counts: Counter[str] = Counter()
    for value, count in values.value_counts(sort=False).items():
        if count:
            counts[str(value)] += int(count)
    return dict(counts)


def _sketch_numbers(name: str, ordered: Floats, *, rows: int) -> NumericSketch:
    points = np.unique(ordered)
    if points.size > POINTS:
        points = np.unique(ordered[np.linspace(0, ordered.size - 1, POINTS).round().astype(np.intp)])
    return NumericSketch(
        name=name,
        rows=rows,
        missing=rows - ordered.size,
        points=tuple(points.tolist()),
        at_most=tuple(np.searchsorted(ordered, points, side="right").tolist()),
        below=tuple(np.searchsorted(ordered, points, side="left").tolist()),
    )


def _column_document(column: ColumnSketch) -> dict[str, object]:
    common = {"kind": column.kind, "name": column.name, "rows": column.rows, "missing": column.missing}
    if isinstance(column, NumericSketch):
        return {**common, "points": column.points, "at_most": column.at_most, "below": column.below}
    return {**common, "counts": column.counts}


def _read_residuals(document: Mapping[str, Any]) -> ResidualSketch:
    name, mean, sd = str(document["name"]), float(document["mean"]), float(document["sd"])
    if name not in ("bias", "error"):
        raise SketchUnreadable(expected=FORMAT, reason=f"residuals of kind {name!r}")
    return ResidualSketch("bias" if name == "bias" else "error", int(document["rows"]), mean, sd)


def _read_column(document: Mapping[str, Any]) -> ColumnSketch:
    name, rows, missing = str(document["name"]), int(document["rows"]), int(document["missing"])
    if document["kind"] == CategorySketch.kind:
        return CategorySketch(name, rows, missing, tuple((str(v), int(n)) for v, n in document["counts"]))
    if document["kind"] != NumericSketch.kind:
        raise SketchUnreadable(expected=FORMAT, reason=f"a column of kind {document['kind']!r}")
    points, at_most, below = (tuple(document[key]) for key in ("points", "at_most", "below"))
    if not len(points) == len(at_most) == len(below):
        raise SketchUnreadable(expected=FORMAT, reason=f"column {name!r} has lists of different lengths")
    return NumericSketch(
        name, rows, missing, tuple(map(float, points)), tuple(map(int, at_most)), tuple(map(int, below))
    )
