"""Sources: a file, a folder of parts and a bucket give the same rows and one hash; what is wrong is told with its place."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ai_factory_runtime.base.errors import ContractBroken, DataUnreadable
from ai_factory_runtime.data.data_refusals import PartsDisagree, SourceUnavailable
from ai_factory_runtime.data.frames import read_table
from ai_factory_runtime.data.sources import content_sha256, read_source
from ai_factory_runtime.steps.pipeline import run
from ai_factory_runtime.steps.prepare import prepare
from ai_factory_spec.errors import FactoryError
from ai_factory_spec.usecase import UseCase
from helpers_runtime import SOURCE, columns_of, make_project, quick, real_rows, usecase_document

BUCKET = "rows-of-tests"
ROWS = real_rows("wine").head(60)


def usecase_of(source: str, **data: Any) -> UseCase:
    document = usecase_document(ROWS, "multiclass")
    document["data"] |= {"source": source, **data}
    return UseCase.model_validate(document)


def write(frame: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False) if path.suffix == ".parquet" else frame.to_csv(path, index=False)


def in_parts(folder: Path, ending: str, frames: list[pd.DataFrame] | None = None) -> None:
    frames = frames or [ROWS.iloc[:25], ROWS.iloc[25:40], ROWS.iloc[40:]]
    for number, frame in enumerate(frames):
        write(frame, folder / f"year={2020 + number}" / f"part.{ending}")


def whole(tmp_path: Path) -> pd.DataFrame:
    write(ROWS, tmp_path / "whole.csv")
    return read_table(tmp_path / "whole.csv", usecase_of("x").data.contract)


@pytest.mark.parametrize("ending", ["csv", "tsv", "TXT", "parquet"])
def test_a_folder_of_parts_reads_as_the_file_it_was_cut_from(tmp_path: Path, ending: str) -> None:
    in_parts(tmp_path / "data/parts", ending)
    (tmp_path / "data/parts/_SUCCESS").touch()
    (tmp_path / "data/parts/.part.crc").write_text("x")
    read = read_source(usecase_of("data/parts/"), tmp_path)
    pd.testing.assert_frame_equal(read, whole(tmp_path))


def test_the_hash_of_a_folder_is_that_of_its_sha256sums(tmp_path: Path) -> None:
    in_parts(tmp_path / "parts", "csv")
    usecase = usecase_of("parts")
    command = "find . -type f -printf '%P\\0' | sort -z | xargs -0 sha256sum"
    listed = subprocess.run(command, shell=True, cwd=tmp_path / "parts", capture_output=True, check=True).stdout
    assert content_sha256(usecase, tmp_path) == hashlib.sha256(listed).hexdigest()
    assert content_sha256(usecase, tmp_path, read_source(usecase, tmp_path)) == content_sha256(usecase, tmp_path)
    before = content_sha256(usecase, tmp_path)
    (tmp_path / "parts/year=2020/part.csv").rename(tmp_path / "parts/year=2020/other.csv")
    assert content_sha256(usecase, tmp_path) != before


def test_the_hash_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    write(ROWS, tmp_path / "rows.csv")
    expected = hashlib.sha256((tmp_path / "rows.csv").read_bytes()).hexdigest()
    assert content_sha256(usecase_of("rows.csv"), tmp_path) == expected
    assert read_source(usecase_of("rows.csv"), tmp_path).attrs["content_sha256"] == expected


def test_all_differences_between_parts_are_told_at_once(tmp_path: Path) -> None:
    cut = [ROWS.iloc[:20], ROWS.iloc[20:40].drop(columns="hue"), ROWS.iloc[40:].assign(ash="a lot", alcohol=True)]
    in_parts(tmp_path / "parts", "parquet", cut)
    with pytest.raises(PartsDisagree) as refusal:
        read_source(usecase_of("parts"), tmp_path)
    assert refusal.value.exit_code == 4
    text = str(refusal.value)
    assert "'hue' is missing from year=2021/part.parquet" in text
    assert (
        "'ash' changes its type: a number in year=2020/part.parquet, year=2021/part.parquet, text in year=2022" in text
    )
    assert "'alcohol' changes its type" in text


def test_a_text_column_that_held_numbers_in_older_parts_is_a_changed_type(tmp_path: Path) -> None:
    cut = [ROWS.iloc[:20].assign(outcome=1), ROWS.iloc[20:]]
    in_parts(tmp_path / "parts", "parquet", cut)
    with pytest.raises(PartsDisagree, match=r"'outcome' changes its type: a number in .*, text in"):
        read_source(usecase_of("parts"), tmp_path)


def test_a_csv_part_without_any_number_changed_its_type_and_one_bad_value_did_not(tmp_path: Path) -> None:
    in_parts(tmp_path / "parts", "csv", [ROWS.iloc[:20], ROWS.iloc[20:].assign(ash="a lot")])
    with pytest.raises(PartsDisagree, match=r"a number in year=2020/part.csv, no number in year=2021/part.csv"):
        read_source(usecase_of("parts"), tmp_path)
    one_bad = ROWS.iloc[20:].astype({"ash": object})
    one_bad.iloc[3, one_bad.columns.get_loc("ash")] = "a lot"
    in_parts(tmp_path / "parts", "csv", [ROWS.iloc[:20], one_bad])
    ash = read_source(usecase_of("parts"), tmp_path)["ash"]
    assert ash.iloc[23] == "a lot"
    assert len(ash) == 60


def test_whole_numbers_in_one_part_and_fractions_in_another_agree(tmp_path: Path) -> None:
    in_parts(tmp_path / "parts", "parquet", [ROWS.iloc[:20].assign(ash=2), ROWS.iloc[20:].assign(hue=None)])
    read = read_source(usecase_of("parts"), tmp_path)
    assert read["ash"].iloc[0] == 2.0
    assert read["hue"].isna().sum() == 40


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no part"),
        ({"_SUCCESS": b""}, "no part"),
        ({"a.csv": b"ash\n1\n", "b.csv.gz": b"x"}, "b.csv.gz: neither CSV nor Parquet"),
        ({"a.csv": b"ash\n1\n", "b.parquet": b"x"}, "some of its parts are CSV and some Parquet"),
        ({"a.csv": b"ash\n1\n", "b.csv": "ash\nä\n".encode("latin-1")}, r"parts/b.csv: it is not encoded in UTF-8"),
        ({"a.parquet": b"PAR1 torn"}, r"parts/a.parquet: not a readable Parquet file"),
        ({"a.csv": b"ash,hue\n1,2\n3,ann@example.com,5\n"}, "row 1, in line 3, has 3 values"),
    ],
)
def test_a_folder_that_is_no_table_is_refused_with_the_part(tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    (tmp_path / "parts").mkdir()
    for name, body in files.items():
        (tmp_path / "parts" / name).write_bytes(body)
    with pytest.raises(DataUnreadable, match=said) as refusal:
        read_source(usecase_of("parts"), tmp_path)
    assert "ann@" not in str(refusal.value)


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataUnreadable, match="no such file"):
        read_source(usecase_of("data/none.csv"), tmp_path)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3
    from moto import mock_aws

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing-the-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        yield client


def upload(client: Any, folder: Path, prefix: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), BUCKET, f"{prefix}{path.relative_to(folder).as_posix()}")


@pytest.mark.parametrize("source", [f"s3://{BUCKET}/wine/", f"s3://{BUCKET}/wine", f"s3://{BUCKET}/one/rows.parquet"])
def test_a_bucket_reads_as_the_file_that_was_put_there(tmp_path: Path, s3: Any, source: str) -> None:
    in_parts(tmp_path / "parts", "parquet")
    upload(s3, tmp_path / "parts", "wine/")
    s3.put_object(Bucket=BUCKET, Key="wine/_SUCCESS", Body=b"")
    s3.put_object(Bucket=BUCKET, Key="wine-cellar/other.csv", Body=b"not,ours\n")
    write(ROWS, tmp_path / "one/rows.parquet")
    upload(s3, tmp_path / "one", "one/")
    usecase = usecase_of(source)
    read = read_source(usecase, tmp_path)
    pd.testing.assert_frame_equal(read, whole(tmp_path))
    local = "one/rows.parquet" if "one" in source else "parts"
    assert content_sha256(usecase, tmp_path, read) == content_sha256(usecase_of(local), tmp_path)
    assert content_sha256(usecase, tmp_path) == content_sha256(usecase, tmp_path, read)


def test_nothing_of_a_bucket_stays_on_the_disk(tmp_path: Path, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    s3.put_object(Bucket=BUCKET, Key="rows.csv", Body=b"ash\n1\n")
    read_source(usecase_of(f"s3://{BUCKET}/rows.csv"), tmp_path)
    s3.put_object(Bucket=BUCKET, Key="torn.parquet", Body=b"PAR1")
    with pytest.raises(DataUnreadable, match=f"s3://{BUCKET}/torn.parquet"):
        read_source(usecase_of(f"s3://{BUCKET}/torn.parquet"), tmp_path)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_bucket_or_object_that_is_not_there_is_refused(tmp_path: Path, s3: Any) -> None:
    with pytest.raises(SourceUnavailable, match="there is no bucket 'no-such-bucket'"):
        read_source(usecase_of("s3://no-such-bucket/rows/"), tmp_path)
    with pytest.raises(DataUnreadable, match="there is no such object"):
        read_source(usecase_of(f"s3://{BUCKET}/none.csv"), tmp_path)


def test_a_bucket_without_credentials_is_refused_and_says_how_to_sign_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(SourceUnavailable, match="no AWS credentials") as refusal:
        read_source(usecase_of(f"s3://{BUCKET}/rows.csv"), tmp_path)
    assert "AWS_ACCESS_KEY_ID" in refusal.value.hint


def test_a_bucket_that_cannot_be_reached_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SourceUnavailable, match="cannot be reached") as refusal:
        read_source(usecase_of(f"s3://{BUCKET}/rows.csv"), tmp_path)
    assert "the-secret" not in f"{refusal.value}{refusal.value.hint}"


@pytest.mark.parametrize("kept", ["parts", "bucket", "database"])
def test_a_run_prepares_the_same_rows_wherever_they_are_kept(
    tmp_path: Path, s3: Any, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    rows = real_rows("wine")
    in_parts(tmp_path / "parts", "parquet", [rows.iloc[:90], rows.iloc[90:]])
    upload(s3, tmp_path / "parts", "wine/")
    with sqlite3.connect(tmp_path / "x.db") as connection:
        rows.to_sql("wine", connection, index=False)
    connection.close()
    monkeypatch.setenv("WINE_DATABASE", f"sqlite:///{tmp_path / 'x.db'}")
    sources: dict[str, dict[str, str]] = {
        "parts": {"source": str(tmp_path / "parts")},
        "bucket": {"source": f"s3://{BUCKET}/wine/"},
        "database": {"source": "$WINE_DATABASE", "query": "SELECT * FROM wine"},
    }
    columns = {"target": "outcome", "contract": {"columns": columns_of(rows)}}
    project = make_project(tmp_path / "project", rows, "multiclass", data={**sources[kept], **columns})
    (project.root / SOURCE).unlink()
    (tmp_path / "run").mkdir()
    prepared = prepare(project, tmp_path / "run", lambda _step, _detail: None)
    assert sorted(prepared.frame["alcohol"]) == sorted(rows["alcohol"])
    assert len(prepared.lineage.source_sha256) == 64
    assert prepared.lineage.source_sha256 == content_sha256(project.usecase, project.root)


@pytest.mark.parametrize(
    ("damage", "error", "exit_code"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:3000]), DataUnreadable, 1),
        (lambda p: p.write_bytes(b""), DataUnreadable, 1),
        (lambda p: real_rows("wine").head(0).to_parquet(p), DataUnreadable, 1),
        (lambda p: real_rows("wine").assign(ash=float("inf")).to_parquet(p), ContractBroken, 4),
        (lambda p: real_rows("wine").assign(ash=float("nan")).to_parquet(p), ContractBroken, 4),
        (lambda p: real_rows("wine").assign(ash="a lot").to_parquet(p), ContractBroken, 4),
        (lambda p: real_rows("wine").assign(outcome="class_9").to_parquet(p), ContractBroken, 4),
    ],
)
def test_damaged_rows_stop_a_run_and_the_next_run_works(
    tmp_path: Path, damage: Any, error: type[FactoryError], exit_code: int
) -> None:
    rows = real_rows("wine")
    columns = {"target": "outcome", "contract": {"columns": columns_of(rows)}}
    data = {"source": "data/rows.parquet", **columns}
    project = make_project(tmp_path / "project", rows, "multiclass", candidates=quick, data=data)
    rows.to_parquet(project.root / "data/rows.parquet")
    damage(project.root / "data/rows.parquet")
    with pytest.raises(error) as refusal:
        run(project)
    assert refusal.value.exit_code == exit_code
    assert not project.models.exists()
    rows.to_parquet(project.root / "data/rows.parquet")
    (tmp_path / "run").mkdir()
    assert len(prepare(project, tmp_path / "run", lambda _step, _detail: None).frame) == len(rows)


def test_a_file_in_another_encoding_stops_a_run_and_the_next_run_works(tmp_path: Path) -> None:
    rows = real_rows("wine")
    project = make_project(tmp_path / "project", rows, "multiclass", candidates=quick)
    path = project.root / SOURCE
    body = path.read_bytes()
    path.write_bytes(body.replace(b"class_0", "clässe".encode("latin-1"), 1))
    with pytest.raises(DataUnreadable, match="it is not encoded in UTF-8") as refusal:
        run(project)
    assert refusal.value.exit_code == 1
    assert not project.models.exists()
    path.write_bytes(body)
    (tmp_path / "run").mkdir()
    assert len(prepare(project, tmp_path / "run", lambda _step, _detail: None).frame) == len(rows)
