"""The endpoint of a fleet: each row of a call goes to its value's endpoint, and to the captures of its partition.

A call whose rows are all of one value, as one row is, is answered as that value's own endpoint would: compiled where it may be, and
with that model's version and digest. A call with rows of several values names the fleet: version 0 and the digest of all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ai_factory_runtime.base.prediction import Prediction
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.data.rows import Layout, Rows
from ai_factory_runtime.model_package.accelerator import Acceleration
from ai_factory_runtime.monitoring.capture import Capture, Exchange
from ai_factory_runtime.releases.fleet import Fleet, load_fleet
from ai_factory_runtime.releases.partitions import partition_of
from ai_factory_runtime.releases.stages import Deployed
from ai_factory_runtime.serving.endpoint import SHORT_BODY, Answer, Call, Endpoint, make_endpoint, schema_of
from ai_factory_runtime.serving.reasons import Explainer, Reason
from ai_factory_runtime.serving.typical import typical_record

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of a call that one member answers, as that member takes them, and where they were among all rows."""

    member: Endpoint
    value: str
    places: Positions
    rows: Rows


@dataclass(frozen=True, slots=True)
class FleetEndpoint:
    """Answers for every partition of a stage. `endpoint` describes the fleet as one; it answers nothing itself."""

    endpoint: Endpoint
    members: Mapping[str, Endpoint]
    column: str

    def answer(self, call: Call) -> Answer:
        """Read, check, and let each row's model answer. Raises RequestRefused, and whatever a model's own code raises."""
        asked = self.endpoint.schema.read(call.body, text=call.text, most=call.rows)
        most, classes = max(call.reasons, asked.reasons), self.endpoint.package.signature.classes
        groups = self.groups(asked.rows)
        answers = [group.member.predict(group.rows) for group in groups]
        reasons = [
            g.member.explainer.reasons(g.rows, said, g.member.predict, most)
            for g, said in (zip(groups, answers, strict=True) if most else ())
        ]
        model = groups[0].member.model if len(groups) == 1 else self.endpoint.model
        said = _in_order(groups, answers, len(asked.rows))
        return Answer(
            model, classes, asked.rows, said, _reasons_in_order(groups, reasons, len(asked.rows)) if most else None
        )

    def is_quick(self, call: Call) -> bool:
        """Whether every member is sure to answer in milliseconds."""
        return len(call.body) <= SHORT_BODY and all(member.is_quick(call) for member in self.members.values())

    def start(self) -> None:
        """Nothing: it is ready when it is made."""

    def close(self) -> None:
        """Nothing is left open."""

    def groups(self, rows: Rows) -> list[Group]:
        """The rows of each value that occurs, in the layout of its model."""
        values = rows.others[rows.layout.positions[self.column]]
        found: dict[str, list[int]] = {}
        for place, value in enumerate(values):
            found.setdefault(value, []).append(place)
        return [
            Group(
                self.members[value],
                value,
                np.array(places),
                _narrow(rows.take(places), self.members[value].schema.layout),
            )
            for value, places in found.items()
        ]


class FleetCapture(Capture):
    """Keeps each exchange in the captures of the partitions that its rows are of, where `monitor --partition` looks."""

    def __init__(self, answering: FleetEndpoint, captures: Mapping[str, Capture]) -> None:
        first = next(iter(captures.values()))
        super().__init__(Path(first.folder), first.features, rate=0.0)
        self._answering, self._captures = answering, dict(captures)

    def start(self) -> None:
        """Start writing in every partition."""
        for capture in self._captures.values():
            capture.start()

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits in every partition, then stop."""
        for capture in self._captures.values():
            capture.close(timeout)
        self._count()

    def offer(self, exchange: Exchange) -> None:
        """Take each value's rows, or leave them: never waits."""
        for group in self._answering.groups(exchange.rows):
            model, said = group.member.model, exchange.prediction
            shares = None if said.probabilities is None else said.probabilities[group.places]
            prediction = Prediction(said.values[group.places], shares)
            own = Exchange(exchange.at, exchange.request_id, model.version, model.digest, group.rows, prediction)
            self._captures[group.value].offer(own)
        self._count()

    def _count(self) -> None:
        self.kept = sum(c.kept for c in self._captures.values())
        self.dropped = sum(c.dropped for c in self._captures.values())
        self.passed_over = sum(c.passed_over for c in self._captures.values())


def open_fleet_endpoint(project: Project, stage: str) -> FleetEndpoint:
    """What answers for all partitions that have a model in a stage. Raises what `load_fleet` raises."""
    model, fleet = load_fleet(project, stage)
    assert isinstance(fleet, Fleet)
    members = {m.value: make_endpoint(partition_of(project, m.value), m.model, m.package) for m in fleet.members}
    return FleetEndpoint(_face(project, model, fleet, members), members, fleet.column)


def capture_each(
    project: Project, answering: FleetEndpoint, make: Callable[[Project, Endpoint], Capture]
) -> FleetCapture:
    """The captures of all partitions of a stage as one; `make` makes one."""
    captures = {value: make(partition_of(project, value), endpoint) for value, endpoint in answering.members.items()}
    return FleetCapture(answering, captures)


def _face(project: Project, model: Deployed, fleet: Fleet, members: Mapping[str, Endpoint]) -> Endpoint:
    """The fleet as one endpoint, for the page, /ping and the metrics."""
    schema = schema_of(project, fleet.signature)
    used = {(m.acceleration.engine, m.acceleration.features) for m in members.values()}
    engine, features = next(iter(used)) if len(used) == 1 else ("scikit-learn", "scikit-learn")
    reason = f"each {fleet.column} is answered by its own model" + ("" if len(used) == 1 else ", some of them compiled")
    explainer = Explainer(fleet.signature, schema.layout, typical_record(fleet))
    return Endpoint(model, fleet, schema, Acceleration(engine, features, reason), None, explainer)


def _narrow(rows: Rows, layout: Layout) -> Rows:
    """The rows with the columns of another layout, all of which they have."""
    at = rows.layout.positions
    numbers = rows.numbers[:, [at[c.name] for c in layout.numeric]]
    return Rows(layout, numbers, tuple(rows.others[at[c.name]] for c in layout.other), rows.ids)


def _in_order(groups: list[Group], answers: list[Prediction], count: int) -> Prediction:
    if len(groups) == 1:
        return answers[0]
    values = np.empty(count, dtype=answers[0].values.dtype)
    first = answers[0].probabilities
    shares = None if first is None else np.empty((count, first.shape[1]))
    for group, said in zip(groups, answers, strict=True):
        values[group.places] = said.values
        if shares is not None:
            shares[group.places] = said.probabilities
    return Prediction(values, shares)


def _reasons_in_order(
    groups: list[Group], reasons: list[tuple[tuple[Reason, ...], ...]], count: int
) -> tuple[tuple[Reason, ...], ...]:
    found: list[tuple[Reason, ...]] = [()] * count
    for group, given in zip(groups, reasons, strict=True):
        for place, one in zip(group.places.tolist(), given, strict=True):
            found[place] = one
    return tuple(found)
