"""Router: what answers in a stage while a version is rolled out: the champion, or the challenger for its share of requests.

Which arm a request gets is decided by its id alone, so a repeated request meets the same model, and a growing share keeps
those it has. Where the challenger fails, the champion answers: the caller notices nothing, the decision does. A shadow is
asked after the answer was given, in a thread of its own.

A second thread follows the stage's files, so a promotion, a way back and a new rollout need no restart, and decides from
time to time. What goes wrong there is logged; the model that answers goes on answering.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ai_factory_spec.errors import FactoryError

from ai_factory_runtime.base.errors import ModelUnusable, NotApproved
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.base.refusals import ReleaseInvalid
from ai_factory_runtime.model_package.package import load_package
from ai_factory_runtime.releases.release import require_approved
from ai_factory_runtime.releases.stages import DEV, Deployed, deployed, load_deployed
from ai_factory_runtime.rollout.decisions import CHALLENGER, CHAMPION, Arm, Rollout, shares
from ai_factory_runtime.rollout.observations import ANSWERS_KEPT, Observations, Observed, Recorder
from ai_factory_runtime.rollout.rollout_errors import NoRollout, RolloutUnreadable
from ai_factory_runtime.rollout.rollout_file import challenger_folder, observation_folder, rollout_file
from ai_factory_runtime.rollout.rollouts import decide_now, running_rollout, withdraw
from ai_factory_runtime.serving.endpoint import Answer, Answering, Call, Endpoint, make_endpoint, open_endpoint
from ai_factory_runtime.serving.refused import RequestRefused

WATCH_SECONDS = 1.0
DECIDE_SECONDS = 5.0
MIRRORED_AT_ONCE = 64
"""Copies of requests that may wait for a shadow; more are not mirrored."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Challenge:
    """A rollout under way in this process: its challenger, loaded, and where what happens is written."""

    rollout: Rollout
    challenger: Endpoint
    recorder: Recorder
    observations: Observations

    def chooses(self, request_id: str) -> bool:
        """Whether the challenger is to answer this request."""
        return position(self.rollout.rollout_id, request_id) * 100 < self.rollout.share


@dataclass(frozen=True, slots=True)
class _Plan:
    """Who answers; replaced as a whole, so that a request sees one plan from its beginning to its end."""

    champion: Endpoint
    challenge: Challenge | None = None


def open_answering(project: Project, stage: str) -> Answering:
    """What answers in a stage: a router, or in a container that was handed its model that one alone; for many models all of them.

    Raises what `open_endpoint` raises.
    """
    if project.usecase.model.partition_by is not None:
        from ai_factory_runtime.serving.fleet_endpoint import open_fleet_endpoint

        return open_fleet_endpoint(project, stage)
    endpoint = open_endpoint(project, stage)
    return Router(project, endpoint) if endpoint.model.at else endpoint


