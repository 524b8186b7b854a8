"""Calibration: probabilities that happen as often as they say, by a curve from what the model says to what came true.

| method     | the curve                                                                                              |
|------------|--------------------------------------------------------------------------------------------------------|
| `sigmoid`  | a line on the log-odds (Platt 1999, Probabilistic Outputs for Support Vector Machines)                  |
| `isotonic` | a rising staircase, joined by lines (Zadrozny & Elkan 2002, Transforming Classifier Scores into Accurate Multiclass Probability Estimates) |

A binary task has one curve, a multiclass task one for each class, after which a row's probabilities are divided by their
sum. Curves are fitted on rows that the model was not fitted on. `auto` takes one only where it lowers the log loss on
rows that neither model nor curve were fitted on, by more than a standard error: no curve is simpler than any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ai_factory_runtime.base.choices import Choice
from ai_factory_runtime.model_package.calibrated import Floats, Method, apply_curves, log_odds

Bools = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int64]
Asked = Literal["auto", "sigmoid", "isotonic", "none"]

FEWEST_ROWS = 200  # with fewer rows `auto` leaves probabilities as they are: a curve would follow the noise
FEWEST_OF_CLASS = 10  # a class with fewer rows has no curve worth fitting
ISOTONIC_FROM = 1000  # a staircase on fewer rows overfits (scikit-learn's user guide, section 1.16.3)
_WEAK = 1e3  # so weak a penalty that it only matters where a line would be infinitely steep


@dataclass(frozen=True)
class Calibration:
    """The curves of a method, one for a binary task, one for each class else; and the calibrated, cross-fitted answers."""

    method: Method
    curves: tuple[Floats, ...]
    probabilities: Floats


def fit_curves(method: Method, probabilities: Floats, truth: Positions) -> tuple[Floats, ...]:
    """Curves for (rows, classes) probabilities; `truth` is each row's class as a column number."""
    classes = probabilities.shape[1]
    fit = _fit_sigmoid if method == "sigmoid" else _fit_isotonic
    columns = [1] if classes == 2 else range(classes)
    return tuple(fit(probabilities[:, column], truth == column) for column in columns)


def calibrate(
    asked: Asked,
    probabilities: Floats,
    truth: Positions,
    part: Positions,
    *,
    unit: Positions | None = None,
    in_time: bool = False,
) -> tuple[Calibration | None, Choice]:
    """The calibration to use, None for none, and the choice for the card.

    `probabilities` (rows, classes) are for rows that the model was not fitted on, `truth` their class as a column number,
    `part` numbers the parts that a curve is fitted without in turn; `unit` are rows that count as one. Where parts are
    `in_time` order, methods are compared on the last part alone, by curves from the earlier ones.
    """
    if asked == "none":
        return None, Choice("calibration", "none", "model.calibrate asks for none")
    lacking = _lacking(probabilities.shape[1], truth, part)
    if lacking:
        return None, Choice("calibration", "none", lacking)
    if asked != "auto":
        calibrated = _cross_fitted(asked, probabilities, truth, part)
        return calibrated, Choice("calibration", asked, f"model.calibrate asks for it; {len(truth)} rows not fitted on")
    if len(truth) < FEWEST_ROWS:
        return None, Choice("calibration", "none", f"{len(truth)} rows not fitted on; {FEWEST_ROWS} are needed")
    methods: list[Method] = ["sigmoid", "isotonic"] if len(truth) >= ISOTONIC_FROM else ["sigmoid"]
    return _best([_cross_fitted(m, probabilities, truth, part) for m in methods], probabilities, truth, part, unit, in_time)  # fmt: skip


def log_losses(probabilities: Floats, truth: Positions) -> Floats:
    """(rows,): minus the logarithm of the true class's probability, which is kept a rounding error from 0."""
    smallest = float(np.finfo(np.float64).eps)
    return -np.log(np.clip(probabilities[np.arange(len(truth)), truth], smallest, 1.0))


def _best(
    tried: Sequence[Calibration],
    probabilities: Floats,
    truth: Positions,
    part: Positions,
    unit: Positions | None,
    in_time: bool,
) -> tuple[Calibration | None, Choice]:
    """Walk from no curve to the most flexible one; each must beat what is held so far by more than a standard error."""
    judged = part == part.max() if in_time else np.ones(len(truth), dtype=np.bool_)
    held: Calibration | None = None
    before = least = log_losses(probabilities, truth)
    said = []
    for calibration in tried:
        losses = log_losses(calibration.probabilities, truth)
        saved = (least - losses)[judged]
        said.append(f"{calibration.method} {losses[judged].mean():.4g}")
        if saved.mean() > _standard_error(saved, None if unit is None else unit[judged]):
            held, least = calibration, losses
    reason = (
        f"log loss on {int(judged.sum())} rows not fitted on: {before[judged].mean():.4g} without, {', '.join(said)}"
    )
    why = "" if held else "; no gain above one standard error"
    return held, Choice("calibration", held.method if held else "none", reason + why)


def _cross_fitted(method: Method, probabilities: Floats, truth: Positions, part: Positions) -> Calibration:
    """Each part's probabilities by the curves of the other parts, and the curves of all rows together."""
    crossed = probabilities.copy()
    for number in np.unique(part):
        rest = part != number
        curves = fit_curves(method, probabilities[rest], truth[rest])
        crossed[~rest] = apply_curves(method, curves, probabilities[~rest])
    return Calibration(method, fit_curves(method, probabilities, truth), crossed)


def _lacking(classes: int, truth: Positions, part: Positions) -> str:
    """Why no curve can be fitted: some class has too few rows outside some part."""
    fewest = min(
        int(np.bincount(truth[part != number], minlength=classes).min()) if len(np.unique(part)) > 1 else 0
        for number in np.unique(part)
    )
    if fewest >= FEWEST_OF_CLASS:
        return ""
    return f"a class has {fewest} rows not fitted on to learn a curve from; {FEWEST_OF_CLASS} are needed"


def _standard_error(differences: Floats, unit: Positions | None) -> float:
    """The standard error of their mean; rows of one unit count as one draw (Cochran 1977, Sampling Techniques, section 9A.2)."""
    centred = differences - differences.mean()
    sums = centred if unit is None else np.bincount(np.unique(unit, return_inverse=True)[1], weights=centred)
    return float(np.sqrt(np.square(sums).sum()) / len(differences))


def _fit_sigmoid(said: Floats, true: Bools) -> Floats:
    """(slope, intercept) of the line on the log-odds."""
    line = LogisticRegression(C=_WEAK, max_iter=1000).fit(log_odds(said)[:, None], true)
    return np.array([line.coef_[0, 0], line.intercept_[0]])


def _fit_isotonic(said: Floats, true: Bools) -> Floats:
    """(2, knots): the probabilities said, rising, and those meant."""
    stairs = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(said, true.astype(np.float64))
    return np.array([stairs.X_thresholds_, stairs.y_thresholds_])
