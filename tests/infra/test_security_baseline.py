"""What watches the whole account is switched on by name, one by one, and by default not at all."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra.security_baseline import SERVICES, SecurityBaseline
from ai_factory_infra.testing import Registered, run_program, run_resources
from helpers_infra import registered, rendered

KINDS = {
    "accessanalyzer": {"aws:accessanalyzer/analyzer:Analyzer"},
    "guardduty": {"aws:guardduty/detector:Detector"},
    "inspector": {"aws:inspector2/enabler:Enabler"},
    "securityhub": {"aws:securityhub/account:Account", "aws:securityhub/standardsSubscription:StandardsSubscription"},
}


def made(*services: str) -> Registered:
    def build() -> None:
        opts = pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1"))
        SecurityBaseline("churn-prod-baseline", {"services": services}, opts)

    return run_resources(build, stage="prod")


def kinds(found: Registered) -> set[str]:
    return {r.type for r in found.resources if r.type.startswith("aws:")}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_each_service_is_switched_on_alone(service: str) -> None:
    assert kinds(made(service)) == KINDS[service]


def test_all_of_them_together_and_twice_is_once() -> None:
    found = made(*SERVICES, "guardduty")
    assert kinds(found) == set().union(*KINDS.values())
    assert found.only("aws:accessanalyzer/analyzer:Analyzer").inputs["type"] == "ACCOUNT"


def test_the_standard_waits_for_the_hub() -> None:
    found = made("securityhub")
    hub = found.only("aws:securityhub/account:Account")
    assert hub.urn in found.only("aws:securityhub/standardsSubscription:StandardsSubscription").dependencies


@pytest.mark.parametrize(("services", "path"), [((), "services"), (("macie",), "services[0]")])
def test_a_service_that_there_is_not_is_refused(services: tuple[str, ...], path: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        made(*services)
    assert [e["property_path"] for e in caught.value.errors or []] == [path]


def test_the_foundation_has_none_until_it_is_asked_and_refuses_what_it_does_not_know() -> None:
    every = set().union(*KINDS.values())
    assert every.isdisjoint(kinds(registered("realtime", "prod")["foundation"]))
    program = rendered(architecture="realtime") / "infra" / "foundation"
    asked: dict[str, Any] = {"security_baseline": "accessanalyzer, guardduty"}
    assert KINDS["guardduty"] <= kinds(run_program(program, "prod", config=asked))
    with pytest.raises(Exception, match="security_baseline: got 'macie'"):
        run_program(program, "prod", config={"security_baseline": "macie"})
