"""What an update that was killed leaves behind: a lock, and resources of which nobody knows whether they were made.

AWS makes what it was asked for even when the asker is gone. Without asking it, the next update would make the same
again: a second one that is paid for, or an error that the name is taken.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ai_factory_infra.automation.half_made import Found

HOLDER = re.compile(r"created by (?P<user>\S+)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<since>\S+)")

CREATING = "creating"


class Exported(Protocol):
    """A stack's state as the Automation API exports it."""

    @property
    def deployment(self) -> Mapping[str, Any] | None:
        """The state's JSON."""


@dataclass(frozen=True, slots=True)
class Pending:
    """An operation that was begun and never noted as done. `resource` is as the state has it."""

    action: str
    resource: Mapping[str, Any]

    @property
    def urn(self) -> str:
        """What Pulumi calls the resource."""
        return str(self.resource["urn"])

    @property
    def type(self) -> str:
        """`aws:s3/bucket:Bucket`."""
        return str(self.resource["type"])

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What the program asked for, in Pulumi's names."""
        return self.resource.get("inputs") or {}

    @property
    def name(self) -> str:
        """The logical name."""
        return self.urn.rsplit("::", 1)[-1]


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
    return _of(state.deployment or {})


def _of(deployment: Mapping[str, Any]) -> tuple[Pending, ...]:
    return tuple(Pending(o["type"], o["resource"]) for o in deployment.get("pending_operations") or ())


def creations(deployment: Mapping[str, Any]) -> list[Pending]:
    """What was being made."""
    return [p for p in _of(deployment) if p.action == CREATING]


def known_ids(deployment: Mapping[str, Any]) -> set[str]:
    """The ids of what the state holds."""
    return {str(r["id"]) for r in deployment.get("resources") or () if r.get("id")}


def settled(deployment: Mapping[str, Any], ids: Mapping[str, str]) -> dict[str, Any]:
    """The state without creations under way: what may have come to be is a resource of it by its id, for a refresh to find.

    `pulumi refresh --import-pending-creates` is meant for this, and loses them. Outputs are left empty, so that the
    provider reads everything, as for an import; what does not exist, the refresh takes out again. `ids`: URN -> id.
    """
    taken = [{**p.resource, "id": ids[p.urn], "outputs": {}} for p in _new(deployment) if p.urn in ids]
    others = [o for o in deployment.get("pending_operations") or () if o["type"] != CREATING]
    return {
        **deployment,
        "resources": [*(deployment.get("resources") or ()), *taken],
        "pending_operations": others,
    }


def as_asked_for(deployment: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The refreshed state, in which what was taken over has the inputs that the program gave it.

    A provider that reads a resource for the first time does not know which of its inputs were defaults. A name that
    Pulumi made up would look like one that was asked for, and the next update would replace the resource.
    """
    asked = {p.urn: p.inputs for p in _new(before)}
    resources = [{**r, "inputs": asked[r["urn"]]} if r["urn"] in asked else r for r in deployment["resources"]]
    return {**deployment, "resources": resources}


def _new(deployment: Mapping[str, Any]) -> list[Pending]:
    """Creations but for replacements: the resource that one replaces stands under the same URN."""
    there = {r["urn"] for r in deployment.get("resources") or ()}
    return [p for p in creations(deployment) if p.urn not in there]


def left_over(operation: Pending, deployment: Mapping[str, Any], found: Found) -> str:
    """Why a person must look whether AWS has something that no state knows of; empty where nobody must."""
    if operation.urn in found.lost:
        return "may exist; nobody can tell by its name"
    taken = {p.urn for p in _new(deployment)}
    if operation.action == CREATING and operation.urn in found.ids.keys() - taken:
        return "may exist beside the one that it was to replace"
    return ""


def to_look_at(deployment: Mapping[str, Any], ids: Mapping[str, str]) -> list[str]:
    """The URNs in a settled state that AWS must be asked about: those that an operation was busy with."""
    there = {r["urn"] for r in settled(deployment, ids)["resources"]}
    return [o.urn for o in _of(deployment) if o.urn in there]
