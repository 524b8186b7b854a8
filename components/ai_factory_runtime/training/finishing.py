"""Finish a candidate as it would be used: probabilities calibrated, threshold chosen, on rows it was not fitted on.

Curves and threshold are chosen on the same rows: the threshold on probabilities from curves that were fitted without the
row in question. In a split by time the older half of these rows is calibrated by the newer one and the other way round;
whether to calibrate at all is judged forwards in time alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from ai_factory_runtime.base.choices import Choice
from ai_factory_runtime.base.prediction import Prediction, Signature, decide
from ai_factory_runtime.evaluation.estimates import Judged
from ai_factory_runtime.model_package.calibrated import Calibrated, mirrored
from ai_factory_runtime.training.calibrating import Asked, Calibration, calibrate
from ai_factory_runtime.training.deciding import choose_threshold
from ai_factory_runtime.training.imbalance import Handling
from ai_factory_runtime.training.out_of_fold import Bench, OutOfFold

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Finished:
    """A candidate judged as it would be used. `classes` are those learned from, in scikit-learn's order, as the curves are."""

    judged: Judged
    calibration: Calibration | None
    classes: tuple[str, ...]
    threshold: float | None
    choices: tuple[Choice, ...]


def finish(tried: OutOfFold, bench: Bench, handling: Handling) -> Finished:
    """Calibrate and threshold the answers of one candidate; a regression is left as it is."""
    signature, shares = bench.signature, tried.prediction.probabilities
    if shares is None:
        return Finished(_judged(tried, tried.prediction, signature), None, (), None, ())
    classes = tuple(map(str, np.unique(bench.target[bench.split.development])))
    columns = [signature.classes.index(c) for c in classes]
    calibration, said = _calibrate(tried, shares[:, columns], classes, bench, handling)
    if calibration is not None:
        shares = shares.copy()
        shares[:, columns] = calibration.probabilities
    choices, threshold = [said], signature.threshold
    if signature.positive is not None:
        score = shares[:, signature.classes.index(signature.positive)]
        threshold, why = choose_threshold(tried.truth == signature.positive, score, bench.usecase, handling)
        choices.append(why)
    decided = replace(signature, threshold=threshold)
    prediction = Prediction(decide(shares, decided), shares)
    return Finished(_judged(tried, prediction, decided), calibration, classes, threshold, tuple(choices))


def finished_pipeline(fitted: Pipeline, finished: Finished) -> Pipeline:
    """The fitted pipeline with its model's probabilities going through the curves, where there are any."""
    calibration = finished.calibration
    if calibration is None:
        return fitted
    model = fitted["model"]
    seen = [str(c) for c in model.classes_]
    curves = calibration.curves
    if len(curves) > 1:
        curves = tuple(curves[finished.classes.index(name)] for name in seen)
    elif seen != list(finished.classes):  # a classifier of the project's own may name the classes the other way round
        curves = (mirrored(calibration.method, curves[0]),)
    calibrated = Calibrated(model, calibration.method, [np.array(c) for c in curves])
    return Pipeline([("features", fitted["features"]), ("model", calibrated)])


def _calibrate(
    tried: OutOfFold, shares: Floats, classes: tuple[str, ...], bench: Bench, handling: Handling
) -> tuple[Calibration | None, Choice]:
    asked: Asked = bench.usecase.model.calibrate
    if handling == "weights" and bench.signature.task == "multiclass" and asked == "auto":
        return None, Choice(
            "calibration", "none", "weights are meant to move the probabilities; a curve would undo them"
        )
    position = {name: i for i, name in enumerate(classes)}
    truth = np.array([position[name] for name in tried.truth], dtype=np.int64)
    return calibrate(asked, shares, truth, tried.part, unit=tried.unit, in_time=bench.split.how == "time")


def _judged(tried: OutOfFold, prediction: Prediction, signature: Signature) -> Judged:
    return Judged(truth=tried.truth, prediction=prediction, signature=signature, unit=tried.unit)
