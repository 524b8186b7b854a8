"""The state machine by which two persons approve a model version, as plain values. No cloud, no Pulumi.

AWS records who changed a model package last; the machine reads that record (`approval_looks`), so nobody's word is taken for
it. The first person sets the version to `Approved`. The machine asks for a second, and looks until one has written their own
name into the version's metadata, as the record says it was they who wrote it. A version that is approved by whoever made it,
by a training job, or by one person alone goes back to `PendingManualApproval`.

AWS may say one change several times, late, and says the confirmation and the machine's own writing as well. Each telling
starts a run, so a run first finds out what it was told:

- The flow itself wrote last: the run that wrote it sees to the rest, and this one ends.
- Somebody wrote their own name, or a run says in the metadata that it waits: this is no approval to be counted. The run
  watches: it never releases, ends when another did, and takes the approval back when its time is over and none did. So a
  forged mark gains nothing but that.
- Else the last writer is the first person.

Of what people write into the metadata one thing counts: a name that is the last writer's own. Any other name takes the
approval back, or one person could write a second one's and wait until they change something. The flow's mark says who speaks
of a release, and is believed only while the flow's role is the last writer.
AWS: "Amazon EventBridge events for SageMaker AI" (several events for a change), "AWS Step Functions: transforming data with
JSONata", "Passing information between states" (the context object).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ai_factory_infra.approval_looks import CONFIRMATION, MARK, RELEASED_MARK, RUN, WAITING_MARK, first_look, later_look

SOURCE = "ai-factory.approvals"
NEEDED, RELEASED, TAKEN_BACK = "Second Person Needed", "Model Version Released", "Approval Taken Back"
WAIT_SECONDS = 300  # an execution has at most 25,000 events, and each look makes nine
SETTLE_SECONDS = 60  # longer than a run takes from its look to its mark, some retries included
RETRY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 5, "MaxAttempts": 5, "BackoffRate": 2}]

Json = dict[str, Any]


def approval_definition(group: str, trainers: Sequence[str], hours: int) -> Json:
    """The machine for one model package group. Input: EventBridge's event of a model package that changed.

    `trainers`: what the names of roles begin with that may never approve. `hours`: how long a second person has.
    """
    return {
        "QueryLanguage": "JSONata",
        "StartAt": "LookAtVersion",
        "States": {
            **_begins(group, trainers, hours),
            **_waits(trainers),
            **_releases(group),
            **_ends(group, hours),
        },
    }


def _begins(group: str, trainers: Sequence[str], hours: int) -> Json:
    """What was this run told: an approval, or something else?"""
    return {
        "LookAtVersion": _look(first_look(hours), "{% $states.input.detail.ModelPackageArn %}", "JudgeFirst"),
        "JudgeFirst": _judge(
            ("$status != 'Approved'", "NotApproved"),
            ("$ours", "SeenToElsewhere"),
            ("$first = ''", "NobodyRecorded"),
            (_is_trainer("$first", trainers), "ApprovedByTraining"),
            (_same("$first", "$maker"), "ApprovedByMaker"),
            ("$confirmed != '' and $confirmed = $name", "Watch"),
            ("$confirmed != ''", "NotTheirName"),
            (f"$contains($mark, '{WAITING_MARK}')", "Watch"),
            otherwise="MarkWaiting",
        ),
        "Watch": {"Type": "Pass", "Assign": {"watching": True}, "Output": "{% $states.input %}", "Next": "Wait"},
        "MarkWaiting": _write({"CustomerMetadataProperties": {MARK: _run(WAITING_MARK)}}, "AskSecond"),
        "AskSecond": _tell(NEEDED, group, {"first": "{% $first %}", "until": "{% $fromMillis($until) %}"}, "Wait"),
    }


def _waits(trainers: Sequence[str]) -> Json:
    """Look until a second person has confirmed, the approval is gone, or the time is over."""
    return {
        "Wait": {"Type": "Wait", "Seconds": WAIT_SECONDS, "Next": "LookAgain"},
        "LookAgain": _look(later_look(), "{% $version %}", "JudgeSecond"),
        "JudgeSecond": _judge(
            ("$status != 'Approved' and $watching", "NotApproved"),
            ("$status != 'Approved'", "Forget"),
            (f"$ours and $contains($mark, '{RELEASED_MARK}')", "SeenToElsewhere"),
            ("$what != $approved", "Changed"),
            ("$watching and $millis() <= $until", "Wait"),
            ("$watching", "NobodyElse"),
            (f"$confirmed != '' and {_same('$second', '$first')}", "OnePersonTwice"),
            ("$confirmed != '' and $confirmed != $name", "NotTheirName"),
            (f"$confirmed != '' and ({_is_trainer('$second', trainers)})", "ApprovedByTraining"),
            (f"$confirmed != '' and {_same('$second', '$maker')}", "ApprovedByMaker"),
            ("$confirmed != ''", "MarkReleased"),
            ("$millis() > $until", "NobodyElse"),
            otherwise="Wait",
        ),
    }


def _releases(group: str) -> Json:
    """Two runs may see the same confirmation: each writes its mark, waits, and only the one whose mark stayed says so."""
    return {
        "MarkReleased": _write(
            {
                "CustomerMetadataProperties": {MARK: _run(RELEASED_MARK)},
                "CustomerMetadataPropertiesToRemove": [CONFIRMATION],
            },
            "Settle",
            {"confirmer": "{% $second %}"},
        ),
        "Settle": {"Type": "Wait", "Seconds": SETTLE_SECONDS, "Next": "LookReleased"},
        "LookReleased": _look(later_look(), "{% $version %}", "JudgeReleased"),
        "JudgeReleased": _judge(
            ("$status != 'Approved'", "Forget"),
            ("$not($ours) or $what != $approved", "Changed"),
            (f"$mark != '{RELEASED_MARK}' & {RUN}", "SeenToElsewhere"),
            otherwise="Release",
        ),
        "Release": _tell(RELEASED, group, {"first": "{% $first %}", "second": "{% $confirmer %}"}, None),
    }


def _ends(group: str, hours: int) -> Json:
    return {
        "Forget": _write({"CustomerMetadataProperties": {MARK: "ended"}}, "NotApproved"),
        "NotApproved": {"Type": "Succeed", "Output": {"released": False, "because": "it is not approved any more"}},
        "SeenToElsewhere": {"Type": "Succeed", "Output": {"released": False, "because": "another run sees to it"}},
        **_refused("NobodyRecorded", "AWS recorded nobody as the approver"),
        **_refused("ApprovedByTraining", "a training job may not approve"),
        **_refused("ApprovedByMaker", "whoever made the version may not approve it"),
        **_refused("OnePersonTwice", "one person tried to be both"),
        **_refused("NotTheirName", "the second person's name was not written by them"),
        **_refused("Changed", "it was changed after it was approved"),
        **_refused("NobodyElse", f"no second person approved within {hours} hours"),
        "TakeBack": _write(
            {
                "ModelApprovalStatus": "PendingManualApproval",
                "ApprovalDescription": "{% 'Taken back: ' & $because %}",
                "CustomerMetadataProperties": {MARK: "taken back"},
                "CustomerMetadataPropertiesToRemove": [CONFIRMATION],
            },
            "TellTakenBack",
        ),
        "TellTakenBack": _tell(TAKEN_BACK, group, {"first": "{% $first %}", "because": "{% $because %}"}, None),
    }


def _judge(*cases: tuple[str, str], otherwise: str) -> Json:
    """The first case whose condition holds says which state is next."""
    choices = [{"Condition": f"{{% {condition} %}}", "Next": then} for condition, then in cases]
    return {"Type": "Choice", "Choices": choices, "Default": otherwise}


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


def _write(what: Json, then: str, keep: Json | None = None) -> Json:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sagemaker:updateModelPackage",
        "Arguments": {"ModelPackageArn": "{% $version %}", **what},
        **({"Assign": keep} if keep else {}),
        "Output": "{% $states.input %}",
        "Retry": RETRY,
        "Next": then,
    }


def _run(mark: str) -> str:
    return f"{{% '{mark}' & {RUN} %}}"


def _is_trainer(who: str, trainers: Sequence[str]) -> str:
    """Whether an identity is a session of a role whose name begins with one of these."""
    return " or ".join(f"$contains({who}, ':assumed-role/{t}')" for t in trainers) or "false"


def _same(one: str, other: str) -> str:
    """Whether two identities are one person: the same, or the same name in two roles. IAM Identity Center names a person's
    sessions alike, whichever permission set they take.
    """
    return f"({one} = {other} or ({other} != '' and $split({one}, '/')[-1] = $split({other}, '/')[-1]))"


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
