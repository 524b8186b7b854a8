"""Continuous integration deploys with a token of one repository and one environment, and cannot give itself more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pulumi
import pytest
from ai_factory_infra.deploy_grants import ANYBODY, BY_PERSONS, EVERY, GRANTS
from ai_factory_infra.deploy_trust import GITHUB, Trust, trust_of
from ai_factory_infra.policy_check import violations
from ai_factory_infra.statement_rules import statements
from helpers_deploy import (
    GITHUB_REPOSITORY,
    GITLAB_REPOSITORY,
    POLICY,
    allows,
    brought_along,
    deploy_role,
    every_stack,
    foundation,
    granted,
    made,
    stacks,
    streaming,
)
from helpers_infra import ARCHITECTURES, STAGES, registered


# ---------------------------------------------------------------- whom it trusts
def accepts(trust: Trust, claims: Mapping[str, str]) -> bool:
    """What AWS's security token service would say to a token."""
    equals = trust.conditions["StringEquals"]
    allowed = {k.rsplit(":", 1)[1]: v if isinstance(v, list) else [v] for k, v in equals.items()}
    return claims["iss"] == f"https://{trust.issuer}" and all(claims[k] in v for k, v in allowed.items())


JOB = {"iss": f"https://{GITHUB}", "aud": "sts.amazonaws.com", "sub": "repo:acme/churn:environment:prod"}
GITLAB_SUB = "project_path:acme/ml/churn:ref_type:branch:ref:{}:environment_protected:{}:deployment_tier:{}"
GITLAB_JOB = {
    "iss": "https://gitlab.com",
    "aud": "https://gitlab.com",
    "sub": GITLAB_SUB.format("main", "true", "production"),
}


def test_a_job_of_the_repositorys_environment_is_let_in() -> None:
    assert accepts(trust_of(GITHUB_REPOSITORY, "prod"), JOB)
    assert accepts(trust_of(GITLAB_REPOSITORY, "prod"), GITLAB_JOB)
    development = {**GITLAB_JOB, "sub": GITLAB_SUB.format("main", "false", "development")}
    assert accepts(trust_of(GITLAB_REPOSITORY, "dev"), development)


@pytest.mark.parametrize(
    "claims",
    [
        {**JOB, "sub": "repo:acme/churn:environment:dev"},
        {**JOB, "sub": "repo:acme/churn:ref:refs/heads/main"},
        {**JOB, "sub": "repo:acme/churn:pull_request"},
        {**JOB, "sub": "repo:acme/churn-fork:environment:prod"},
        {**JOB, "sub": "repo:evil/churn:environment:prod"},
        {**JOB, "sub": "repo:acme/churn:environment:prod2"},
        {**JOB, "aud": "https://github.com/acme"},
        {**JOB, "iss": "https://token.actions.githubusercontent.com.evil.example"},
    ],
    ids=lambda c: c["sub"],
)
def test_any_other_token_of_github_is_refused(claims: Mapping[str, str]) -> None:
    assert not accepts(trust_of(GITHUB_REPOSITORY, "prod"), claims)


@pytest.mark.parametrize(
    "sub",
    [
        GITLAB_SUB.format("main", "false", "production"),
        GITLAB_SUB.format("main", "true", "development"),
        GITLAB_SUB.format("feature", "true", "production"),
        "project_path:acme/ml/churn:ref_type:branch:ref:main",
        GITLAB_SUB.format("main", "true", "production").replace("acme/ml", "evil"),
    ],
)
def test_any_other_token_of_gitlab_is_refused(sub: str) -> None:
    assert not accepts(trust_of(GITLAB_REPOSITORY, "prod"), {**GITLAB_JOB, "sub": sub})


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("repository", [GITHUB_REPOSITORY, GITLAB_REPOSITORY])
def test_the_role_of_a_stack_trusts_exactly_that(stage: str, repository: str) -> None:
    (statement,) = statements(deploy_role(foundation(stage, repository))["assumeRolePolicy"])
    assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
    assert statement["Condition"] == trust_of(repository, stage).conditions
    assert "*" not in json.dumps(statement["Condition"])


def test_without_a_repository_there_is_no_such_role() -> None:
    assert "aws:iam/openIdConnectProvider:OpenIdConnectProvider" not in registered("realtime", "prod")["foundation"]
    assert registered("realtime", "prod")["foundation"].outputs["permissions_boundary_arn"] == ""


def test_an_account_that_knows_the_host_is_not_told_again() -> None:
    found = made(provider="existing")
    assert "aws:iam/openIdConnectProvider:OpenIdConnectProvider" not in found
    (statement,) = statements(deploy_role(found)["assumeRolePolicy"])
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{GITHUB}"}


