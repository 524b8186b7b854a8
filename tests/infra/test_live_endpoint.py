"""After `up` AWS is asked what each endpoint runs: a version that it took back is found, whatever the state says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ai_factory_infra.automation import live_endpoint
from ai_factory_infra.errors import EndpointRolledBack
from helpers_automation import emulated_endpoint

REGION = "eu-west-1"


@pytest.fixture(scope="module", autouse=True)
def aws() -> Iterator[None]:
    with emulated_endpoint("churn-dev", "config-1"):
        yield


def state(told: str, *, endpoint: str = "churn-dev", read_back: str = "") -> list[dict[str, Any]]:
    """A state in which the endpoint was told to run `told`, and a refresh may have written another one into the outputs."""
    kind = "aws:sagemaker/endpoint:Endpoint"
    outputs = {"endpointConfigName": read_back or told}
    return [
        {"type": "aws:sagemaker/model:Model", "id": "m", "inputs": {}},
        {"type": kind, "id": endpoint, "inputs": {"name": endpoint, "endpointConfigName": told}, "outputs": outputs},
    ]


def test_an_endpoint_that_runs_what_it_was_told_passes() -> None:
    assert [t.configuration for t in live_endpoint.check(state("config-1"), REGION)] == ["config-1"]


@pytest.mark.parametrize("read_back", ["", "config-1"])
def test_a_version_that_was_taken_back_is_found(read_back: str) -> None:
    with pytest.raises(
        EndpointRolledBack, match="churn-dev runs config-1, not config-2: AWS took the new version back"
    ):
        live_endpoint.check(state("config-2", read_back=read_back), REGION)


def test_an_endpoint_that_is_not_there_is_found() -> None:
    with pytest.raises(EndpointRolledBack, match="gone is not there, so nobody knows whether it runs config-1"):
        live_endpoint.check(state("config-1", endpoint="gone"), REGION)


def test_a_stack_without_an_endpoint_has_nothing_to_check() -> None:
    assert live_endpoint.check(state("config-1")[:1], REGION) == []


def test_one_that_failed_says_why() -> None:
    told = live_endpoint.Told("e", "c")
    assert live_endpoint.problem(told, live_endpoint.Live("c", "Failed", "no capacity")) == (
        "e is Failed, not InService. AWS says: no capacity"
    )
