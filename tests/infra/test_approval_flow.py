"""Two persons approve a version: the flow's state machine is run here, JSONata and all, against what AWS would record.

Every change is told, the flow's own too, as AWS does; each telling starts a run, and runs wait, look and write among each other.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra.approval_definition import (
    NEEDED,
    RELEASED,
    SETTLE_SECONDS,
    TAKEN_BACK,
    WAIT_SECONDS,
    approval_definition,
)
from ai_factory_infra.approval_flow import MOST_HOURS, WORDS, ApprovalFlow
from ai_factory_infra.approval_looks import CONFIRMATION, MARK, RELEASED_MARK, WAITING_MARK
from ai_factory_infra.testing import Registered, run_resources
from jsonata import Jsonata

ACCOUNT = "123456789012"
VERSION = f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:model-package/churn-prod/7"
STS = f"arn:aws:sts::{ACCOUNT}:assumed-role"
ANNA, BEN, CARL = (f"{STS}/AWSReservedSSO_Approver/{n}" for n in ("anna", "ben", "carl"))
TRAINER = f"{STS}/churn-prod-training-0a1b2c3/SageMaker"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/churn-prod-approval-flow-0a1b2c3"
FLOW = f"{STS}/churn-prod-approval-flow-0a1b2c3/ZbGaYxkWQvT"
MACHINE, RULE = "aws:sfn/stateMachine:StateMachine", "aws:cloudwatch/eventRule:EventRule"
DEFINITION = approval_definition("churn-prod", ["churn-prod-training"], 1)


@dataclass(frozen=True)
class Change:
    """Who changes what of the package, at which second."""

    at: float
    who: str | None
    status: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    model: str | None = None


@dataclass
class SageMaker:
    """One model package, as AWS keeps it, and everything that it tells. `copies`, `late`: how often, and how many seconds late."""

    maker: str | None = TRAINER
    copies: int = 1
    late: float = 0.0
    last: str | None = None
    status: str = "PendingManualApproval"
    metadata: dict[str, str] = field(default_factory=dict)
    model: str = "s3://models/7/"
    clock: float = 1000.0
    said: list[dict[str, Any]] = field(default_factory=list)
    ends: list[Any] = field(default_factory=list)
    _agenda: list[tuple[float, int, Any]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    def play(self, *changes: Change) -> list[str]:
        """Let everything happen to its end; returns what was said, in order."""
        for change in changes:
            self._at(self.clock + change.at, change)
        for _ in range(20_000):
            if not self._agenda:
                return [entry["DetailType"] for entry in self.said]
            self.clock, _, what = heapq.heappop(self._agenda)
            if isinstance(what, Change):
                self._apply(what)
            elif (seconds := next(what, None)) is not None:
                self._at(self.clock + seconds, what)
        raise AssertionError("the machines never end")

    def _at(self, time: float, what: Any) -> None:
        heapq.heappush(self._agenda, (time, next(self._order), what))

    def _apply(self, change: Change) -> None:
        self.last = change.who
        self.status = change.status or self.status
        self.metadata = self.metadata | change.metadata
        self.model = change.model or self.model
        self._tell()

    def _tell(self) -> None:
        """AWS's rule hears of `Approved` only."""
        for copy in range(self.copies if self.status == "Approved" else 0):
            number = next(self._order)
            self._at(self.clock + self.late * (copy + 1), self.run(f"run-{number}", 0.2 + number % 7 / 100))

    def describe(self) -> dict[str, Any]:
        source = {"S3DataSource": {"S3Uri": self.model}}
        found: dict[str, Any] = {
            "ModelApprovalStatus": self.status,
            "CustomerMetadataProperties": dict(self.metadata),
            "InferenceSpecification": {"Containers": [{"Image": "image:v1", "ModelDataSource": source}]},
        }
        for key, who in (("CreatedBy", self.maker), ("LastModifiedBy", self.last)):
            found[key] = {"IamIdentity": {"Arn": who}} if who else {}
        return found

    def call(self, resource: str, arguments: dict[str, Any]) -> Any:
        if resource.endswith("describeModelPackage"):
            assert arguments == {"ModelPackageName": VERSION}
            return self.describe()
        if resource.endswith("updateModelPackage"):
            assert arguments.pop("ModelPackageArn") == VERSION
            self.last, self.status = FLOW, arguments.get("ModelApprovalStatus", self.status)
            gone = arguments.get("CustomerMetadataPropertiesToRemove", [])
            kept = {k: v for k, v in self.metadata.items() if k not in gone}
            self.metadata = kept | arguments["CustomerMetadataProperties"]
            self._tell()
            return {}
        assert resource.endswith("events:putEvents")
        self.said += arguments["Entries"]
        return {}

    def run(self, name: str, latency: float) -> Iterator[float]:
        """One execution: yields how many seconds pass, while the others go on."""
        given = {"detail": {"ModelPackageArn": VERSION}}
        states = {"input": given, "context": {"Execution": {"Name": name, "RoleArn": ROLE}}}
        at, variables = DEFINITION["StartAt"], dict[str, Any]()
        while True:
            state = DEFINITION["States"][at]
            bindings = {**variables, "states": states}
            if state["Type"] == "Succeed":
                self.ends.append(at)
                return
            if state["Type"] == "Choice":
                true = (c["Next"] for c in state["Choices"] if evaluated(c["Condition"], bindings, self.clock) is True)
                at = next(true, state["Default"])
                continue
            if state["Type"] == "Wait":
                yield state["Seconds"]
            if state["Type"] == "Task":
                result = self.call(state["Resource"], evaluated(state["Arguments"], bindings, self.clock))
                bindings["states"] = {**states, "result": result}
            variables |= evaluated(state.get("Assign", {}), bindings, self.clock)
            if state["Type"] == "Task":
                yield latency
            if state.get("End"):
                self.ends.append(at)
                return
            at = state["Next"]


