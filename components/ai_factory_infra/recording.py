"""What a program registers while there is no cloud, as it asked for it, with the options that mocks do not show."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pulumi.runtime import mocks, rpc

with warnings.catch_warnings():
    # These two warn about their own deprecated classes while they are imported, used or not.
    warnings.simplefilter("ignore", DeprecationWarning)
    import pulumi_aws

    _ = (pulumi_aws.ec2.Vpc, pulumi_aws.s3.Bucket)  # loads the modules, which wait until they are touched

ACCOUNT, REGION = "123456789012", "eu-west-1"


@dataclass(frozen=True, slots=True)
class Registration:
    """One resource as the program asked for it: raw inputs (camel case, whole numbers as floats) and options."""

    type: str
    name: str
    urn: str
    inputs: Mapping[str, Any]
    parent: str
    provider: str
    protect: bool
    retain_on_delete: bool
    delete_before_replace: bool | None
    ignore_changes: tuple[str, ...]
    dependencies: frozenset[str]
    aliases: frozenset[str] = frozenset()
    by_provider: bool = True  # a provider makes it; not a component of the program's own


@dataclass(slots=True)
class Registered:
    """Everything one program registered, in the order of the URNs, and what it exports."""

    project: str
    resources: list[Registration] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    invokes: set[str] = field(default_factory=set)  # what it looks up, such as aws:index/getRegion:getRegion
    reported: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # a component's URN -> what it says of itself

    def of(self, kind: str) -> list[Registration]:
        """All resources of a type, such as `aws:s3/bucket:Bucket`."""
        return [r for r in self.resources if r.type == kind]

    def only(self, kind: str) -> Registration:
        """The one resource of a type. Raises LookupError with what there is instead."""
        found = self.of(kind)
        if len(found) != 1:
            raise LookupError(
                f"{self.project}: {len(found)} of {kind}; there are {sorted({r.type for r in self.resources})}"
            )
        return found[0]

    def named(self, kind: str, ending: str) -> Registration:
        """The one resource of a type whose logical name ends so. Raises LookupError."""
        found = [r for r in self.of(kind) if r.name.endswith(ending)]
        if len(found) != 1:
            raise LookupError(
                f"{self.project}: {[r.name for r in self.of(kind)]} of {kind}, none or several end in {ending}"
            )
        return found[0]

    def __contains__(self, kind: object) -> bool:
        return any(r.type == kind for r in self.resources)

    def statements(self) -> Iterator[tuple[Registration, dict[str, Any]]]:
        """Every statement of every policy document, with the resource it belongs to."""
        for resource in self.resources:
            for value in resource.inputs.values():
                if isinstance(value, str) and '"Statement"' in value:
                    for statement in json.loads(value)["Statement"]:
                        yield resource, statement


class Monitor(mocks.MockMonitor):
    """Keeps the raw request: options never reach `Mocks`."""

    def __init__(self, answers: mocks.Mocks, seen: Registered) -> None:
        super().__init__(answers)
        self._seen = seen

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the engine's own name
        with _loop_of_thread():
            answer: Any = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type != "pulumi:pulumi:Stack":
            depends = set(request.dependencies).union(*(p.urns for p in request.propertyDependencies.values()))
            self._seen.resources.append(
                Registration(
                    type=request.type,
                    name=request.name,
                    urn=answer.urn,
                    inputs=rpc.deserialize_properties(request.object) or {},
                    parent=request.parent,
                    provider=request.provider,
                    protect=request.protect,
                    retain_on_delete=request.retainOnDelete,
                    delete_before_replace=request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
                    ignore_changes=tuple(request.ignoreChanges),
                    dependencies=frozenset(depends),
                    aliases=frozenset(alias.urn for alias in request.aliases if alias.urn),
                    by_provider=request.custom or request.remote,
                )
            )
        return answer

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the engine's own name
        self._seen.reported[request.urn] = rpc.deserialize_properties(request.outputs) or {}
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]

    def Invoke(self, request: Any) -> Any:  # noqa: N802 - the engine's own name
        self._seen.invokes.add(request.tok)
        with _loop_of_thread():
            return super().Invoke(request)  # type: ignore[no-untyped-call]

    def ReadResource(self, request: Any) -> Any:  # noqa: N802 - the engine's own name
        with _loop_of_thread():
            return super().ReadResource(request)  # type: ignore[no-untyped-call]


@contextmanager
def _loop_of_thread() -> Iterator[None]:
    """An event loop for the worker thread that Pulumi answers in; Pulumi makes one as well, and never closes it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class Answers(mocks.Mocks):
    """What the cloud would answer: an identifier, an ARN and a name for everything. In a preview, nothing is known yet."""

    def __init__(
        self, exports: Mapping[str, Mapping[str, Any]], seen: Registered, *, preview: bool, account: str
    ) -> None:
        self._exports, self._seen, self._preview, self._account = exports, seen, preview, account

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        if args.typ == "pulumi:pulumi:StackReference":
            name = args.inputs["name"]
            self._seen.reads.append(name)
            exports = self._exports.get(name.split("/")[-2], {})
            return name, {"name": name, "outputs": dict(exports), "secretOutputNames": []}
        if self._preview or not args.typ.startswith("aws:"):
            return None if self._preview else args.name, dict(args.inputs)
        service, kind = args.typ.split(":")[1].split("/")[0], args.typ.split(":")[-1]
        name = args.inputs.get("name") or f"{args.name}-1a2b3c4"
        made = {
            "arn": f"arn:aws:{service}:{REGION}:{self._account}:{kind}/{name}",
            "name": name,
            "url": f"https://{service}.{REGION}.example/{name}",
            "bucket": name,
            "keyId": f"{name}-key",
            "prefixListId": "pl-1a2b3c4d",
            "repositoryUrl": f"{self._account}.dkr.ecr.{REGION}.amazonaws.com/{name}",
        }
        return f"{name}-id", {**made, **args.inputs}

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        known: dict[str, dict[str, Any]] = {
            "getCallerIdentity": {
                "accountId": self._account,
                "arn": f"arn:aws:iam::{self._account}:root",
                "id": self._account,
                "userId": "x",
            },
            "getRegion": {"region": REGION, "id": REGION, "description": "", "endpoint": ""},
            "getPartition": {
                "partition": "aws",
                "dnsSuffix": "amazonaws.com",
                "id": "aws",
                "reverseDnsPrefix": "com.amazonaws",
            },
            "getAvailabilityZones": {"names": _zones(args.args), "zoneIds": [], "id": REGION},
        }
        return known.get(args.token.split(":")[-1], dict(args.args)), []


def _zones(asked: Mapping[Any, Any]) -> list[str]:
    """The region's zones, behind a Local Zone that this account has opted in to, unless that is filtered out."""
    filtered = any(f["name"] == "opt-in-status" for f in asked.get("filters") or ())
    return [*([] if filtered else [f"{REGION}-lhr-1a"]), *(REGION + z for z in "abc")]
