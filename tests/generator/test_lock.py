"""The lock and the archive: the same repository gives the same bytes, and they say exactly what was written."""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from hashlib import sha256
from pathlib import Path

import yaml
from ai_factory import archive, lock
from ai_factory.pipeline import compose_repository, draft_from_spec, write_repository
from ai_factory.tree import Entry, FileTree
from helpers_generator import CSV, plan_of, tree, write_blueprint, write_minimum, write_usecase
from hypothesis import given
from hypothesis import strategies as st


def written(tmp_path: Path) -> Path:
    spec = write_usecase(tmp_path / "in", title="Who leaves?\nAnd “why”: {{ x }}", stacks=[])
    write_repository(compose_repository(draft_from_spec(spec)), tmp_path / "out")
    return tmp_path / "out"


def test_the_lock_lists_every_file_that_was_written_with_its_digest_and_mode(tmp_path: Path) -> None:
    project = written(tmp_path)
    locked = yaml.safe_load((project / lock.LOCK).read_text(encoding="utf-8"))
    on_disk = {p.relative_to(project).as_posix() for p in project.rglob("*") if p.is_file()}
    assert set(locked["files"]) == on_disk - {lock.LOCK, lock.PRISTINE, "data/churn.csv"}
    for path, facts in locked["files"].items():
        file = project / path
        assert facts["sha256"] == sha256(file.read_bytes()).hexdigest()
        assert facts["mode"] == f"{0o755 if file.stat().st_mode & 0o100 else 0o644:o}"
        assert facts["owners"]
        assert facts["state"] == ("once" if facts["ownership"] == "user" else "managed")
    assert locked["files"]["usecase.yaml"]["state"] == "once"
    assert locked["files"]["pyproject.toml"]["rule"] == "toml"


def test_the_lock_records_the_inputs_as_they_were_given(tmp_path: Path) -> None:
    project = written(tmp_path)
    locked = yaml.safe_load((project / lock.LOCK).read_text(encoding="utf-8"))
    given_text = (tmp_path / "in" / "usecase.yaml").read_bytes()
    assert locked["inputs"] == {
        "data/churn.csv": {"sha256": sha256(CSV.encode()).hexdigest()},
        "usecase.yaml": {"sha256": sha256(given_text).hexdigest()},
    }
    base = locked["blueprints"][0]
    assert base["id"] == "project/base"
    assert base["answers"]["title_toml"] == '"Who leaves?\\nAnd “why”: {{ x }}"'
    assert re.fullmatch(r"[0-9a-f]{64}", base["sha256"])


def test_the_archive_holds_the_pristine_render_and_the_lock_its_digest(tmp_path: Path) -> None:
    project = written(tmp_path)
    locked = yaml.safe_load((project / lock.LOCK).read_text(encoding="utf-8"))
    raw = (project / lock.PRISTINE).read_bytes()
    assert locked["pristine"] == {"path": lock.PRISTINE, "sha256": sha256(raw).hexdigest()}
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        assert tar.getnames() == sorted(locked["files"])
        member = tar.extractfile("Makefile")
        assert member is not None
        assert member.read() == (project / "Makefile").read_bytes()


def test_the_archive_has_no_clock_and_no_owner() -> None:
    raw = archive.pack(FileTree({"b": Entry(b"2", 0o755), "a": Entry(b"1")}))
    assert raw == archive.pack(FileTree({"a": Entry(b"1"), "b": Entry(b"2", 0o755)}))
    assert raw[4:8] == b"\0\0\0\0"
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(raw))) as tar:
        assert [(m.name, m.mode, m.mtime, m.uid, m.gid, m.uname) for m in tar] == [
            ("a", 0o644, 0, 0, 0, ""),
            ("b", 0o755, 0, 0, 0, ""),
        ]


def test_the_archive_takes_long_and_foreign_names() -> None:
    path = "/".join(["ü" * 60] * 4)
    with tarfile.open(fileobj=io.BytesIO(archive.pack(tree(**{path: "x"})))) as tar:
        assert tar.getnames() == [path]


def build(plan_folder: Path, answers: dict[str, str]) -> str:
    write_minimum(plan_folder)
    plan = plan_of(plan_folder)
    return lock.build(
        plan,
        tree(**{"a.txt": "x"}),
        digests={layer.id: "0" * 64 for layer in plan.layers},
        inputs=answers,
        pristine="0" * 64,
        factory_version="1.2.3",
        jinja_version="3.1",
    ).text()


def test_a_changed_blueprint_changes_the_lock(tmp_path: Path) -> None:
    from ai_factory.loading import load_catalog, load_sources

    home = write_blueprint(tmp_path, "project/base", {"a.txt": "x"})
    before = load_sources(next(iter(load_catalog(tmp_path)))).digest
    (home / "{{cookiecutter.project_slug}}" / "a.txt").write_text("y", encoding="utf-8")
    assert load_sources(next(iter(load_catalog(tmp_path)))).digest != before


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=30))
def test_any_text_in_the_lock_is_read_back(text: str) -> None:
    assert yaml.safe_load(f"{{k: {lock.quoted(text)}}}") == {"k": text}
    assert yaml.safe_load(f"{lock.quoted(text)}: 1") == {text: 1}


def test_words_yaml_takes_for_something_else_are_quoted() -> None:
    for word in ("yes", "No", "null", "~", "1.0", "0x1", "2024-01-01", "1e3", "true", "", "=", "<<", ".inf"):
        assert yaml.safe_load(lock.quoted(word)) == word
