"""Variants whose autoscaling must be taken away before an update, because AWS refuses the update otherwise.

UpdateEndpoint fails where it would change the instance type of a variant that is a scalable target, or remove one; and Pulumi
changes the endpoint before it touches the target. AWS: "Update endpoints that use auto scaling".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ai_factory_infra.automation.live_endpoint import ENDPOINT

TARGET = "aws:appautoscaling/target:Target"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
RESOURCE_ID = re.compile(r"endpoint/(?P<endpoint>[^/]+)/variant/(?P<variant>[^/]+)")
DIMENSION = "sagemaker:variant:DesiredInstanceCount"

Resource = Mapping[str, Any]
Machines = Mapping[str, str]  # variant -> instance type


@dataclass(frozen=True, slots=True)
class InTheWay:
    """A scalable target that AWS would refuse the update for, by its URN, and why."""

    urn: str
    endpoint: str
    variant: str
    why: str

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.variant} {self.why}"


def in_the_way(
    resources: Sequence[Resource], planned: Mapping[str, Mapping[str, Any]], region: str
) -> tuple[InTheWay, ...]:
    """The targets of a state that must go before a plan is carried out. `planned`: URN -> inputs of what is to change.

    A variant is held against the state and against what AWS says it runs: after an automatic rollback they differ. Where the
    plan does not tell which machines there will be, the targets go: the same update makes them again.
    """
    return tuple(_found(resources, planned, region))


def _found(resources: Sequence[Resource], planned: Mapping[str, Mapping[str, Any]], region: str) -> Iterator[InTheWay]:
    for endpoint in (r for r in resources if r["type"] == ENDPOINT and r["urn"] in planned):
        name = str(endpoint.get("id") or endpoint["inputs"].get("name"))
        targets = dict(_targets(resources, name))
        if not targets:
            continue
        runs = str(endpoint["inputs"].get("endpointConfigName"))
        old = next((r for r in resources if r["type"] == CONFIGURATION and r.get("id") == runs), None)
        if old is not None and old["urn"] not in planned and _same(planned[endpoint["urn"]], runs):
            continue  # another setting of the endpoint changes, not its machines
        wanted = machines(planned.get(old["urn"])) if old is not None else None
        now = [m for m in (machines(old["inputs"]) if old is not None else None, live(name, region)) if m is not None]
        for variant, urn in targets.items():
            if why := _why(variant, wanted, now):
                yield InTheWay(urn, name, variant, why)


def _why(variant: str, wanted: Machines | None, now: Iterable[Machines]) -> str:
    if wanted is None:
        return "may change its machines"
    if variant not in wanted:
        return "is taken out"
    others = sorted({m[variant] for m in now if m.get(variant, wanted[variant]) != wanted[variant]})
    return f"changes from {' or '.join(others)} to {wanted[variant]}" if others else ""


def _same(endpoint: Mapping[str, Any], runs: str) -> bool:
    return endpoint.get("endpointConfigName") == runs


def _targets(resources: Iterable[Resource], endpoint: str) -> Iterator[tuple[str, str]]:
    """Variant -> URN of every scalable target of one endpoint."""
    for resource in resources:
        inputs = resource.get("inputs") or {}
        if resource["type"] != TARGET or inputs.get("scalableDimension") != DIMENSION:
            continue
        named = RESOURCE_ID.fullmatch(str(inputs.get("resourceId")))
        if named and named["endpoint"] == endpoint:
            yield named["variant"], str(resource["urn"])


def machines(configuration: Mapping[str, Any] | None) -> Machines | None:
    """What each variant of a configuration runs on; None where it is not told."""
    variants = (configuration or {}).get("productionVariants")
    if not isinstance(variants, list) or not all(isinstance(v, Mapping) for v in variants):
        return None
    return {str(v.get("variantName")): str(v.get("instanceType")) for v in variants}


def live(endpoint: str, region: str) -> Machines | None:
    """What AWS says an endpoint's variants run on; None where it is not there, or AWS does not tell you."""
    import boto3  # heavy, and needed by nothing that runs without an account
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client("sagemaker", region_name=region or None)
    try:
        runs = client.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
        found = client.describe_endpoint_config(EndpointConfigName=runs)["ProductionVariants"]
    except (BotoCoreError, ClientError):
        return None  # the state is what is left to judge by
    return {v["VariantName"]: v.get("InstanceType", "") for v in found}
