"""Model package: a folder that holds a fitted model and everything needed to trust, serve and watch it.

| file           | holds                                                                             |
|----------------|-----------------------------------------------------------------------------------|
| model.skops    | the fitted scikit-learn pipeline: feature transformer and model                   |
| signature.json | what it takes and gives: columns, classes, decision threshold                     |
| sketch.json    | the distribution of the training data, for drift                                  |
| parity.json    | reference rows and the outputs they must give                                     |
| accelerator.json | what answers a few rows, and why (`accelerator`); a package without it is answered by scikit-learn |
| metrics.json, lineage.json, card.md, card.html | the evidence                                      |
| manifest.json  | the sha256 of every file above; the sha256 of its canonical text is the digest    |

Loading reads each byte once: the hashes are compared first, then the types inside the model with a list kept in code
(`model_file`), and only then is anything built. Imports no registry, no contract, no plots.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ai_factory_runtime.base.errors import ParityBroken, TamperedModel, WriteFailed
from ai_factory_runtime.base.jsontext import canonical
from ai_factory_runtime.base.prediction import Prediction, Signature, predict
from ai_factory_runtime.data.frames import dump_rows, load_rows
from ai_factory_runtime.model_package.model_file import dump_estimator, load_estimator

MODEL, SIGNATURE, SKETCH, PARITY, MANIFEST = (
    "model.skops",
    "signature.json",
    "sketch.json",
    "parity.json",
    "manifest.json",
)
METRICS, LINEAGE, CARD_MARKDOWN, CARD_HTML = "metrics.json", "lineage.json", "card.md", "card.html"
ACCELERATOR = "accelerator.json"
REQUIRED = (MODEL, SIGNATURE, SKETCH, PARITY, METRICS, LINEAGE, CARD_MARKDOWN, CARD_HTML)
# What makes the model answer as it does; the other files say how good it is and where it comes from.
ANSWERING = (MODEL, SIGNATURE, SKETCH, PARITY)

# Labels must be equal; numbers may differ by rounding, because a processor's vector width decides the order of additions.
PARITY_TOLERANCE = 1e-9


@dataclass(frozen=True)
class ModelPackage:
    """A package that was checked and loaded. `estimator` is a fitted scikit-learn pipeline, `files` are the checked bytes of the others."""

    folder: Path
    digest: str
    signature: Signature
    estimator: Any
    files: Mapping[str, bytes] = field(repr=False)

    def predict(self, frame: pd.DataFrame) -> Prediction:
        """Answers for canonical rows (`frames.tocanonical(frame, signature.features)`)."""
        return predict(self.estimator, self.signature, frame)

    @cached_property
    def sketch_json(self) -> str:
        """The training data's sketch, as written at registration."""
        return self.files[SKETCH].decode()

    @cached_property
    def reference(self) -> tuple[pd.DataFrame, Prediction]:
        """The reference rows, canonical, and the answers recorded for them at registration."""
        return _reference(self.signature, json.loads(self.files[PARITY]))


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
    files[MANIFEST] = canonical(manifest).encode()
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
    return _sha256(canonical({name: _sha256(files[name]) for name in ANSWERING}).encode())


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
    others = {name: body for name, body in files.items() if name != MODEL}
    return ModelPackage(folder=folder, digest=found, signature=signature, estimator=estimator, files=others)


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
    files = {MANIFEST: canonical({"files": manifest}).encode()}
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
    return canonical(
        {
            "rows": dump_rows(reference, signature.features),
            "expected": {
                "values": answers.values.tolist(),
                "probabilities": None if answers.probabilities is None else answers.probabilities.tolist(),
            },
        }
    )


def _check_parity(folder: Path, estimator: Any, signature: Signature, document: Mapping[str, Any]) -> None:
    rows, recorded = _reference(signature, document)
    if rows.empty:
        raise TamperedModel(folder=folder, problems=[f"{PARITY} has no reference rows"])
    answers = predict(estimator, signature, rows)
    expected, wrong = recorded.values, np.zeros(len(rows), dtype=np.bool_)
    if answers.probabilities is None or recorded.probabilities is None:
        wrong |= ~_close(answers.values, expected)
    else:
        wrong |= answers.values != expected
        wrong |= ~_close(answers.probabilities, recorded.probabilities).all(axis=1)
    if wrong.any():
        first = int(np.argmax(wrong))
        example = f"row {first + 1} gives {answers.values[first]!r}, recorded is {expected[first]!r}"
        if answers.values[first] == expected[first]:
            example = f"row {first + 1} gives other probabilities"
        raise ParityBroken(folder=folder, rows=len(rows), wrong=int(wrong.sum()), example=example)


def _reference(signature: Signature, document: Mapping[str, Any]) -> tuple[pd.DataFrame, Prediction]:
    recorded, shares = document["expected"], document["expected"]["probabilities"]
    values = np.array(recorded["values"], dtype=np.float64 if shares is None else object)
    answers = Prediction(values, None if shares is None else np.array(shares, dtype=np.float64))
    return load_rows(document["rows"], signature.features), answers


def _close(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.asarray(np.isclose(left, right, rtol=PARITY_TOLERANCE, atol=PARITY_TOLERANCE), dtype=np.bool_)


def _write(path: Path, body: bytes) -> None:
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
