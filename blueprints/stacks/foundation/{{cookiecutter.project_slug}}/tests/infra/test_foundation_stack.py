"""The foundation, and what holds for every stack, as Pulumi would be asked to make them in each stage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from ai_factory_infra.testing import Registered, run_program, run_stage_once, stages

INFRA = Path(__file__).resolve().parents[2] / "infra"


@pytest.fixture(params=stages(INFRA))
def stacks(request: pytest.FixtureRequest) -> Mapping[str, Registered]:
    return run_stage_once(INFRA, request.param)


def test_every_bucket_is_closed_versioned_encrypted_and_kept(stacks: Mapping[str, Registered]) -> None:
    foundation = stacks["foundation"]
    buckets = foundation.of("aws:s3/bucket:Bucket")
    assert len(buckets) == 4
    assert all(bucket.protect for bucket in buckets)
    for kind in (
        "BucketPublicAccessBlock",
        "BucketVersioning",
        "BucketServerSideEncryptionConfiguration",
        "BucketPolicy",
    ):
        settings = foundation.of(f"aws:s3/{kind[0].lower()}{kind[1:]}:{kind}")
        assert {s.name for s in settings} == {b.name for b in buckets}
    for block in foundation.of("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"):
        assert block.inputs["blockPublicPolicy"] is True
        assert block.inputs["restrictPublicBuckets"] is True


def test_every_key_rotates_and_is_kept(stacks: Mapping[str, Registered]) -> None:
    keys = stacks["foundation"].of("aws:kms/key:Key")
    assert len(keys) == 3
    assert all(key.protect and key.inputs["enableKeyRotation"] is True for key in keys)


def test_spending_is_told_before_the_budget_is_gone(stacks: Mapping[str, Registered]) -> None:
    foundation = stacks["foundation"]
    budget = foundation.only("aws:budgets/budget:Budget").inputs
    assert min(n["threshold"] for n in budget["notifications"]) < 100
    topics = {arn for n in budget["notifications"] for arn in n["subscriberSnsTopicArns"]}
    assert topics == {foundation.outputs["alerts_topic_arn"]}


def test_no_role_of_any_stack_may_do_more_than_it_names(stacks: Mapping[str, Registered]) -> None:
    seen = 0
    for stack in stacks.values():
        for resource, statement in stack.statements():
            if resource.type != "aws:iam/rolePolicy:RolePolicy":
                continue
            seen += 1
            assert not [action for action in statement["Action"] if "*" in action], resource.name
            # The few actions that AWS defines without a resource.
            free = ("ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "ec2:Describe")
            if "*" in statement["Resource"]:
                assert all(action.startswith(free) for action in statement["Action"]), resource.name
    assert seen or "training" not in stacks


def test_every_resource_of_every_stack_is_made_by_its_programs_own_provider(stacks: Mapping[str, Registered]) -> None:
    """Only that provider refuses a wrong account and sets the tags."""
    for stack in stacks.values():
        for resource in stack.resources:
            assert not resource.type.startswith("aws:") or "-aws::" in resource.provider, resource.urn


def test_a_wrong_configuration_is_refused_with_every_problem(stacks: Mapping[str, Registered]) -> None:
    with pytest.raises(Exception, match="is not valid") as caught:
        run_program(INFRA / "foundation", "dev", config={"monthly_budget": "0", "account": "1", "network": "public"})
    for problem in ("monthly_budget: got '0'", "account: got '1'", "network: got 'public'"):
        assert problem in str(caught.value)
