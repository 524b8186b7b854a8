"""Reasons: for one answer, which columns moved it most: what it would have been with the column's usual value instead.

Single-feature ablation: the effect of a column is the model's output for the row, minus its output for the same row with the
median (a number) or the most frequent value (a category) of the training data there. It is exact for one change, and says
nothing of changes together. The output is the prediction of a regression, the probability of the class of interest, or
that of the predicted class where there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ai_factory_runtime.base.prediction import Prediction, Signature
from ai_factory_runtime.data.rows import Floats, Layout, Rows
from ai_factory_runtime.data.screening import NUMBERS
from ai_factory_runtime.serving.refused import TOO_LARGE, RequestRefused

MOST_ROWS = 100
NO_EFFECT = 1e-12  # what rounding leaves


@dataclass(frozen=True, slots=True)
class Reason:
    """One column's part in one answer: its value, the usual one, and how much the output is above (or below) for it."""

    column: str
    value: object
    typical: object
    effect: float


@dataclass(frozen=True, slots=True)
class Explainer:
    """Gives reasons for the answers of one model; `typical` has the usual value of each feature."""

    signature: Signature
    layout: Layout
    typical: dict[str, Any]

    def reasons(
        self, rows: Rows, answers: Prediction, predict: Callable[[Rows], Prediction], most: int
    ) -> tuple[tuple[Reason, ...], ...]:
        """For each row its `most` largest effects, the largest first; columns without effect are left out.

        Raises RequestRefused above MOST_ROWS rows: each row is answered once more for each of its columns.
        """
        if len(rows) > MOST_ROWS:
            raise RequestRefused(
                TOO_LARGE, f"The request asks for the reasons of {len(rows)} rows; {MOST_ROWS} are allowed."
            )
        followed = self._followed(answers)
        output = self._output(answers, followed)
        columns = self.layout.columns
        changed = predict(self._ablated(rows))
        other = self._output(changed, np.repeat(followed, len(columns))).reshape(len(rows), len(columns))
        effects = output[:, None] - other
        values = rows.plain()
        return tuple(self._largest(e, v, o, most) for e, v, o in zip(effects, values, output.tolist(), strict=True))

    def _largest(self, effects: Floats, values: list[object], output: float, most: int) -> tuple[Reason, ...]:
        order = np.argsort(-np.abs(effects), kind="stable")[:most]
        return tuple(
            Reason(name, values[i], self.typical[name], float(effects[i]))
            for i in order.tolist()
            if abs(effects[i]) > NO_EFFECT * max(1.0, abs(output)) and (name := self.layout.columns[i].name)
        )

    def _followed(self, answers: Prediction) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """The class whose probability is followed, for each row."""
        n, classes = len(answers.values), self.signature.classes
        if self.signature.positive is not None:
            return np.full(n, classes.index(self.signature.positive), dtype=np.intp)
        if answers.probabilities is None:
            return np.zeros(n, dtype=np.intp)
        return np.array([classes.index(v) for v in answers.values], dtype=np.intp)

    @staticmethod
    def _output(answers: Prediction, followed: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Floats:
        if answers.probabilities is None:
            return np.asarray(answers.values, dtype=np.float64)
        return np.asarray(answers.probabilities[np.arange(len(followed)), followed])

    def _ablated(self, rows: Rows) -> Rows:
        """Each row once for each column, with that column's usual value."""
        n, columns = len(rows), self.layout.columns
        numbers = np.repeat(rows.numbers, len(columns), axis=0)
        others = [[v for v in values for _ in columns] for values in rows.others]
        for i, column in enumerate(columns):
            at, usual = self.layout.positions[column.name], self.typical[column.name]
            if column.type in NUMBERS:
                numbers[i :: len(columns), at] = np.nan if usual is None else usual
            else:
                others[at][i :: len(columns)] = [usual] * n
        return Rows(self.layout, numbers, tuple(others))
