"""Observations: what the arms of a rollout did, as each serving process wrote it down and as a decision reads it.

JSON lines under artifacts/rollouts/<stage>/<rollout>/, one file a process. Counts are complete; answers (outputs only, no
feature, nothing of a person) are kept for the first requests of each arm and step. A thread of its own writes, so that an
answer never waits for the disk; a line torn by a kill is passed over.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ai_factory_spec.usecase import Rollout as Terms

from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.model_package.sketch import PREDICTION, PROBABILITY
from ai_factory_runtime.rollout.decisions import CHALLENGER, CHAMPION, Arm, ArmSeen, Shift, StepSeen, shares
from ai_factory_runtime.rollout.sequential import Sample
from ai_factory_runtime.rollout.shift import Outputs, looks, shifts

FLUSH_SECONDS = 0.5
ROWS_KEPT = 20
ANSWERS_KEPT = 50_000
"""For each arm, over all steps and all processes together about; a decision needs some thousands."""

Values = tuple[Any, ...]
Truth = Mapping[str, Mapping[int, Any]]
"""True values by request id and by the row within the request."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Observed:
    """One call as one arm met it. `prediction` is None where it failed; `slow`: it took longer than `max_p99_ms`."""

    step: int
    arm: Arm
    request_id: str
    prediction: Prediction | None
    slow: bool


@dataclass
class Recorder:
    """Writes observations to a file of its own in `folder`. `kept` is how many answers of an arm and step it keeps."""

    folder: Path
    kept: int = ANSWERS_KEPT

    def __post_init__(self) -> None:
        self._path = self.folder / f"{os.getpid()}-{secrets.token_hex(4)}.jsonl"
        self._guard, self._stop = threading.Lock(), threading.Event()
        self._counts: Counter[tuple[int, Arm, str]] = Counter()
        self._kept: Counter[tuple[int, Arm]] = Counter()
        self._answers: list[Observed] = []
        self._thread = threading.Thread(target=self._work, name="observations", daemon=True)
        self._thread.start()

    def add(self, seen: Observed) -> None:
        """Take an observation: never waits for the disk, never raises. May be called from any thread."""
        with self._guard:
            self._counts[seen.step, seen.arm, "requests"] += 1
            if seen.prediction is None:
                self._counts[seen.step, seen.arm, "failures"] += 1
            elif self._kept[seen.step, seen.arm] < self.kept:
                self._kept[seen.step, seen.arm] += 1
                self._answers.append(seen)
            if seen.slow:
                self._counts[seen.step, seen.arm, "slow"] += 1

    def flush(self) -> None:
        """Write what was taken. What cannot be written is kept for the next time."""
        with self._guard:
            counts, answers = self._counts, self._answers
            self._counts, self._answers = Counter(), []
        if not counts:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
                file.write(_lines(counts, answers))
        except OSError as error:
            _log.warning("a rollout's observations cannot be written: %s", error)
            with self._guard:
                self._counts += counts
                self._answers = [*answers, *self._answers][: self.kept]

    def close(self) -> None:
        """Write what is left, then stop."""
        self._stop.set()
        self._thread.join(10)
        self.flush()

    def _work(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()


def _lines(counts: Counter[tuple[int, Arm, str]], answers: list[Observed]) -> bytes:
    """Answers first: a count of a request whose answer is lost is harmless, the reverse is not."""
    documents: list[dict[str, object]] = [_answer(a, a.prediction) for a in answers if a.prediction is not None]
    for step, arm in sorted({(step, arm) for step, arm, _ in counts}):
        numbers = {name: counts[step, arm, name] for name in ("requests", "failures", "slow")}
        documents.append({"kind": "counts", "step": step, "arm": arm, **numbers})
    return "".join(json.dumps(d, ensure_ascii=False) + "\n" for d in documents).encode()


def _answer(seen: Observed, prediction: Prediction) -> dict[str, object]:
    outputs: dict[str, object] = {PREDICTION: prediction.values[:ROWS_KEPT].tolist()}
    if prediction.probabilities is not None:  # the one that the monitor watches, too: `sketch.prediction_series`
        kept = prediction.probabilities[:ROWS_KEPT]
        outputs[PROBABILITY] = (kept[:, 1] if kept.shape[1] == 2 else kept.max(axis=1)).tolist()
    return {"kind": "answer", "step": seen.step, "arm": seen.arm, "request": seen.request_id, **outputs}


@dataclass
class _Answers:
    """The answers of one arm in one step: the values of each request's rows, and each output of its first row in order."""

    values: dict[str, Values] = field(default_factory=dict)
    first: list[Any] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, entry: Mapping[str, Any]) -> None:
        values = tuple(entry[PREDICTION])
        if not values or entry["request"] in self.values:  # the same id sent twice is one request
            return
        self.values[str(entry["request"])] = values
        self.first.append(values[0])
        if PROBABILITY in entry:
            self.scores.append(float(entry[PROBABILITY][0]))

    def outputs(self) -> Outputs:
        return Outputs(self.first, np.asarray(self.scores, dtype=np.float64) if self.scores else None)