def evaluated(value: Any, bindings: dict[str, Any], clock: float) -> Any:
    """A field of the state machine, its JSONata expressions replaced by their values. An undefined one ends an execution."""
    if isinstance(value, dict):
        return {k: evaluated(v, bindings, clock) for k, v in value.items()}
    if isinstance(value, list):
        return [evaluated(v, bindings, clock) for v in value]
    if not (isinstance(value, str) and value.startswith("{%")):
        return value
    expression = parsed(value[2:-2].strip().replace("$millis()", "$clock"))
    for name, bound in {**bindings, "clock": int(clock * 1000)}.items():
        expression.assign(name, bound)
    found = expression.evaluate(None)
    assert found is not None, f"undefined: {value}"
    return found


@functools.cache
def parsed(expression: str) -> Jsonata:
    return Jsonata(expression)


def approves(who: str | None = ANNA, at: float = 0, **more: Any) -> Change:
    return Change(at, who, status="Approved", **more)


def confirms(who: str = BEN, at: float = 700, name: str | None = None, **more: Any) -> Change:
    return Change(at, who, metadata={CONFIRMATION: name or who.rsplit("/", 1)[-1]}, **more)


HOW_TOLD = [
    {},
    {"copies": 2},
    {"copies": 3, "late": 0.05},
    {"late": 2.0},
    {"late": 400.0},
    {"copies": 2, "late": 4000.0},
]


@pytest.mark.parametrize("told", HOW_TOLD, ids=str)
def test_two_persons_release_a_version_that_neither_made_however_often_and_late_aws_tells(told: dict[str, Any]) -> None:
    """Were the first telling late, the second person would confirm later: they are asked by the first run."""
    package = SageMaker(**told)
    asked = package.late + 100
    said = package.play(approves(), confirms(at=asked + 600))
    assert said.count(RELEASED) == 1
    assert TAKEN_BACK not in said
    assert said.index(NEEDED) < said.index(RELEASED)
    (released,) = [e["Detail"] for e in package.said if e["DetailType"] == RELEASED]
    assert released == {"group": "churn-prod", "version": VERSION, "first": ANNA, "second": BEN}
    assert package.status == "Approved"
    assert package.metadata[MARK].startswith(RELEASED_MARK)


def test_a_telling_once_is_said_once_and_every_other_run_ends_in_silence() -> None:
    package = SageMaker()
    assert package.play(approves(), confirms()) == [NEEDED, RELEASED]
    assert sorted(package.ends) == ["Release"] + ["SeenToElsewhere"] * 3


def test_a_run_that_begins_with_the_confirmation_takes_nothing_back() -> None:
    """The confirmation's own telling, and one long after the release."""
    package = SageMaker(last=BEN, status="Approved", metadata={CONFIRMATION: "ben"})
    package._tell()
    package._at(package.clock + 900, Change(900, FLOW, metadata={MARK: RELEASED_MARK + "run-0"}))
    assert package.play() == []
    assert package.status == "Approved"


