"""DeployRole: continuous integration changes a stage's stacks without a key: a role for one repository and one environment.

Costs when idle: nothing. Limits: 6,144 characters in a policy, 10 policies on a role, one provider for each code host in an
account. AWS: "Create a role for OpenID Connect federation", "Permissions boundaries for IAM entities".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.boundary import boundary_statements
from ai_factory_infra.deploy_grants import EVERY, GRANTS, PASSED_TO
from ai_factory_infra.deploy_trust import Trust, trust_of
from ai_factory_infra.limits import LOGICAL_NAME
from ai_factory_infra.policies import Statement, document
from ai_factory_infra.problems import Problems

PATH = "/ci/"  # not where the roles are that it may change, so that it cannot change itself
SESSION_SECONDS = 7200  # an update may wait an hour for an endpoint
PROVIDERS = ("create", "existing")


class DeployRoleArgs(TypedDict):
    """`repository`: where the code is hosted, `github.com/OWNER/NAME`. `stage`: also the name of the host's environment.

    `prefix`: what the names of the stage begin with. `stacks`: which it may change; never the foundation, which is a
    person's. `key_arns`: keys that services borrow. `provider`: create (the default), or existing where the account already
    knows the host. `branch`: GitLab's, main by default.
    `own_boundary_arn`: a boundary of yours for the deploy role itself.
    `state`: where Pulumi's state is, as its address; only a bucket, `s3://NAME`, needs rights. `permissions_boundary_arn`: a
    boundary of yours, instead of the one that is made.
    """

    repository: str
    stage: str
    prefix: str
    stacks: Sequence[str]
    key_arns: Sequence[pulumi.Input[str]]
    provider: NotRequired[str]
    state: NotRequired[str]
    branch: NotRequired[str]
    own_boundary_arn: NotRequired[pulumi.Input[str] | None]
    permissions_boundary_arn: NotRequired[pulumi.Input[str] | None]


class DeployRole(pulumi.ComponentResource):
    """`role_arn`: what the job assumes. `boundary_arn`: what bounds every role that it makes."""

    role_arn: pulumi.Output[str]
    boundary_arn: pulumi.Output[str]

    def __init__(self, name: str, args: DeployRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        trust = check(name, args)
        super().__init__("ai-factory:index:DeployRole", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self._account = Account.of(self)
        self.boundary_arn = self._boundary()
        role = aws.iam.Role(
            name,
            name=name,
            path=PATH,
            description=f"Deploys {args['stage']} from {args['repository']}; no key, no other repository or environment.",
            assume_role_policy=_document_of_trust(self._oidc_provider(trust), trust),
            max_session_duration=SESSION_SECONDS,
            permissions_boundary=self._args.get("own_boundary_arn") or None,
            opts=self._child,
        )
        parts = self.statements()
        attached = [
            aws.iam.RolePolicyAttachment(
                f"{name}-{part}", role=role.name, policy_arn=self._policy(part, statements).arn, opts=self._child
            ).id
            for part, statements in parts.items()
        ]
        self.role_arn = pulumi.Output.all(role.arn, *attached).apply(lambda a: str(a[0]))
        everything = [s for statements in parts.values() for s in statements]
        self.register_outputs(
            {
                "role_arn": self.role_arn,
                "boundary_arn": self.boundary_arn,
                "policy": document(everything),
                "reasons": {s["sid"]: s["why"] for s in everything},
            }
        )

    def _oidc_provider(self, trust: Trust) -> pulumi.Output[str]:
        if self._args.get("provider", "create") == "existing":
            return self._account.named(f"iam::oidc-provider/{trust.issuer}")
        return aws.iam.OpenIdConnectProvider(
            self._name, url=f"https://{trust.issuer}", client_id_lists=[trust.audience], opts=self._child
        ).arn

    def _boundary(self) -> pulumi.Output[str]:
        given = self._args.get("permissions_boundary_arn")
        if given:
            return pulumi.Output.from_input(given)
        return self._policy("boundary", boundary_statements(self._account, self._args["prefix"])).arn

    def _policy(self, part: str, statements: Sequence[Statement]) -> aws.iam.Policy:
        return aws.iam.Policy(f"{self._name}-{part}", path=PATH, policy=document(statements), opts=self._child)

    def statements(self) -> dict[str, list[Statement]]:
        """What the role may do, by policy: what every stack needs, then what each of them does."""
        parts = {part: self._granted(part) for part in (EVERY, *self._args["stacks"]) if GRANTS.get(part)}
        return parts | {"roles": self._roles(), "shared": self._shared(), "never": self._never()}

    def _granted(self, part: str) -> list[Statement]:
        prefix = self._args["prefix"]
        return [
            {
                "sid": grant.sid,
                "why": grant.why,
                "actions": grant.actions,
                "resources": [r if r == "*" else self._account.named(r.format(p=prefix)) for r in grant.resources],
            }
            for grant in GRANTS[part]
        ]

    def _roles(self) -> list[Statement]:
        """Roles of this stage: made and given rights under the boundary only, and handed to services only."""
        roles = [self._account.named(f"iam::role/{self._args['prefix']}-*")]
        services = [f"{s}.amazonaws.com" for s in PASSED_TO]
        scaling = "sagemaker.application-autoscaling.amazonaws.com"
        return [
            {
                "sid": "BoundedRoles",
                "why": "pipelines, schedules and endpoints run under roles; each carries the boundary",
                "actions": ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"],
                "resources": roles,
                "conditions": {"StringEquals": {"iam:PermissionsBoundary": self.boundary_arn}},
            },
            {
                "sid": "KeepRoles",
                "why": "what it made, it changes and takes away",
                "actions": [
                    "iam:DeleteRole", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies",
                    "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies", "iam:ListRoleTags", "iam:TagRole",
                    "iam:UntagRole", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
                ],
                "resources": roles,
            },
            {
                "sid": "HandOverRoles",
                "why": "a service runs under the role that was made for it",
                "actions": ["iam:PassRole"],
                "resources": roles,
                "conditions": {"StringEquals": {"iam:PassedToService": services}},
            },
            {
                "sid": "LetScalingAct",
                "why": "the first endpoint that scales makes this one role of AWS's own",
                "actions": ["iam:CreateServiceLinkedRole"],
                "resources": [self._account.named(f"iam::role/aws-service-role/{scaling}/*")],
                "conditions": {"StringEquals": {"iam:AWSServiceName": scaling}},
            },
        ]  # fmt: skip

    def _never(self) -> list[Statement]:
        """What stays refused even where somebody attaches a wide policy to the role later: a Deny always wins."""
        account = self._account
        return [
            {
                "sid": "NeverItself",
                "why": "who may push code must not be able to widen what pushing code may do",
                "effect": "Deny",
                "actions": [
                    "iam:AttachRolePolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion",
                    "iam:DeleteRolePermissionsBoundary", "iam:DetachRolePolicy", "iam:PutRolePolicy",
                    "iam:SetDefaultPolicyVersion", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
                ],
                "resources": [account.named(f"iam::{kind}{PATH}*") for kind in ("role", "policy")],
            },
            {
                "sid": "NeverUnbounded",
                "why": "a role without its boundary may do whatever its policy says",
                "effect": "Deny",
                "actions": ["iam:DeleteRolePermissionsBoundary"],
                "resources": [account.named("iam::role/*")],
            },
            {
                "sid": "NeverApprove",
                "why": "a model is approved by persons, not by what deploys it",
                "effect": "Deny",
                "actions": ["sagemaker:UpdateModelPackage"],
                "resources": [account.named(f"sagemaker:model-package/{self._args['prefix']}/*")],
            },
            {
                "sid": "NeverLoseData",
                "why": "keys and buckets are the foundation's, which a person changes",
                "effect": "Deny",
                "actions": ["s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:PutBucketPolicy"],
                "resources": [account.named(f"s3:::{self._args['prefix']}-*")],
            },
        ]  # fmt: skip

    def _shared(self) -> list[Statement]:
        """What it uses of the foundation, and Pulumi's state."""
        args, account = self._args, self._account
        state = state_bucket(args.get("state", ""))
        found: list[Statement] = [
            {
                "sid": "LendKeys",
                "why": "repositories and endpoints encrypt with the foundation's keys",
                "actions": ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
                "resources": list(args["key_arns"]),
            },
            {
                "sid": "PublishReleases",
                "why": "a release is a folder of the artifacts bucket",
                "actions": ["s3:GetObject", "s3:PutObject"],
                "resources": [account.named(f"s3:::{args['prefix']}-artifacts-*/releases/*")],
            },
        ]
        if state:
            found.append(
                {
                    "sid": "KeepState",
                    "why": "Pulumi keeps its state, its history and its locks there",
                    "actions": ["s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"],
                    "resources": [account.named(f"s3:::{state}"), account.named(f"s3:::{state}/*")],
                }
            )
        return found


