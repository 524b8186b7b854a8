"""Stages: which model answers where; outside dev only an approved one, checked when it is put there and when it is taken."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ai_factory_runtime.base.errors import NotApproved, NothingDeployed, TamperedModel, WriteFailed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import DeploymentUnreadable, NothingToRollBack, ReleaseInvalid, UnknownStage
from ai_factory_runtime.model_package.package import package_digest
from ai_factory_runtime.releases.registry import ModelVersion, open_registry
from ai_factory_runtime.releases.release import approve
from ai_factory_runtime.releases.stages import deploy, deployed, history, load_deployed, promote, roll_back
from helpers_serving import make_package, make_project


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with three registered versions, none deployed. Tests copy it."""
    project = make_project(tmp_path_factory.mktemp("registered") / "project")
    for number in (1, 2, 3):
        folder, digest = make_package(project, f"run-{number}", seed=number, rows=120)
        open_registry(project).register(folder, digest=digest, run_id=f"run-{number}", tags={}, metrics={})
    return project


@pytest.fixture
def project(registered: Project, tmp_path: Path) -> Project:
    shutil.copytree(registered.root, tmp_path / "project")
    return dataclasses.replace(registered, root=tmp_path / "project")


def add(project: Project, version: int) -> ModelVersion:
    """Deploy a registered version to dev, as the pipeline does."""
    folder = project.models / f"run-{version}"
    model = ModelVersion(version, package_digest(folder), folder, f"run-{version}")
    deploy(project, "dev", version=version, digest=model.digest, folder=folder)
    return model


def sign(project: Project, version: int) -> None:
    approve(project, version, role="owner", by="Ada")
    approve(project, version, role="consumer", by="Grace")


def stage_file(project: Project, stage: str) -> Path:
    return project.stages / f"{stage}.json"


def test_dev_takes_a_model_that_nobody_signed(project: Project) -> None:
    model = add(project, 1)
    found = deployed(project, "dev")
    assert (found.version, found.digest, found.folder) == (1, model.digest, model.folder.resolve())
    _, package = load_deployed(project, "dev")
    assert package.digest == model.digest


def test_outside_dev_an_unsigned_model_is_not_promoted(project: Project) -> None:
    add(project, 1)
    with pytest.raises(NotApproved):
        promote(project, 1, "staging")
    assert not stage_file(project, "staging").exists()


def test_outside_dev_an_unsigned_model_is_not_deployed_past_promote(project: Project) -> None:
    model = add(project, 1)
    with pytest.raises(NotApproved):
        deploy(project, "prod", version=1, digest=model.digest, folder=model.folder)


def test_a_stage_file_written_by_hand_gives_no_unsigned_model(project: Project) -> None:
    add(project, 1)
    document = json.loads(stage_file(project, "dev").read_text(encoding="utf-8"))
    stage_file(project, "prod").write_text(json.dumps({**document, "stage": "prod"}), encoding="utf-8")
    for take in (deployed, load_deployed):
        with pytest.raises(NotApproved):
            take(project, "prod")


def test_an_approval_withdrawn_later_stops_the_stage(project: Project) -> None:
    add(project, 1)
    sign(project, 1)
    promote(project, 1, "prod")
    assert deployed(project, "prod").version == 1
    record = next((project.root / "governance" / "releases").glob("1-*.yaml"))
    record.unlink()
    with pytest.raises(NotApproved):
        load_deployed(project, "prod")


def test_a_signed_model_of_another_version_number_is_refused(project: Project) -> None:
    model = add(project, 1)
    sign(project, 1)
    with pytest.raises((NotApproved, ReleaseInvalid)):
        deploy(project, "prod", version=2, digest=model.digest, folder=model.folder)


def test_files_that_are_not_those_of_the_digest_are_refused(project: Project) -> None:
    first, second = add(project, 1), add(project, 2)
    with pytest.raises(TamperedModel):
        deploy(project, "dev", version=1, digest=first.digest, folder=second.folder)


def test_a_model_changed_after_its_deployment_is_not_loaded(project: Project) -> None:
    model = add(project, 1)
    (model.folder / "signature.json").write_text("{}", encoding="utf-8")
    with pytest.raises(TamperedModel):
        load_deployed(project, "dev")


def test_another_whole_package_in_its_place_is_not_loaded(project: Project) -> None:
    first, second = add(project, 1), add(project, 2)
    deploy(project, "dev", version=1, digest=first.digest, folder=first.folder)
    shutil.rmtree(first.folder)
    shutil.copytree(second.folder, first.folder)
    with pytest.raises(TamperedModel):
        load_deployed(project, "dev")


def test_a_stage_without_a_model_says_what_to_do(project: Project) -> None:
    with pytest.raises(NothingDeployed) as dev:
        deployed(project, "dev")
    assert "churn run" in dev.value.hint
    with pytest.raises(NothingDeployed) as prod:
        deployed(project, "prod")
    assert "churn promote" in prod.value.hint


def test_an_unknown_stage_is_refused_with_the_nearest(project: Project) -> None:
    for act in (deployed, roll_back, history):
        with pytest.raises(UnknownStage, match="did you mean 'prod'"):
            act(project, "prd")
    with pytest.raises(UnknownStage):
        promote(project, 1, "../dev")


