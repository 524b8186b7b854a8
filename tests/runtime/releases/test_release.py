"""Releases: nothing counts as approved unless every role has signed this very model, and every way around that is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from ai_factory_runtime.base.errors import NotApproved, TamperedModel, UnknownVersion
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import ApprovalRefused, PolicyInvalid, ReleaseInvalid
from ai_factory_runtime.releases.registry import ModelVersion, open_registry
from ai_factory_runtime.releases.release import approve, list_releases, load_policy, open_release, require_approved
from ai_factory_spec.usecase import Risk
from helpers_serving import POLICY, make_package, make_project


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with two registered versions. Tests copy it."""
    project = make_project(tmp_path_factory.mktemp("registered") / "project")
    for number in (1, 2):
        register(project, f"run-{number}", seed=number)
    return project


@pytest.fixture
def project(registered: Project, tmp_path: Path) -> Project:
    shutil.copytree(registered.root, tmp_path / "project")
    return dataclasses.replace(registered, root=tmp_path / "project")


def register(project: Project, run: str, seed: int) -> ModelVersion:
    folder, digest = make_package(project, run, seed=seed)
    return open_registry(project).register(folder, digest=digest, run_id=run, tags={}, metrics={})


def model(project: Project, version: int = 1) -> ModelVersion:
    return open_registry(project).get(version)


def sign(project: Project, version: int = 1) -> Path:
    """Sign as both roles that a medium risk needs."""
    approve(project, version, role="owner", by="Ada Lovelace", comment="read the card")
    return approve(project, version, role="consumer", by="Grace Hopper").path


def approved(project: Project, version: int = 1) -> bool:
    """Whether the model may leave dev; False only when it is refused for that reason."""
    try:
        require_approved(project, model(project, version).folder, stage="prod", version=version)
    except (NotApproved, ReleaseInvalid, TamperedModel):
        return False
    return True


def test_a_model_is_approved_once_every_role_has_signed(project: Project) -> None:
    folder = model(project).folder
    with pytest.raises(NotApproved) as nobody:
        require_approved(project, folder, stage="prod")
    assert nobody.value.missing == ("owner", "consumer")
    approve(project, 1, role="owner", by="Ada Lovelace")
    with pytest.raises(NotApproved) as half:
        require_approved(project, folder, stage="prod")
    assert half.value.missing == ("consumer",)
    assert "churn approve 1 --role consumer" in half.value.hint
    approve(project, 1, role="consumer", by="Grace Hopper")
    assert require_approved(project, folder, stage="prod").approved


def test_a_record_names_its_model_and_carries_the_evidence(project: Project) -> None:
    path = sign(project)
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert path.name == f"1-{model(project).digest[:12]}.yaml"
    assert record["digest"] == model(project).digest
    assert record["evidence"]["results"]["metrics"]["roc_auc"]["value"] == 0.9
    assert [(a["role"], a["by"]) for a in record["approvals"]] == [
        ("owner", "Ada Lovelace"),
        ("consumer", "Grace Hopper"),
    ]


def test_opening_a_release_again_keeps_its_signatures(project: Project) -> None:
    path = sign(project)
    before = path.read_bytes()
    assert open_release(project, model(project)) == path
    assert path.read_bytes() == before


def test_the_approval_of_one_version_does_not_cover_another(project: Project) -> None:
    sign(project, 1)
    assert approved(project, 1)
    assert not approved(project, 2)


@pytest.mark.parametrize("again", ["Ada Lovelace", "ada  LOVELACE ", "Ａda Lovelace"])
def test_one_person_signs_one_role(project: Project, again: str) -> None:
    approve(project, 1, role="owner", by="Ada Lovelace")
    with pytest.raises(ApprovalRefused, match="one person signs one role"):
        approve(project, 1, role="consumer", by=again)


@pytest.mark.parametrize(
    ("role", "by", "reason"),
    [
        ("owner", "Someone Else", "has signed as owner already"),
        ("onwer", "Grace Hopper", "did you mean 'owner'"),
        ("consumer", "  ", "name of a person"),
        ("consumer", "two\x00lines", "name of a person"),
    ],
)
def test_a_signature_that_cannot_be_taken_is_refused(project: Project, role: str, by: str, reason: str) -> None:
    path = approve(project, 1, role="owner", by="Ada Lovelace").path
    before = path.read_bytes()
    with pytest.raises(ApprovalRefused, match=reason):
        approve(project, 1, role=role, by=by)
    assert path.read_bytes() == before


