"""Model file: a fitted estimator in skops' format, which builds objects without pickle.

The types inside are compared with a list kept in this file before anything is built. The same estimator gives the same
bytes, whatever the process, the clock and the addresses in memory.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ai_factory_runtime.base.errors import UntrustedModel

# The runtime's own calibrated classifier, and what scikit-learn's estimators hold besides the estimators themselves, which
# skops trusts by name. All are data or pure functions: none of them opens a file, runs a command or imports by name.
TRUSTED_TYPES = frozenset(
    {
        "ai_factory_runtime.model_package.calibrated.Calibrated",
        "numpy.dtype",
        "scipy.interpolate._bsplines.BSpline",
        "scipy.sparse._csc.csc_matrix",
        "scipy.sparse._csr.csr_array",
        "scipy.sparse._csr.csr_matrix",
        "sklearn._loss.loss.HalfTweedieLoss",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.calibration._TemperatureScaling",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._mutual_info.mutual_info_classif",
        "sklearn.feature_selection._mutual_info.mutual_info_regression",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.Matern",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.gaussian_process.kernels.Sum",
        "sklearn.gaussian_process.kernels.WhiteKernel",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
    }
)

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip archive can hold; no clock in the package


def dump_estimator(estimator: Any) -> bytes:
    """A fitted estimator in skops' format, with the same bytes for the same estimator."""
    import skops.io

    return _normalised(skops.io.dumps(estimator))


def untrusted_types(body: bytes, *, trusted_package: str | None = None) -> tuple[str, ...]:
    """The types in a skops file that neither skops, nor this module, nor the project's package vouches for."""
    return tuple(t for t in _questionable(body) if not _is_trusted(t, trusted_package))


def load_estimator(body: bytes, *, folder: Path | str, trusted_package: str | None = None) -> Any:
    """Build an estimator from a skops file. Raises UntrustedModel before anything is built."""
    import skops.io

    refused = untrusted_types(body, trusted_package=trusted_package)
    if refused:
        raise UntrustedModel(folder=folder, types=refused)
    return skops.io.loads(body, trusted=_questionable(body))


def _questionable(body: bytes) -> list[str]:
    import skops.io

    return sorted(skops.io.get_untrusted_types(data=body))


def _is_trusted(type_name: str, trusted_package: str | None) -> bool:
    return type_name in TRUSTED_TYPES or (trusted_package is not None and type_name.startswith(f"{trusted_package}."))


def _normalised(body: bytes) -> bytes:
    """A skops file without what differs from process to process: addresses used as names, the order of sets, times."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        schema = json.loads(archive.read("schema.json"))
        contents = {name: archive.read(name) for name in archive.namelist() if name != "schema.json"}
    names: dict[str, str] = {}
    numbers: dict[int, int] = {}
    _rename(schema, names, numbers)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for old, new in names.items():
            archive.writestr(
                zipfile.ZipInfo(new, _ZIP_EPOCH), _without_padding(new, contents[old]), zipfile.ZIP_DEFLATED
            )
        archive.writestr(zipfile.ZipInfo("schema.json", _ZIP_EPOCH), json.dumps(schema), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _rename(node: Any, names: dict[str, str], numbers: dict[int, int]) -> None:
    """Number objects and files in the order in which they are met, in place."""
    if isinstance(node, list):
        for child in node:
            _rename(child, names, numbers)
    if not isinstance(node, dict):
        return
    if node.get("__loader__") == "SetNode":
        node["content"].sort(key=lambda child: str(child.get("content")))
    if isinstance(node.get("__id__"), int):
        node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
    file = node.get("file")
    if isinstance(file, str) and "__loader__" in node:
        node["file"] = names.setdefault(file, f"{len(names) + 1}{Path(file).suffix}")
    for child in node.values():
        _rename(child, names, numbers)


def _without_padding(name: str, body: bytes) -> bytes:
    """An array file whose unused bytes between the fields of a record (a tree's nodes have some) are zero."""
    if not name.endswith(".npy"):
        return body
    array = np.load(io.BytesIO(body), allow_pickle=False)
    if array.dtype.names is None:
        return body
    clean = np.zeros(array.shape, dtype=array.dtype)
    for field in array.dtype.names:
        clean[field] = array[field]
    buffer = io.BytesIO()
    np.save(buffer, clean, allow_pickle=False)
    return buffer.getvalue()
