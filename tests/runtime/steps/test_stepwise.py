"""The pipeline step by step: each in a container of its own, with files between, and the same model comes out."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import GateFailed, TamperedModel, UntrustedModel, WriteFailed
from ai_factory_runtime.base.project import Hooks, Project, open_project
from ai_factory_runtime.base.runs import new_run
from ai_factory_runtime.model_package.model_file import dump_estimator
from ai_factory_runtime.model_package.package import load_package, model_fingerprint
from ai_factory_runtime.releases.lineage import rows_sha256
from ai_factory_runtime.releases.registry import open_registry
from ai_factory_runtime.releases.stages import deployed
from ai_factory_runtime.steps.handover import read_prepared, read_trained, write_prepared
from ai_factory_runtime.steps.pipeline import run
from ai_factory_runtime.steps.prepare import prepare
from ai_factory_runtime.steps.sagemaker_pipeline import definition
from ai_factory_runtime.steps.step_errors import HandoverBroken
from ai_factory_runtime.steps.stepwise import Folders, run_step
from helpers_pipeline import Sagemaker
from helpers_runtime import PACKAGE, default_features, load, make_project, quick, real_rows
from sklearn.preprocessing import FunctionTransformer

QUICK = {"search": {"trials": 0}}
STEPS = ("prepare", "train", "evaluate", "register")


def wine(folder: Path, **changes: Any) -> Project:
    return make_project(folder, real_rows("wine"), "multiclass", candidates=quick, model=QUICK, **changes)


def silent(_step: str, _detail: str) -> None:
    return None


@pytest.fixture(scope="module")
def walked_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project, and what its first three steps left in `io/output`."""
    folder = tmp_path_factory.mktemp("steps")
    project = wine(folder / "p")
    for name in STEPS[:3]:
        run_step(project, name, Folders(folder / "io/input", folder / "io/output"), silent)
    return folder


@pytest.fixture
def walked(walked_once: Path, tmp_path: Path) -> tuple[Project, Folders]:
    shutil.copytree(walked_once, tmp_path, dirs_exist_ok=True)
    project = open_project(PACKAGE, Hooks(load, default_features, quick), root=tmp_path / "p")
    return project, Folders(tmp_path / "io/input", tmp_path / "io/output")


def test_step_by_step_and_in_one_run_the_same_model_comes_out(walked: tuple[Project, Folders]) -> None:
    project, folders = walked
    done = run_step(project, "register", folders, silent)
    assert done.sentence == "version 1, champion"
    whole = run(project)
    first, second = open_registry(project).versions()
    assert whole.registered is not None
    assert model_fingerprint(first.folder) == model_fingerprint(second.folder)
    assert dict(first.tags)["fingerprint"] == dict(second.tags)["fingerprint"]
    assert deployed(project, "dev").version == 1
    kept = {path.name for path in (project.runs / first.run_id).iterdir()}
    assert {"card.html", "report.json", "usecase.json", "evaluation.json"} <= kept


def test_registering_the_same_run_twice_gives_one_version(walked: tuple[Project, Folders]) -> None:
    project, folders = walked
    for _ in range(2):
        assert run_step(project, "register", folders, silent).sentence == "version 1, champion"
    assert len(open_registry(project).versions()) == 1


