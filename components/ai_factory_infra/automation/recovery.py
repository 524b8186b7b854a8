"""What an update that was killed leaves behind: a lock, and resources of which nobody knows whether they were made.

AWS makes what it was asked for even when the asker is gone. Without asking it, the next update would make the same
again: a second one that is paid for, or an error that the name is taken.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

HOLDER = re.compile(r"created by (?P<user>\S+)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<since>\S+)")

# The input that is also the resource's id, so that one that was made can be found again. Where a type is not here, its
# pending creation is let go, and the resource, if it came to be, must be deleted by hand: its name is printed.
IDENTIFIED_BY: Mapping[str, str] = {
    "aws:cloudwatch/eventRule:EventRule": "name",
    "aws:cloudwatch/logGroup:LogGroup": "name",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "name",
    "aws:ecr/repository:Repository": "name",
    "aws:iam/role:Role": "name",
    "aws:s3/bucket:Bucket": "bucket",
    "aws:sagemaker/endpoint:Endpoint": "name",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "name",
    "aws:sagemaker/model:Model": "name",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "modelPackageGroupName",
    "aws:sagemaker/pipeline:Pipeline": "pipelineName",
}


class Exported(Protocol):
    """A stack's state as the Automation API exports it."""

    @property
    def deployment(self) -> Mapping[str, Any] | None:
        """The state's JSON."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An operation that was begun and never noted as done."""

    action: str
    type: str
    urn: str
    inputs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The resource's own name where it is known, else its logical name."""
        return self.identifier or self.urn.rsplit("::", 1)[-1]

    @property
    def identifier(self) -> str:
        """The id it has if it came to be; empty where its type does not tell."""
        return str(self.inputs.get(IDENTIFIED_BY.get(self.type, ""), "") or "")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock of a stack whose state is a bucket or a folder."""

    user: str
    host: str
    pid: int
    since: str

    def is_gone(self) -> bool:
        """Whether it was a process of this machine that runs no more. Of another machine nobody can tell: False."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    def __str__(self) -> str:
        return f"by {self.user} on {self.host} (process {self.pid}) since {self.since}"


def holders(message: str) -> list[Holder]:
    """Everybody whom Pulumi's refusal names; empty for Pulumi Cloud, which says nothing but that somebody is there."""
    found = HOLDER.finditer(message)
    return [Holder(m["user"], m["host"], int(m["pid"]), m["since"]) for m in found]


def pending(state: Exported) -> tuple[Pending, ...]:
    """The operations that an interrupted update was busy with."""
    operations = (state.deployment or {}).get("pending_operations") or ()
    return tuple(
        Pending(o["type"], o["resource"]["type"], o["resource"]["urn"], o["resource"].get("inputs") or {})
        for o in operations
    )


def refresh_arguments(operations: Sequence[Pending]) -> Iterator[str]:
    """What `pulumi refresh` is told: look for what may have been made by its id, and let the other creations go."""
    yield "--clear-pending-creates"
    for operation in operations:
        if operation.action == "creating" and operation.identifier:
            yield from ("--import-pending-creates", operation.urn, "--import-pending-creates", operation.identifier)
