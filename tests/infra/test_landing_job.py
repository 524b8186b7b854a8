"""The landing job: what lands becomes parts that training reads as one table; what cannot is refused, said once, never lost."""

from __future__ import annotations

import ast
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pyarrow.parquet as pq
import pytest
from ai_factory_infra import landing_job
from ai_factory_infra.landing_job import Lake, main, run
from moto import mock_aws

BUCKET = "lake"


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield Lake(BUCKET, "landing", "curated", "refused")


def land(lake: Lake, name: str, text: str | bytes) -> None:
    lake.s3.put_object(Bucket=BUCKET, Key=f"landing/{name}", Body=text if isinstance(text, bytes) else text.encode())


def parts(lake: Lake) -> list[list[dict[str, str | None]]]:
    found = []
    for key in sorted(k for k in lake.names("curated") if k.endswith(".parquet")):
        body = lake.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        found.append(pq.read_table(io.BytesIO(body)).to_pylist())
    return found


def test_csv_and_json_lines_packed_or_not_become_parts_of_the_same_columns_as_text(lake: Lake) -> None:
    land(lake, "a.csv", 'age,plan\n41,"gold, or\nnot"\n,"NA"\n')
    land(lake, "b.csv.gz", gzip.compress(b"plan,age\nsilver,007\n"))
    land(lake, "c.jsonl", '{"age": 4.10, "plan": null}\n\n{"plan": true}\n')
    land(lake, "2026/11/d.jsonl.gz", gzip.compress(b'{"age": 12345678901234567890, "plan": "x"}'))
    done = run(lake)
    assert (done.parts, done.rows, done.lines_refused, done.refused) == (4, 6, 0, {})
    assert parts(lake) == [
        [{"age": "12345678901234567890", "plan": "x"}],
        [{"age": "41", "plan": "gold, or\nnot"}, {"age": "", "plan": "NA"}],
        [{"age": "007", "plan": "silver"}],
        [{"age": "4.10", "plan": None}, {"age": None, "plan": "true"}],
    ]


def test_a_run_that_is_repeated_does_only_what_is_new(lake: Lake) -> None:
    land(lake, "a.csv", "x\n1\n")
    run(lake)
    assert run(lake).parts == 0
    land(lake, "a.csv", "x\n2\n")
    land(lake, "README.txt", "not data")
    assert run(lake).parts == 1
    assert parts(lake) in ([[{"x": "1"}], [{"x": "2"}]], [[{"x": "2"}], [{"x": "1"}]])


ARGUMENTS = [
    f"--{k}={v}" for k, v in {"lake": BUCKET, "landing": "landing", "curated": "curated", "refused": "refused"}.items()
]
BAD: dict[str, tuple[str | bytes, str]] = {
    "b1.csv": ("x,z\n1,2\n", "its columns are ['x', 'z']"),
    "b2.csv": ("x\n1\n", "its columns are ['x']"),
    "b3.csv": ("x,y\n1,2\n3\n", "it is no CSV"),
    "b4.csv": ("", "it is no CSV"),
    "b5.csv": ("x,y\n", "it has no row"),
    "b6.csv": (b"x,y\n\xff\xfe,1\n", "it is damaged"),
    "b7.csv.gz": (b"no gzip", "cannot be unpacked"),
    "b8.csv.gz": (gzip.compress(b"x,y\n1,2\n" * 99)[:-12], "cannot be unpacked"),
    "b9.jsonl": ("[1]\n{", "no header of distinct names"),
    "c1.jsonl": ('{"q": 1}\n', "none of its 1 lines"),
    "c2.csv": ("x,x\n1,2\n", "no header of distinct names"),
}


def test_a_file_that_becomes_no_part_is_refused_with_its_reason_and_fails_one_run(lake: Lake) -> None:
    land(lake, "a.csv", "x,y\n1,2\n")
    for name, (text, _) in BAD.items():
        land(lake, name, text)
    land(lake, "z.csv", "y,x\n4,3\n")
    with pytest.raises(SystemExit, match=f"{len(BAD)} files refused") as failed:
        main([*ARGUMENTS, "--job-name", "what Glue adds"])
    assert parts(lake) == [[{"x": "1", "y": "2"}], [{"x": "3", "y": "4"}]]
    told = [lake.s3.get_object(Bucket=BUCKET, Key=k)["Body"].read() for k in lake.names("refused")]
    because = {Path(t["file"]).name: t["because"] for t in map(json.loads, told)}
    for name, (_, said) in BAD.items():
        assert said in because[name]
        assert f"landing/{name}: " in str(failed.value)
    main(ARGUMENTS)


def test_a_line_that_is_no_row_is_set_aside_and_the_others_go_on(lake: Lake) -> None:
    land(lake, "a.jsonl", '{"x": 1}\n{"x": {"deep": 1}}\n{"x": 1, "y": 2}\n{broken\n{"x": "\\ud800"}\n{"x": 2}\n')
    done = run(lake)
    assert (done.rows, done.lines_refused) == (2, 4)
    (key,) = lake.names("refused")
    lines = lake.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().splitlines()
    assert [json.loads(line)["line"] for line in lines][2] == "{broken"


def test_a_run_that_was_killed_before_the_part_was_there_takes_the_file_again(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(lake, "a.jsonl", '{"x": 1}\n[]\n')

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(lake.s3, "upload_file", killed)
        with pytest.raises(KeyboardInterrupt):
            run(lake)
    assert parts(lake) == []
    assert run(lake).parts == 1


def test_training_reads_the_parts_as_one_table(lake: Lake, tmp_path: Path) -> None:
    """What the job leaves beside the parts is passed over, and text is judged by the contract."""
    from ai_factory_runtime.data.parts import local_parts

    land(lake, "a.csv", "x\n1\n")
    land(lake, "b.jsonl", '{"x": 2}\n')
    run(lake)
    for key in lake.names("curated"):
        lake.s3.download_file(BUCKET, key, str(tmp_path / Path(key).name))
    assert len(local_parts(tmp_path).files) == 2


def test_the_job_is_written_for_the_python_that_glue_has() -> None:
    source = Path(landing_job.__file__).read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 9))
    assert "strict=" not in source
    assert "slots=" not in source
