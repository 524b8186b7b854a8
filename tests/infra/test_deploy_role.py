"""Continuous integration deploys with a token of one repository and one environment, and cannot give itself more."""

from __future__ import annotations

import atexit
import functools
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra.deploy_grants import BY_PERSONS, EVERY, GRANTS
from ai_factory_infra.deploy_role import DeployRole, state_bucket
from ai_factory_infra.deploy_trust import GITHUB, Trust, trust_of
from ai_factory_infra.policy_check import violations
from ai_factory_infra.statement_rules import statements
from ai_factory_infra.testing import Registered, run_program, run_resources, run_stage
from helpers_infra import ARCHITECTURES, STAGES, bake, registered, render, rendered

GITHUB_REPOSITORY, GITLAB_REPOSITORY = "github.com/acme/churn", "gitlab.com/acme/ml/churn"
ROLE, POLICY = "aws:iam/role:Role", "aws:iam/policy:Policy"
ARGS = {
    "repository": GITHUB_REPOSITORY,
    "stage": "prod",
    "prefix": "churn-prod",
    "stacks": ["serving"],
    "key_arns": ["k"],
}


@functools.cache
def stacks(stage: str) -> Mapping[str, Registered]:
    """Every stack of a project whose repository is named, with its state in a bucket."""
    infra = (
        rendered(architecture="realtime", repository=GITHUB_REPOSITORY, state_backend="s3://acme-state/churn") / "infra"
    )
    return run_stage(infra, stage, config={"serving": {"release": "7-abc123", "instances": "2", "max_instances": "4"}})


@functools.cache
def foundation(stage: str, repository: str = GITHUB_REPOSITORY) -> Registered:
    """The foundation alone, which takes a tenth of the time."""
    infra = rendered(architecture="realtime", repository=repository, state_backend="s3://acme-state/churn") / "infra"
    return run_program(infra / "foundation", stage)


def made(**changes: Any) -> Registered:
    def build() -> None:
        opts = pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1"))
        DeployRole("churn-prod-deploy", {**ARGS, **changes}, opts)  # type: ignore[typeddict-item]

    return run_resources(build, stage="prod")


def deploy_role(found: Registered) -> Mapping[str, Any]:
    return next(r.inputs for r in found.of(ROLE) if r.inputs.get("path") == "/ci/")


def granted(found: Registered) -> list[Mapping[str, Any]]:
    """Every statement of the deploy role's own policies."""
    own = [r for r in found.of(POLICY) if not r.name.endswith("-boundary")]
    return [s for r in own for s in statements(r.inputs["policy"])]


def bounds(found: Registered) -> list[Mapping[str, Any]]:
    return statements(found.named(POLICY, "-deploy-boundary").inputs["policy"])


def allows(policy: list[Mapping[str, Any]], action: str, resource: str) -> bool:
    """What IAM would say, conditions aside: an Allow that matches, and no Deny."""
    said = {
        s["Effect"]
        for s in policy
        if action in s["Action"] and any(fnmatchcase(resource, pattern) for pattern in s["Resource"])
    }
    return said == {"Allow"}


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
@functools.cache
def streaming() -> Mapping[str, Registered]:
    """Every stack there is, the stream's too, with a release."""
    out = Path(tempfile.mkdtemp(prefix="streaming-"))
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    project = render(out, architecture="streaming")
    bake(out, "ingestion", architecture="streaming")
    return run_stage(project / "infra", "prod", config={"serving": {"release": "7-abc123"}})


def every_stack(architecture: str) -> Mapping[str, Registered]:
    return streaming() if architecture == "streaming" else registered(architecture, "prod", live=True)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "streaming"])
def test_whatever_a_stack_makes_the_role_may_make_or_a_person_does(architecture: str) -> None:
    """A new kind of resource needs its entry in the table, or the first deployment of it fails half-way."""
    persons = {"iam/role:Role", "iam/rolePolicy:RolePolicy", *BY_PERSONS}
    for stack, found in every_stack(architecture).items():
        granted_here = {t for part in (EVERY, stack) for grant in GRANTS.get(part, ()) for t in grant.types}
        kinds = {r.type.removeprefix("aws:") for r in found.resources if r.type.startswith("aws:")}
        assert stack == "foundation" or kinds <= granted_here | persons, stack


