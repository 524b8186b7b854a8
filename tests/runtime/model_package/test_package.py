"""A model package is whole, reproducible, checked byte by byte before it is loaded, and light to load."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import ModelUnusable, ParityBroken, TamperedModel, UntrustedModel, WriteFailed
from ai_factory_runtime.base.prediction import Signature
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.model_package.model_file import dump_estimator, load_estimator
from ai_factory_runtime.model_package.package import (
    REQUIRED,
    load_package,
    model_fingerprint,
    package_digest,
    write_package,
)
from ai_factory_runtime.training.features import default_features
from ai_factory_runtime.training.models import default_candidates
from ai_factory_runtime.training.selection import signature_of, target_of
from ai_factory_spec.usecase import UseCase
from helpers_runtime import TASKS, real_rows, usecase_document
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

DOCUMENTS = {name: name.encode() for name in ("metrics.json", "lineage.json", "card.md", "card.html")}


def fitted(name: str, family: str = "linear") -> tuple[Any, Signature, pd.DataFrame]:
    frame = real_rows(name)
    usecase = UseCase.model_validate(usecase_document(frame, TASKS[name]))
    rows = to_canonical(frame, usecase.data.contract.columns)
    model = default_candidates(usecase)[family]
    pipeline = Pipeline([("features", default_features(usecase)), ("model", model)])
    return pipeline.fit(rows, target_of(rows, usecase)), signature_of(usecase), rows


ESTIMATOR, SIGNATURE, ROWS = fitted("breast_cancer")


def write(folder: Path, estimator: Any = ESTIMATOR, signature: Signature = SIGNATURE, rows: pd.DataFrame = ROWS) -> str:
    return write_package(
        folder, estimator=estimator, signature=signature, sketch="{}", reference=rows.head(20), documents=DOCUMENTS
    )


@pytest.mark.parametrize("name", list(TASKS))
@pytest.mark.parametrize("family", ["linear", "random_forest", "gradient_boosting"])
def test_a_package_answers_exactly_as_the_estimator_it_was_written_from(tmp_path: Path, name: str, family: str) -> None:
    estimator, signature, rows = fitted(name, family)
    digest = write(tmp_path / "m", estimator, signature, rows)
    package = load_package(tmp_path / "m", digest=digest)
    assert package.signature == signature
    before, after = estimator.predict(rows[[c.name for c in signature.features]]), package.predict(rows)
    np.testing.assert_array_equal(after.values, before)
    assert (after.probabilities is None) == (name == "diabetes")
    assert package.digest == digest == package_digest(tmp_path / "m")


def test_a_package_holds_exactly_its_files(tmp_path: Path) -> None:
    write(tmp_path / "m")
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == sorted([*REQUIRED, "manifest.json"])
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_the_same_model_gives_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    write(tmp_path / "here")
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\n"
        "import test_package as t\n"
        "t.write(Path(sys.argv[1]))\n"
    )
    here = Path(__file__)
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "there"), str(here.parents[2]), str(here.parent)],
        check=True, env={"PYTHONHASHSEED": "77", "PATH": ""},
    )  # fmt: skip
    for name in (*REQUIRED, "manifest.json"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name


@pytest.mark.parametrize("family", ["linear", "random_forest", "gradient_boosting"])
def test_fitting_twice_gives_the_same_file(family: str) -> None:
    first, again = fitted("breast_cancer", family)[0], fitted("breast_cancer", family)[0]
    assert dump_estimator(first) == dump_estimator(again)


def test_the_model_file_holds_no_time(tmp_path: Path) -> None:
    write(tmp_path / "m")
    with zipfile.ZipFile(tmp_path / "m" / "model.skops") as archive:
        assert {i.date_time for i in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("name", [*REQUIRED, "manifest.json"])
@pytest.mark.parametrize(
    "damage", [lambda b: b + b" ", lambda b: b[:-2], lambda b: b"", None], ids=["longer", "shorter", "empty", "gone"]
)
def test_a_changed_or_missing_file_is_refused(
    tmp_path: Path, name: str, damage: Callable[[bytes], bytes] | None
) -> None:
    write(tmp_path / "m")
    file = tmp_path / "m" / name
    if damage is None:
        file.unlink()
    elif name == "manifest.json" and damage(b"x") == b"x ":
        file.write_bytes(file.read_bytes().replace(b'": "', b'": "0', 1))
    else:
        file.write_bytes(damage(file.read_bytes()))
    for check in (load_package, package_digest, model_fingerprint):
        with pytest.raises(TamperedModel):
            check(tmp_path / "m")


def test_a_file_that_does_not_belong_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "m")
    (tmp_path / "m" / "sitecustomize.py").write_text("import os")
    with pytest.raises(TamperedModel, match=r"sitecustomize\.py does not belong"):
        load_package(tmp_path / "m")


def test_all_changed_files_are_named_at_once(tmp_path: Path) -> None:
    write(tmp_path / "m")
    for name in ("card.md", "sketch.json"):
        (tmp_path / "m" / name).write_text("other")
    with pytest.raises(TamperedModel, match=r"card\.md was changed; sketch\.json was changed"):
        load_package(tmp_path / "m")


def test_another_model_under_a_consistent_manifest_is_refused_by_its_digest(tmp_path: Path) -> None:
    digest = write(tmp_path / "m")
    (tmp_path / "m" / "card.md").write_text("all is well")
    reseal(tmp_path / "m")
    with pytest.raises(TamperedModel, match="its digest is"):
        load_package(tmp_path / "m", digest=digest)
    assert load_package(tmp_path / "m").digest != digest


def test_a_model_that_gives_other_answers_than_recorded_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "m")
    parity = tmp_path / "m" / "parity.json"
    document = json.loads(parity.read_text())
    document["expected"]["probabilities"][3][0] += 1e-6
    parity.write_text(json.dumps(document))
    reseal(tmp_path / "m")
    with pytest.raises(ParityBroken, match="1 of 20 reference rows: row 4 gives other probabilities"):
        load_package(tmp_path / "m")


def test_a_package_without_reference_rows_proves_nothing_and_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "m")
    parity = tmp_path / "m" / "parity.json"
    document = json.loads(parity.read_text())
    document["rows"]["data"], document["expected"] = [], {"values": [], "probabilities": []}
    parity.write_text(json.dumps(document))
    reseal(tmp_path / "m")
    with pytest.raises(ModelUnusable):
        load_package(tmp_path / "m")


def test_a_type_that_is_not_listed_is_refused_before_it_is_built(tmp_path: Path) -> None:
    """`os.system` as a transformer's function: skops would import and call what the file names."""
    evil = Pipeline([*ESTIMATOR.steps[:1], ("call", FunctionTransformer(os.system)), *ESTIMATOR.steps[1:]])
    with pytest.raises(UntrustedModel, match=r"posix\.system"):
        load_estimator(dump_estimator(evil), folder=tmp_path)