def test_one_account_for_all_stages_gets_one_provider() -> None:
    kind = "aws:iam/openIdConnectProvider:OpenIdConnectProvider"
    assert [kind in foundation(stage) for stage in STAGES] == [True, False, False]


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        ({"repository": "github.com/acme/*"}, "repository", "HOST/OWNER/NAME"),
        ({"repository": "github.com/acme/ml/churn"}, "repository", "github.com/OWNER/NAME"),
        ({"repository": "bitbucket.org/acme/churn"}, "repository", "github.com, gitlab.com"),
        ({"repository": "evilgitlab.com/acme/churn"}, "repository", "github.com, gitlab.com"),
        ({"repository": GITLAB_REPOSITORY, "branch": "*"}, "branch", "no wildcard"),
        ({"stacks": ["foundation"]}, "stacks", "a person's to change"),
        ({"provider": "skip"}, "provider", "create, existing"),
        ({"stage": "qa"}, "stage", "dev, staging, prod"),
    ],
)
def test_what_would_trust_too_many_is_refused(change: dict[str, Any], path: str, said: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        made(**change)
    assert {e["property_path"] for e in caught.value.errors or []} == {path}
    assert said in str(caught.value)


# ---------------------------------------------------------------- what it may do
@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "streaming"])
def test_whatever_a_stack_makes_the_role_may_make_or_a_person_does(architecture: str) -> None:
    """A new kind of resource needs its entry in the table, or the first deployment of it fails half-way."""
    persons = {"iam/role:Role", "iam/rolePolicy:RolePolicy", *BY_PERSONS}
    for stack, found in every_stack(architecture).items():
        granted_here = {t for part in (EVERY, stack) for grant in GRANTS.get(part, ()) for t in grant.types}
        kinds = {r.type.removeprefix("aws:") for r in found.resources if r.type.startswith("aws:")}
        assert stack == "foundation" or kinds <= granted_here | persons, stack


LOOKED_AT = [*STAGES, "batch", "streaming", "brought along"]


@pytest.mark.parametrize("where", LOOKED_AT)
def test_whatever_a_stack_looks_up_the_role_may_look_up_or_anybody_may(where: str) -> None:
    """A preview looks up too, in every stack: the foundation's as well, though the role cannot change that."""
    allowed = set(ANYBODY) | {i for grants in GRANTS.values() for grant in grants for i in grant.invokes}
    for stack, found in (stacks(where) if where in STAGES else every_stack(where)).items():
        assert found.invokes <= allowed, stack
        assert found.invokes or stack != "foundation"


def test_the_foundations_network_can_be_previewed() -> None:
    found = foundation("prod")
    assert "aws:index/getAvailabilityZones:getAvailabilityZones" in found.invokes
    assert allows(granted(found), "ec2:DescribeAvailabilityZones", "*")


