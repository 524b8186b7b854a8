"""Two persons approve a version: the flow's state machine is run here, JSONata and all, against what AWS would record."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra.approval_definition import (
    CONFIRMATION,
    NEEDED,
    RELEASED,
    TAKEN_BACK,
    WAIT_SECONDS,
    approval_definition,
)
from ai_factory_infra.approval_flow import MOST_HOURS, WORDS, ApprovalFlow
from ai_factory_infra.testing import Registered, run_resources
from jsonata import Jsonata

ACCOUNT = "123456789012"
VERSION = f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:model-package/churn-prod/7"
ANNA, BEN = (f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Approver/{n}" for n in ("anna", "ben"))
TRAINER = f"arn:aws:sts::{ACCOUNT}:assumed-role/churn-prod-training-0a1b2c3/SageMaker"
MACHINE, RULE = "aws:sfn/stateMachine:StateMachine", "aws:cloudwatch/eventRule:EventRule"


@dataclass
class SageMaker:
    """One model package, as AWS keeps it: who changed it last is AWS's own record. `later`: changes, one for each wait."""

    maker: str | None = TRAINER
    last: str | None = ANNA
    status: str = "Approved"
    metadata: dict[str, str] = field(default_factory=dict)
    later: list[dict[str, Any]] = field(default_factory=list)
    said: list[dict[str, Any]] = field(default_factory=list)
    clock: int = 1_000_000

    def describe(self) -> dict[str, Any]:
        found: dict[str, Any] = {"ModelApprovalStatus": self.status, "CustomerMetadataProperties": self.metadata}
        for key, who in (("CreatedBy", self.maker), ("LastModifiedBy", self.last)):
            found[key] = {"IamIdentity": {"Arn": who}} if who else {}
        return found

    def wait(self, seconds: int) -> None:
        self.clock += seconds * 1000
        for name, value in (self.later.pop(0) if self.later else {}).items():
            setattr(self, name, value)

    def call(self, resource: str, arguments: dict[str, Any]) -> Any:
        if resource.endswith("describeModelPackage"):
            assert arguments == {"ModelPackageName": VERSION}
            return self.describe()
        if resource.endswith("updateModelPackage"):
            assert arguments["ModelPackageArn"] == VERSION
            assert arguments["CustomerMetadataPropertiesToRemove"] == [CONFIRMATION]
            self.status = arguments["ModelApprovalStatus"]
            return {}
        assert resource.endswith("events:putEvents")
        self.said += arguments["Entries"]
        return {}


def evaluated(value: Any, bindings: dict[str, Any], clock: int) -> Any:
    """A field of the state machine, its JSONata expressions replaced by their values."""
    if isinstance(value, dict):
        return {k: evaluated(v, bindings, clock) for k, v in value.items()}
    if isinstance(value, list):
        return [evaluated(v, bindings, clock) for v in value]
    if not (isinstance(value, str) and value.startswith("{%")):
        return value
    expression = Jsonata(value[2:-2].strip().replace("$millis()", str(clock)))
    for name, bound in bindings.items():
        expression.assign(name, bound)
    return expression.evaluate(None)


def run(aws_: SageMaker, hours: int = 1) -> list[str]:
    """Run the state machine to its end; returns what it said, in order."""
    machine = approval_definition("churn-prod", ["churn-prod-training"], hours)
    given = {"detail": {"ModelPackageArn": VERSION}}
    name, variables = machine["StartAt"], dict[str, Any]()
    for _ in range(2000):
        state = machine["States"][name]
        bindings = {**variables, "states": {"input": given}}
        if state["Type"] == "Succeed":
            break
        if state["Type"] == "Choice":
            true = (c["Next"] for c in state["Choices"] if evaluated(c["Condition"], bindings, aws_.clock) is True)
            name = next(true, state["Default"])
            continue
        if state["Type"] == "Wait":
            aws_.wait(state["Seconds"])
        if state["Type"] == "Task":
            result = aws_.call(state["Resource"], evaluated(state["Arguments"], bindings, aws_.clock))
            bindings["states"] = {"input": given, "result": result}
        variables |= evaluated(state.get("Assign", {}), bindings, aws_.clock)
        if state.get("End"):
            break
        name = state["Next"]
    else:
        raise AssertionError("the machine never ends")
    return [entry["DetailType"] for entry in aws_.said]


def confirmed_by(who: str, name: str | None = None) -> dict[str, Any]:
    return {"last": who, "metadata": {CONFIRMATION: name or who.rsplit("/", 1)[-1]}}


def test_two_persons_release_a_version_that_neither_made() -> None:
    package = SageMaker(later=[{}, {}, confirmed_by(BEN)])
    assert run(package) == [NEEDED, RELEASED]
    assert package.said[-1]["Detail"] == {"group": "churn-prod", "version": VERSION, "first": ANNA, "second": BEN}
    assert package.status == "Approved"


@pytest.mark.parametrize(
    ("package", "because"),
    [
        (SageMaker(last=TRAINER), "a training job may not approve"),
        (SageMaker(last=None, maker=TRAINER), "a training job may not approve"),
        (SageMaker(maker=ANNA), "whoever made the version may not approve it"),
        (SageMaker(last=None, maker=ANNA), "whoever made the version may not approve it"),
        (SageMaker(last=None, maker=None), "AWS recorded nobody as the approver"),
        (SageMaker(later=[confirmed_by(ANNA)]), "one person tried to be both"),
        (SageMaker(later=[{"metadata": {CONFIRMATION: "ben"}}]), "one person tried to be both"),
        (SageMaker(maker=BEN, later=[confirmed_by(BEN)]), "whoever made the version may not approve it"),
        (SageMaker(later=[confirmed_by(TRAINER)]), "a training job may not approve"),
        (SageMaker(), "no second person approved within 1 hours"),
        (SageMaker(later=[{"last": BEN}]), "no second person approved within 1 hours"),
        (SageMaker(later=[confirmed_by(BEN, "anna")]), "no second person approved within 1 hours"),
    ],
)
def test_one_person_is_not_two_and_the_approval_is_taken_back(package: SageMaker, because: str) -> None:
    said = run(package)
    assert RELEASED not in said
    assert said[-1] == TAKEN_BACK
    assert package.said[-1]["Detail"]["because"] == because
    assert package.status == "PendingManualApproval"


def test_a_rejection_meanwhile_ends_it_and_is_left_as_it_is() -> None:
    package = SageMaker(later=[{"status": "Rejected", "last": BEN, "metadata": {CONFIRMATION: "ben"}}])
    assert run(package) == [NEEDED]
    assert package.status == "Rejected"


def test_the_longest_wait_fits_the_history_of_an_execution() -> None:
    """A wait is two events, a look five, a choice two; Step Functions ends an execution with 25,000."""
    assert MOST_HOURS * 3600 / WAIT_SECONDS * 9 < 25_000


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