def test_the_projects_own_functions_are_trusted_in_its_own_package_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "churn_own"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "features.py").write_text("def double(values):\n    return values * 2\n")
    monkeypatch.syspath_prepend(tmp_path)
    from churn_own.features import double  # type: ignore[import-not-found]

    steps = [*ESTIMATOR.steps[:1], ("double", FunctionTransformer(double)), *ESTIMATOR.steps[1:]]
    write(tmp_path / "m", Pipeline(steps))
    assert load_package(tmp_path / "m", trusted_package="churn_own").predict(ROWS).probabilities is not None
    for other in (None, "churn", "churn_own_more"):
        with pytest.raises(UntrustedModel, match=r"churn_own\.features\.double"):
            load_package(tmp_path / "m", trusted_package=other)


def test_a_package_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteFailed, match="m"):
        write(tmp_path / "file" / "m")
    with pytest.raises(ValueError, match=r"card\.md"):
        write_package(
            tmp_path / "m", estimator=ESTIMATOR, signature=SIGNATURE, sketch="{}", reference=ROWS.head(2),
            documents={**DOCUMENTS, "card.md": b" \n"},
        )  # fmt: skip
    assert not (tmp_path / "m").exists()


def test_the_fingerprint_is_of_the_model_and_not_of_its_papers(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write_package(
        tmp_path / "b", estimator=ESTIMATOR, signature=SIGNATURE, sketch="{}", reference=ROWS.head(20),
        documents={**DOCUMENTS, "card.md": b"of another day"},
    )  # fmt: skip
    assert model_fingerprint(tmp_path / "a") == model_fingerprint(tmp_path / "b")
    assert package_digest(tmp_path / "a") != package_digest(tmp_path / "b")


def test_loading_imports_no_registry_contract_or_plot_library(tmp_path: Path) -> None:
    write(tmp_path / "m")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from ai_factory_runtime.model_package.package import load_package\n"
        "load_package(Path(sys.argv[1]))\n"
        "print([m for m in ('mlflow', 'pandera', 'matplotlib', 'sqlalchemy', 'fastapi', 'typer', 'jinja2') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def reseal(folder: Path) -> None:
    """Make the manifest agree with the files again, as somebody who hides a change would."""
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.name != "manifest.json"}
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
