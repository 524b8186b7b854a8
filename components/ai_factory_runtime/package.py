"""Model package: a folder that holds a fitted model and everything needed to trust, serve and watch it.

| file           | holds                                                                             |
|----------------|-----------------------------------------------------------------------------------|
| model.skops    | the fitted scikit-learn pipeline: feature transformer and model                   |
| signature.json | what it takes and gives: columns, classes, decision threshold                     |
| sketch.json    | the distribution of the training data, for drift                                  |
| parity.json    | reference rows and the outputs they must give                                     |
| metrics.json, lineage.json, card.md, card.html | the evidence                                      |
| manifest.json  | the sha256 of every file above; the sha256 of its canonical text is the digest    |

Loading reads each byte once: the hashes are compared first, then the types inside the model with a list kept in this
file, and only then is anything built. skops builds objects without pickle. Imports no registry, no contract, no plots.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from ai_factory_spec.metrics import Task
from ai_factory_spec.usecase import Column

from ai_factory_runtime.errors import ParityBroken, TamperedModel, UntrustedModel, WriteFailed
from ai_factory_runtime.frames import dump_rows, load_rows

MODEL, SIGNATURE, SKETCH, PARITY, MANIFEST = (
    "model.skops",
    "signature.json",
    "sketch.json",
    "parity.json",
    "manifest.json",
)
METRICS, LINEAGE, CARD_MARKDOWN, CARD_HTML = "metrics.json", "lineage.json", "card.md", "card.html"
REQUIRED = (MODEL, SIGNATURE, SKETCH, PARITY, METRICS, LINEAGE, CARD_MARKDOWN, CARD_HTML)
# What makes the model answer as it does; the other files say how good it is and where it comes from.
ANSWERING = (MODEL, SIGNATURE, SKETCH, PARITY)

# Labels must be equal; numbers may differ by rounding, because a processor's vector width decides the order of additions.
PARITY_TOLERANCE = 1e-9

# The runtime's own calibrated classifier, and what scikit-learn's estimators hold besides the estimators themselves, which
# skops trusts by name. All are data or pure functions: none of them opens a file, runs a command or imports by name.
TRUSTED_TYPES = frozenset(
    {
        "ai_factory_runtime.calibrating.Calibrated",
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


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives. `threshold` is the probability from which `positive` is predicted (binary only)."""

    usecase: str
    task: Task
    features: tuple[Column, ...]
    target: Column
    classes: tuple[str, ...] = ()
    positive: str | None = None
    threshold: float | None = None

    def to_json(self) -> str:
        """Canonical JSON."""
        return _canonical(
            {
                "usecase": self.usecase,
                "task": self.task,
                "features": [c.model_dump(mode="json", exclude_none=True) for c in self.features],
                "target": self.target.model_dump(mode="json", exclude_none=True),
                "classes": list(self.classes),
                "positive": self.positive,
                "threshold": self.threshold,
            }
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Signature:
        """The signature that `to_json` wrote."""
        document = json.loads(text)
        return cls(
            usecase=document["usecase"],
            task=document["task"],
            features=tuple(Column.model_validate(c) for c in document["features"]),
            target=Column.model_validate(document["target"]),
            classes=tuple(document["classes"]),
            positive=document["positive"],
            threshold=document["threshold"],
        )


@dataclass(frozen=True, slots=True)
class Prediction:
    """Answers for n rows: `values` (n,) class texts or numbers; `probabilities` (n, classes), None for a regression."""

    values: npt.NDArray[Any]
    probabilities: npt.NDArray[np.float64] | None


def predict(estimator: Any, signature: Signature, frame: pd.DataFrame) -> Prediction:
    """Answers of a fitted estimator for canonical rows: the one definition of a prediction, for training, batch and endpoint.

    Probabilities come in the signature's order of classes; a class the estimator never saw has probability 0.
    """
    rows = frame[[c.name for c in signature.features]]
    if signature.task == "regression":
        return Prediction(np.asarray(estimator.predict(rows), dtype=np.float64).reshape(len(rows)), None)
    seen = [str(c) for c in estimator.classes_]
    given = np.asarray(estimator.predict_proba(rows), dtype=np.float64)
    probabilities = np.zeros((len(rows), len(signature.classes)))
    for position, name in enumerate(seen):
        probabilities[:, signature.classes.index(name)] = given[:, position]
    return Prediction(decide(probabilities, signature), probabilities)


def decide(probabilities: npt.NDArray[np.float64], signature: Signature) -> npt.NDArray[Any]:
    """The class for each row: by the threshold for a binary task, else the most probable (the first of equals)."""
    names = np.array(signature.classes, dtype=object)
    if signature.positive is None or signature.threshold is None:
        return np.asarray(names[np.argmax(probabilities, axis=1)])
    positive = signature.classes.index(signature.positive)
    chosen = np.where(probabilities[:, positive] >= signature.threshold, positive, 1 - positive)
    return np.asarray(names[chosen])


@dataclass(frozen=True)
class ModelPackage:
    """A package that was checked and loaded. `estimator` is a fitted scikit-learn pipeline."""

    folder: Path
    digest: str
    signature: Signature
    estimator: Any

    def predict(self, frame: pd.DataFrame) -> Prediction:
        """Answers for canonical rows (`frames.to_canonical(frame, signature.features)`)."""
        return predict(self.estimator, self.signature, frame)

    @cached_property
    def sketch_json(self) -> str:
        """The training data's sketch, as written at registration."""
        return (self.folder / SKETCH).read_text(encoding="utf-8")


def write_package(
    folder: Path,
    *,
    estimator: Any,
    signature: Signature,
    sketch: str,
    reference: pd.DataFrame,
    documents: Mapping[str, bytes],
) -> str:
    """Write a package to `folder`, which must not exist; the folder appears whole or not at all. Returns its digest.

    `reference` are canonical rows whose outputs are stored for parity. `documents` are the evidence: metrics.json,
    lineage.json, card.md, card.html. The same inputs give the same bytes. Raises WriteFailed, ValueError when a document
    is missing.
    """
    missing = sorted(
        {METRICS, LINEAGE, CARD_MARKDOWN, CARD_HTML} - {name for name, body in documents.items() if body.strip()}
    )
    if missing:
        raise ValueError(f"the package needs {', '.join(missing)}")
    files: dict[str, bytes] = {
        MODEL: dump_estimator(estimator),
        SIGNATURE: signature.to_json().encode(),
        SKETCH: sketch.encode(),
        PARITY: _parity(estimator, signature, reference).encode(),
        **documents,
    }
    manifest = {"files": {name: _sha256(files[name]) for name in sorted(files)}}
    files[MANIFEST] = _canonical(manifest).encode()
    staging = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        for name, body in files.items():
            _write(staging / name, body)
        staging.rename(folder)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise WriteFailed(path=folder, problem=error.strerror or str(error)) from error
    return _sha256(files[MANIFEST])


def package_digest(folder: Path) -> str:
    """The digest recomputed from the files as they are now. Raises TamperedModel where they contradict the manifest."""
    return _sha256(_checked_files(folder)[MANIFEST])


def model_fingerprint(folder: Path) -> str:
    """The sha256 of what makes the model answer: equal for two runs on the same data, code, seed and libraries."""
    files = _checked_files(folder)
    return _sha256(_canonical({name: _sha256(files[name]) for name in ANSWERING}).encode())


def load_package(folder: Path, *, digest: str | None = None, trusted_package: str | None = None) -> ModelPackage:
    """Check a package and load it.

    `digest` is the one that was registered; `trusted_package` the project's own package, whose classes may be in the model.
    Raises TamperedModel before anything is loaded, UntrustedModel before anything is built, ParityBroken where the
    reference rows give other outputs than at registration.
    """
    files = _checked_files(folder)
    found = _sha256(files[MANIFEST])
    if digest is not None and digest != found:
        raise TamperedModel(folder=folder, problems=[f"its digest is {found[:12]}…, registered was {digest[:12]}…"])
    signature = Signature.from_json(files[SIGNATURE])
    estimator = load_estimator(files[MODEL], folder=folder, trusted_package=trusted_package)
    _check_parity(folder, estimator, signature, json.loads(files[PARITY]))
    return ModelPackage(folder=folder, digest=found, signature=signature, estimator=estimator)


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


def _checked_files(folder: Path) -> dict[str, bytes]:
    """Every file's bytes, compared with the manifest. Raises TamperedModel with all differences."""
    try:
        manifest = {str(name): str(sha) for name, sha in json.loads((folder / MANIFEST).read_bytes())["files"].items()}
        present = {p.name for p in folder.iterdir()} - {MANIFEST}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise TamperedModel(folder=folder, problems=[f"{MANIFEST} cannot be read ({error})"]) from error
    problems = [f"{name} is missing" for name in sorted({*manifest, *REQUIRED} - present)]
    problems += [f"{name} does not belong to it" for name in sorted(present - set(manifest))]
    problems += [f"{name} is not in {MANIFEST}" for name in sorted(set(REQUIRED) & present - set(manifest))]
    files = {MANIFEST: _canonical({"files": manifest}).encode()}
    for name in sorted(present & set(manifest)):
        try:
            files[name] = (folder / name).read_bytes()
        except OSError as error:
            problems.append(f"{name} cannot be read ({error.strerror})")
            continue
        if _sha256(files[name]) != manifest[name]:
            problems.append(f"{name} was changed")
    if problems:
        raise TamperedModel(folder=folder, problems=problems)
    return files


def _parity(estimator: Any, signature: Signature, reference: pd.DataFrame) -> str:
    answers = predict(estimator, signature, reference)
    return _canonical(
        {
            "rows": dump_rows(reference, signature.features),
            "expected": {
                "values": answers.values.tolist(),
                "probabilities": None if answers.probabilities is None else answers.probabilities.tolist(),
            },
        }
    )


def _check_parity(folder: Path, estimator: Any, signature: Signature, document: Mapping[str, Any]) -> None:
    rows = load_rows(document["rows"], signature.features)
    if rows.empty:
        raise TamperedModel(folder=folder, problems=[f"{PARITY} has no reference rows"])
    answers = predict(estimator, signature, rows)
    recorded = document["expected"]
    expected, wrong = np.array(recorded["values"], dtype=object), np.zeros(len(rows), dtype=np.bool_)
    if answers.probabilities is None:
        wrong |= ~_close(answers.values, expected.astype(np.float64))
    else:
        wrong |= answers.values != expected
        wrong |= ~_close(answers.probabilities, np.array(recorded["probabilities"])).all(axis=1)
    if wrong.any():
        first = int(np.argmax(wrong))
        example = f"row {first + 1} gives {answers.values[first]!r}, recorded is {expected[first]!r}"
        if answers.values[first] == expected[first]:
            example = f"row {first + 1} gives other probabilities"
        raise ParityBroken(folder=folder, rows=len(rows), wrong=int(wrong.sum()), example=example)


def _close(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isclose(left, right, rtol=PARITY_TOLERANCE, atol=PARITY_TOLERANCE), dtype=np.bool_)


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


def _write(path: Path, body: bytes) -> None:
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _canonical(document: object) -> str:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