def test_a_version_that_is_not_registered_cannot_be_signed(project: Project) -> None:
    with pytest.raises(UnknownVersion):
        approve(project, 3, role="owner", by="Ada Lovelace")


def _set(*path: str | int, to: object) -> Callable[[dict[str, object]], None]:
    def change(record: dict[str, object]) -> None:
        node: object = record
        for step in path[:-1]:
            node = node[step]  # type: ignore[index]
        node[path[-1]] = to  # type: ignore[index]

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("digest", to="0" * 64),
        _set("version", to=2),
        _set("usecase", to="Other"),
        _set("risk", to="low"),
        _set("opened", to="2020-01-01T00:00:00+00:00"),
        _set("evidence", "card", to="0" * 64),
        _set("evidence", "results", "metrics", "roc_auc", "value", to=0.99),
        _set("approvals", 0, "by", to="Somebody Else"),
        _set("approvals", 0, "comment", to="with all my heart"),
        _set("approvals", 0, "role", to="risk"),
        _set("approvals", 1, "by", to="Ada Lovelace"),
        _set("approvals", 0, "seal", to="0" * 64),
        lambda record: record["approvals"].append(dict(record["approvals"][0])),
        lambda record: record.pop("evidence"),
        lambda record: record.update(extra="field"),
    ],
)
def test_a_record_edited_after_signing_approves_nothing(
    project: Project, change: Callable[[dict[str, object]], None]
) -> None:
    path = sign(project)
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(record, sort_keys=False), encoding="utf-8")
    assert approved(project), "writing the same record again changes nothing"
    change(record)
    path.write_text(yaml.safe_dump(record, sort_keys=False), encoding="utf-8")
    assert not approved(project)
    with pytest.raises(ReleaseInvalid):
        approve(project, 1, role="risk", by="Third Person")


def test_a_record_whose_digest_differs_past_its_file_name_cannot_be_signed(project: Project) -> None:
    path, digest = open_release(project, model(project)), model(project).digest
    other = digest[:12] + digest[12:][::-1]
    path.write_text(path.read_text(encoding="utf-8").replace(digest, other), encoding="utf-8")
    with pytest.raises(ReleaseInvalid, match="it is of the model"):
        approve(project, 1, role="owner", by="Ada Lovelace")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set("evidence", "card", to="0" * 64), "its model card is another one"),
        (_set("evidence", "results", "metrics", "roc_auc", "value", to=0.99), "its results are not those of the model"),
        (_set("usecase", to="Other"), "it is of use case 'Other'"),
        (_set("version", to=7), "it is of version 7"),
    ],
)
def test_a_record_edited_before_signing_cannot_be_signed(
    project: Project, change: Callable[[dict[str, object]], None], reason: str
) -> None:
    path = open_release(project, model(project))
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(yaml.safe_dump(record, sort_keys=False), encoding="utf-8")
    with pytest.raises(ReleaseInvalid, match=reason):
        approve(project, 1, role="owner", by="Ada Lovelace")


def test_a_record_copied_from_another_version_approves_nothing(project: Project) -> None:
    source = sign(project, 1)
    shutil.copy(source, source.with_name(f"2-{model(project, 2).digest[:12]}.yaml"))
    assert not approved(project, 2)


def test_a_signature_copied_from_another_version_approves_nothing(project: Project) -> None:
    first = yaml.safe_load(sign(project, 1).read_text(encoding="utf-8"))
    path = open_release(project, model(project, 2))
    second = yaml.safe_load(path.read_text(encoding="utf-8"))
    second["approvals"] = first["approvals"]
    path.write_text(yaml.safe_dump(second, sort_keys=False), encoding="utf-8")
    assert not approved(project, 2)


@pytest.mark.parametrize("name", ["card.md", "metrics.json", "model.skops"])
def test_a_model_changed_after_signing_is_not_approved(project: Project, name: str) -> None:
    sign(project)
    file = model(project).folder / name
    file.write_bytes(file.read_bytes() + b" ")
    assert not approved(project)
    with pytest.raises(TamperedModel):
        open_release(project, model(project))


