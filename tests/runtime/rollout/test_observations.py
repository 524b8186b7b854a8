"""Observations: what servers write down is what a decision reads, also after a kill; a shift is found, and rarely imagined."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.model_package.sketch import prediction_series
from ai_factory_runtime.rollout.decisions import Arm
from ai_factory_runtime.rollout.observations import ROWS_KEPT, Observations, Observed, Recorder
from ai_factory_runtime.rollout.shift import Outputs, looks, shifts
from ai_factory_spec.usecase import Rollout as Terms

CANARY = Terms.model_validate({"strategy": "canary", "step_percent": 50, "min_requests": 100})


def classes(*positive: float) -> Prediction:
    shares = np.array([[1 - p, p] for p in positive])
    return Prediction(np.where(shares[:, 1] >= 0.5, "yes", "no").astype(object), shares)


def seen(request: str, arm: Arm, prediction: Prediction | None, *, step: int = 0, slow: bool = False) -> Observed:
    return Observed(step, arm, request, prediction, slow)


def written(folder: Path, *observed: Observed, kept: int = 1000) -> Path:
    recorder = Recorder(folder, kept)
    for one in observed:
        recorder.add(one)
    recorder.close()
    return folder


def read(folder: Path) -> Observations:
    observations = Observations(folder)
    observations.refresh()
    return observations


def test_counts_of_every_process_and_thread_come_together(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)

    def work(name: str) -> None:
        for i in range(500):
            recorder.add(seen(f"{name}{i}", "challenger", None if i % 100 == 0 else classes(0.7), slow=i % 50 == 0))

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorder.close()
    written(tmp_path, seen("c", "challenger", classes(0.7)), seen("d", "champion", classes(0.2)))
    found = read(tmp_path).steps(CANARY)[0]
    assert (found.challenger.requests, found.challenger.failures, found.challenger.slow) == (1001, 10, 20)
    assert (found.champion.requests, found.champion.failures) == (1, 0)


def test_a_torn_line_is_passed_over_and_read_once_it_is_whole(tmp_path: Path) -> None:
    folder = written(tmp_path, seen("a", "challenger", classes(0.7)))
    (path,) = folder.glob("*.jsonl")
    line = json.dumps({"kind": "counts", "step": 0, "arm": "challenger", "requests": 7, "failures": 1, "slow": 0})
    with path.open("a", encoding="utf-8") as file:
        file.write(line[:20])
    observations = read(folder)
    assert observations.steps(CANARY)[0].challenger.requests == 1
    with path.open("a", encoding="utf-8") as file:
        file.write(line[20:] + "\nnot json\n[]\n{}\n")
    observations.refresh()
    assert observations.steps(CANARY)[0].challenger.requests == 8
    observations.refresh()
    assert observations.steps(CANARY)[0].challenger.requests == 8


def test_what_cannot_be_written_is_written_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "in the way"
    folder.write_text("a file", encoding="utf-8")
    recorder = Recorder(folder)
    recorder.add(seen("a", "challenger", classes(0.7)))
    recorder.flush()
    assert "cannot be written" in caplog.text
    folder.unlink()
    recorder.add(seen("b", "challenger", None))
    recorder.close()
    found = read(folder).steps(CANARY)[0].challenger
    assert (found.requests, found.failures) == (2, 1)


def test_answers_are_bounded_and_counts_are_not(tmp_path: Path) -> None:
    many = [seen(f"r{i}", "challenger", classes(*([0.7] * 50))) for i in range(30)]
    (path,) = written(tmp_path, *many, kept=10).glob("*.jsonl")
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    answers = [e for e in entries if e["kind"] == "answer"]
    assert len(answers) == 10
    assert {len(a["prediction"]) for a in answers} == {ROWS_KEPT}
    assert read(tmp_path).steps(CANARY)[0].challenger.requests == 30


def test_only_outputs_are_kept_and_they_are_those_the_monitor_watches(tmp_path: Path) -> None:
    for number, prediction in enumerate([classes(0.3, 0.9), Prediction(np.array([1.5, 2.5]), None), Prediction(np.array(["a", "b"], dtype=object), np.array([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]]))]):  # fmt: skip
        (path,) = written(tmp_path / str(number), seen("a", "champion", prediction)).glob("*.jsonl")
        entry = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
        watched = {str(series.name): series.to_list() for series, _ in prediction_series(prediction)}
        assert {k: v for k, v in entry.items() if k not in ("kind", "step", "arm", "request")} == watched


def test_quality_is_judged_where_true_values_are_known(tmp_path: Path) -> None:
    written(
        tmp_path,
        seen("a", "challenger", classes(0.9, 0.2)),
        seen("b", "challenger", classes(0.9)),
        seen("c", "challenger", classes(0.9)),
        seen("d", "champion", classes(0.1)),
    )
    truth = {"a": {0: "yes", 1: "yes", 7: "no"}, "b": {0: "yes"}, "d": {0: "no"}, "unknown": {0: "no"}}
    found = read(tmp_path).steps(CANARY, truth)[0]
    assert (found.challenger.quality.count, found.challenger.quality.mean) == (2, 0.75)
    assert (found.champion.quality.count, found.champion.quality.mean) == (1, 1.0)


def test_a_number_is_judged_by_its_error(tmp_path: Path) -> None:
    written(tmp_path, seen("a", "challenger", Prediction(np.array([10.0, 20.0]), None)))
    assert read(tmp_path).steps(CANARY, {"a": {0: 12.0, 1: 21.0}})[0].challenger.quality.mean == -1.5


def test_a_shadow_is_paired_with_the_champion_by_request(tmp_path: Path) -> None:
    shadow = CANARY.model_copy(update={"strategy": "shadow"})
    for number, request in enumerate("abc"):
        written(tmp_path, seen(request, "champion", classes(0.9)), seen(request, "challenger", classes(0.9 if number else 0.1)))  # fmt: skip
    paired = read(tmp_path).steps(shadow, {r: {0: "yes"} for r in "ab"})[0].paired
    assert (paired.count, paired.mean) == (2, -0.5)


def outputs(scores: np.ndarray) -> Outputs:
    return Outputs(np.where(scores > 0.5, "yes", "no").tolist(), scores)


def test_a_shift_is_looked_at_when_requests_have_doubled() -> None:
    assert [looks(n, CANARY) for n in (99, 100, 199, 200, 399, 400, 1600)] == [0, 1, 1, 2, 2, 3, 5]
    scores = np.random.default_rng(1).random(450)
    found = shifts(outputs(scores), outputs(scores), CANARY, 0)
    assert [(s.output, s.requests) for s in found] == [
        (name, n) for n in (100, 200, 400) for name in ("prediction", "probability")
    ]
    assert shifts(outputs(scores), outputs(scores), CANARY.model_copy(update={"strategy": "all-at-once"}), 0) == ()


def test_predictions_that_move_are_noticed() -> None:
    random = np.random.default_rng(2)
    moved = shifts(outputs(random.beta(2, 5, 900)), outputs(random.beta(5, 2, 100)), CANARY, 0)
    assert all(s.psi > s.limit for s in moved)
    before, after = (Outputs(random.normal(m, 1, 400).tolist(), None) for m in (0, 3))
    (first, *_) = shifts(before, after, CANARY, 0)
    assert first.psi > first.limit >= 0.2


def test_equal_models_are_seldom_told_apart_by_their_predictions() -> None:
    random = np.random.default_rng(3)
    alarms = 0
    for _ in range(100):
        champion, challenger = random.beta(2, 5, 400), random.beta(2, 5, 400)
        alarms += any(s.psi > s.limit for s in shifts(outputs(champion), outputs(challenger), CANARY, 0))
    assert alarms <= 5
