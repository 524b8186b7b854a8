"""Handover: what one step of the pipeline leaves for the next, as files: rows as Parquet, models as skops, the rest as JSON.

Nothing is pickled, so that a step's container can trust what it is handed; skops files are held against the list of
trusted types before anything is built. What is read back gives the same model, byte for byte, as what was written.

    prepared/    rows.parquet  split.parquet  unit.parquet  prepared.json  usecase.json  (quarantine.csv)
    trained/     estimator.skops  baseline.skops  trained.json
    evaluation/  evaluation.json  report.json  card.html  card.md  metrics.json  lineage.json …
    package/     the model package, where every gate was passed
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from ai_factory_runtime.base.atomic import replacing, write_atomically
from ai_factory_runtime.base.runs import Run
from ai_factory_runtime.model_package.model_file import dump_estimator, load_estimator
from ai_factory_runtime.model_package.package import CARD_HTML
from ai_factory_runtime.steps.judging import Judgement
from ai_factory_runtime.steps.outcome import Outcome, outcome_of
from ai_factory_runtime.steps.prepare import Prepared
from ai_factory_runtime.steps.step_errors import HandoverBroken
from ai_factory_runtime.steps.table import EVALUATION_FILE
from ai_factory_runtime.training.selection import Trained
from ai_factory_runtime.training.split import Split

ROWS, SPLIT, UNIT, PREPARED = "rows.parquet", "split.parquet", "unit.parquet", "prepared.json"
ESTIMATOR, BASELINE, TRAINED = "estimator.skops", "baseline.skops", "trained.json"
_PARTS = ("train", "validation", "test")

T = TypeVar("T")


@dataclass(frozen=True)
class Evaluation:
    """What the step `evaluate` found. `digest` is the model package's; empty where a gate failed and there is none."""

    run: Run
    outcome: Outcome
    digest: str
    failed_gates: int


def write_prepared(folder: Path, run: Run, prepared: Prepared) -> None:
    """Leave prepared rows in `folder`. Raises WriteFailed."""
    _write_table(folder / ROWS, prepared.frame)
    found = prepared.split
    pieces = [pd.DataFrame({"part": part, "row": getattr(found, part)}) for part in _PARTS]
    _write_table(folder / SPLIT, pd.concat(pieces, ignore_index=True))
    _write_table(folder / UNIT, pd.DataFrame({"unit": found.unit}))
    document = {"run": _plain(Run, run), "how": found.how, **_fields(prepared, without=("frame", "split"))}
    write_atomically(folder / PREPARED, _json(document))


def read_prepared(folder: Path) -> tuple[Run, Prepared]:
    """The run and its rows, as `write_prepared` left them. Raises HandoverBroken."""
    document = _document(folder / PREPARED)
    frame, pieces, unit = (_read_table(folder / name) for name in (ROWS, SPLIT, UNIT))
    parts = {part: pieces.loc[pieces["part"] == part, "row"].to_numpy(dtype=np.int64) for part in _PARTS}
    found = Split(how=document["how"], unit=unit["unit"].to_numpy(dtype=np.int64), **parts)
    rest = _typed_fields(folder / PREPARED, Prepared, document, without=("frame", "split"))
    return _typed(folder / PREPARED, Run, document["run"]), Prepared(frame=frame, split=found, **rest)


def write_trained(folder: Path, trained: Trained) -> None:
    """Leave a fitted model in `folder`. Raises WriteFailed."""
    write_atomically(folder / ESTIMATOR, dump_estimator(trained.estimator))
    write_atomically(folder / BASELINE, dump_estimator(trained.baseline))
    write_atomically(folder / TRAINED, _json(_fields(trained, without=("estimator", "baseline"))))


def read_trained(folder: Path, *, trusted_package: str) -> Trained:
    """The model as `write_trained` left it. Raises HandoverBroken, UntrustedModel before anything is built."""
    document = _document(folder / TRAINED)
    rest = _typed_fields(folder / TRAINED, Trained, document, without=("estimator", "baseline"))
    estimator, baseline = (
        load_estimator(_read(folder / name), folder=folder, trusted_package=trusted_package)
        for name in (ESTIMATOR, BASELINE)
    )
    return Trained(estimator=estimator, baseline=baseline, **rest)


def write_evaluation(folder: Path, run: Run, judgement: Judgement, digest: str) -> None:
    """Leave a judgement in `folder`: its documents, and evaluation.json for the next step and for a pipeline's condition."""
    for name, body in judgement.evidence.files.items():
        write_atomically(folder / name, body)
    evaluation = Evaluation(run, outcome_of(judgement), digest, len(judgement.failed))
    write_atomically(folder / EVALUATION_FILE, _json(_plain(Evaluation, evaluation)))


def read_evaluation(folder: Path) -> Evaluation:
    """What `write_evaluation` left. Raises HandoverBroken."""
    path = folder / EVALUATION_FILE
    found: Evaluation = _typed(path, Evaluation, _document(path))
    if not (folder / CARD_HTML).is_file():
        raise HandoverBroken(path=folder / CARD_HTML, problem="it is missing")
    return found


def _write_table(path: Path, frame: pd.DataFrame) -> None:
    with replacing(path) as partial:
        frame.to_parquet(partial, index=False)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise HandoverBroken(path=path, problem=str(error).splitlines()[0]) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HandoverBroken(path=path, problem=error.strerror or str(error)) from error


def _document(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_read(path))
    except ValueError as error:
        raise HandoverBroken(path=path, problem=f"it is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise HandoverBroken(path=path, problem="it is no JSON object")
    return found


def _json(document: object) -> bytes:
    """JSON in which NaN and infinity keep their meaning: these files are read by this module alone."""
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _fields(value: Any, *, without: tuple[str, ...]) -> dict[str, Any]:
    hints = get_type_hints(type(value))
    names = [f.name for f in dataclasses.fields(value) if f.name not in without]
    return {name: _plain(hints[name], getattr(value, name)) for name in names}


def _typed_fields(path: Path, kind: type, document: Mapping[str, Any], *, without: tuple[str, ...]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind) if f.name not in without]
    missing = [name for name in names if name not in document]
    if missing:
        raise HandoverBroken(path=path, problem=f"it lacks {', '.join(missing)}")
    return {name: _typed(path, hints[name], document[name]) for name in names}


def _plain(kind: Any, value: Any) -> Any:
    """A value as mappings, lists and scalars."""
    return TypeAdapter(kind).dump_python(value, mode="json", warnings="error")


def _typed(path: Path, kind: type[T] | Any, value: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise HandoverBroken(path=path, problem=f"{where or 'it'}: {first['msg']}") from error