@pytest.mark.parametrize("told", [{}, {"copies": 2, "late": 3.0}], ids=str)
@pytest.mark.parametrize(
    ("maker", "changes", "because"),
    [
        (TRAINER, [approves(TRAINER)], "a training job may not approve"),
        (TRAINER, [approves(None)], "a training job may not approve"),
        (ANNA, [approves()], "whoever made the version may not approve it"),
        (ANNA, [approves(None)], "whoever made the version may not approve it"),
        (None, [approves(None)], "AWS recorded nobody as the approver"),
        (TRAINER, [approves(), confirms(ANNA)], "one person tried to be both"),
        (TRAINER, [approves(), confirms(f"{STS}/Other/anna")], "one person tried to be both"),
        (f"{STS}/Other/anna", [approves()], "whoever made the version may not approve it"),
        (BEN, [approves(), confirms()], "whoever made the version may not approve it"),
        (TRAINER, [approves(), confirms(TRAINER)], "a training job may not approve"),
        (TRAINER, [approves()], "no second person approved within 1 hours"),
        (TRAINER, [approves(), Change(700, BEN)], "no second person approved within 1 hours"),
        (TRAINER, [approves(), confirms(BEN, name="anna")], "the second person's name was not written by them"),
    ],
    ids=lambda v: v if isinstance(v, str) and "/" not in v else "",
)
def test_one_person_is_not_two_and_the_approval_is_taken_back(
    maker: str | None, changes: list[Change], because: str, told: dict[str, Any]
) -> None:
    package = SageMaker(maker=maker, **told)
    said = package.play(*changes)
    assert RELEASED not in said
    assert said[-1] == TAKEN_BACK
    assert because in [e["Detail"].get("because") for e in package.said]
    assert package.status == "PendingManualApproval"
    assert CONFIRMATION not in package.metadata


RELEASED_BY_HAND = {MARK: RELEASED_MARK + "run-0", "released-by": "anna and ben"}
FORGERIES = {
    "a release's mark with the approval": [approves(metadata=RELEASED_BY_HAND)],
    "a release's mark afterwards": [approves(), Change(400, ANNA, metadata=RELEASED_BY_HAND)],
    "a run's mark, so that nobody looks": [approves(metadata={MARK: WAITING_MARK + "run-0"})],
    "one's own name with the approval": [approves(metadata={CONFIRMATION: "anna"})],
    "another's name with the approval, who changes something later": [
        approves(metadata={CONFIRMATION: "ben"}),
        Change(700, BEN),
    ],
    "another's name afterwards, who changes something later": [
        approves(),
        confirms(ANNA, at=400, name="ben"),
        Change(500, BEN),
    ],
    "another's name and a run's mark": [
        approves(metadata={CONFIRMATION: "ben", MARK: WAITING_MARK + "run-0"}),
        Change(700, BEN),
    ],
    "somebody's change made an approval": [approves(), Change(590, CARL), confirms(ANNA, at=885)],
    "somebody's change made an approval, the mark cleaned away": [
        approves(),
        Change(400, ANNA, metadata={MARK: "ended"}),
        Change(800, CARL),
        confirms(ANNA, at=850),
    ],
    "another model than was approved": [approves(), confirms(model="s3://evil/")],
    "another model while it is released": [approves(), confirms(), Change(920, ANNA, model="s3://evil/")],
    "a user whose path reads like the flow's role": [
        approves(f"arn:aws:iam::{ACCOUNT}:user/{FLOW.partition('::')[2]}/eve", metadata=RELEASED_BY_HAND)
    ],
    "the flow's role's name in another account": [
        approves(FLOW.replace(ACCOUNT, "210987654321"), metadata=RELEASED_BY_HAND)
    ],
    "a role whose name begins as the flow's": [approves(FLOW.replace("c3/", "c3x/"), metadata=RELEASED_BY_HAND)],
}


@pytest.mark.parametrize("told", [{}, {"copies": 2}], ids=str)
@pytest.mark.parametrize("changes", FORGERIES.values(), ids=FORGERIES.keys())
def test_what_one_person_writes_by_hand_releases_nothing(changes: list[Change], told: dict[str, Any]) -> None:
    package = SageMaker(**told)
    said = package.play(*changes)
    assert RELEASED not in said
    assert said[-1] == TAKEN_BACK
    assert package.status == "PendingManualApproval"


