"""What comes along into a new repository: a file, every part of a folder, or nothing where the rows live elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ai_factory import incoming, pipeline
from ai_factory.errors import DataNotFound, UnsafePath
from helpers_generator import CSV, USECASE, usecase, write_usecase


def data(source: str, **more: Any) -> dict[str, Any]:
    return {**USECASE["data"], "source": source, **more}


def written(spec: Path, out: Path) -> dict[str, Any]:
    """`data` of the repository made from a use case."""
    draft = pipeline.draft_from_spec(spec)
    pipeline.write_repository(pipeline.compose_repository(draft), out)
    found: dict[str, Any] = yaml.safe_load((out / "usecase.yaml").read_text(encoding="utf-8"))["data"]
    return found


def test_a_folder_comes_along_with_every_part_and_without_its_marks(tmp_path: Path) -> None:
    spec = write_usecase(tmp_path / "in", stacks=[], data=data("parts/"))
    for name in ("a.csv", "country=de/b.csv", "_SUCCESS", ".DS_Store"):
        path = spec.parent / "parts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CSV, encoding="utf-8")
    out = tmp_path / "out"
    assert written(spec, out)["source"] == "data/parts/"
    copied = sorted(p.relative_to(out / "data").as_posix() for p in (out / "data").rglob("*") if p.is_file())
    assert copied == ["parts/a.csv", "parts/country=de/b.csv"]
    lock = yaml.safe_load((out / ".ai-factory" / "lock.yaml").read_text(encoding="utf-8"))
    assert {"data/parts/a.csv", "data/parts/country=de/b.csv"} <= set(lock["inputs"])


@pytest.mark.parametrize(
    ("source", "query"),
    [("s3://rows/churn/2024/", None), ("$CHURN_DATABASE", "SELECT * FROM c"), ("sqlite:///c.db", "SELECT * FROM c")],
)
def test_rows_that_live_elsewhere_are_not_copied_and_the_source_stays(
    tmp_path: Path, source: str, query: str | None
) -> None:
    more = {"query": query} if query else {}
    spec = write_usecase(tmp_path / "in", stacks=[], data=data(source, **more))
    assert written(spec, tmp_path / "out")["source"] == source
    assert not list((tmp_path / "out").glob("data/*"))


def test_an_empty_folder_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    with pytest.raises(DataNotFound, match="an empty folder"):
        incoming.of_source(usecase(data=data("parts")).data, tmp_path)


def test_a_part_that_some_system_could_not_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "con.csv").write_text(CSV, encoding="utf-8")
    with pytest.raises(UnsafePath):
        incoming.of_source(usecase(data=data("parts")).data, tmp_path)
