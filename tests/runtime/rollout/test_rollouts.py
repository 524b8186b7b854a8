"""Rollouts on disk: who may begin one, what is kept of it, and that a kill at any moment leaves the next decision its work."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest
from ai_factory_runtime.base.errors import NotApproved, NothingDeployed, TamperedModel, WriteFailed
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import LabelsUnusable, UnknownStage
from ai_factory_runtime.releases.release import approve
from ai_factory_runtime.releases.stages import deployed
from ai_factory_runtime.rollout import rollouts
from ai_factory_runtime.rollout.rollout_errors import NoRollout, RolloutRefused, RolloutUnreadable
from ai_factory_runtime.rollout.rollout_file import challenger_folder, observation_folder, rollout_file
from ai_factory_runtime.rollout.rollouts import agreed_terms, decide_now, find_rollout, look, running_rollout, withdraw
from ai_factory_spec.usecase import Latency, Monitoring
from helpers_rollout import answered, begin, calls, copied, make_registered, open_router, put, with_terms
from helpers_serving import make_package, make_usecase


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_registered(tmp_path_factory.mktemp("rollouts") / "project", "good", "good")


@pytest.fixture
def project(shared: Project, tmp_path: Path) -> Project:
    return copied(shared, tmp_path / "project")


def sign(project: Project, version: int) -> Path:
    for role, by in (("owner", "Ada"), ("consumer", "Grace")):
        release = approve(project, version, role=role, by=by)
    return release.path


def test_a_rollout_begins_with_the_terms_of_the_use_case_and_keeps_them(project: Project) -> None:
    begun = begin(project, 2)
    changed = with_terms(project, strategy="linear", step_percent=10)
    found = running_rollout(changed, "dev")
    assert found == begun
    assert found is not None
    assert (found.share, found.champion.version, found.challenger.version) == (50, 1, 2)
    assert challenger_folder(project, found) == (project.models / "run-2").resolve()


def test_where_the_rollout_has_no_bound_on_latency_the_accepted_one_counts(project: Project) -> None:
    accepted = project.usecase.acceptance.model_copy(update={"latency": Latency(p99_ms=30)})
    strict = dataclasses.replace(project, usecase=project.usecase.model_copy(update={"acceptance": accepted}))
    assert agreed_terms(strict).max_p99_ms == 30
    assert agreed_terms(with_terms(strict, max_p99_ms=12)).max_p99_ms == 12
    assert agreed_terms(project).max_p99_ms is None


def test_outside_dev_an_unsigned_version_meets_no_traffic(project: Project) -> None:
    sign(project, 1)
    put(project, 1, "prod")
    with pytest.raises(NotApproved):
        begin(project, 2, "prod")
    assert not rollout_file(project, "prod").exists()
    sign(project, 2)
    assert begin(project, 2, "prod").stage == "prod"


def test_a_stage_without_a_model_or_without_a_name_has_no_rollout(project: Project) -> None:
    with pytest.raises(NothingDeployed):
        begin(project, 2, "staging")
    with pytest.raises(UnknownStage):
        begin(project, 2, "prd")
    for act in (find_rollout, decide_now):
        with pytest.raises(NoRollout, match="There is no rollout in stage dev"):
            act(project, "dev")


def test_a_second_rollout_and_the_model_itself_are_refused(project: Project) -> None:
    with pytest.raises(RolloutRefused, match="answers there already"):
        begin(project, 1)
    begin(project, 2)
    with pytest.raises(RolloutRefused, match="version 2 is being rolled out there"):
        begin(project, 3)


def test_a_version_that_answers_another_question_is_refused_with_every_reason(project: Project) -> None:
    other = dataclasses.replace(project, usecase=make_usecase("multiclass"))
    make_package(other, "run-9")
    with pytest.raises(RolloutRefused) as refused:
        begin(project, 9)
    assert len(refused.value.problems) == 1
    assert "another target" in refused.value.problems[0]


def test_files_that_are_not_the_registered_ones_are_refused(project: Project) -> None:
    (project.models / "run-2" / "sketch.json").write_text("{}", encoding="utf-8")
    with pytest.raises(TamperedModel):
        begin(project, 2)
    assert running_rollout(project, "dev") is None


def test_a_good_version_is_promoted_and_its_record_is_kept(project: Project) -> None:
    begun = begin(project, 2)
    assert look(project, begun).action == "hold"
    answered(project)
    assert look(project, begun).action == "promote"
    assert deployed(project, "dev").version == 1
    done = decide_now(project, "dev")
    assert (done.decision.action, done.rollout.status) == ("promote", "promoted")
    assert deployed(project, "dev").version == 2
    kept = json.loads((observation_folder(project, begun) / "rollout.json").read_text(encoding="utf-8"))
    assert [e["what"] for e in kept["events"]] == ["started", "promoted"]
    with pytest.raises(NoRollout, match="over: promoted"):
        decide_now(project, "dev")
    assert begin(project, 3).champion.version == 2


def test_a_rollout_that_a_person_stops_leaves_the_champion(project: Project) -> None:
    begin(project, 2)
    stopped = withdraw(project, "dev", "Ada: the campaign starts today")
    assert (stopped.status, stopped.share) == ("stopped", 0)
    assert deployed(project, "dev").version == 1
    with pytest.raises(NoRollout):
        withdraw(project, "dev", "again")


def test_people_are_told_what_became_of_it_and_a_dead_channel_changes_nothing(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    channels = ({"kind": "file", "path": "artifacts/told.jsonl"}, {"kind": "webhook", "address_variable": "NOT_SET"})
    watched = Monitoring.model_validate({"notify": channels})
    told = dataclasses.replace(project, usecase=project.usecase.model_copy(update={"monitoring": watched}))
    begin(told, 2)
    decide_now(told, "dev")
    assert not (project.artifacts / "told.jsonl").exists()  # nothing was decided, nobody is disturbed
    answered(told)
    assert decide_now(told, "dev").rollout.status == "promoted"
    (line,) = (project.artifacts / "told.jsonl").read_text(encoding="utf-8").splitlines()
    notice = json.loads(line)
    assert (notice["event"], notice["stage"]) == ("rollout promoted", "dev")
    assert notice["text"].endswith("Version 2 answers.")
    assert "the variable NOT_SET is not set" in caplog.text


def test_an_approval_withdrawn_meanwhile_turns_the_promotion_into_the_way_back(project: Project) -> None:
    sign(project, 1)
    put(project, 1, "prod")
    record = sign(project, 2)
    begin(project, 2, "prod")
    answered(project, "prod")
    record.unlink()
    done = decide_now(project, "prod")
    assert done.rollout.status == "rolled back"
    assert "not approved" in done.decision.reason
    assert deployed(project, "prod").version == 1


def test_an_unsigned_challenger_that_was_written_into_a_file_never_answers(project: Project) -> None:
    begin(project, 2)
    document = json.loads(rollout_file(project, "dev").read_text(encoding="utf-8")) | {"stage": "prod"}
    rollout_file(project, "prod").write_text(json.dumps(document), encoding="utf-8")
    sign(project, 1)
    put(project, 1, "prod")
    router = open_router(project, "prod")
    router.refresh()
    assert router.rollout is None
    assert {router.answer(call).model.version for call in calls(project, 20)} == {1}
    router.close()
    ended = find_rollout(project, "prod")
    assert (ended.status, "not approved" in ended.events[-1].reason) == ("rolled back", True)


def test_a_stage_that_was_given_another_model_by_hand_ends_the_rollout(project: Project) -> None:
    begin(project, 2)
    put(project, 3)
    done = decide_now(project, "dev")
    assert (done.rollout.status, done.rollout.events[-1].reason) == ("overtaken", "the stage was given version 3")
    assert deployed(project, "dev").version == 3


def test_a_kill_between_deploying_and_noting_it_is_made_good(project: Project) -> None:
    begin(project, 2)
    put(project, 2)  # what a promotion does first
    done = decide_now(project, "dev")
    assert done.rollout.status == "promoted"
    assert deployed(project, "dev").version == 2


@pytest.mark.parametrize("victim", ["deploy", "write_rollout"])
def test_killed_at_any_step_of_a_promotion_the_next_decision_finishes_it(project: Project, victim: str) -> None:
    """The process kills itself, as an out-of-memory killer does, before and after it deploys."""
    begin(project, 2)
    answered(project)
    child = os.fork()
    if child == 0:
        setattr(rollouts, victim, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        decide_now(project, "dev")
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert running_rollout(project, "dev") is not None
    assert deployed(project, "dev").version == (1 if victim == "deploy" else 2)
    assert decide_now(project, "dev").rollout.status == "promoted"
    assert deployed(project, "dev").version == 2


def test_a_full_disk_leaves_the_rollout_where_it_stood(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(project, 2)
    before = rollout_file(project, "dev").read_bytes()

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Path, "replace", refuse)
        with pytest.raises(WriteFailed):
            withdraw(project, "dev", "it is enough")
    assert rollout_file(project, "dev").read_bytes() == before
    assert withdraw(project, "dev", "it is enough").status == "stopped"


def test_many_who_decide_at_once_promote_once(project: Project) -> None:
    begin(project, 2)
    answered(project)
    outcomes: list[str] = []

    def decide() -> None:
        try:
            outcomes.append(decide_now(project, "dev").rollout.status)
        except NoRollout:
            outcomes.append("over")

    threads = [threading.Thread(target=decide) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["over", "over", "over", "promoted"]
    assert [e.what for e in find_rollout(project, "dev").events] == ["started", "promoted"]


def test_a_worse_version_goes_back_when_the_true_values_arrive(project: Project, tmp_path: Path) -> None:
    """Version 2 answers well, but the labels say otherwise for its requests."""
    judged = with_terms(project, max_quality_drop=0.02)
    begin(judged, 2)
    told = ["request_id,churned"]
    for request, (version, value) in answered(judged).items():
        turned = {"yes": "no", "no": "yes"}[value]
        told.append(f"{request},{turned if version == 2 else value}")
    assert decide_now(judged, "dev").decision.action == "hold"
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(told) + "\n", encoding="utf-8")
    done = decide_now(judged, "dev", labels=labels)
    assert done.rollout.status == "rolled back"
    assert "quality differs by -1" in done.decision.reason
    assert deployed(judged, "dev").version == 1


def test_labels_that_were_named_must_be_usable_and_those_that_were_found_stop_nothing(
    project: Project, tmp_path: Path
) -> None:
    judged = with_terms(project, max_quality_drop=0.02)
    begin(judged, 2)
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(LabelsUnusable):
        decide_now(judged, "dev", labels=bad)
    found = judged.artifacts / "labels" / "dev"
    found.mkdir(parents=True)
    shutil.copy(bad, found)
    assert decide_now(judged, "dev").decision.action == "hold"


@pytest.mark.parametrize(
    "change",
    [
        {"status": "almost"},
        {"stage": "prod"},
        {"format": 2},
        {"step": 7},
        {"since": "2026-01-01T00:00:00"},
        {"terms": {"strategy": "slowly"}},
        {"champion": {"version": 1}},
        {"events": [{}]},
    ],
)
def test_a_damaged_file_is_refused(project: Project, change: dict[str, object]) -> None:
    begin(project, 2)
    path = rollout_file(project, "dev")
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(RolloutUnreadable, match=r"dev\.rollout\.json"):
        find_rollout(project, "dev")


def test_a_challenger_outside_artifacts_is_never_opened(project: Project) -> None:
    begin(project, 2)
    path = rollout_file(project, "dev")
    document = json.loads(path.read_text(encoding="utf-8"))
    document["challenger"]["folder"] = "../../elsewhere"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(RolloutUnreadable, match="outside artifacts/"):
        challenger_folder(project, find_rollout(project, "dev"))
