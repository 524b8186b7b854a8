"""A registry that is gone is never taken for a new one, and is made again of what versions left behind, or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from ai_factory_runtime.base.errors import RegistryUnavailable, WriteFailed
from ai_factory_runtime.base.jsontext import canonical
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.model_package.package import MANIFEST, package_digest
from ai_factory_runtime.releases.rebuild import BY_ORDER, Found, _fill, number, rebuild
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.releases.registry_refusals import RebuildRefused, RegistryGone
from ai_factory_runtime.releases.release import approve, open_release
from ai_factory_runtime.releases.stages import deploy, promote
from helpers_serving import make_documents, make_package, make_project

VERDICTS = ("promote", "keep", "promote", "keep")


def add(project: Project, number: int) -> None:
    """What a run leaves: its folder, a package, a version with its alias, and where it won a release record and stage dev."""
    run_id, verdict = f"run-{number}", VERDICTS[number - 1]
    folder, _ = make_package(project, run_id, seed=number, rows=120)
    metrics = json.loads(make_documents(project)["metrics.json"])
    metrics |= {"run": run_id, "model": "linear", "comparison": {"verdict": verdict}}
    manifest = json.loads((folder / MANIFEST).read_bytes())
    body = json.dumps(metrics).encode()
    (folder / "metrics.json").write_bytes(body)
    manifest["files"]["metrics.json"] = hashlib.sha256(body).hexdigest()
    (folder / MANIFEST).write_text(canonical(manifest), encoding="utf-8")
    registry, digest = open_registry(project), package_digest(folder)
    made = registry.register(
        folder, digest=digest, run_id=run_id, tags={"verdict": verdict, "settled": "yes"}, metrics={}
    )
    registry.set_alias("champion" if verdict == "promote" else "challenger", made.version)
    if verdict == "promote":
        open_release(project, made)
        deploy(project, "dev", version=made.version, digest=digest, folder=folder)
    (project.runs / run_id).mkdir(parents=True)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Four versions: promoted, kept, promoted, kept. Tests copy it."""
    project = make_project(tmp_path_factory.mktemp("once") / "project")
    for n in (1, 2, 3, 4):
        add(project, n)
    return project


@pytest.fixture
def project(once: Project, tmp_path: Path) -> Project:
    shutil.copytree(once.root, tmp_path / "project")
    return dataclasses.replace(once, root=tmp_path / "project")


def missing(project: Project) -> None:
    project.registry_db.unlink()


def empty(project: Project) -> None:
    project.registry_db.write_bytes(b"")


def another(project: Project) -> None:
    """A registry of some other project, whole, without a version of this model."""
    other = make_project(project.root.parent / "other")
    folder, digest = make_package(other, rows=120)
    named = dataclasses.replace(other, usecase=other.usecase.model_copy(update={"name": "other"}))
    open_registry(named).register(folder, digest=digest, run_id="run-1", tags={}, metrics={})
    shutil.copy(other.registry_db, project.registry_db)


@pytest.mark.parametrize("lose", [missing, empty, another])
def test_a_registry_that_is_gone_is_told_wherever_it_is_asked(
    project: Project, lose: Callable[[Project], None]
) -> None:
    lose(project)
    (project.stages / "dev.rollout.json").write_text("{}", encoding="utf-8")  # no stage's file
    before = sorted(project.artifacts.rglob("*"))
    folder, digest = project.models / "run-1", package_digest(project.models / "run-1")
    registry = open_registry(project)
    for ask in (
        registry.versions,
        registry.champion,
        lambda: registry.get(1),
        lambda: registry.register(folder, digest=digest, run_id="run-1", tags={}, metrics={}),
        lambda: promote(project, 1, "dev"),
        lambda: approve(project, 1, role="owner", by="Ada"),
    ):
        with pytest.raises(RegistryGone, match=r"[34] model packages and 1 stage file here") as gone:
            ask()
        assert isinstance(gone.value, RegistryUnavailable)
        assert "`registry rebuild`" in gone.value.hint
    assert sorted(project.artifacts.rglob("*")) == before