class Observations:
    """Everything the processes of a rollout wrote; `refresh` reads only what is new since the last time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._counts: Counter[tuple[int, Arm, str]] = Counter()
        self._answers: dict[tuple[int, Arm], _Answers] = defaultdict(_Answers)
        self._shifts: dict[tuple[int, int], tuple[Shift, ...]] = {}

    def refresh(self) -> None:
        """Read what was written since the last time."""
        for path in sorted(self._folder.glob("*.jsonl")):
            for entry in self._new_entries(path):
                self._take(entry)

    def steps(self, terms: Terms, truth: Truth | None = None) -> dict[int, StepSeen]:
        """What was seen in each step; `truth` are the true values known by now."""
        numbers = {step for step, _, _ in self._counts} | {step for step, _ in self._answers}
        return {step: self._step(step, terms, truth or {}) for step in sorted(numbers) if step < len(shares(terms))}

    def _step(self, step: int, terms: Terms, truth: Truth) -> StepSeen:
        answers = {arm: self._answers[step, arm] for arm in (CHAMPION, CHALLENGER)}
        quality = {arm: _quality(found, truth) for arm, found in answers.items()}
        both = quality[CHAMPION].keys() & quality[CHALLENGER].keys()
        paired = [quality[CHALLENGER][r] - quality[CHAMPION][r] for r in sorted(both)]
        arms = {arm: self._arm(step, arm, quality[arm]) for arm in (CHAMPION, CHALLENGER)}
        return StepSeen(arms[CHAMPION], arms[CHALLENGER], self._shift(step, terms), Sample.of(paired))

    def _arm(self, step: int, arm: Arm, quality: Mapping[str, float]) -> ArmSeen:
        requests, failures, slow = (self._counts[step, arm, name] for name in ("requests", "failures", "slow"))
        return ArmSeen(requests, failures, slow, Sample.of(list(quality.values())))

    def _shift(self, step: int, terms: Terms) -> tuple[Shift, ...]:
        """Computed once for each look: looks that are past do not change."""
        champion, challenger = (self._answers[step, arm].outputs() for arm in (CHAMPION, CHALLENGER))
        key = (step, looks(len(challenger.predictions), terms))
        if key not in self._shifts:
            self._shifts[key] = shifts(champion, challenger, terms, step)
        return self._shifts[key]

    def _take(self, entry: Mapping[str, Any]) -> None:
        try:
            step, arm = int(entry["step"]), entry["arm"]
            if entry["kind"] == "answer":
                self._answers[step, arm].add(entry)
            else:
                for name in ("requests", "failures", "slow"):
                    self._counts[step, arm, name] += int(entry[name])
        except (KeyError, ValueError, TypeError, IndexError) as error:
            _log.warning("an observation is passed over: %s", error)

    def _new_entries(self, path: Path) -> Iterator[dict[str, Any]]:
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            body = file.read()
        whole = body.rfind(b"\n") + 1  # a line without an end is still being written, or was torn
        self._read[path] = self._read.get(path, 0) + whole
        for line in body[:whole].split(b"\n"):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict):
                yield entry


def _quality(answers: _Answers, truth: Truth) -> dict[str, float]:
    """For each request whose true values are known: the share of right classes, or minus the mean absolute error."""
    found = {}
    for request in answers.values.keys() & truth.keys():
        values, known = answers.values[request], truth[request]
        rows = [(values[row], value) for row, value in known.items() if row < len(values)]
        if rows:
            found[request] = float(np.mean([_right(answer, value) for answer, value in rows]))
    return found


def _right(answer: Any, value: Any) -> float:
    if isinstance(answer, (int, float)) and not isinstance(answer, bool):
        return -abs(float(answer) - float(value))
    return float(str(answer) == str(value))
