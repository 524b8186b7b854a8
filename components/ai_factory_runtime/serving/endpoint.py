"""Endpoint: one loaded model that answers calls; knows no HTTP, no stage and no other model.

The service asks something that can `answer`: one Endpoint, or a router that holds several and chooses, mirrors or splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ai_factory_runtime.base.prediction import Prediction, Signature
from ai_factory_runtime.base.project import Project
from ai_factory_runtime.data.rows import Rows
from ai_factory_runtime.model_package.accelerator import Acceleration, compiled_for
from ai_factory_runtime.model_package.compiled import Compiled
from ai_factory_runtime.model_package.package import ModelPackage
from ai_factory_runtime.releases.stages import Deployed, load_deployed
from ai_factory_runtime.serving.reasons import Explainer, Reason
from ai_factory_runtime.serving.requests import MAX_ROWS, RequestSchema
from ai_factory_runtime.serving.typical import typical_record

SHORT_BODY = 128 * 1024  # bytes; the rows of a longer body take too long to answer while others wait


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came: `body` is CSV where `text`, else JSON; `request_id` is the caller's or a new one.

    `reasons` is for how many columns of each row the effect is asked; a JSON body may ask for them itself. `rows` are the most
    it may hold.
    """

    request_id: str
    body: bytes
    text: bool = False
    reasons: int = 0
    rows: int = MAX_ROWS


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says to a call, and which model it was. `prediction` and `reasons` have one answer a row, in their order."""

    model: Deployed
    classes: tuple[str, ...]
    rows: Rows
    prediction: Prediction
    reasons: tuple[tuple[Reason, ...], ...] | None = None


class Answering(Protocol):
    """What a service can be put around."""

    @property
    def endpoint(self) -> Endpoint:
        """The model that is deployed in the stage: what the page and /ping describe."""

    def answer(self, call: Call) -> Answer:
        """Answer a call. Raises RequestRefused, and whatever the model's own code raises. Called from any thread."""

    def is_quick(self, call: Call) -> bool:
        """Whether `answer` is sure to take milliseconds, so that the service need not hand it to a thread."""

    def start(self) -> None:
        """Called before the first call."""

    def close(self) -> None:
        """Called after the last one."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A loaded model, the schema of what it takes, and its compiled form where that may answer."""

    model: Deployed
    package: ModelPackage
    schema: RequestSchema
    acceleration: Acceleration
    compiled: Compiled | None
    explainer: Explainer

    @property
    def endpoint(self) -> Endpoint:
        """Itself: the one model there is."""
        return self

    def answer(self, call: Call) -> Answer:
        """Read, check and answer. Raises RequestRefused, and whatever the model's own code raises."""
        asked = self.schema.read(call.body, text=call.text, most=call.rows)
        prediction, most = self.predict(asked.rows), max(call.reasons, asked.reasons)
        reasons = self.explainer.reasons(asked.rows, prediction, self.predict, most) if most else None
        return Answer(self.model, self.package.signature.classes, asked.rows, prediction, reasons)

    def is_quick(self, call: Call) -> bool:
        """Whether the body is short and no code runs whose time is unknown."""
        return self.compiled is not None and self.compiled.bounded and len(call.body) <= SHORT_BODY

    def start(self) -> None:
        """Nothing: it is ready when it is made."""

    def close(self) -> None:
        """Nothing is left open."""

    def predict(self, rows: Rows) -> Prediction:
        """The model's answers to rows of `schema.layout`."""
        return self.package.predict(rows.frame()) if self.compiled is None else self.compiled.predict(rows)


def open_endpoint(project: Project, stage: str) -> Endpoint:
    """The endpoint of the model deployed in `stage`. Raises NothingDeployed, NotApproved, ReleaseInvalid, UnknownStage, ModelUnusable."""
    return make_endpoint(project, *load_deployed(project, stage))


def make_endpoint(project: Project, model: Deployed, package: ModelPackage) -> Endpoint:
    """The endpoint of a loaded model; a caller may send the contract's other columns along, and they are not looked at."""
    schema = schema_of(project, package.signature)
    compiled, acceleration = compiled_for(package)
    explainer = Explainer(package.signature, schema.layout, typical_record(package))
    return Endpoint(model, package, schema, acceleration, compiled, explainer)


def schema_of(project: Project, signature: Signature) -> RequestSchema:
    """What a model of the project takes in a request."""
    data = project.usecase.data
    others = frozenset(c.name for c in data.contract.columns) - {c.name for c in signature.features}
    return RequestSchema(signature.features, ignored=others, id=data.id if data.id in others else None)
