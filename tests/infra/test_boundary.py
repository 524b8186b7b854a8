"""Every role of a stage carries a boundary that holds what the library's roles need, and nothing of another project."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pulumi
import pytest
from ai_factory_infra.testing import Registered, run_program
from helpers_deploy import (
    POLICY,
    ROLE,
    allows,
    bounds,
    brought_along,
    every_stack,
    foundation,
    infra,
    made,
    stacks,
    streaming,
)

ACCOUNT = "arn:aws:iam::123456789012"
FOR_AWS = {"kms:GrantIsForAWSResource": "true"}


def test_every_role_of_every_stack_carries_the_boundary() -> None:
    found = stacks("prod")
    boundary = found["foundation"].outputs["permissions_boundary_arn"]
    roles = [r for stack in found.values() for r in stack.of(ROLE) if r.inputs.get("path") != "/ci/"]
    assert len(roles) >= 8
    assert {r.inputs.get("permissionsBoundary") for r in roles} == {boundary}


def test_a_stacks_own_boundary_wins() -> None:
    own = f"{ACCOUNT}:policy/ours"
    found = run_program(infra() / "foundation", "prod", config={"permissions_boundary_arn": own})
    assert {r.inputs.get("permissionsBoundary") for r in found.of(ROLE) if r.inputs.get("path") != "/ci/"} == {own}
    assert found.outputs["permissions_boundary_arn"] == own
    assert not [p for p in found.of(POLICY) if p.name.endswith("-boundary")]


def role_statements(found: Mapping[str, Registered]) -> Iterator[tuple[str, str, str]]:
    """(role, action, resource) of every role of every stack. Mocks make up some ARNs; those are left out as resources."""
    for stack in found.values():
        for resource, statement in stack.statements():
            if resource.type == "aws:iam/rolePolicy:RolePolicy" and statement["Effect"] == "Allow":
                yield from ((resource.name, a, r) for a in statement["Action"] for r in statement["Resource"])


def blocked(found: Mapping[str, Registered], policy: list[Mapping[str, object]]) -> tuple[list[str], int]:
    """The roles that the boundary keeps from what they need, and how many rights were looked at."""
    roles, seen = set(), 0
    for role, action, resource in role_statements(found):
        if ":kms:" not in resource and (re.search(r":\d{12}:[A-Z]", resource) or ":cloudwatch:" in resource):
            continue
        seen += 1
        if not allows(policy, action, resource):
            roles.add(f"{role}: {action} {resource}")
    return sorted(roles), seen


@pytest.mark.parametrize(
    "architecture",
    ["realtime", "brought along", *(pytest.param(a, marks=pytest.mark.matrix) for a in ("batch", "streaming"))],
)
def test_no_role_of_the_library_needs_more_than_its_boundary_allows(architecture: str) -> None:
    """What a boundary leaves out fails in the cloud only, when the job runs."""
    found = every_stack(architecture)
    policy = bounds(found["foundation"] if architecture == "brought along" else foundation("prod"))
    known = {a for s in policy for a in s["Action"]}
    assert {action for _, action, _ in role_statements(found)} <= known
    roles, seen = blocked(found, policy)
    assert roles == []
    assert seen > 30


def test_a_registry_of_another_account_is_out_of_reach_until_the_foundation_is_told() -> None:
    found = brought_along(told=False)
    roles, _ = blocked(found, bounds(found["foundation"]))
    assert roles
    assert all("acme/images" in role or "acme-models" in role for role in roles)


def test_what_no_role_uses_is_not_taken_into_the_boundary() -> None:
    with pytest.raises(pulumi.InputPropertiesError, match="no role of the library uses") as caught:
        made(
            brought_arns=["arn:aws:ecr:eu-west-1:210987654321:repository/x", "arn:aws:rds:eu-west-1:210987654321:db:x"]
        )
    assert [e["property_path"] for e in caught.value.errors or []] == ["brought_arns[1]"]
    with pytest.raises(pulumi.InputPropertiesError, match=r"brought_arns\[0\]: got 'acme-lake'; allowed: the ARN"):
        made(brought_arns=["acme-lake"])


def test_a_boundary_lets_nobody_make_roles_or_reach_another_project() -> None:
    policy = bounds(foundation("prod"))
    assert not [a for s in policy for a in s["Action"] if a.startswith("iam:") and a != "iam:PassRole"]
    assert not allows(policy, "s3:GetObject", "arn:aws:s3:::fraud-prod-data/x")
    assert allows(policy, "s3:GetObject", "arn:aws:s3:::churn-prod-data-1a2b3c4/x")
    here = "eu-west-1:123456789012"
    for action, resource in (
        ("sagemaker:PutRecord", f"arn:aws:sagemaker:{here}:feature-group/churn-production-rows"),
        ("glue:UpdateTable", f"arn:aws:glue:{here}:table/churn_production_curate/parts"),
        ("glue:UpdateTable", f"arn:aws:glue:{here}:table/sagemaker_featurestore/churn_production_rows_1"),
        ("logs:PutLogEvents", f"arn:aws:logs:{here}:log-group:/aws/lambda/churn-production-consumer"),
    ):
        assert not allows(policy, action, resource), resource
        own = resource.replace("churn-production", "churn-prod").replace("churn_production", "churn_prod")
        assert allows(policy, action, own), own


def test_roles_use_the_stages_keys_and_lend_them_to_services_only() -> None:
    policy, prod = bounds(streaming()["foundation"]), streaming()["foundation"]
    for key in (prod.outputs["data_key_arn"], prod.outputs["logs_key_arn"]):
        assert allows(policy, "kms:Decrypt", key, {})
        assert allows(policy, "kms:CreateGrant", key, FOR_AWS)
        assert not allows(policy, "kms:CreateGrant", key, {})
    for action in ("kms:Decrypt", "kms:CreateGrant"):
        assert not allows(policy, action, "arn:aws:kms:eu-west-1:123456789012:key/of-another-project", FOR_AWS)


def test_a_boundary_fits_aws_with_all_that_can_be_brought() -> None:
    (policy,) = [p for p in brought_along()["foundation"].of(POLICY) if p.name.endswith("-boundary")]
    assert len(re.sub(r"\s", "", policy.inputs["policy"])) <= 6144
