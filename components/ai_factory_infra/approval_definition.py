"""The state machine by which two persons approve a model version, as plain values. No cloud, no Pulumi.

AWS records who changed a model package; the machine reads that record, so nobody's word is taken for it. The first person
sets the version to `Approved`. The machine asks for a second, and looks until one has written their own name into the
version's metadata, as the record says it was they who wrote it. A version that is approved by whoever made it, by a
training job, or by one person alone goes back to `PendingManualApproval`.
AWS: "DescribeModelPackage" (LastModifiedBy.IamIdentity), "AWS Step Functions: transforming data with JSONata".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SOURCE = "ai-factory.approvals"
NEEDED, RELEASED, TAKEN_BACK = "Second Person Needed", "Model Version Released", "Approval Taken Back"
CONFIRMATION = "second-approval"  # the metadata in which the second person writes their own name
WAIT_SECONDS = 300  # an execution has at most 25,000 events, and each look makes nine
RETRY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 5, "MaxAttempts": 5, "BackoffRate": 2}]

Json = dict[str, Any]


def approval_definition(group: str, trainers: Sequence[str], hours: int) -> Json:
    """The machine for one model package group. Input: EventBridge's event of a model package that changed.

    `trainers`: what the names of roles begin with that may never approve. `hours`: how long a second person has.
    """
    return {
        "QueryLanguage": "JSONata",
        "StartAt": "LookAtVersion",
        "States": {**_first(trainers, hours), **_second(group, trainers), **_outcomes(group, hours)},
    }


def _first(trainers: Sequence[str], hours: int) -> Json:
    """Who approved: somebody, who neither trained nor made the version."""
    return {
        "LookAtVersion": _look(_first_look(hours), "{% $states.input.detail.ModelPackageArn %}", "JudgeFirst"),
        "JudgeFirst": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $status != 'Approved' %}", "Next": "NotApproved"},
                {"Condition": "{% $first = '' %}", "Next": "NobodyRecorded"},
                {"Condition": _is_trainer("$first", trainers), "Next": "ApprovedByTraining"},
                {"Condition": "{% $first = $maker %}", "Next": "ApprovedByMaker"},
            ],
            "Default": "AskSecond",
        },
    }


def _second(group: str, trainers: Sequence[str]) -> Json:
    """Ask for another, and look until one has confirmed under their own name, or the time is over."""
    second_trained = _inner(_is_trainer("$second", trainers))
    return {
        "AskSecond": _tell(NEEDED, group, {"first": "{% $first %}", "until": "{% $fromMillis($until) %}"}, "Wait"),
        "Wait": {"Type": "Wait", "Seconds": WAIT_SECONDS, "Next": "LookAgain"},
        "LookAgain": _look(_second_look(), "{% $version %}", "JudgeSecond"),
        "JudgeSecond": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $status != 'Approved' %}", "Next": "NotApproved"},
                {"Condition": "{% $confirmed != '' and $second = $first %}", "Next": "OnePersonTwice"},
                {"Condition": f"{{% $confirmed = $name and {second_trained} %}}", "Next": "ApprovedByTraining"},
                {"Condition": "{% $confirmed = $name and $second = $maker %}", "Next": "ApprovedByMaker"},
                {"Condition": "{% $confirmed != '' and $confirmed = $name %}", "Next": "Release"},
                {"Condition": "{% $millis() > $until %}", "Next": "NobodyElse"},
            ],
            "Default": "Wait",
        },
    }


def _outcomes(group: str, hours: int) -> Json:
    """Released; not approved any more; or refused for a reason, and then taken back and told."""
    return {
        "Release": _tell(RELEASED, group, {"first": "{% $first %}", "second": "{% $second %}"}, None),
        "NotApproved": {"Type": "Succeed", "Output": {"released": False, "because": "it is not approved any more"}},
        **_refused("NobodyRecorded", "AWS recorded nobody as the approver"),
        **_refused("ApprovedByTraining", "a training job may not approve"),
        **_refused("ApprovedByMaker", "whoever made the version may not approve it"),
        **_refused("OnePersonTwice", "one person tried to be both"),
        **_refused("NobodyElse", f"no second person approved within {hours} hours"),
        "TakeBack": _take_back("TellTakenBack"),
        "TellTakenBack": _tell(TAKEN_BACK, group, {"first": "{% $first %}", "because": "{% $because %}"}, None),
    }


def _first_look(hours: int) -> Json:
    package = "$states.result"
    last = f"{package}.LastModifiedBy.IamIdentity.Arn"
    made = f"{package}.CreatedBy.IamIdentity.Arn"
    return {
        "version": "{% $states.input.detail.ModelPackageArn %}",
        "status": f"{{% {package}.ModelApprovalStatus %}}",
        "first": f"{{% $exists({last}) ? {last} : $exists({made}) ? {made} : '' %}}",
        "maker": f"{{% $exists({made}) ? {made} : '' %}}",
        "until": f"{{% $millis() + {hours * 3_600_000} %}}",
        "because": "",
    }


def _second_look() -> Json:
    """`name`: the last part of an identity's ARN: a user's name, or the name of an assumed role's session."""
    package = "$states.result"
    last = f"{package}.LastModifiedBy.IamIdentity.Arn"
    written = f"$lookup({package}.CustomerMetadataProperties, '{CONFIRMATION}')"
    return {
        "status": f"{{% {package}.ModelApprovalStatus %}}",
        "second": f"{{% $exists({last}) ? {last} : '' %}}",
        "name": f"{{% $exists({last}) ? $split({last}, '/')[-1] : '' %}}",
        "confirmed": f"{{% $exists({written}) ? {written} : '' %}}",
    }


def _look(keep: Json, version: str, then: str) -> Json:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sagemaker:describeModelPackage",
        "Arguments": {"ModelPackageName": version},
        "Assign": keep,
        "Output": "{% $states.input %}",
        "Retry": RETRY,
        "Next": then,
    }


def _take_back(then: str) -> Json:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sagemaker:updateModelPackage",
        "Arguments": {
            "ModelPackageArn": "{% $version %}",
            "ModelApprovalStatus": "PendingManualApproval",
            "ApprovalDescription": "{% 'Taken back: ' & $because %}",
            "CustomerMetadataPropertiesToRemove": [CONFIRMATION],
        },
        "Output": "{% $states.input %}",
        "Retry": RETRY,
        "Next": then,
    }


def _is_trainer(who: str, trainers: Sequence[str]) -> str:
    """Whether an identity is a session of a role whose name begins with one of these."""
    tests = " or ".join(f"$contains({who}, ':assumed-role/{t}')" for t in trainers)
    return f"{{% {tests or 'false'} %}}"


def _inner(expression: str) -> str:
    return f"({expression.removeprefix('{% ').removesuffix(' %}')})"


def _tell(what: str, group: str, detail: Json, then: str | None) -> Json:
    """Say it on the account's event bus: people hear it through the topic, machines by a rule of their own."""
    entry = {
        "Source": SOURCE,
        "DetailType": what,
        "Detail": {"group": group, "version": "{% $version %}", **detail},
    }
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::events:putEvents",
        "Arguments": {"Entries": [entry]},
        "Output": "{% $states.input %}" if then else {"said": what, **detail},
        "Retry": RETRY,
        **({"Next": then} if then else {"End": True}),
    }


def _refused(state: str, because: str) -> Json:
    return {
        state: {"Type": "Pass", "Assign": {"because": because}, "Output": "{% $states.input %}", "Next": "TakeBack"}
    }