def test_what_is_read_back_is_what_was_written(tmp_path: Path) -> None:
    rows = real_rows("wine")
    rows["when"] = pd.date_range("2024-01-01", periods=len(rows), freq="h")
    rows["flag"] = pd.array([True, None] * (len(rows) // 2), dtype="boolean")
    rows["alcohol"] = rows["alcohol"].where(rows.index % 7 > 0)
    project = make_project(tmp_path / "p", rows, "multiclass", candidates=quick, model=QUICK)
    prepared, this = prepare(project, tmp_path, silent), new_run()
    write_prepared(tmp_path / "prepared", this, prepared)
    again_run, again = read_prepared(tmp_path / "prepared")
    assert again_run == this
    pd.testing.assert_frame_equal(again.frame, prepared.frame)
    assert rows_sha256(again.frame) == rows_sha256(prepared.frame)
    assert (again.facts, again.lineage, again.split.how) == (prepared.facts, prepared.lineage, prepared.split.how)
    for part in ("train", "validation", "test", "unit"):
        np.testing.assert_array_equal(getattr(again.split, part), getattr(prepared.split, part))


def test_nothing_between_two_steps_is_pickled(walked: tuple[Project, Folders]) -> None:
    files = {path.suffix for path in walked[1].outputs.rglob("*") if path.is_file()}
    assert files <= {".parquet", ".json", ".skops", ".html", ".md", ".csv"}


# --- what must not pass from one step to the next


def test_a_failed_gate_is_found_by_one_step_and_refused_by_the_next(tmp_path: Path) -> None:
    project = wine(tmp_path / "p", acceptance={"metrics": {"log_loss": {"max": 0.0}}})
    folders = Folders(tmp_path / "input", tmp_path / "output")
    for name in STEPS[:3]:
        done = run_step(project, name, folders, silent)
    assert done.sentence.startswith("gates failed: metric:log_loss:max")
    assert json.loads((folders.outputs / "evaluation/evaluation.json").read_text())["failed_gates"] == 1
    assert list((folders.outputs / "package").iterdir()) == []
    with pytest.raises(GateFailed, match="metric:log_loss:max"):
        run_step(project, "register", folders, silent)
    assert open_registry(project).versions() == ()
    assert not project.stages.exists()


def test_a_package_that_was_changed_on_its_way_is_not_registered(walked: tuple[Project, Folders]) -> None:
    project, folders = walked
    model = folders.outputs / "package/model/model.skops"
    model.write_bytes(model.read_bytes() + b"\x00")
    with pytest.raises(TamperedModel, match=r"model\.skops was changed"):
        run_step(project, "register", folders, silent)
    assert open_registry(project).versions() == ()
    assert not list(project.models.glob("*"))


def foreign(values: Any) -> Any:
    """A function outside the project's package."""
    return values


def test_a_model_of_a_type_that_nobody_vouches_for_is_not_even_built(walked: tuple[Project, Folders]) -> None:
    folder = walked[1].outputs / "trained"
    (folder / "estimator.skops").write_bytes(dump_estimator(FunctionTransformer(foreign)))
    with pytest.raises(UntrustedModel, match="foreign"):
        read_trained(folder, trusted_package=PACKAGE)


@pytest.mark.parametrize(
    ("file", "body", "said"),
    [
        ("prepared/prepared.json", b"{", "it is no JSON"),
        ("prepared/prepared.json", b"[]", "it is no JSON object"),
        ("prepared/prepared.json", b'{"run": {}, "how": "random"}', "it lacks facts, lineage"),
        ("prepared/rows.parquet", b"PAR1", r"rows\.parquet"),
        ("trained/trained.json", b"{}", "it lacks name, signature"),
        ("trained/estimator.skops", None, "No such file"),
        ("prepared", None, "there is no such folder"),
    ],
    ids=["no json", "a list", "too little", "corrupt parquet", "nothing", "no model", "no folder"],
)
def test_a_handover_that_is_damaged_is_told_with_its_file(
    walked: tuple[Project, Folders], file: str, body: bytes | None, said: str
) -> None:
    project, folders = walked
    path = folders.outputs / file
    if body is not None:
        path.write_bytes(body)
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(HandoverBroken, match=said) as refusal:
        run_step(project, "evaluate", folders, silent)
    assert str(path.name) in str(refusal.value)


def test_an_archive_that_would_leave_its_folder_is_refused(walked: tuple[Project, Folders]) -> None:
    project, folders = walked
    (folders.inputs / "trained").mkdir(parents=True)
    victim = folders.inputs.parent / "victim.txt"
    victim.write_text("mine")
    with tarfile.open(folders.inputs / "trained/model.tar.gz", "w:gz") as archive:
        archive.add(victim, "../../victim.txt")
    victim.write_text("still mine")
    with pytest.raises(HandoverBroken, match="outside the destination"):
        run_step(project, "evaluate", folders, silent)
    assert victim.read_text() == "still mine"


def test_an_archive_with_a_link_in_it_is_refused_and_nothing_of_it_is_written(
    walked: tuple[Project, Folders], tmp_path: Path
) -> None:
    project, folders = walked
    (folders.inputs / "trained").mkdir(parents=True)
    (tmp_path / "away").symlink_to("/etc")
    (tmp_path / "fine").write_text("fine")
    with tarfile.open(folders.inputs / "trained/model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "fine", "trained/fine")
        archive.add(tmp_path / "away", "trained/away")
    with pytest.raises(HandoverBroken, match="trained/away is a link"):
        run_step(project, "evaluate", folders, silent)
    assert not list(folders.inputs.rglob("fine"))


@pytest.mark.parametrize("place", [0.1, 0.3, 0.5, 0.7, 0.999])
def test_an_archive_that_was_damaged_on_its_way_is_told_with_its_name(
    place: float, walked: tuple[Project, Folders]
) -> None:
    project, folders = walked
    (folders.inputs / "trained").mkdir(parents=True)
    path = folders.inputs / "trained/model.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folders.outputs / "trained", "trained")
    body = bytearray(path.read_bytes())
    body[int(len(body) * place)] ^= 0xFF
    path.write_bytes(body)
    with pytest.raises(HandoverBroken, match=r"model\.tar\.gz"):
        run_step(project, "evaluate", folders, silent)


def test_a_folder_that_cannot_be_written_is_told_as_such(tmp_path: Path) -> None:
    project = wine(tmp_path / "p")
    (tmp_path / "output").write_text("a file")
    with pytest.raises(WriteFailed, match="output"):
        run_step(project, "prepare", Folders(tmp_path / "input", tmp_path / "output"), silent)


def test_where_the_folders_are() -> None:
    plain = Folders.of({})
    assert (plain.inputs, plain.outputs) == (Path("/opt/ml/processing/input"), Path("/opt/ml/processing/output"))
    moved = Folders.of({"FACTORY_IO": "/x", "FACTORY_OUTPUT": "/opt/ml/model"})
    assert (moved.inputs, moved.outputs) == (Path("/x/input"), Path("/opt/ml/model"))


# --- the exported pipeline, container by container, in folders laid out as /opt/ml


def cloud(tmp_path: Path, project: Project) -> Sagemaker:
    shutil.copytree(project.root, tmp_path / "image", ignore=shutil.ignore_patterns("data", "artifacts"))
    values = {
        "Image": "image:v1", "RoleArn": "role", "KeyArn": "key", "ModelPackageGroup": "churn-dev", "InstanceType": "ml.m5.large",
        "DataUri": "s3://data/training/", "ArtifactsUri": "s3://artifacts/project/", "WorkUri": "s3://artifacts/pipelines",
    }  # fmt: skip
    made = Sagemaker(tmp_path, tmp_path / "image", values)
    shutil.copytree(project.root / "data", made.bucket("s3://data/training/"))
    made.bucket("s3://artifacts/project/").mkdir(parents=True)
    return made


@pytest.mark.slow
def test_the_exported_pipeline_registers_the_model_that_a_run_makes(tmp_path: Path) -> None:
    project = wine(tmp_path / "p")
    world = cloud(tmp_path, project)
    assert world.execute(definition(project.usecase, "churn")) == "succeeded"
    assert world.ran == ["prepare", "train", "evaluate", "register", "register-model"]
    artifacts = world.bucket("s3://artifacts/project/")
    shutil.copytree(artifacts, project.artifacts)
    (there,) = open_registry(project).versions()
    here = run(project).registered
    assert here is not None
    assert model_fingerprint(there.folder) == model_fingerprint(here.folder)
    (announced,) = world.announced
    (container,) = announced["InferenceSpecification"]["Containers"]
    package = world.bucket(container["ModelDataSource"]["S3DataSource"]["S3Uri"])
    assert load_package(package, digest=there.digest, trusted_package=PACKAGE).digest == there.digest
    assert world.bucket(announced["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]).is_file()
    assert announced["ModelApprovalStatus"] == "PendingManualApproval"


@pytest.mark.slow
@pytest.mark.matrix
def test_the_exported_pipeline_registers_nothing_where_a_gate_failed(tmp_path: Path) -> None:
    project = wine(tmp_path / "p", acceptance={"metrics": {"log_loss": {"max": 0.0}}})
    world = cloud(tmp_path, project)
    ended = world.execute(definition(project.usecase, "churn"))
    assert ended.startswith("failed: A gate failed, so nothing is registered.")
    assert world.ran == ["prepare", "train", "evaluate", "refused"]
    assert world.announced == []
    assert list(world.bucket("s3://artifacts/project/").iterdir()) == []
    assert (world.bucket(ended.rpartition(" ")[2]) / "card.html").is_file()


def test_rows_that_break_the_contract_fail_their_step(tmp_path: Path) -> None:
    project = wine(tmp_path / "p")
    world = cloud(tmp_path, project)
    file = world.bucket("s3://data/training/") / "rows.csv"
    file.write_text(file.read_text().replace("alcohol", "spirit"))
    assert world.execute(definition(project.usecase, "churn")) == "failed: step prepare ended with 4"
    assert "'alcohol' is missing" in (tmp_path / "machines/prepare/log").read_text()