def test_no_kind_of_resource_is_both_a_persons_and_ours() -> None:
    assert not set(BY_PERSONS) & {t for grants in GRANTS.values() for grant in grants for t in grant.types}


def test_its_policies_fit_aws() -> None:
    found = foundation("prod")
    attached = found.of("aws:iam/rolePolicyAttachment:RolePolicyAttachment")
    assert len(attached) <= 10
    for policy in found.of(POLICY):
        assert len(re.sub(r"\s", "", policy.inputs["policy"])) <= 6144, policy.name
    everything = made(stacks=[s for s in GRANTS if s != EVERY], state="s3://acme-state")
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
    assert not {a for a in mentioned if a.startswith("s3:Delete")} - {"s3:DeleteObject"}
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


def test_it_reaches_the_state_and_nothing_beside_it() -> None:
    own = granted(foundation("prod"))
    assert allows(own, "s3:PutObject", "arn:aws:s3:::acme-state/churn/.pulumi/stacks/x.json")
    assert not allows(own, "s3:PutObject", "arn:aws:s3:::acme-state-2/x")
    assert "KeepState" not in {s["Sid"] for s in granted(made())}


@pytest.mark.parametrize(
    ("address", "bucket"),
    [("s3://acme-state", "acme-state"), ("s3://acme-state/churn?region=x", "acme-state"), ("file://~", ""), ("", "")],
)
def test_the_state_is_read_from_its_address(address: str, bucket: str) -> None:
    assert state_bucket(address) == bucket


# ---------------------------------------------------------------- the boundary
def test_every_role_of_every_stack_carries_the_boundary() -> None:
    found = stacks("prod")
    boundary = found["foundation"].outputs["permissions_boundary_arn"]
    roles = [r for stack in found.values() for r in stack.of(ROLE) if r.inputs.get("path") != "/ci/"]
    assert len(roles) >= 8
    assert {r.inputs.get("permissionsBoundary") for r in roles} == {boundary}


def test_a_stacks_own_boundary_wins() -> None:
    own = f"{ACCOUNT}:policy/ours"
    infra = (
        rendered(architecture="realtime", repository=GITHUB_REPOSITORY, state_backend="s3://acme-state/churn") / "infra"
    )
    found = run_program(infra / "foundation", "prod", config={"permissions_boundary_arn": own})
    assert {r.inputs.get("permissionsBoundary") for r in found.of(ROLE) if r.inputs.get("path") != "/ci/"} == {own}
    assert found.outputs["permissions_boundary_arn"] == own
    assert not [p for p in found.of(POLICY) if p.name.endswith("-boundary")]


def role_statements(architecture: str) -> Iterator[tuple[str, str]]:
    """(action, resource) of every role of every stack. Mocks make up some ARNs; those are left out as resources."""
    for stack in every_stack(architecture).values():
        for resource, statement in stack.statements():
            if resource.type == "aws:iam/rolePolicy:RolePolicy" and statement["Effect"] == "Allow":
                for action in statement["Action"]:
                    yield from ((action, r) for r in statement["Resource"])


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, "streaming"])
def test_no_role_of_the_library_needs_more_than_its_boundary_allows(architecture: str) -> None:
    """What a boundary leaves out fails in the cloud only, when the job runs."""
    policy = bounds(foundation("prod"))
    known = {a for s in policy for a in s["Action"]}
    seen = 0
    for action, resource in role_statements(architecture):
        assert action in known, action
        made_up = re.search(r":\d{12}:[A-Z]", resource) or ":cloudwatch:" in resource
        if not made_up:
            seen += 1
            assert allows(policy, action, resource), (action, resource)
    assert seen > 30


def test_a_boundary_lets_nobody_make_roles_or_reach_another_project() -> None:
    policy = bounds(foundation("prod"))
    assert not [a for s in policy for a in s["Action"] if a.startswith("iam:") and a != "iam:PassRole"]
    assert not allows(policy, "s3:GetObject", "arn:aws:s3:::fraud-prod-data/x")
    assert allows(policy, "s3:GetObject", "arn:aws:s3:::churn-prod-data-1a2b3c4/x")