@pytest.mark.parametrize("lose", [empty, another])
def test_a_rebuilt_registry_is_what_it_was(project: Project, lose: Callable[[Project], None]) -> None:
    before = open_registry(project).versions()
    lose(project)
    made = rebuild(project)
    assert [(f.version, f.run_id) for f in made.versions] == [(n, f"run-{n}") for n in (1, 2, 3, 4)]
    assert [f.known_by.partition(" 1-")[0].partition(" 3-")[0] for f in made.versions] == [
        "release record", BY_ORDER, "release record", BY_ORDER,
    ]  # fmt: skip
    assert (made.champion, made.challenger, made.left_out) == (3, 4, ())
    after = open_registry(project).versions()
    assert [(v.version, v.digest, v.folder, v.run_id, v.aliases) for v in after] == [
        (v.version, v.digest, v.folder, v.run_id, v.aliases) for v in before
    ]
    assert [dict(v.tags)["verdict"] for v in after] == list(VERDICTS)
    assert all("settled" in dict(v.tags) for v in after)
    assert not list(project.artifacts.glob(".*.partial*"))


def numbers_alone(project: Project) -> None:
    """As a first registration leaves it that was killed when it had passed over the numbers on record."""
    missing(project)
    open_registry(project).skip(3)


def test_numbers_that_were_passed_over_before_do_not_move_those_of_a_rebuilt_registry(project: Project) -> None:
    numbers_alone(project)
    with pytest.raises(RegistryGone):
        open_registry(project).versions()
    made = rebuild(project)
    assert [(v.version, v.run_id) for v in open_registry(project).versions()] == [(n, f"run-{n}") for n in (1, 2, 3, 4)]
    assert (made.champion, made.challenger) == (3, 4)


def test_a_number_that_somebody_else_takes_meanwhile_ends_the_rebuilding(project: Project) -> None:
    missing(project)
    first = Found(project.models / "run-1", "d", "keep", "linear", {}, 1, "")

    def overtaken() -> None:
        with open_registry(project).anew() as fresh:
            fresh.skip(2)
            _fill(fresh, [first], highest=1, address="registry.db")

    with pytest.raises(RebuildRefused, match="the number 3, not 1"):
        overtaken()
    assert not project.registry_db.exists()


def test_a_registry_with_versions_is_not_rebuilt(project: Project) -> None:
    before = project.registry_db.read_bytes()
    with pytest.raises(RebuildRefused, match="it has 4 versions"):
        rebuild(project)
    assert project.registry_db.read_bytes() == before


def test_a_damaged_registry_says_that_it_is_to_be_moved_away_first(project: Project) -> None:
    project.registry_db.write_bytes(b"garbage" * 1000)
    with pytest.raises(RegistryUnavailable, match="file is not a database") as damaged:
        rebuild(project)
    assert "move it away" in damaged.value.hint


def test_a_version_whose_package_is_gone_keeps_its_number_and_is_told(project: Project) -> None:
    shutil.rmtree(project.models / "run-3")
    shutil.rmtree(project.models / "run-4")
    missing(project)
    made = rebuild(project)
    assert [f.version for f in made.versions] == [1, 2]
    assert (made.champion, made.challenger) == (1, 2)
    assert len(made.left_out) == 1
    assert "version 3" in made.left_out[0]
    folder, digest = make_package(project, "run-5", seed=5, rows=120)
    again = open_registry(project).register(folder, digest=digest, run_id="run-5", tags={}, metrics={})
    assert again.version == 4, "no other model gets the number of one that is gone"


def test_two_models_of_one_number_are_not_rebuilt(project: Project) -> None:
    """As when the registry was lost before, and numbering began again unnoticed."""
    missing(project)
    path = project.stages / "dev.json"
    document = json.loads(path.read_bytes())
    document |= {"version": 1}
    document["history"] = []
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(RebuildRefused, match=r"the model run-3 is version 1 by stage dev, version 3 by release record"):
        rebuild(project)
    assert not project.registry_db.exists()


def test_a_changed_package_is_left_out(project: Project) -> None:
    (project.models / "run-2" / "card.md").write_text("better numbers\n", encoding="utf-8")
    missing(project)
    made = rebuild(project)
    assert [f.version for f in made.versions] == [1, 3, 4]
    assert len(made.left_out) == 1
    assert "run-2: The model package" in made.left_out[0]