def test_a_stage_goes_back_to_the_model_before(project: Project) -> None:
    add(project, 1)
    add(project, 2)
    add(project, 3)
    assert [m.version for m in history(project, "dev")] == [2, 1]
    assert roll_back(project, "dev").version == 2
    assert roll_back(project, "dev").version == 1
    assert deployed(project, "dev").version == 1
    with pytest.raises(NothingToRollBack):
        roll_back(project, "dev")


def test_going_back_needs_the_approval_too(project: Project) -> None:
    for number in (1, 2):
        add(project, number)
        sign(project, number)
        promote(project, number, "prod")
    next((project.root / "governance" / "releases").glob("1-*.yaml")).unlink()
    with pytest.raises(NotApproved):
        roll_back(project, "prod")
    assert deployed(project, "prod").version == 2


def test_the_same_model_deployed_twice_is_one_step_of_history(project: Project) -> None:
    model = add(project, 1)
    deploy(project, "dev", version=1, digest=model.digest, folder=model.folder)
    assert history(project, "dev") == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"stage": "dev", "version": 1}',
        '{"stage": "prod", "version": 1, "digest": "d", "folder": "models/run-1", "at": "", "history": []}',
        '{"stage": "dev", "version": "1", "digest": "d", "folder": "models/run-1", "at": "", "history": []}',
        '{"stage": "dev", "version": 1, "digest": "d", "folder": "../../elsewhere", "at": "", "history": []}',
        '{"stage": "dev", "version": 1, "digest": "d", "folder": "/etc", "at": "", "history": []}',
    ],
)
def test_a_damaged_stage_file_is_refused(project: Project, text: str) -> None:
    stage_file(project, "dev").parent.mkdir(parents=True)
    stage_file(project, "dev").write_text(text, encoding="utf-8")
    with pytest.raises(DeploymentUnreadable):
        deployed(project, "dev")


@pytest.mark.parametrize("text", ["{", '{"stage": "dev", "version": 1}'])
def test_promoting_writes_a_damaged_stage_file_anew_as_its_refusal_says_and_keeps_it(
    project: Project, text: str
) -> None:
    add(project, 1)
    stage_file(project, "dev").write_text(text, encoding="utf-8")
    with pytest.raises(DeploymentUnreadable) as refusal:
        deployed(project, "dev")
    assert "promote VERSION --stage" in refusal.value.hint
    assert promote(project, 2, "dev").version == 2
    assert deployed(project, "dev").version == 2
    assert history(project, "dev") == ()
    assert (project.stages / "dev.json.damaged").read_text(encoding="utf-8") == text


def test_a_damaged_stage_file_is_no_way_around_an_approval(project: Project) -> None:
    stage_file(project, "prod").parent.mkdir(parents=True)
    stage_file(project, "prod").write_text("{", encoding="utf-8")
    with pytest.raises(NotApproved):
        promote(project, 1, "prod")
    assert stage_file(project, "prod").read_text(encoding="utf-8") == "{"


def test_deployments_at_the_same_moment_are_all_in_the_history(project: Project) -> None:
    found = {n: package_digest(project.models / f"run-{n}") for n in (1, 2, 3)}
    for _ in range(4):
        together = threading.Barrier(3)

        def deploy_together(number: int, together: threading.Barrier = together) -> None:
            together.wait()
            deploy(project, "dev", version=number, digest=found[number], folder=project.models / f"run-{number}")

        with ThreadPoolExecutor(3) as pool:
            list(pool.map(deploy_together, found))
        assert {deployed(project, "dev").version, *(m.version for m in history(project, "dev"))} == {1, 2, 3}
        stage_file(project, "dev").unlink()


def test_going_back_twice_at_the_same_moment_goes_two_steps_back(project: Project) -> None:
    for number in (1, 2, 3):
        add(project, number)
    together = threading.Barrier(2)

    def back(_: int) -> int:
        together.wait()
        return roll_back(project, "dev").version

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(back, range(2))) == [1, 2]
    assert deployed(project, "dev").version == 1


def test_a_project_can_be_moved(project: Project, tmp_path: Path) -> None:
    add(project, 1)
    moved = make_project(tmp_path / "elsewhere")
    shutil.move(project.artifacts, moved.artifacts)
    assert load_deployed(moved, "dev")[0].folder.is_relative_to(moved.root.resolve())


def test_a_container_that_is_handed_its_model_is_held_to_the_same_approval(project: Project, tmp_path: Path) -> None:
    model = add(project, 1)
    handed = tmp_path / "opt" / "ml" / "model"
    shutil.copytree(model.folder, handed)
    environment = {"AI_FACTORY_MODEL": str(handed)}
    assert load_deployed(project, "dev", environment)[1].folder == handed
    with pytest.raises(NotApproved):
        load_deployed(project, "prod", environment)
    sign(project, 1)
    assert load_deployed(project, "prod", environment)[0].version == 1


def test_a_file_that_cannot_be_written_leaves_the_stage_as_it_was(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operating system refuses the last step, as a full or read-only disk does."""
    add(project, 1)
    before = stage_file(project, "dev").read_bytes()
    folder = project.models / "run-2"
    digest = package_digest(folder)

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(WriteFailed, match="No space left"):
        deploy(project, "dev", version=2, digest=digest, folder=folder)
    assert stage_file(project, "dev").read_bytes() == before
    assert sorted(p.name for p in project.stages.iterdir()) == [".dev.lock", "dev.json"]
