"""The endpoint: SageMaker's contract, the model's own answers, a 4xx with reasons for bad input, nothing unapproved."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ai_factory_runtime.base.errors import NotApproved, NothingDeployed, TamperedModel
from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import AddressUnavailable
from ai_factory_runtime.data.frames import to_canonical
from ai_factory_runtime.data.rows import Layout, Rows
from ai_factory_runtime.model_package.accelerator import TOLERANCE
from ai_factory_runtime.model_package.package import ModelPackage, load_package
from ai_factory_runtime.monitoring.capture import Capture, Exchange, read_captures
from ai_factory_runtime.releases.stages import deployed
from ai_factory_runtime.serving.endpoint import Answer, Call, Endpoint, open_endpoint
from ai_factory_runtime.serving.limits import Limits
from ai_factory_runtime.serving.negotiation import MAX_BODY
from ai_factory_runtime.serving.server import create_app, serve
from ai_factory_runtime.serving.service import Service
from ai_factory_spec.usecase import Column
from fastapi.testclient import TestClient
from helpers_serving import CALLED, SPEND, as_records, make_deployed, make_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture(
    scope="module",
    params=[("binary", True), ("binary", False), ("multiclass", True), ("regression", True)],
    ids=lambda p: f"{p[0]} {'compiled' if p[1] else 'scikit-learn'}",
)
def any_task(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    task, accelerated = request.param
    return make_deployed(tmp_path_factory.mktemp(task) / "project", task=task, accelerated=accelerated)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a model in dev that no test changes."""
    return make_deployed(tmp_path_factory.mktemp("serving") / "project")


@pytest.fixture
def project(shared: Project, tmp_path: Path) -> Project:
    """A copy that a test may change."""
    shutil.copytree(shared.root, tmp_path / "project")
    return dataclasses.replace(shared, root=tmp_path / "project")


@pytest.fixture(scope="module")
def client(shared: Project) -> Iterator[TestClient]:
    with TestClient(create_app(shared, "dev", capture_rate=0.0)) as client:
        yield client


def model_of(project: Project) -> ModelPackage:
    return load_package(deployed(project, "dev").folder)