def test_a_model_changed_after_the_approval_is_not_what_was_approved() -> None:
    package = SageMaker()
    assert package.play(approves(), Change(400, CARL, model="s3://other/"))[-1] == TAKEN_BACK
    assert package.said[-1]["Detail"]["because"] == "it was changed after it was approved"
    assert package.clock < 1000 + 800


def test_a_change_while_it_is_released_is_seen_before_aws_tells_of_it() -> None:
    package = SageMaker(late=100)
    assert RELEASED not in package.play(approves(), confirms(), Change(730, CARL, metadata={"note": "x"}))


def test_a_name_that_is_not_its_writers_is_seen_before_aws_tells_of_it() -> None:
    package = SageMaker(late=400)
    assert package.play(approves(), confirms(BEN, at=990, name="anna"))[-1] == TAKEN_BACK
    assert package.said[-1]["Detail"]["because"] == "the second person's name was not written by them"


def test_a_change_after_the_release_asks_two_persons_again() -> None:
    package = SageMaker()
    again = [Change(3000, CARL, metadata={"note": "x"}), confirms(ANNA, at=4000)]
    assert package.play(approves(), confirms(), *again) == [NEEDED, RELEASED, NEEDED, RELEASED]


def test_a_rejection_meanwhile_ends_it_and_a_later_approval_begins_anew() -> None:
    package = SageMaker()
    assert package.play(approves(), Change(700, BEN, status="Rejected", metadata={})) == [NEEDED]
    assert package.status == "Rejected"
    assert package.play(approves(CARL, at=10), confirms(ANNA, at=900)) == [NEEDED, NEEDED, RELEASED]


def test_what_was_taken_back_may_be_approved_again() -> None:
    package = SageMaker()
    package.play(approves())
    assert package.play(approves(CARL), confirms(BEN))[-2:] == [NEEDED, RELEASED]


def test_the_longest_wait_fits_the_history_of_an_execution() -> None:
    """A wait is two events, a look five, a choice two; Step Functions ends an execution with 25,000."""
    assert MOST_HOURS * 3600 / WAIT_SECONDS * 9 < 25_000
    assert SETTLE_SECONDS < WAIT_SECONDS


def test_the_metadata_that_the_flow_writes_is_what_aws_takes() -> None:
    for mark in (WAITING_MARK, RELEASED_MARK):
        assert re.fullmatch(r"[\w\s.:/=+\-@]{1,256}", mark + "0a1b2c3d-" * 9)


def flow(**changes: Any) -> Registered:
    args = {"group": "churn-prod", "alerts_topic_arn": "arn:aws:sns:x:y:z", "trainers": ["churn-prod-training"]}

    def build() -> None:
        provider = aws.Provider("aws", region="eu-west-1")
        ApprovalFlow("churn-prod-approval", {**args, **changes}, pulumi.ResourceOptions(provider=provider))  # type: ignore[typeddict-item]  # fmt: skip

    return run_resources(build, stage="prod")


def test_only_an_approval_begins_it() -> None:
    pattern = json.loads(flow().named(RULE, "-begin").inputs["eventPattern"])
    assert pattern["detail"] == {"ModelPackageGroupName": ["churn-prod"], "ModelApprovalStatus": ["Approved"]}


def test_people_hear_every_outcome_in_words() -> None:
    found = flow()
    targets = [t.inputs for t in found.of("aws:cloudwatch/eventTarget:EventTarget") if "inputTransformer" in t.inputs]
    assert len(targets) == len(WORDS) == 3
    for target in targets:
        transformer = target["inputTransformer"]
        assert target["arn"] == "arn:aws:sns:x:y:z"
        assert all(f"<{name}>" in transformer["inputTemplate"] for name in transformer["inputPaths"])


def test_the_flow_may_change_this_group_only() -> None:
    updates = [s for _, s in flow().statements() if "sagemaker:UpdateModelPackage" in s["Action"]]
    assert [s["Resource"] for s in updates] == [[f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:model-package/churn-prod/*"]]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"trainers": []}, "trainers"),
        ({"hours": 0}, "hours"),
        ({"group": "a b"}, "group"),
        ({"trainers": ["a/b"]}, "trainers[0]"),
    ],
)
def test_a_flow_in_which_training_could_approve_is_refused(change: dict[str, Any], path: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        flow(**change)
    assert [e["property_path"] for e in caught.value.errors or []] == [path]