def position(rollout_id: str, request_id: str) -> float:
    """Where a request stands between 0 and 1: evenly spread, and the same each time within one rollout."""
    digest = hashlib.blake2b(f"{rollout_id}:{request_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


class Router:
    """Answers for a stage. `start` begins to follow the stage's files; before it the champion answers everything."""

    def __init__(
        self, project: Project, champion: Endpoint, *, watch: float = WATCH_SECONDS, decide: float = DECIDE_SECONDS
    ) -> None:
        self._project, self._stage = project, champion.model.stage
        self._plan = _Plan(champion)
        self._watch, self._decide, self._decided = watch, decide, 0.0
        self._files: tuple[object, ...] = ()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="rollout", daemon=True)
        self._mirror = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._room = threading.BoundedSemaphore(MIRRORED_AT_ONCE)

    @property
    def endpoint(self) -> Endpoint:
        """The model that is deployed in the stage."""
        return self._plan.champion

    @property
    def rollout(self) -> Rollout | None:
        """The rollout that this process takes part in."""
        challenge = self._plan.challenge
        return None if challenge is None else challenge.rollout

    def start(self) -> None:
        """Take up a rollout that is under way, then follow."""
        self.refresh()
        self._thread.start()

    def close(self) -> None:
        """Stop following, answer the copies that wait, write what is left."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(10)
        self._mirror.shutdown(wait=True)
        self._leave(self._plan.challenge)

    def answer(self, call: Call) -> Answer:
        """The answer of the arm that the request falls to. Raises what `Endpoint.answer` raises."""
        plan = self._plan
        challenge = plan.challenge
        if challenge is None:
            return plan.champion.answer(call)
        if challenge.rollout.mirrors:
            answer = _observed(challenge, CHAMPION, plan.champion, call, time.perf_counter)
            self._copy(challenge, call)
            return answer
        if not challenge.chooses(call.request_id):
            return _observed(challenge, CHAMPION, plan.champion, call, time.perf_counter)
        return _challenged(challenge, plan.champion, call)

    def is_quick(self, call: Call) -> bool:
        """Whether each model that may answer the call is sure to take milliseconds."""
        plan = self._plan
        return plan.champion.is_quick(call) and (plan.challenge is None or plan.challenge.challenger.is_quick(call))

    def refresh(self) -> None:
        """Make the plan what the stage's files say. What they refuse is logged, and what answers stays."""
        files = tuple(map(_state, (rollout_file(self._project, self._stage), self._stage_file)))
        if files == self._files:
            return
        try:
            self._plan = self._planned()
        except FactoryError as error:
            _tell("stage not followed", stage=self._stage, reason=str(error))
        self._files = files

    def _follow(self) -> None:
        while not self._stop.wait(self._watch):
            try:
                self.refresh()
                self._decide_if_due()
            except Exception as error:  # noqa: BLE001 - whatever it is, requests are still to be answered
                _tell("rollout not followed", stage=self._stage, reason=f"{type(error).__name__}: {error}")

    def _decide_if_due(self) -> None:
        challenge = self._plan.challenge
        if challenge is None or time.monotonic() - self._decided < self._decide:
            return
        self._decided = time.monotonic()
        challenge.recorder.flush()
        try:
            done = decide_now(self._project, self._stage, observations=challenge.observations)
        except NoRollout:  # another process, or a person, ended it in this moment
            return
        if done.rollout != challenge.rollout:
            event = done.rollout.events[-1]
            _tell(f"rollout {event.what}", stage=self._stage, version=done.rollout.challenger.version, share=event.share, reason=event.reason)  # fmt: skip
            self.refresh()

    def _planned(self) -> _Plan:
        """The plan of the stage's files. Models that are loaded already are not loaded again."""
        before = self._plan
        model = deployed(self._project, self._stage)
        champion = self._champion(model, before)
        try:
            rollout = running_rollout(self._project, self._stage)
        except RolloutUnreadable as error:
            _tell("rollout not followed", stage=self._stage, reason=str(error))
            rollout = None
        if rollout is None or rollout.champion.digest != champion.model.digest:
            self._leave(before.challenge)
            return _Plan(champion)
        if before.challenge is not None and before.challenge.rollout.rollout_id == rollout.rollout_id:
            return _Plan(champion, replace(before.challenge, rollout=rollout))
        self._leave(before.challenge)
        return _Plan(champion, self._challenge(rollout))

    def _champion(self, model: Deployed, before: _Plan) -> Endpoint:
        if model.digest == before.champion.model.digest:
            return before.champion
        if before.challenge is not None and before.challenge.challenger.model.digest == model.digest:
            return replace(before.challenge.challenger, model=model)
        return make_endpoint(self._project, *load_deployed(self._project, self._stage))

    def _challenge(self, rollout: Rollout) -> Challenge | None:
        """The rollout with its challenger loaded; one that may not answer here is sent back."""
        project, new = self._project, rollout.challenger
        try:
            folder = challenger_folder(project, rollout)
            if rollout.stage != DEV:
                require_approved(project, folder, stage=rollout.stage, version=new.version)
            package = load_package(folder, digest=new.digest, trusted_package=project.package)
        except (NotApproved, ReleaseInvalid, ModelUnusable) as refused:
            withdraw(project, rollout.stage, str(refused), status="rolled back", only=rollout.rollout_id)
            _tell("rollout rolled back", stage=rollout.stage, version=new.version, share=0, reason=str(refused))
            return None
        endpoint = make_endpoint(project, Deployed(rollout.stage, new.version, new.digest, folder, at=""), package)
        written = observation_folder(project, rollout)
        recorder = Recorder(written, ANSWERS_KEPT // len(shares(rollout.terms)))
        return Challenge(rollout, endpoint, recorder, Observations(written))

    def _leave(self, challenge: Challenge | None) -> None:
        if challenge is not None:
            challenge.recorder.close()

    def _copy(self, challenge: Challenge, call: Call) -> None:
        """Ask the shadow, later."""
        if not self._room.acquire(blocking=False):
            return

        def ask() -> None:
            try:
                # Its own processor time: beside the answers to callers it waits for the processor as they do not.
                _observed(challenge, CHALLENGER, challenge.challenger, call, time.thread_time, refusals_count=True)
            except Exception as error:  # noqa: BLE001 - counted; the caller has had the champion's answer
                _tell_failure(call, error)
            finally:
                self._room.release()

        self._mirror.submit(ask)

    @property
    def _stage_file(self) -> Path:
        return self._project.stages / f"{self._stage}.json"


def _challenged(challenge: Challenge, champion: Endpoint, call: Call) -> Answer:
    """The challenger's answer, or the champion's where it has none. What both refuse is the caller's mistake."""
    try:
        return _observed(challenge, CHALLENGER, challenge.challenger, call, time.perf_counter)
    except RequestRefused:
        answer = champion.answer(call)
        _note(challenge, CHALLENGER, call, None, slow=False)
        return answer
    except Exception as error:  # noqa: BLE001 - the model's own code may raise anything; the champion answers
        _tell_failure(call, error)
        return champion.answer(call)


def _observed(
    challenge: Challenge,
    arm: Arm,
    endpoint: Endpoint,
    call: Call,
    clock: Callable[[], float],
    *,
    refusals_count: bool = False,
) -> Answer:
    """The arm's answer, noted with its time. A refusal counts as a failure only where the other arm took the request."""
    started, bound = clock(), challenge.rollout.terms.max_p99_ms
    try:
        answer = endpoint.answer(call)
    except RequestRefused:
        if refusals_count:
            _note(challenge, arm, call, None, slow=False)
        raise
    except Exception:
        _note(challenge, arm, call, None, slow=False)
        raise
    milliseconds = (clock() - started) * 1000
    _note(challenge, arm, call, answer, slow=bound is not None and milliseconds > bound)
    return answer


def _note(challenge: Challenge, arm: Arm, call: Call, answer: Answer | None, *, slow: bool) -> None:
    prediction = None if answer is None else answer.prediction
    challenge.recorder.add(Observed(challenge.rollout.step, arm, call.request_id, prediction, slow))


def _state(path: Path) -> object:
    """What changes whenever a file is replaced."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _tell(event: str, **facts: object) -> None:
    _log.warning("%s", json.dumps({"event": event, **facts}, ensure_ascii=False))


def _tell_failure(call: Call, error: Exception) -> None:
    """The kind of an error only: its text may repeat the request's content."""
    _tell("challenger failed", request_id=call.request_id, error=type(error).__name__)
