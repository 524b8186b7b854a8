"""Whether an endpoint runs what was rolled out.

AWS takes a version that raises an alarm back by itself. The update then ends well, and Pulumi reports success, while
the endpoint runs the configuration before (hashicorp/terraform-provider-aws issues 46663 and 48997).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ai_factory_infra.errors import CredentialsMissing, EndpointRolledBack

NOT_THERE = ("ValidationException", "ResourceNotFound", "ResourceNotFoundException")
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"


@dataclass(frozen=True, slots=True)
class Told:
    """An endpoint, and the configuration that it was told to run."""

    endpoint: str
    configuration: str


@dataclass(frozen=True, slots=True)
class Live:
    """What AWS says of an endpoint: configuration, status, and the reason where it failed."""

    configuration: str
    status: str
    reason: str = ""


def told(resources: Iterable[Mapping[str, Any]]) -> Iterator[Told]:
    """Every endpoint of a state. The inputs are read, not the outputs: a refresh writes what runs into those."""
    for resource in resources:
        inputs = resource.get("inputs") or {}
        if resource.get("type") == ENDPOINT and inputs.get("endpointConfigName"):
            yield Told(str(resource.get("id") or inputs.get("name")), str(inputs["endpointConfigName"]))


def live(endpoint: str, region: str) -> Live:
    """Ask AWS what an endpoint runs now. Raises CredentialsMissing."""
    import boto3  # heavy, and needed by nothing that runs without an account
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = boto3.client("sagemaker", region_name=region or None).describe_endpoint(EndpointName=endpoint)
    except ClientError as error:
        gone = error.response["Error"]["Code"] in NOT_THERE
        return Live("", "not there" if gone else "not shown to you", str(error))
    except BotoCoreError as error:
        raise CredentialsMissing(reason=str(error)) from error
    return Live(answer["EndpointConfigName"], answer["EndpointStatus"], answer.get("FailureReason", ""))


def problem(wanted: Told, found: Live) -> str:
    """What is wrong, in a sentence; empty where the endpoint runs what it was told to."""
    because = f" AWS says: {found.reason}" if found.reason else ""
    if not found.configuration:
        return f"{wanted.endpoint} is {found.status}, so nobody knows whether it runs {wanted.configuration}.{because}"
    if found.configuration != wanted.configuration:
        runs = f"{wanted.endpoint} runs {found.configuration}, not {wanted.configuration}"
        return f"{runs}: AWS took the new version back.{because}"
    if found.status != "InService":
        return f"{wanted.endpoint} is {found.status}, not InService.{because}"
    return ""


def check(resources: Iterable[Mapping[str, Any]], region: str) -> list[Told]:
    """Ask for every endpoint of a state. Returns those that run what they should; raises EndpointRolledBack with all others."""
    wanted = list(told(resources))
    problems = [text for w in wanted if (text := problem(w, live(w.endpoint, region)))]
    if problems:
        raise EndpointRolledBack(problems=problems)
    return wanted