def test_a_rebuild_that_fails_half_way_leaves_no_registry(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system refuses the last step, as a full disk does."""
    missing(project)

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuse)
        with pytest.raises(WriteFailed, match="No space left"):
            rebuild(project)
    assert not project.registry_db.exists()


def test_a_project_that_is_begun_anew_on_purpose_goes_on_after_the_numbers_on_record(project: Project) -> None:
    """Also a fresh clone, or an image: the records are there from git, artifacts/ is not."""
    project.artifacts.rename(project.root / "artifacts.old")
    assert open_registry(project).versions() == ()
    folder, digest = make_package(project, "run-9", seed=9, rows=120)
    registry = open_registry(project)
    assert registry.register(folder, digest=digest, run_id="run-9", tags={}, metrics={}).version == 4
    assert [v.version for v in registry.versions()] == [4]


def test_a_package_that_was_never_registered_is_no_sign_of_a_registry(tmp_path: Path) -> None:
    """A run that was killed before it registered leaves one; its run's folder has no name yet."""
    project = make_project(tmp_path / "project")
    make_package(project, "killed", rows=120)
    (project.runs / ".killed.partial").mkdir(parents=True)
    assert open_registry(project).versions() == ()
    with pytest.raises(RebuildRefused, match="cannot be used"):
        rebuild(project)


def test_a_database_of_something_else_is_not_written_to(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    project.artifacts.mkdir()
    with sqlite3.connect(project.registry_db) as other:
        other.execute("CREATE TABLE customers (name TEXT)")
    other.close()
    before = project.registry_db.read_bytes()
    folder, digest = make_package(project, rows=120)
    with pytest.raises(RegistryUnavailable, match="something else, with the tables customers"):
        open_registry(project).register(folder, digest=digest, run_id="run-1", tags={}, metrics={})
    assert project.registry_db.read_bytes() == before


def found(*versions: int) -> list[Found]:
    return [Found(Path(f"run-{n:02}"), f"d{n}", "keep", "linear", {}, v, "") for n, v in enumerate(versions, start=1)]


@pytest.mark.parametrize(
    ("known", "taken", "given", "left"),
    [
        ((0, 0, 0), set(), [1, 2, 3], 0),
        ((1, 0, 3, 0), {1, 3}, [1, 2, 3, 4], 0),
        ((0, 3), {3}, [1, 3], 0),  # one package is gone
        ((1, 0, 0, 3), {1, 3}, [1, 3], 2),  # one of the two was never registered, and nothing says which
        ((0, 2), {1, 2}, [2], 1),  # version 1 is another model's
        ((2, 0, 1), {1, 2}, [1, 2], 1),  # registered in another order than they ran
        ((1, 0), {1, 5}, [1, 6], 0),  # version 5 is a model that is gone
        ((1, 0, 4, 2, 0, 5), {1, 2, 4, 5}, [1, 2, 3, 4, 5], 1),  # in another order, and none is given twice
    ],
)
def test_a_number_that_no_file_names_is_given_only_where_there_is_room(
    known: tuple[int, ...], taken: set[int], given: list[int], left: int
) -> None:
    versions, left_out = number(found(*known), taken)
    assert [f.version for f in versions] == given
    assert len(left_out) == left


@pytest.mark.matrix
def test_each_partition_is_rebuilt_for_itself_in_the_file_that_all_share(tmp_path: Path) -> None:
    whole = make_project(tmp_path / "project")
    at, de = (dataclasses.replace(whole, partition=name) for name in ("at", "de"))
    for own in (at, de):
        add(own, 1)
    missing(whole)
    for own, other in ((at, de), (de, at)):
        with pytest.raises(RegistryGone):
            open_registry(own).versions()
        made = rebuild(own)
        assert [(f.version, f.folder.is_relative_to(own.artifacts)) for f in made.versions] == [(1, True)]
        assert (made.champion, made.left_out) == (1, ())
        (version,) = open_registry(own).versions()
        assert version.aliases == ("champion",)
        if own is at:
            with pytest.raises(RegistryGone):
                open_registry(other).versions()
    (first,) = open_registry(at).versions()
    assert first.folder.is_relative_to(at.artifacts)
