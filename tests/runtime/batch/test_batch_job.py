"""Batch scoring: every row ends in exactly one place, with the model's own answer or with every reason why not."""

from __future__ import annotations

import csv
import dataclasses
import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import DataUnreadable, NotApproved, NothingDeployed, PiiKeyMissing, WriteFailed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import BatchUnusable, OutputRefused
from ai_factory_runtime.batch.job import ScoreResult, score
from ai_factory_runtime.data import tables
from ai_factory_runtime.data.frames import read_table, to_canonical
from ai_factory_runtime.model_package.package import load_package
from ai_factory_runtime.releases.stages import deployed
from ai_factory_spec.usecase import Pii
from helpers_serving import CALLED, SPEND, make_deployed, make_rows


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_deployed(tmp_path_factory.mktemp("batch") / "project")


@pytest.fixture
def project(shared: Project, tmp_path: Path) -> Project:
    shutil.copytree(shared.root, tmp_path / "project")
    return dataclasses.replace(shared, root=tmp_path / "project")


def write(rows: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        rows.to_parquet(path, index=False)
    else:
        rows.to_csv(path, index=False)
    return path


def output(result: ScoreResult) -> pd.DataFrame:
    path = result.output
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


def rejected(result: ScoreResult) -> list[dict[str, str]]:
    assert result.rejects is not None
    with result.rejects.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("source", [".csv", ".parquet"])
@pytest.mark.parametrize("target", [".csv", ".parquet"])
def test_every_row_gets_the_models_own_answer(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, task: str, source: str, target: str
) -> None:
    project = make_deployed(tmp_path / "project", task=task)
    rows = make_rows(90, seed=21)
    result = score(project, write(rows, tmp_path / f"in{source}"), tmp_path / f"out{target}", "dev")
    package = load_package(deployed(project, "dev").folder)
    direct = package.predict(to_canonical(rows, package.signature.features))
    found = output(result)
    assert (result.rows, result.scored, result.rejected, result.rejects) == (90, 90, 0, None)
    assert found["row"].tolist() == list(range(90))
    assert found["customer"].tolist() == rows["customer"].tolist()
    assert found["prediction"].tolist() == direct.values.tolist()
    assert set(found["model_digest"]) == {package.digest}
    for position, name in enumerate(package.signature.classes):
        assert direct.probabilities is not None
        np.testing.assert_allclose(found[f"probability_{name}"], direct.probabilities[:, position], rtol=1e-15)


def spoil(rows: pd.DataFrame) -> pd.DataFrame:
    """Break rows 3, 5, 7, 8 and 11, row 8 twice."""
    bad = rows.astype({"age": object, SPEND: object, "plan": object, CALLED: object})
    bad.loc[3, "age"] = "old"
    bad.loc[5, SPEND] = -4
    bad.loc[7, "plan"] = "silver"
    bad.loc[8, ["age", "plan"]] = None
    bad.loc[11, CALLED] = "perhaps"
    return bad


@pytest.mark.parametrize("chunk", [1, 4, 7, 1000])
def test_no_row_is_lost_or_doubled_whatever_the_chunks(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", chunk)
    rows = spoil(make_rows(60, seed=3)).astype(dict.fromkeys(("age", SPEND, "plan", CALLED), "str"))
    result = score(project, write(rows, tmp_path / "in.parquet"), tmp_path / "out.csv", "dev", jobs=1)
    bad = {int(r["row"]) for r in rejected(result)}
    good = output(result)["row"].tolist()
    assert bad == {3, 5, 7, 8, 11}
    assert good == [n for n in range(60) if n not in bad]
    assert (result.rows, result.scored, result.rejected) == (60, 55, 5)
    assert output(result)["customer"].tolist() == [rows["customer"][n] for n in good]


def test_the_blocks_of_a_csv_file_lose_no_row_either(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "CHUNK_BYTES", 700)
    rows = make_rows(200, seed=4)
    rows["email"] = 'a "quoted"\nname, with everything'
    result = score(project, write(rows, tmp_path / "in.csv"), tmp_path / "out.parquet", "dev", jobs=1)
    assert output(result)["customer"].tolist() == rows["customer"].tolist()


def test_each_reason_is_told_with_row_id_column_and_value(project: Project, tmp_path: Path) -> None:
    rows = spoil(make_rows(20, seed=3))
    result = score(project, write(rows, tmp_path / "in.csv"), tmp_path / "out.csv", "dev")
    told = [(r["row"], r["id"], r["column"], r["reason"], r["got"]) for r in rejected(result)]
    assert told == [
        ("3", "c3-3", "age", "is not a whole number", "'old'"),
        ("5", "c3-5", SPEND, "is less than 0", "-4.0"),
        ("7", "c3-7", "plan", "is none of the categories", "'silver'"),
        ("8", "c3-8", "age", "has no value", "''"),
        ("8", "c3-8", "plan", "has no value", "''"),
        ("11", "c3-11", CALLED, "is not a boolean", "'perhaps'"),
    ]
    assert result.reasons["'age' has no value"] == 1


def test_a_batch_of_bad_rows_alone_exits_4_and_leaves_the_reasons_but_no_output(
    project: Project, tmp_path: Path
) -> None:
    rows = make_rows(30, seed=3).assign(age=200)
    with pytest.raises(BatchUnusable, match="'age' is more than 120 in 30 of 30 rows") as refusal:
        score(project, write(rows, tmp_path / "in.csv"), tmp_path / "out.parquet", "dev")
    assert refusal.value.exit_code == 4
    assert refusal.value.rejects is not None
    assert len(refusal.value.rejects.read_text(encoding="utf-8").splitlines()) == 31
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_batch_without_rows_is_refused(project: Project, tmp_path: Path, suffix: str) -> None:
    with pytest.raises(BatchUnusable, match="no rows"):
        score(project, write(make_rows(0, seed=1), tmp_path / f"in{suffix}"), None, "dev")
    assert not list(project.artifacts.glob("scores/**/*.*"))


def test_a_column_that_is_missing_is_named_with_the_nearest(project: Project, tmp_path: Path) -> None:
    rows = make_rows(10, seed=1).rename(columns={"age": "Age "})
    with pytest.raises(BatchUnusable, match="the column 'age' is missing; did you mean 'Age '"):
        score(project, write(rows, tmp_path / "in.csv"), None, "dev")


def test_a_nullable_column_may_be_missing(project: Project, tmp_path: Path) -> None:
    rows = make_rows(10, seed=1).drop(columns=[SPEND, CALLED, "email", "churned", "customer"])
    result = score(project, write(rows, tmp_path / "in.csv"), None, "dev")
    assert result.scored == 10
    assert "customer" not in output(result)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("absent.csv", None),
        ("empty.csv", b""),
        ("latin.csv", "age,plan\n1,gr\xfcn\n".encode("latin-1")),
        ("ragged.csv", b"age,plan\n1,gold\n1,gold,3\n"),
        ("torn.csv", b'age,plan\n1,"gold\n'),
        ("swallowed.csv", b'age,plan,note\n1,gold,"fine\n2,gold,x\n3,gold,y\n'),
        ("no.parquet", b"PAR1 this is no table"),
        ("twins.csv", b"age,plan,age\n1,gold,2\n"),
    ],
)
def test_a_file_that_is_no_table_is_refused(project: Project, tmp_path: Path, name: str, body: bytes | None) -> None:
    if body is not None:
        (tmp_path / name).write_bytes(body)
    with pytest.raises((DataUnreadable, BatchUnusable)):
        score(project, tmp_path / name, tmp_path / "out.csv", "dev")
    assert not (tmp_path / "out.csv").exists()


