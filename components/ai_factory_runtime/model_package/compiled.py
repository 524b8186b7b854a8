"""Compiled: a fitted pipeline as array operations, tables and treelite's walk through its trees, for the rows of a request.

| part     | scikit-learn's                    | compiled                                                        |
|----------|-----------------------------------|-----------------------------------------------------------------|
| features | a column transformer              | array operations and tables (`encoding`)                        |
| trees    | gradient boosting, random forest  | treelite's GTIL, for up to FEW_ROWS rows                        |
| linear   | logistic regression, ridge, …     | one matrix product                                              |

Whether it may answer is decided by `accelerator`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
from scipy.special import expit, softmax
from sklearn import ensemble, linear_model
from sklearn.pipeline import Pipeline

from ai_factory_runtime.base.prediction import Prediction, Signature, decide
from ai_factory_runtime.data.rows import Floats, Layout, Rows
from ai_factory_runtime.model_package.calibrated import Calibrated
from ai_factory_runtime.model_package.encoding import NotEncodable, make_encoder

FEW_ROWS = 128  # above, scikit-learn's own loop over the trees is quicker

Engine = Literal["treelite", "numpy", "scikit-learn"]
Raw = Callable[[Floats], Floats]  # a matrix -> probabilities (rows, classes the model saw), or values (rows, 1)


@dataclass(frozen=True)
class Compiled:
    """A model that takes rows without a table. It may be called from any thread."""

    signature: Signature
    engine: Engine
    features: Engine
    encode: Callable[[Rows], Floats]
    few: Raw
    many: Raw
    columns: npt.NDArray[np.intp]  # the place of each class the model saw in the signature's order

    @property
    def bounded(self) -> bool:
        """Whether its time depends on nothing but the number of rows: no code of the project or of an unknown model."""
        return self.features == "numpy" and self.engine != "scikit-learn"

    def predict(self, rows: Rows) -> Prediction:
        """As `package.predict` for the same rows."""
        return self._answer((self.few if len(rows) <= FEW_ROWS else self.many)(self.encode(rows)))

    def predict_each_way(self, rows: Rows) -> tuple[Prediction, Prediction]:
        """The answers as for few rows and as for many: what the parity gate compares."""
        matrix = self.encode(rows)
        return self._answer(self.few(matrix)), self._answer(self.many(matrix))

    def _answer(self, raw: Floats) -> Prediction:
        if self.signature.task == "regression":
            return Prediction(raw[:, 0], None)
        shares = np.zeros((len(raw), len(self.signature.classes)))
        shares[:, self.columns] = raw
        return Prediction(decide(shares, self.signature), shares)


def compile_model(estimator: Any, signature: Signature) -> Compiled | str:
    """The compiled form of a fitted pipeline, or why there is none."""
    if not isinstance(estimator, Pipeline) or len(estimator.steps) < 2:
        return "the model is no pipeline of features and model"
    transformer, model = estimator[:-1], estimator.steps[-1][1]
    transformer = transformer.steps[0][1] if len(transformer.steps) == 1 else transformer
    if hasattr(model, "feature_names_in_"):
        return "the model was fitted on a table with column names"
    engine, few, many = _model(model, signature)
    try:
        encode: Callable[[Rows], Floats] = make_encoder(transformer, Layout(signature.features))
        features: Engine = "numpy"
    except NotEncodable as reason:
        if engine == "scikit-learn":
            return f"{reason}; {type(_inner(model)).__name__} is not compiled"
        encode, features = _own_features(transformer), "scikit-learn"
    seen = [] if signature.task == "regression" else [signature.classes.index(str(c)) for c in model.classes_]
    return Compiled(signature, engine, features, encode, few, many, np.array(seen, dtype=np.intp))


def _inner(model: Any) -> Any:
    return _inner(model.estimator) if isinstance(model, Calibrated) else model


def _model(model: Any, signature: Signature) -> tuple[Engine, Raw, Raw]:
    """The engine, and the model for few rows and for many."""
    if isinstance(model, Calibrated):
        engine, few, many = _model(model.estimator, signature)
        return engine, _then(few, model.calibrate), _then(many, model.calibrate)
    own = _own_model(model, signature)
    if type(model) in _TREES:
        walk = _trees(model)
        return ("treelite", walk, own) if walk is not None else ("scikit-learn", own, own)
    if type(model) in _LINEAR:
        linear = _linear(model, signature)
        return "numpy", linear, linear
    return "scikit-learn", own, own


def _then(first: Raw, second: Raw) -> Raw:
    return lambda matrix: second(first(matrix))


def _own_model(model: Any, signature: Signature) -> Raw:
    if signature.task == "regression":
        return lambda matrix: np.asarray(model.predict(matrix), dtype=np.float64).reshape(len(matrix), 1)
    return lambda matrix: np.asarray(model.predict_proba(matrix), dtype=np.float64)


def _own_features(transformer: Any) -> Callable[[Rows], Floats]:
    def encode(rows: Rows) -> Floats:
        encoded = transformer.transform(rows.frame())
        return np.ascontiguousarray(encoded.toarray() if hasattr(encoded, "toarray") else encoded, dtype=np.float64)

    return encode


def _trees(model: Any) -> Raw | None:
    """The trees walked by treelite; None where it cannot read them. GTIL holds no state, so threads may share it."""
    import treelite

    try:
        forest = treelite.sklearn.import_model(model)
    except (treelite.TreeliteError, NotImplementedError, ValueError, TypeError):
        return None
    boosted = type(model) in _BOOSTED_CLASSES
    rounded = not isinstance(model, (ensemble.HistGradientBoostingClassifier, ensemble.HistGradientBoostingRegressor))

    def walk(matrix: Floats) -> Floats:
        # scikit-learn's other trees compare values rounded to 32 bits.
        given = matrix.astype(np.float32).astype(np.float64) if rounded else np.ascontiguousarray(matrix)
        found = cast("Floats", treelite.gtil.predict(forest, given, nthread=1, pred_margin=boosted))[:, 0, :]
        return _probabilities(found) if boosted else found  # treelite's own softmax is of 32 bits

    return walk


def _probabilities(scores: Floats) -> Floats:
    """Probabilities of log-odds: (rows, 1) of the second class of two, or (rows, classes)."""
    if scores.shape[1] > 1:
        return np.asarray(softmax(scores, axis=1))
    second = expit(scores)
    return np.concatenate([1 - second, second], axis=1)


def _linear(model: Any, signature: Signature) -> Raw:
    weights, offset = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64)).T, np.asarray(model.intercept_)
    if signature.task == "regression":
        return lambda matrix: matrix @ weights + offset
    return lambda matrix: _probabilities(matrix @ weights + offset)


_BOOSTED_CLASSES = frozenset({ensemble.HistGradientBoostingClassifier, ensemble.GradientBoostingClassifier})
_TREES = frozenset(
    {
        ensemble.HistGradientBoostingClassifier, ensemble.HistGradientBoostingRegressor, ensemble.RandomForestClassifier,
        ensemble.RandomForestRegressor, ensemble.ExtraTreesClassifier, ensemble.ExtraTreesRegressor,
        ensemble.GradientBoostingClassifier, ensemble.GradientBoostingRegressor,
    }
)  # fmt: skip
_LINEAR = frozenset(
    {
        linear_model.LogisticRegression, linear_model.LinearRegression, linear_model.Ridge, linear_model.Lasso,
        linear_model.ElasticNet,
    }
)  # fmt: skip