def state_bucket(address: str) -> str:
    """The bucket of an address such as `s3://acme-state/churn?region=eu-west-1`; empty where the state is in none."""
    found = re.match(r"s3://([a-z0-9.-]{3,63})(?=[/?]|$)", address)
    return found[1] if found else ""


def _document_of_trust(provider_arn: pulumi.Output[str], trust: Trust) -> pulumi.Output[str]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Federated": provider_arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": trust.conditions,
    }
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": [statement]})


def check(name: str, args: DeployRoleArgs) -> Trust:
    """The trust; refuses what AWS would refuse, and what would trust too many. Raises `pulumi.InputPropertiesError`."""
    problems = Problems(f"DeployRole {name}")
    problems.fits("name", name, LOGICAL_NAME - len("-monitoring"), "a role with its policies")
    provider = args.get("provider", "create")
    problems.unless(provider in PROVIDERS, "provider", f"got {provider!r}; allowed: {', '.join(PROVIDERS)}")
    problems.unless(
        "foundation" not in args["stacks"],
        "stacks",
        "got foundation: keys, data and this role itself are a person's to change",
    )
    problems.matches("stage", args["stage"], "dev|staging|prod", "dev, staging, prod")
    problems.matches("branch", args.get("branch", "main"), r"[A-Za-z0-9_./-]+", "one branch; no wildcard")
    found: Trust | None = None
    try:
        found = trust_of(args["repository"], args["stage"], branch=args.get("branch", "main"))
    except ValueError as reason:
        problems.add("repository", str(reason))
    except KeyError:
        pass  # the stage is no stage, which is said above
    problems.stop()
    assert found is not None
    return found
