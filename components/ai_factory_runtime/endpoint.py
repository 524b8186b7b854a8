"""Endpoint: one loaded model that answers calls; knows no HTTP, no stage and no other model.

The service asks something that can `answer`: one Endpoint, or a router that holds several and chooses, mirrors or splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ai_factory_runtime.package import ModelPackage, Prediction
from ai_factory_runtime.project import Project
from ai_factory_runtime.requests import RequestSchema
from ai_factory_runtime.rows import Rows
from ai_factory_runtime.stages import Deployed, load_deployed


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came: `body` is CSV where `text`, else JSON; `request_id` is the caller's or a new one."""

    request_id: str
    body: bytes
    text: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says to a call, and which model it was. `prediction` has one answer a row, in their order."""

    model: Deployed
    classes: tuple[str, ...]
    rows: Rows
    prediction: Prediction


class Answering(Protocol):
    """What a service can be put around."""

    @property
    def endpoint(self) -> Endpoint:
        """The model that is deployed in the stage: what the page and /ping describe."""

    def answer(self, call: Call) -> Answer:
        """Answer a call. Raises RequestRefused, and whatever the model's own code raises. Called from any thread."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A loaded model and the schema of what it takes."""

    model: Deployed
    package: ModelPackage
    schema: RequestSchema

    @property
    def endpoint(self) -> Endpoint:
        """Itself: the one model there is."""
        return self

    def answer(self, call: Call) -> Answer:
        """Read, check and answer. Raises RequestRefused, and whatever the model's own code raises."""
        asked = self.schema.read(call.body, text=call.text)
        return Answer(self.model, self.package.signature.classes, asked.rows, self.predict(asked.rows))

    def predict(self, rows: Rows) -> Prediction:
        """The model's answers to rows of `schema.layout`."""
        return self.package.predict(rows.frame())


def open_endpoint(project: Project, stage: str) -> Endpoint:
    """The endpoint of the model deployed in `stage`. Raises NothingDeployed, NotApproved, ReleaseInvalid, UnknownStage, ModelUnusable."""
    return make_endpoint(project, *load_deployed(project, stage))


def make_endpoint(project: Project, model: Deployed, package: ModelPackage) -> Endpoint:
    """The endpoint of a loaded model; a caller may send the contract's other columns along, and they are not looked at."""
    features, data = package.signature.features, project.usecase.data
    others = frozenset(c.name for c in data.contract.columns) - {c.name for c in features}
    return Endpoint(model, package, RequestSchema(features, ignored=others, id=data.id if data.id in others else None))
