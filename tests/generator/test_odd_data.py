"""`new --data` on files people really have: odd column names, odd file names, odd places."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ai_factory.incoming import data_path

BIN = Path(sys.executable).parent / "ai-factory"
COLUMNS = [
    'a "quoted" one',
    "two\nlines",
    "{{ cookiecutter.package }}",
    "ünï 日本 🎉",
    "{% raw %}",
    "$(id) `id`",
    "yes",
    "#",
    "a: b",
]


def write_csv(path: Path, columns: list[str], rows: int = 120) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*columns, "the target"])
        for i in range(rows):
            writer.writerow([*((i * 7 + k) % 31 + 0.5 for k in range(len(columns))), "yes" if i % 3 else "no"])
    return path


def new(data: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN), "new", "--data", str(data), "--target", "the target", "--out", str(out), "--json", *options]
    return subprocess.run(command, text=True, capture_output=True, check=False)


def test_odd_column_names_arrive_in_the_use_case_letter_for_letter(tmp_path: Path) -> None:
    done = new(write_csv(tmp_path / "odd.csv", COLUMNS), tmp_path / "p")
    assert done.returncode == 0, done.stdout + done.stderr
    told = yaml.safe_load((tmp_path / "p" / "usecase.yaml").read_text(encoding="utf-8"))
    assert [c["name"] for c in told["data"]["contract"]["columns"]] == [*COLUMNS, "the target"]


@pytest.mark.parametrize(
    "name",
    ["with space.csv", "ünï-日本.csv", 'it\'s "x".csv', "{{ x }}.csv", "-rf.csv", "CON.csv", "a\nb.csv", "class.csv"],
)
def test_any_file_name_works_and_the_copy_is_where_the_use_case_says(tmp_path: Path, name: str) -> None:
    data = write_csv(tmp_path / "in folder" / name, ["x", "z"])
    done = new(data, tmp_path / "p")
    assert done.returncode == 0, done.stdout + done.stderr
    told = yaml.safe_load((tmp_path / "p" / "usecase.yaml").read_text(encoding="utf-8"))
    assert (tmp_path / "p" / told["data"]["source"]).read_bytes() == data.read_bytes()
    assert json.loads(done.stdout)["project"]["package"].isidentifier()


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("churn.csv", "data/churn.csv"),
        ("a b.parquet", "data/a b.parquet"),
        ("NUL.csv", "data/data.csv"),
        ("a:b.csv", "data/data.csv"),
        ("x.c|v", "data/data"),
        ("trailing.", "data/data"),
    ],
)
def test_the_copy_has_a_name_every_system_can_hold(name: str, place: str) -> None:
    assert data_path(Path("in") / name) == place


@pytest.mark.slow
@pytest.mark.matrix
def test_ten_thousand_columns_work(tmp_path: Path) -> None:
    done = new(write_csv(tmp_path / "wide.csv", [f"c{i}" for i in range(10_000)]), tmp_path / "p")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "p" / "usecase.yaml").stat().st_size > 100_000
