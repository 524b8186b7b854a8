"""SecurityBaseline: what watches a whole account: who reaches in, what runs vulnerable, what behaves oddly.

Each service is switched on by name, because an account has each of them once and an organisation often keeps them itself.
Costs when idle: GuardDuty by events and logs, Inspector by images and functions, Security Hub by checks; Access Analyzer for
outside access is free. Limits: one of each for an account and region.
AWS: "AWS Foundational Security Best Practices standard", "Using AWS IAM Access Analyzer".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypedDict

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.limits import LOGICAL_NAME
from ai_factory_infra.problems import Problems


class SecurityBaselineArgs(TypedDict):
    """`services`: which of accessanalyzer, guardduty, inspector and securityhub are switched on; at least one."""

    services: Sequence[str]


class SecurityBaseline(pulumi.ComponentResource):
    """Switches services of the account on; destroying it switches them off, and loses what they found."""

    services: pulumi.Output[list[str]]

    def __init__(self, name: str, args: SecurityBaselineArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:SecurityBaseline", name, {}, opts)
        for service in sorted(set(args["services"])):
            SERVICES[service](name, self)
        self.services = pulumi.Output.from_input(sorted(set(args["services"])))
        self.register_outputs({"services": self.services})


def _access_analyzer(name: str, parent: pulumi.Resource) -> None:
    """Finds buckets, keys, roles and queues that somebody outside the account can reach."""
    aws.accessanalyzer.Analyzer(name, analyzer_name=name, type="ACCOUNT", opts=pulumi.ResourceOptions(parent=parent))


def _guard_duty(name: str, parent: pulumi.Resource) -> None:
    """Finds behaviour that looks like an attack, in the account's own logs."""
    aws.guardduty.Detector(
        name, enable=True, finding_publishing_frequency="FIFTEEN_MINUTES", opts=pulumi.ResourceOptions(parent=parent)
    )


def _inspector(name: str, parent: pulumi.Resource) -> None:
    """Finds known vulnerabilities in images and functions, when they arrive and when new ones become known."""
    aws.inspector2.Enabler(
        name,
        account_ids=[Account.of(parent).id],
        resource_types=["ECR", "LAMBDA"],
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _security_hub(name: str, parent: pulumi.Resource) -> None:
    """Collects what the others find, and checks the account against AWS's own best practices."""
    hub = aws.securityhub.Account(
        name, enable_default_standards=False, auto_enable_controls=True, opts=pulumi.ResourceOptions(parent=parent)
    )
    account = Account.of(parent)
    standard = "standards/aws-foundational-security-best-practices/v/1.0.0"
    arn = pulumi.Output.format("arn:{0}:securityhub:{1}::{2}", account.partition, account.region, standard)
    aws.securityhub.StandardsSubscription(
        name, standards_arn=arn, opts=pulumi.ResourceOptions(parent=parent, depends_on=[hub])
    )


SERVICES: Mapping[str, Callable[[str, pulumi.Resource], None]] = {
    "accessanalyzer": _access_analyzer,
    "guardduty": _guard_duty,
    "inspector": _inspector,
    "securityhub": _security_hub,
}


def check(name: str, args: SecurityBaselineArgs) -> None:
    """Refuse services that there are not. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"SecurityBaseline {name}")
    problems.fits("name", name, LOGICAL_NAME, "a baseline")
    problems.unless(bool(args["services"]), "services", f"got none; allowed: {', '.join(SERVICES)}")
    for i, service in enumerate(args["services"]):
        problems.unless(service in SERVICES, f"services[{i}]", f"got {service!r}; allowed: {', '.join(SERVICES)}")
    problems.stop()