HERE = "eu-west-1:123456789012"
NAMED = {  # a kind of resource: the input that AWS names it by, and what is done to the ARN of that name
    "cloudwatch/logGroup:LogGroup": ("name", "logs:CreateLogGroup", f"arn:aws:logs:{HERE}:log-group:{{}}"),
    "cloudwatch/dashboard:Dashboard": ("dashboardName", "cloudwatch:PutDashboard", "arn:aws:cloudwatch::123456789012:dashboard/{}"),
    "glue/catalogDatabase:CatalogDatabase": ("name", "glue:CreateDatabase", f"arn:aws:glue:{HERE}:database/{{}}"),
    "s3/bucketObjectv2:BucketObjectv2": ("key", "s3:PutObject", "arn:aws:s3:::churn-prod-data-1a2b3c4/{}"),
    "appautoscaling/policy:Policy": (
        "resourceId", "cloudwatch:PutMetricAlarm", f"arn:aws:cloudwatch:{HERE}:alarm:TargetTracking-{{}}-AlarmHigh-0a1b",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NAMED)
def test_what_it_makes_is_named_as_it_may_name_it_and_no_other_project_is(kind: str) -> None:
    key, action, arn = NAMED[kind]
    own, seen = granted(streaming()["foundation"]), 0
    for stack, found in (*stacks("prod").items(), *streaming().items()):
        for resource in found.of(f"aws:{kind}") if stack != "foundation" else ():
            name = str(resource.inputs[key])
            assert allows(own, action, arn.format(name)), name
            for other in ("churn-production", "churn_production", "fraud-prod"):
                another = name.replace("churn-prod", other).replace("churn_prod", other)
                assert not allows(own, action, arn.format(another)), another
            seen += 1
    assert seen


def test_a_script_of_the_library_is_changed_and_nothing_else_in_the_data_bucket() -> None:
    for own, bucket in (
        (granted(streaming()["foundation"]), "churn-prod-data-1a2b3c4"),
        (granted(brought_along()["foundation"]), "acme-lake"),
    ):
        script, rows = (
            f"arn:aws:s3:::{bucket}/{k}" for k in ("scripts/churn-prod-curate/landing_job.py", "landing/rows.csv")
        )
        for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:PutObjectTagging", "s3:GetObjectTagging"):
            assert allows(own, action, script), action
            assert not allows(own, action, rows), action
            assert not allows(own, action, script.replace("churn-prod-curate", "churn-dev-curate")), action
        listing = ("s3:ListBucketVersions", f"arn:aws:s3:::{bucket}")
        assert allows(own, *listing, {"s3:prefix": "scripts/churn-prod-curate/landing_job.py"})
        assert not allows(own, *listing, {"s3:prefix": "landing/"})


def test_releases_are_published_into_an_artifacts_bucket_that_is_brought() -> None:
    own = granted(brought_along()["foundation"])
    assert allows(own, "s3:PutObject", "arn:aws:s3:::acme-artifacts/releases/7/model")
    assert not allows(own, "s3:PutObject", "arn:aws:s3:::acme-artifacts/project/x")


def test_it_lends_keys_to_services_only() -> None:
    found = foundation("prod")
    own, key = granted(found), found.outputs["data_key_arn"]
    assert allows(own, "kms:CreateGrant", key, {"kms:GrantIsForAWSResource": "true"})
    assert not allows(own, "kms:CreateGrant", key, {})
    assert allows(own, "kms:Encrypt", key, {})


def test_no_kind_of_resource_is_both_a_persons_and_ours() -> None:
    assert not set(BY_PERSONS) & {t for grants in GRANTS.values() for grant in grants for t in grant.types}


def test_its_policies_fit_aws() -> None:
    found = foundation("prod")
    attached = found.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert len(attached) <= 10
    for policy in found.of(POLICY):
        assert len(re.sub(r"\s", "", policy.inputs["policy"])) <= 6144, policy.name
    long = {"project": "p" * 40, "prefix": "p" * 32, "state": f"s3://{'b' * 63}/{'f' * 40}", "key_arns": ["k" * 75] * 2}
    everything = made(stacks=[s for s in GRANTS if s != EVERY], **long)
    assert len(everything.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")) <= 10
    assert all(len(re.sub(r"\s", "", p.inputs["policy"])) <= 6144 for p in everything.of(POLICY))


def test_no_policy_of_a_stack_with_a_deploy_role_is_too_wide() -> None:
    assert violations(stacks("prod"), "prod") == []
    assert violations(streaming(), "prod") == []
    assert violations({"foundation": foundation("prod", GITLAB_REPOSITORY)}, "prod") == []


ACCOUNT = "arn:aws:iam::123456789012"


def test_it_cannot_change_itself_its_boundary_or_whom_it_trusts() -> None:
    own = granted(foundation("prod"))
    for action in ("iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:AttachRolePolicy", "iam:TagRole"):
        assert not allows(own, action, f"{ACCOUNT}:role/ci/churn-prod-deploy"), action
    for action in ("iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:SetDefaultPolicyVersion"):
        assert not allows(own, action, f"{ACCOUNT}:policy/ci/churn-prod-deploy-boundary-1a2b3c4"), action
    mentioned = {a for s in own if s["Effect"] == "Allow" for a in s["Action"]}
    assert not {
        a for a in mentioned if "OpenIDConnect" in a or "User" in a or "AccessKey" in a or "AttachRolePolicy" in a
    }


def test_it_makes_roles_under_the_boundary_only_and_of_this_stage_only() -> None:
    found = foundation("prod")
    own = granted(found)
    boundary = found.outputs["permissions_boundary_arn"]
    for action in ("iam:CreateRole", "iam:PutRolePolicy"):
        (grant,) = [s for s in own if action in s["Action"] and s["Effect"] == "Allow"]
        assert grant["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": boundary}}
        assert not allows(own, action, f"{ACCOUNT}:role/churn-dev-endpoint")
        assert allows(own, action, f"{ACCOUNT}:role/churn-prod-endpoint-1a2b3c4")
    assert not allows(own, "iam:DeleteRolePermissionsBoundary", f"{ACCOUNT}:role/churn-prod-endpoint-1a2b3c4")


def test_it_touches_neither_data_nor_keys_nor_approvals() -> None:
    own = granted(foundation("prod"))
    mentioned = {a for s in own if s["Effect"] == "Allow" for a in s["Action"]}
    assert not {a for a in mentioned if a.startswith("s3:Delete")} - {"s3:DeleteObject"}  # of Pulumi's state
    assert not mentioned & {"kms:ScheduleKeyDeletion", "kms:PutKeyPolicy", "kms:DisableKey", "s3:PutBucketPolicy"}
    assert not allows(own, "s3:GetObject", "arn:aws:s3:::churn-prod-data-1a2b3c4/training/rows.csv")
    assert not allows(own, "s3:DeleteObject", "arn:aws:s3:::churn-prod-artifacts-1a2b3c4/releases/7/model")
    version = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/churn-prod/7"
    assert not allows(own, "sagemaker:UpdateModelPackage", version)


def test_it_may_keep_an_asynchronous_endpoints_topics_and_not_the_one_for_alerts() -> None:
    own = granted(foundation("prod"))
    topic = "arn:aws:sns:eu-west-1:123456789012:churn-prod-{}-1a2b3c4"
    assert allows(own, "sns:SetTopicAttributes", topic.format("async-done"))
    assert not allows(own, "sns:SetTopicAttributes", topic.format("alerts"))