def post(client: TestClient, body: bytes, kind: str = "application/json", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/invocations", content=body, headers={"content-type": kind, **named})


def assert_same(expected: np.ndarray[Any, Any], answers: list[Any]) -> None:
    """Equal labels, or numbers within the stated tolerance."""
    if expected.dtype == object:
        assert answers == expected.tolist()
    else:
        np.testing.assert_allclose(np.array(answers, dtype=np.float64), expected, rtol=TOLERANCE, atol=TOLERANCE)


GOOD: dict[str, Any] = {"age": 41, SPEND: 12.5, "plan": "gold", CALLED: True}


def test_the_answers_are_the_models_own(any_task: Project) -> None:
    rows, package = make_rows(40, seed=9), model_of(any_task)
    direct = package.predict(to_canonical(rows, package.signature.features))
    with TestClient(create_app(any_task, "dev", capture_rate=0.0)) as client:
        answer = client.post("/invocations", json={"records": as_records(rows, any_task)}).json()
        text = post(client, rows.to_csv(index=False).encode(), "text/csv", accept="text/csv").text
    assert_same(direct.values, [p["prediction"] for p in answer["predictions"]])
    assert answer["model"] == {"version": 1, "digest": package.digest}
    lines = [line.split(",") for line in text.splitlines()]
    assert_same(direct.values, [line[0] for line in lines[1:]])
    if direct.probabilities is None:
        assert "probability" not in answer["predictions"][0]
    else:
        classes = package.signature.classes
        served = [[p["probability"][c] for c in classes] for p in answer["predictions"]]
        np.testing.assert_allclose(served, direct.probabilities, rtol=0, atol=TOLERANCE)
        assert lines[0] == ["prediction", *(f"probability_{c}" for c in classes)]


def test_ping_says_which_model_is_loaded(client: TestClient) -> None:
    answer = client.get("/ping")
    assert answer.status_code == 200
    assert answer.json()["model"]["version"] == 1


def test_an_answer_names_model_and_request(client: TestClient) -> None:
    answer = post(client, json.dumps({"records": [GOOD]}).encode(), x_request_id="my-id.1")
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "my-id.1"
    assert answer.headers["x-model-version"] == "1"
    forged = post(client, json.dumps({"records": [GOOD]}).encode(), x_request_id="a b\tc" * 30)
    assert re.fullmatch(r"[0-9a-f]{32}", forged.json()["request_id"])


def test_every_bad_value_is_told_with_column_and_reason(client: TestClient) -> None:
    answer = client.post(
        "/invocations", json={"records": [GOOD, {**GOOD, "age": "old", "plan": "silver"}, {**GOOD, SPEND: -1}]}
    )
    assert answer.status_code == 422
    problems = [(p["row"], p["column"], p["reason"]) for p in answer.json()["problems"]]
    assert problems == [
        (1, "age", "is not a whole number"),
        (1, "plan", "is none of the categories"),
        (2, SPEND, "is less than 0"),
    ]


def test_personal_data_and_ids_of_the_contract_may_come_along(client: TestClient) -> None:
    assert (
        client.post("/invocations", json={"records": [{**GOOD, "customer": "c1", "email": "a@b.c"}]}).status_code == 200
    )
    answer = client.post("/invocations", json={"records": [{**GOOD, "phone": "1"}]})
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["column"] == "phone"


@pytest.mark.parametrize(
    ("kind", "headers", "status"),
    [
        ("image/png", {}, 415),
        ("", {}, 415),
        ("application/x-www-form-urlencoded", {}, 415),
        ("application/json; charset=utf-16", {}, 415),
        ("text/csv; charset=latin-1", {}, 415),
        ("application/json", {"content_encoding": "gzip"}, 415),
        ("application/json", {"accept": "image/png"}, 406),
        ("application/json; charset=UTF-8", {}, 200),
        ("Application/JSON", {"accept": "text/html, */*;q=0.1"}, 200),
    ],
)
def test_only_json_and_csv_in_utf_8_are_taken(
    client: TestClient, kind: str, headers: dict[str, str], status: int
) -> None:
    assert post(client, json.dumps({"records": [GOOD]}).encode(), kind, **headers).status_code == status


def test_a_body_that_is_no_request_gets_400(client: TestClient) -> None:
    for body in (b"", b"{", b"[]", b'{"records": [{"age": NaN}]}'):
        assert post(client, body).status_code == 400


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(client: TestClient) -> None:
    assert post(client, b" " * (MAX_BODY + 1)).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(MAX_BODY // 65_536 + 2):
            yield b" " * 65_536

    answer = client.post("/invocations", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*GOOD, "x"]), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(
    body=st.binary(max_size=50)
    | json_values.map(lambda v: json.dumps({"records": [v]}).encode())
    | st.dictionaries(st.sampled_from(list(GOOD)), json_values).map(
        lambda d: json.dumps({"records": [GOOD | d]}).encode()
    ),
    kind=st.sampled_from(["application/json", "text/csv"]),
)
def test_no_input_gets_a_500(client: TestClient, body: bytes, kind: str) -> None:
    assert post(client, body, kind).status_code in (200, 400, 413, 415, 422)


@dataclasses.dataclass(frozen=True)
class Around:
    """An answering that does something before it answers as the endpoint does."""

    endpoint: Endpoint
    first: Callable[[Call], None]
    quick: bool = False

    def start(self) -> None: ...

    def close(self) -> None: ...

    def is_quick(self, call: Call) -> bool:
        return self.quick

    def answer(self, call: Call) -> Answer:
        self.first(call)
        return self.endpoint.answer(call)


def make_service(
    project: Project, first: Callable[[Call], None], *, quick: bool = False, limits: Limits | None = None
) -> Service:
    """A service around a model that does something first."""
    around = Around(open_endpoint(project, "dev"), first, quick)
    return Service(around, Capture(project.captures / "dev", (), 0.0), title="Churn", limits=limits or Limits())


@pytest.mark.parametrize("quick", [True, False], ids=["here", "in a thread"])
def test_a_model_that_fails_answers_500_and_its_words_stay_out_of_log_and_answer(
    shared: Project, caplog: pytest.LogCaptureFixture, quick: bool
) -> None:
    def fail(call: Call) -> None:
        raise ValueError(f"cannot cope with {call.body!r}")

    with caplog.at_level(logging.INFO), TestClient(make_service(shared, fail, quick=quick)) as client:
        answer = client.post("/invocations", json={"records": [{**GOOD, "age": 77}]})
        assert client.get("/ping").status_code == 200
    assert answer.status_code == 500
    assert "77" not in json.dumps({k: v for k, v in answer.json().items() if k != "request_id"})
    ours = [json.loads(r.message) for r in caplog.records if r.name == "ai_factory_runtime.serving.service"]
    assert [line["event"] for line in ours] == ["failure", "invocation"]
    assert ours[0]["error"] == "ValueError"
    assert not any("cannot cope" in r.getMessage() for r in caplog.records)


def test_a_model_that_hangs_is_given_up_and_the_service_says_that_it_is_not_well(shared: Project) -> None:
    """Every thread hangs: 504 for those that had one, 503 at once for what no thread will take, and no health any more."""
    hanging, released = threading.Semaphore(0), threading.Event()

    def hang(_: Call) -> None:
        hanging.release()
        released.wait(30)

    service = make_service(shared, hang, limits=Limits(seconds=0.3, threads=2, waiting=2))
    body = {"records": [GOOD]}
    with TestClient(service) as client, ThreadPoolExecutor(8) as callers:
        assert client.get("/ready").status_code == client.get("/ping").status_code == 200
        first = [callers.submit(client.post, "/invocations", json=body) for _ in range(2)]
        assert hanging.acquire(timeout=10)
        assert hanging.acquire(timeout=10)
        more = [callers.submit(client.post, "/invocations", json=body) for _ in range(5)]
        answers = [f.result(timeout=20) for f in (*first, *more)]
        health, ready = client.get("/ping"), client.get("/ready")
        assert "ai_factory_stuck 1.0" in client.get("/metrics").text
        released.set()
        while service.workers.stuck:
            time.sleep(0.01)
        again = client.post("/invocations", json=body)
        assert client.get("/ping").status_code == client.get("/ready").status_code == 200
    assert [a.status_code for a in answers[:2]] == [504, 504]
    assert sorted(a.status_code for a in answers[2:]) == [503, 503, 503, 504, 504]
    assert next(a for a in answers if a.status_code == 503).headers["retry-after"] == "1"
    assert (health.status_code, health.json()["status"]) == (503, "stuck")
    assert ready.status_code == 503
    assert again.status_code == 200


def test_the_service_is_ready_only_between_its_start_and_its_end(shared: Project) -> None:
    app = create_app(shared, "dev", capture_rate=0.0)
    outside = TestClient(app)  # its start has not run
    assert (outside.get("/ready").status_code, outside.get("/ready").json()) == (503, {"status": "closed"})
    with TestClient(app) as client:
        assert client.get("/ready").json() == {"status": "ready"}
    assert outside.get("/ready").status_code == 503


def test_only_post_is_taken(client: TestClient) -> None:
    answer = client.get("/invocations")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_each_request_is_logged_without_its_content(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        client.post("/invocations", json={"records": [{**GOOD, "plan": "secret plan"}]})
    (line,) = [r.message for r in caplog.records if r.name == "ai_factory_runtime.serving.service"]
    assert json.loads(line).keys() == {"at", "event", "request_id", "status", "rows", "ms", "model_version"}
    assert "secret" not in line


def test_the_page_works_without_any_network_and_escapes_names(client: TestClient) -> None:
    answer = client.get("/docs")
    page = answer.text
    assert answer.status_code == 200
    assert not re.findall(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", page)
    assert "Who leaves &lt;next&gt; &amp; why" in page
    assert CALLED in page
    policy = answer.headers["content-security-policy"]
    nonce = re.search(r"'nonce-([^']+)'", policy)
    assert nonce is not None
    assert "default-src 'none'" in policy
    assert page.count(f'nonce="{nonce.group(1)}"') == 2
    assert len(re.findall(r"<(?:script|style)", page)) == 2


def test_the_example_on_the_page_is_a_request_that_gets_an_answer(any_task: Project) -> None:
    with TestClient(create_app(any_task, "dev", capture_rate=0.0)) as client:
        description = client.get("/openapi.json").json()
        example = description["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["example"]
        assert client.post("/invocations", json=example).status_code == 200


def test_the_description_is_valid_openapi(client: TestClient) -> None:
    import jsonschema

    body = client.get("/openapi.json").json()["paths"]["/invocations"]["post"]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"records": [GOOD]}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"records": [{**GOOD, "plan": "silver"}]}, schema)


# Start-up ---------------------------------------------------------------------------------------------------------------


def test_an_unapproved_model_is_not_served_outside_dev(project: Project) -> None:
    document = json.loads((project.stages / "dev.json").read_text(encoding="utf-8"))
    (project.stages / "prod.json").write_text(json.dumps({**document, "stage": "prod"}), encoding="utf-8")
    with pytest.raises(NotApproved):
        create_app(project, "prod")
    with pytest.raises(NotApproved):
        serve(project, "prod", port=0)


def test_a_stage_without_a_model_serves_nothing(project: Project) -> None:
    with pytest.raises(NothingDeployed):
        create_app(project, "staging")


def test_a_tampered_model_is_not_served(project: Project) -> None:
    sketch = deployed(project, "dev").folder / "sketch.json"
    sketch.write_text(sketch.read_text(encoding="utf-8").replace("0", "1"), encoding="utf-8")
    with pytest.raises(TamperedModel):
        create_app(project, "dev")


def test_an_address_in_use_is_refused_before_anything_listens(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressUnavailable, match=f"port {port}"):
            serve(project, "dev", port=port)
    for host, number in (("127.0.0.1", 70_000), ("no.such.host.invalid", 8080)):
        with pytest.raises(AddressUnavailable):
            serve(project, "dev", host=host, port=number)


SERVE = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from ai_factory_runtime.batch import job as batch
from ai_factory_runtime.monitoring import monitor
from ai_factory_runtime.serving import server as serving
from helpers_serving import make_usecase
from ai_factory_runtime.base.project import Hooks, Project
project = Project(Path({root!r}), "churn", make_usecase(), Hooks(None, None, None))
"""


def script(project: Project, body: str) -> list[str]:
    head = SERVE.format(tests=str(TESTS), root=str(project.root))
    return [sys.executable, "-W", "error", "-c", head + textwrap.dedent(body)]


def test_serving_and_scoring_import_no_registry_and_no_contract_library(project: Project, tmp_path: Path) -> None:
    make_rows(60, seed=3).to_csv(tmp_path / "batch.csv", index=False)
    body = f"""
    from fastapi import FastAPI
    assert isinstance(serving.create_app(project, "dev"), FastAPI)
    batch.score(project, Path({str(tmp_path / "batch.csv")!r}), None, "dev")
    heavy = {{"mlflow", "sqlalchemy", "alembic", "pandera", "duckdb", "cookiecutter", "pulumi"}}
    print(sorted(heavy & {{name.partition(".")[0] for name in sys.modules}}))
    """
    done = subprocess.run(script(project, body), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_service_listens_only_here_answers_and_ends_on_sigterm(project: Project) -> None:
    body = """
    serving.serve(project, "dev", port=0)
    """
    with subprocess.Popen(script(project, body), stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            listening = json.loads(server.stderr.readline())
            assert listening["url"].startswith("http://127.0.0.1:")
            request = urllib.request.Request(
                listening["url"] + "/invocations",
                data=json.dumps({"records": [GOOD]}).encode(),
                headers={"Content-Type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=20) as answer:
                assert answer.status == 200
                assert "server" not in {k.lower() for k in answer.headers}
            server.send_signal(signal.SIGTERM)
            _, rest = server.communicate(timeout=20)
        finally:
            server.kill()
    assert server.returncode in (0, -signal.SIGTERM)
    assert [json.loads(line)["event"] for line in rest.splitlines()] == ["invocation"]
    captured = read_captures(project.captures / "dev", model_of(project).digest, project.usecase.data.features)
    assert captured is not None
    assert len(captured.frame) == 1


# Capture ----------------------------------------------------------------------------------------------------------------


def test_requests_are_captured_as_features_and_answers_without_personal_data(project: Project) -> None:
    rows = make_rows(30, seed=11)
    with TestClient(create_app(project, "dev", capture_rate=1.0)) as client:
        body = [{**r, "email": "person@example.org", "customer": "c1"} for r in as_records(rows, project)]
        served = client.post("/invocations", json={"records": body}).json()
        client.post("/invocations", json={"records": [{**GOOD, "age": -1}]})
    (file,) = (project.captures / "dev").glob("*.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    assert "@" not in file.read_text(encoding="utf-8")
    features = project.usecase.data.features
    captured = read_captures(project.captures / "dev", model_of(project).digest, features)
    assert captured is not None
    pd.testing.assert_frame_equal(captured.frame, to_canonical(rows, features))
    assert captured.prediction.values.tolist() == [p["prediction"] for p in served["predictions"]]


def exchange(rows: int = 1, digest: str = "d", ids: list[Any] | None = None) -> Exchange:
    numbers = np.arange(float(rows))
    given = Rows(Layout((Column(name="age", type="integer"),)), numbers[:, None], (), ids)
    return Exchange("2026-01-01T00:00:00+00:00", "id", 1, digest, given, Prediction(numbers, None))


def make_capture(folder: Path, **options: Any) -> Capture:
    return Capture(folder, (Column(name="age", type="integer"),), **options)


def test_captures_are_bounded_in_size_and_the_oldest_go_first(tmp_path: Path) -> None:
    capture = make_capture(tmp_path, file_bytes=2_000, total_bytes=10_000)
    capture.start()
    for _ in range(300):
        capture.offer(exchange())
    capture.close()
    sizes = [f.stat().st_size for f in tmp_path.glob("*.jsonl")]
    assert 3 <= len(sizes) <= 6
    assert sum(sizes) <= 10_000


def test_a_large_request_is_captured_by_a_sample_of_its_rows(tmp_path: Path) -> None:
    capture = make_capture(tmp_path)
    capture.start()
    capture.offer(exchange(5000))
    capture.close()
    window = read_captures(tmp_path, "d", capture.features)
    assert window is not None
    assert len(window.frame) == 200
    assert window.frame["age"].tolist() == window.prediction.values.tolist()


def test_an_answer_never_waits_for_the_disk(tmp_path: Path) -> None:
    """The writer is not even started: what does not fit the queue is left, and counted."""
    capture = make_capture(tmp_path, rows_per_second=1e9)
    start = time.perf_counter()
    for _ in range(1500):
        capture.offer(exchange())
    assert time.perf_counter() - start < 2
    assert capture.dropped == 500


def test_many_requests_are_thinned_so_that_the_window_stays_long(tmp_path: Path) -> None:
    capture = make_capture(tmp_path, rows_per_second=1.0)
    for _ in range(15):
        capture.offer(exchange(5000))
    assert (capture.passed_over, capture.dropped) == (5, 0)
    capture.start()
    capture.close()
    assert capture.kept == 10


def test_a_rate_of_zero_captures_nothing_and_a_half_about_half(tmp_path: Path) -> None:
    from random import Random

    for rate, low, high in ((0.0, 0, 0), (0.5, 150, 250)):
        capture = make_capture(tmp_path / str(rate), rate=rate, random=Random(1))
        capture.start()
        for _ in range(400):
            capture.offer(exchange())
        capture.close()
        window = read_captures(tmp_path / str(rate), "d", capture.features)
        assert low <= (len(window.frame) if window else 0) <= high


def test_a_disk_that_refuses_does_not_stop_the_service(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "captures").write_text("a file where the folder should be", encoding="utf-8")
    capture = make_capture(tmp_path / "captures")
    capture.start()
    for _ in range(3):
        capture.offer(exchange())
    capture.close()
    assert capture.dropped == 3
    assert len([r for r in caplog.records if "not captured" in r.message]) == 1


def test_a_torn_line_and_another_models_rows_are_passed_over(tmp_path: Path) -> None:
    capture = make_capture(tmp_path)
    capture.start()
    capture.offer(exchange(digest="d"))
    capture.offer(exchange(digest="other"))
    capture.close()
    (file,) = tmp_path.glob("*.jsonl")
    with file.open("ab") as out:
        out.write(b'{"at": "2026-01-01", "dig')
    window = read_captures(tmp_path, "d", capture.features)
    assert window is not None
    assert len(window.frame) == 1
    assert read_captures(tmp_path, "nobody's", capture.features) is None


def test_the_capture_rate_is_read_from_the_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_FACTORY_CAPTURE_RATE", "0")
    with TestClient(create_app(project, "dev")) as client:
        client.post("/invocations", json={"records": [GOOD]})
    assert not (project.captures / "dev").exists()
    assert os.environ["AI_FACTORY_CAPTURE_RATE"] == "0"