def test_a_quote_inside_an_unquoted_value_opens_nothing(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_bytes(b'age,plan,note\n1,gold,5" pipe\n2,gold,x\n')
    assert score(project, source, None, "dev").scored == 2


def test_a_parquet_file_damaged_part_way_leaves_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 50)
    path = tmp_path / "in.parquet"
    make_rows(4000, seed=1).to_parquet(path, index=False, row_group_size=500, compression="gzip")
    body = bytearray(path.read_bytes())
    half = len(body) // 2
    body[half : half + 400] = b"\x00" * 400
    path.write_bytes(body)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataUnreadable, match="damaged"):
        score(project, path, tmp_path / "out.parquet", "dev", jobs=1)
    assert sorted(tmp_path.iterdir()) == before


def test_an_output_survives_a_failed_run_unchanged(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    score(project, write(make_rows(10, seed=1), tmp_path / "in.csv"), out, "dev")
    before = out.read_bytes()
    with pytest.raises(BatchUnusable):
        score(project, write(make_rows(10, seed=1).assign(age=-1), tmp_path / "bad.csv"), out, "dev")
    assert out.read_bytes() == before


def test_a_disk_that_refuses_leaves_nothing(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    source = write(make_rows(10, seed=1), tmp_path / "in.csv")
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(WriteFailed, match="No space left"):
        score(project, source, tmp_path / "out.csv", "dev")
    assert sorted(tmp_path.iterdir()) == before


def test_rejects_of_an_earlier_run_do_not_stay(project: Project, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    first = score(project, write(spoil(make_rows(20, seed=1)), tmp_path / "bad.csv"), out, "dev")
    assert first.rejects is not None
    second = score(project, write(make_rows(20, seed=1), tmp_path / "good.csv"), out, "dev")
    assert second.rejects is None
    assert not first.rejects.exists()


def test_two_batches_of_one_name_do_not_overwrite_each_other(project: Project, tmp_path: Path) -> None:
    source = write(make_rows(10, seed=1), tmp_path / "in.csv")
    assert score(project, source, None, "dev").output != score(project, source, None, "dev").output


def test_an_output_that_cannot_be_is_refused(project: Project, tmp_path: Path) -> None:
    source = write(make_rows(10, seed=1), tmp_path / "in.csv")
    for out in (tmp_path / "out.xlsx", tmp_path / "out", source):
        with pytest.raises(OutputRefused):
            score(project, source, out, "dev")
    assert len(pd.read_csv(source)) == 10


def test_outside_dev_nothing_is_scored_by_an_unapproved_model(project: Project, tmp_path: Path) -> None:
    source = write(make_rows(10, seed=1), tmp_path / "in.csv")
    with pytest.raises(NothingDeployed):
        score(project, source, None, "prod")
    document = json.loads((project.stages / "dev.json").read_text(encoding="utf-8"))
    (project.stages / "prod.json").write_text(json.dumps({**document, "stage": "prod"}), encoding="utf-8")
    with pytest.raises(NotApproved):
        score(project, source, None, "prod")


def test_an_id_that_is_personal_data_is_hashed_as_in_training(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = Pii(column="customer", kind="other", action="hash")
    data = project.usecase.data.model_copy(update={"pii": (rule,)})
    private = dataclasses.replace(project, usecase=project.usecase.model_copy(update={"data": data}))
    source = write(spoil(make_rows(20, seed=1)), tmp_path / "in.csv")
    monkeypatch.delenv("AI_FACTORY_PII_KEY", raising=False)
    with pytest.raises(PiiKeyMissing):
        score(private, source, None, "dev")
    monkeypatch.setenv("AI_FACTORY_PII_KEY", "a key for this test only")
    result = score(private, source, None, "dev")
    assert output(result)["customer"].str.fullmatch(r"[0-9a-f]{64}").all()
    assert result.rejects is not None
    assert "c1-" not in result.rejects.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name", ["a.b", "with space", "{{ x }}", 'quote"d', "ü", "new\nline", "row", "prediction", "model_digest"]
)
def test_an_id_column_of_any_name_comes_along(project: Project, tmp_path: Path, name: str) -> None:
    contract = project.usecase.data.contract
    columns = tuple(c.model_copy(update={"name": name}) if c.name == "customer" else c for c in contract.columns)
    data = project.usecase.data.model_copy(
        update={"id": name, "contract": contract.model_copy(update={"columns": columns})}
    )
    renamed = dataclasses.replace(project, usecase=project.usecase.model_copy(update={"data": data}))
    rows = make_rows(12, seed=5)
    for suffix in (".csv", ".parquet"):
        source = write(rows.rename(columns={"customer": name}), tmp_path / f"in{suffix}")
        found = output(score(renamed, source, None, "dev"))
        assert rows["customer"].tolist() in [found[c].tolist() for c in found.columns]
        assert found["row"].tolist() == list(range(12))


@pytest.mark.parametrize("change", [lambda r: r, spoil], ids=["good", "spoiled"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_chunk_is_read_as_the_whole_file_is(
    project: Project, tmp_path: Path, suffix: str, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    rows = change(make_rows(50, seed=6))
    if suffix == ".parquet":
        rows = rows.astype(dict.fromkeys(("age", SPEND, "plan", CALLED), "str"))
    path, contract = write(rows, tmp_path / f"in{suffix}"), project.usecase.data.contract
    whole = read_table(path, contract)
    names = [c.name for c in contract.columns]
    (chunk,) = tables.open_table(path, contract).chunks(names)
    from ai_factory_runtime.data.frames import convert

    for column in contract.columns:
        expected, found = convert(whole[column.name], column), convert(chunk[column.name], column)
        pd.testing.assert_series_equal(found.values, expected.values, check_names=False)
        np.testing.assert_array_equal(found.failed, expected.failed)


MEASURE = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from helpers_serving import make_usecase
from ai_factory_runtime.batch import job as batch
from ai_factory_runtime.base.project import Hooks, Project
import resource
project = Project(Path({root!r}), "churn", make_usecase(), Hooks(None, None, None))
batch.score(project, Path({source!r}), None, "dev")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(project: Project, tmp_path: Path) -> None:
    """Ten times the rows may not need half as much again: a reader of the whole file would need 60 MB more at least."""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    peaks = []
    for rows in (150_000, 1_500_000):
        frame = make_rows(10_000, seed=1)
        whole = pd.concat([frame] * (rows // 10_000), ignore_index=True)
        source = write(whole, tmp_path / f"{rows}.parquet")
        text = MEASURE.format(
            tests=str(Path(__file__).resolve().parents[2]), root=str(project.root), source=str(source)
        )
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 60, peaks