def test_a_package_put_in_the_place_of_a_registered_one_cannot_be_signed(project: Project) -> None:
    first, second = model(project, 1).folder, model(project, 2).folder
    shutil.rmtree(first)
    shutil.copytree(second, first)
    with pytest.raises(TamperedModel, match="registered was"):
        approve(project, 1, role="owner", by="Ada Lovelace")


def test_a_higher_risk_tier_asks_for_its_signatures_afterwards(project: Project) -> None:
    sign(project)
    riskier = dataclasses.replace(project, usecase=project.usecase.model_copy(update={"risk": Risk(tier="high")}))
    with pytest.raises(NotApproved) as refusal:
        require_approved(riskier, model(project).folder, stage="prod")
    assert refusal.value.missing == ("risk",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "approvals: {low: [owner], medium: [owner], high: [owner]}\n",
        POLICY.replace("ai-factory/v1", "ai-factory/v2"),
        POLICY.replace("  high: [owner, consumer, risk]\n", ""),
        POLICY.replace("medium: [owner, consumer]", "medium: []"),
        POLICY.replace("medium: [owner, consumer]", "medium: [owner, owner]"),
        POLICY.replace("medium: [owner, consumer]", "medium: owner"),
        POLICY.replace("medium", "middle"),
        POLICY + "enforced: false\n",
        POLICY.replace("[owner, consumer]", "[owner, 3]"),
        "]",
    ],
)
def test_a_policy_that_does_not_say_who_signs_lets_nothing_through(project: Project, text: str) -> None:
    sign(project)
    (project.root / "governance" / "approvals.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(PolicyInvalid):
        require_approved(project, model(project).folder, stage="prod")


def test_a_missing_policy_lets_nothing_through(project: Project) -> None:
    sign(project)
    (project.root / "governance" / "approvals.yaml").unlink()
    with pytest.raises(PolicyInvalid):
        require_approved(project, model(project).folder, stage="prod")


def test_a_policy_says_which_roles_each_tier_needs(project: Project) -> None:
    assert load_policy(project).roles("high") == ("owner", "consumer", "risk")


def test_all_releases_are_listed_with_where_they_stand(project: Project) -> None:
    sign(project, 2)
    open_release(project, model(project, 1))
    (project.root / "governance" / "releases" / "9-broken.yaml").write_text("]", encoding="utf-8")
    newest, older, broken = list_releases(project)
    assert (newest.version, newest.approved) == (2, True)
    assert (older.version, older.missing) == (1, ("owner", "consumer"))
    assert broken.problems
    assert not broken.approved


def test_a_listed_release_whose_model_was_changed_says_so(project: Project) -> None:
    sign(project, 1)
    (model(project).folder / "card.md").write_text("better numbers\n", encoding="utf-8")
    (release,) = list_releases(project)
    assert not release.approved
    assert any("card.md" in problem for problem in release.problems)


class Comment(str):
    """A comment that takes a moment to read: its reader waits for the others who read theirs, or half a second."""

    together: threading.Barrier

    def __len__(self) -> int:
        with contextlib.suppress(threading.BrokenBarrierError):
            self.together.wait(timeout=0.5)
        return super().__len__()


def at_once(project: Project, signatures: list[tuple[str, str]]) -> list[str]:
    """Sign in several threads, all of which have read the record before one writes it, unless it is locked."""
    together = threading.Barrier(len(signatures))

    def act(signature: tuple[str, str]) -> str:
        comment = Comment("read the card")
        comment.together = together
        try:
            approve(project, 1, role=signature[0], by=signature[1], comment=comment)
        except ApprovalRefused:
            return "refused"
        return "signed"

    with ThreadPoolExecutor(len(signatures)) as pool:
        return sorted(pool.map(act, signatures))


def test_signatures_given_at_the_same_moment_are_all_kept(project: Project) -> None:
    people = {"owner": "Ada Lovelace", "consumer": "Grace Hopper", "risk": "Katherine Johnson"}
    assert at_once(project, list(people.items())) == ["signed"] * 3
    (release,) = list_releases(project)
    assert {a.role: a.by for a in release.approvals} == people
    assert release.approved


def test_of_two_people_who_sign_one_role_at_the_same_moment_one_is_refused(project: Project) -> None:
    assert at_once(project, [("owner", "Ada Lovelace"), ("owner", "Grace Hopper")]) == ["refused", "signed"]
    (release,) = list_releases(project)
    assert [a.role for a in release.approvals] == ["owner"]
