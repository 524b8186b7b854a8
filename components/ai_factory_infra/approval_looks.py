"""What a run of the approval's state machine keeps of one look at a model version: expressions in JSONata, as plain values.

`$ours` is the heart of it: whether the flow's own role changed the version last. AWS writes that record; metadata is written by
whoever may call UpdateModelPackage.
AWS: "DescribeModelPackage" (LastModifiedBy.IamIdentity), "Accessing execution data from the Context object in Step Functions".
"""

from __future__ import annotations

from typing import Any

CONFIRMATION = "second-approval"  # the metadata in which the second person writes their own name
MARK = "approval-flow"  # the metadata in which the flow says how far it is, and which run of it
WAITING_MARK, RELEASED_MARK = "waiting for a second person: ", "released: "
RUN = "$states.context.Execution.Name"

_PACKAGE = "$states.result"
_LAST = f"{_PACKAGE}.LastModifiedBy.IamIdentity.Arn"
_MADE = f"{_PACKAGE}.CreatedBy.IamIdentity.Arn"
_ROLE = "$states.context.Execution.RoleArn"

Json = dict[str, Any]


def first_look(hours: int) -> Json:
    """`first`: who changed it last, or made it. `approved`: which images and models they approved.

    `until`: when the second person's time is over, in milliseconds.
    """
    return {
        **_each_look(),
        "version": "{% $states.input.detail.ModelPackageArn %}",
        "first": f"{{% $exists({_LAST}) ? {_LAST} : $exists({_MADE}) ? {_MADE} : '' %}}",
        "maker": f"{{% $exists({_MADE}) ? {_MADE} : '' %}}",
        "until": f"{{% $millis() + {hours * 3_600_000} %}}",
        "approved": _what(),
        "watching": False,
        "because": "",
    }


def later_look() -> Json:
    """`second`: who changed it last, after the first person."""
    return {**_each_look(), "second": f"{{% $exists({_LAST}) ? {_LAST} : '' %}}"}


def _each_look() -> Json:
    """`name`: the last part of an identity's ARN: a user's name, or the name of an assumed role's session."""
    return {
        "status": f"{{% {_PACKAGE}.ModelApprovalStatus %}}",
        "name": f"{{% $exists({_LAST}) ? $split({_LAST}, '/')[-1] : '' %}}",
        "confirmed": _written(CONFIRMATION),
        "mark": _written(MARK),
        "what": _what(),
        "ours": _ours(),
    }


def _written(key: str) -> str:
    value = f"$lookup({_PACKAGE}.CustomerMetadataProperties, '{key}')"
    return f"{{% $exists({value}) ? {value} : '' %}}"


def _what() -> str:
    """The images and models of the version, which UpdateModelPackage may change as well."""
    each = "Image & ' ' & ModelDataUrl & ' ' & ModelDataSource.S3DataSource.S3Uri"
    return f"{{% $join([{_PACKAGE}.InferenceSpecification.Containers.({each})], ', ') %}}"


def _ours() -> str:
    """Whether the last writer's ARN begins as a session of this machine's role does. The whole beginning is compared: the
    path of a user may hold any text, so that text within an ARN proves nothing.
    """
    begins = (
        f"'arn:' & $split({_ROLE}, ':')[1] & ':sts::' & $split({_ROLE}, ':')[4] & ':assumed-role/' & "
        f"$split({_ROLE}, '/')[-1] & '/'"
    )
    return f"{{% $exists({_LAST}) ? $substring({_LAST}, 0, $length({begins})) = {begins} : false %}}"
