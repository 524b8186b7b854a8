"""The router: who answers which request, what callers notice of a bad challenger (nothing), and what becomes of it."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.releases.stages import deployed
from ai_factory_runtime.rollout.observations import Observations
from ai_factory_runtime.rollout.rollout_file import observation_folder, rollout_file
from ai_factory_runtime.rollout.rollouts import find_rollout, look, withdraw
from ai_factory_runtime.serving.endpoint import Call, Endpoint
from ai_factory_runtime.serving.refused import RequestRefused
from ai_factory_runtime.serving.router import Router, open_answering, position
from ai_factory_runtime.serving.server import create_app
from fastapi.testclient import TestClient
from helpers_rollout import begin, calls, make_champion, open_router, put, with_terms

GOOD, FRAGILE, SLOW, EAGER = 2, 3, 4, 5
TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_champion(tmp_path_factory.mktemp("router") / "project", "good", "fragile", "slow", "eager")


@pytest.fixture
def project(shared: Project, tmp_path: Path) -> Project:
    shutil.copytree(shared.root, tmp_path / "project")
    return few(dataclasses.replace(shared, root=tmp_path / "project"))


@pytest.fixture
def routers() -> Iterator[Callable[..., Router]]:
    """Makes routers, and closes them."""
    made: list[Router] = []

    def make(project: Project, stage: str = "dev", **times: float) -> Router:
        made.append(open_router(project, stage, **times))
        return made[-1]

    yield make
    for router in made:
        router.close()


def few(project: Project, **terms: object) -> Project:
    """Terms that a few real requests decide, by a wide margin."""
    return with_terms(project, **{"min_requests": 40, "max_prediction_shift": 1.0, **terms})


def versions(router: Router, asked: list[Call]) -> list[int]:
    return [router.answer(call).model.version for call in asked]


def wait_until(true: Callable[[], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


# ---------------------------------------------------------------- who answers
def test_without_a_rollout_the_champion_answers_everything(project: Project, routers: Callable[..., Router]) -> None:
    router = routers(project)
    router.refresh()
    assert set(versions(router, calls(project, 20))) == {1}
    assert router.rollout is None


def test_a_request_falls_to_the_same_arm_each_time_and_a_growing_share_keeps_its_requests() -> None:
    places = {f"r{i}": position("rollout-1", f"r{i}") for i in range(4000)}
    assert all(position("rollout-1", r) == place for r, place in places.items())
    shares = [sum(place < share for place in places.values()) / 4000 for share in (0.1, 0.5)]
    assert shares == pytest.approx([0.1, 0.5], abs=0.03)
    other = [position("rollout-2", r) for r, place in places.items() if place < 0.1]
    assert sum(place < 0.1 for place in other) / len(other) < 0.2  # each rollout draws anew


def test_a_canary_answers_its_share(project: Project, routers: Callable[..., Router]) -> None:
    begin(few(project, step_percent=20), GOOD)
    router, asked = routers(project), calls(project, 150)
    router.refresh()
    first = versions(router, asked)
    assert Counter(first)[2] / 150 == pytest.approx(0.2, abs=0.17)  # five standard deviations: an id is drawn anew
    assert versions(router, asked[:20]) == first[:20]


def test_a_shadow_sees_every_request_and_answers_none(project: Project, routers: Callable[..., Router]) -> None:
    rollout = begin(few(project, strategy="shadow"), GOOD)
    router = routers(project)
    router.refresh()
    for call in calls(project, 60):
        assert router.answer(call).model.version == 1
        time.sleep(0.001)
    router.close()
    decision = look(project, rollout)
    assert decision.action == "promote", decision.reason
    assert decision.checks[0].sentence.startswith("60 of 40 requests")


def test_what_the_caller_sends_wrong_is_no_failure_of_either(project: Project, routers: Callable[..., Router]) -> None:
    for strategy in ("canary", "shadow"):
        rollout = begin(few(project, strategy=strategy), GOOD)
        router = routers(project)
        router.refresh()
        for number in range(40):
            with pytest.raises(RequestRefused):
                router.answer(Call(f"r{number}", b'{"records": [{"age": "old"}]}'))
        router.close()
        assert "0 of 0 requests failed" in {c.name: c.sentence for c in look(project, rollout).checks}["error rate"]
        withdraw(project, "dev", "next")


# ---------------------------------------------------------------- what becomes of a challenger
def decided(project: Project, router: Router, seconds: float = 90.0) -> str:
    """Ask while the router follows, until it has decided. Every request gets an answer.

    The traffic goes on, as a service's does: a rollout's id draws anew who meets the challenger, so how many requests it takes
    differs from one to the next.
    """
    deadline, batch = time.monotonic() + seconds, 0
    while find_rollout(project, "dev").running:
        assert time.monotonic() < deadline, "it did not decide in time"
        for call in calls(project, 40, prefix=f"b{batch}-", seed=9 + batch):
            assert router.answer(call).prediction.values.size == 1
        time.sleep(0.02)
        batch += 1
    return find_rollout(project, "dev").status


def test_a_good_version_is_promoted_and_answers_without_a_restart(
    project: Project, routers: Callable[..., Router]
) -> None:
    begin(project, GOOD)
    router = routers(project, watch=0.02, decide=0.1)
    router.start()
    assert decided(project, router) == "promoted"
    wait_until(lambda: router.endpoint.model.version == GOOD)
    assert set(versions(router, calls(project, 10))) == {GOOD}
    assert deployed(project, "dev").version == GOOD


@pytest.mark.parametrize(
    ("number", "strategy", "terms", "why"),
    [
        (FRAGILE, "canary", {}, "requests failed"),
        (FRAGILE, "shadow", {}, "requests failed"),
        (FRAGILE, "all-at-once", {}, "requests failed"),
        (SLOW, "canary", {"max_p99_ms": 3.0}, "took more than 3 ms"),
        (EAGER, "canary", {}, "PSI of the"),
        (EAGER, "ab", {}, "PSI of the"),
        (EAGER, "shadow", {}, "PSI of the"),
    ],
)
def test_a_bad_version_is_taken_back_and_no_caller_notices(
    project: Project, routers: Callable[..., Router], number: int, strategy: str, terms: dict[str, float], why: str
) -> None:
    begin(few(project, strategy=strategy, **terms), number)
    router = routers(project, watch=0.02, decide=0.1)
    router.start()
    assert decided(project, router) == "rolled back"
    last = find_rollout(project, "dev").events[-1]
    assert why in last.reason
    wait_until(lambda: router.rollout is None)
    assert set(versions(router, calls(project, 20))) == {1}
    assert deployed(project, "dev").version == 1


def test_where_the_challenger_fails_the_champion_answers(
    project: Project, routers: Callable[..., Router], caplog: pytest.LogCaptureFixture
) -> None:
    begin(project, FRAGILE)
    router = routers(project)
    router.refresh()
    gold = [c for c in calls(project, 120) if b'"gold"' in c.body]
    assert set(versions(router, gold)) == {1}
    failures = [json.loads(r.message) for r in caplog.records if "challenger failed" in r.message]
    assert failures
    assert all(set(f) == {"event", "request_id", "error"} for f in failures)  # nothing of the request's content


# ---------------------------------------------------------------- who may answer
def test_a_challenger_that_may_not_answer_here_is_sent_back_before_it_does(
    project: Project, routers: Callable[..., Router]
) -> None:
    """Somebody edits the file of a rollout, or the package: the router checks for itself."""
    begin(project, GOOD)
    (project.models / "run-2" / "sketch.json").write_text("{}", encoding="utf-8")
    router = routers(project)
    router.refresh()
    assert router.rollout is None
    assert set(versions(router, calls(project, 20))) == {1}
    ended = find_rollout(project, "dev")
    assert (ended.status, "not what was registered" in ended.events[-1].reason) == ("rolled back", True)


def test_a_container_that_was_handed_its_model_routes_nothing(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed = tmp_path / "model"
    shutil.copytree(project.models / "run-1", handed)
    monkeypatch.setenv("AI_FACTORY_MODEL", str(handed))
    assert isinstance(open_answering(project, "dev"), Endpoint)
    monkeypatch.delenv("AI_FACTORY_MODEL")
    assert isinstance(open_answering(project, "dev"), Router)


# ---------------------------------------------------------------- files that change, and files that are damaged
def test_a_model_that_is_deployed_by_hand_answers_without_a_restart(
    project: Project, routers: Callable[..., Router]
) -> None:
    begin(project, GOOD)
    router = routers(project)
    router.refresh()
    assert router.rollout is not None
    put(project, EAGER)
    router.refresh()
    assert router.rollout is None
    assert set(versions(router, calls(project, 10))) == {EAGER}


def test_a_damaged_file_stops_the_rollout_and_no_answer(
    project: Project, routers: Callable[..., Router], caplog: pytest.LogCaptureFixture
) -> None:
    begin(project, GOOD)
    router = routers(project, watch=0.02, decide=0.02)
    router.start()
    rollout_file(project, "dev").write_text("{", encoding="utf-8")
    wait_until(lambda: router.rollout is None)
    assert set(versions(router, calls(project, 10))) == {1}
    assert "does not say where the rollout stands" in caplog.text


def test_a_stopped_rollout_ends_in_every_server(project: Project, routers: Callable[..., Router]) -> None:
    begin(project, GOOD)
    both = [routers(project), routers(project)]
    for router in both:
        router.refresh()
        assert 2 in versions(router, calls(project, 20))
    withdraw(project, "dev", "stop")
    for router in both:
        router.refresh()
        assert set(versions(router, calls(project, 20))) == {1}


def test_over_http_the_answer_names_the_version_that_gave_it(project: Project) -> None:
    begin(few(project, min_requests=1000), GOOD)  # nothing is decided meanwhile
    with TestClient(create_app(project, "dev", capture_rate=0.0)) as client:
        found: Counter[int] = Counter()
        for call in calls(project, 60):
            answer = client.post("/invocations", content=call.body, headers={"content-type": "application/json", "x-request-id": call.request_id})  # fmt: skip
            assert answer.status_code == 200
            assert answer.headers["x-model-version"] == str(answer.json()["model"]["version"])
            found[answer.json()["model"]["version"]] += 1
        assert client.get("/ping").json()["model"]["version"] == 1
    assert set(found) == {1, 2}


def written_down(project: Project) -> int:
    """How many requests of the rollout are in its files."""
    rollout = find_rollout(project, "dev")
    found = Observations(observation_folder(project, rollout))
    found.refresh()
    return sum(s.champion.requests + s.challenger.requests for s in found.steps(rollout.terms).values())


@pytest.mark.slow
def test_a_killed_server_takes_the_rollout_up_where_it_stood(project: Project) -> None:
    """kill -9 in the middle; the next server counts on, and promotes.

    Of 160 requests about 80 (standard deviation 6) meet the challenger: 120 are those of both servers together.
    """
    begin(few(project, min_requests=120), GOOD)
    body = f"""
    import logging, sys
    from pathlib import Path
    sys.path.insert(0, {str(TESTS)!r})
    from ai_factory_runtime.base.project import Project
    from ai_factory_runtime.serving import server as serving
    from helpers_serving import make_usecase
    serving.serve(Project(Path({str(project.root)!r}), "churn", make_usecase(), None), "dev", port=0)
    """
    for last in (False, True):
        with subprocess.Popen([sys.executable, "-c", textwrap.dedent(body)], stderr=subprocess.PIPE, text=True) as server:  # fmt: skip
            try:
                assert server.stderr is not None
                url = next(json.loads(line) for line in server.stderr if '"listening"' in line)["url"]
                for call in calls(project, 160, prefix=f"run{last}-"):
                    headers = {"Content-Type": "application/json", "X-Request-Id": call.request_id}
                    with urllib.request.urlopen(
                        urllib.request.Request(url + "/invocations", call.body, headers)
                    ) as answer:
                        assert answer.status == 200
                if last:
                    wait_until(lambda: not find_rollout(project, "dev").running)
                else:
                    wait_until(lambda: written_down(project) == 160)
            finally:
                os.kill(server.pid, signal.SIGTERM if last else signal.SIGKILL)
                server.stderr.read()  # type: ignore[union-attr]
        if not last:
            assert find_rollout(project, "dev").running
    assert find_rollout(project, "dev").status == "promoted"
    assert deployed(project, "dev").version == GOOD


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
