"""DeployRole: continuous integration changes a stage's stacks without a key: a role for one repository and one environment.

Costs when idle: nothing. Limits: 6,144 characters in a policy, 10 policies on a role, one provider for each code host in an
account. AWS: "Create a role for OpenID Connect federation", "Permissions boundaries for IAM entities".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws
from ai_factory_spec.naming import stage_inside

from ai_factory_infra.account import Account
from ai_factory_infra.boundary import boundary_statements, fits_no_ceiling
from ai_factory_infra.deploy_bounds import bounded_roles, never
from ai_factory_infra.deploy_grants import EVERY, GRANTS
from ai_factory_infra.deploy_state import ADDRESS, keep_state, open_state
from ai_factory_infra.deploy_trust import Trust, trust_of
from ai_factory_infra.grant import Grant
from ai_factory_infra.limits import LOGICAL_NAME
from ai_factory_infra.policies import Statement, document
from ai_factory_infra.problems import Problems

PATH = "/ci/"  # not where the roles are that it may change, so that it cannot change itself
SESSION_SECONDS = 7200  # an update may wait an hour for an endpoint
PROVIDERS = ("create", "existing")
ARN = r"arn:[\w-]+:[a-z0-9-]+:[\w-]*:\d*:.+"


class DeployRoleArgs(TypedDict):
    """`repository`: where the code is hosted, `github.com/OWNER/NAME`. `stage`: also the name of the host's environment.

    `project`: the use case's; `prefix`: what the names of its stage begin with. `stacks`: which it may change; never the
    foundation, which is a person's. `key_arns`: keys that services borrow, and that roles of the stage use.
    `provider`: create (the default), or existing where the account already knows the host. `branch`: GitLab's, main by default.
    `own_boundary_arn`: a boundary of yours for the deploy role itself.
    `state`: where Pulumi's state is, as its address; only a bucket, `s3://NAME/FOLDER`, needs rights. `state_key_arn`: the key
    that the state, or the secrets in it (`awskms://…`), are encrypted with.
    `permissions_boundary_arn`: a boundary of yours, instead of the one that is made.
    `brought_buckets`: buckets that are called otherwise than the stage, by what they hold (data, artifacts, captures); the boundary
    has to be told. `brought_arns`: likewise buckets, keys, an image repository, a model package group, a stream.
    `role_key_arns`: keys that only roles use.
    """

    repository: str
    project: str
    stage: str
    prefix: str
    stacks: Sequence[str]
    key_arns: Sequence[pulumi.Input[str]]
    provider: NotRequired[str]
    state: NotRequired[str]
    state_key_arn: NotRequired[str]
    brought_buckets: NotRequired[Mapping[str, str]]
    brought_arns: NotRequired[Sequence[str]]
    role_key_arns: NotRequired[Sequence[pulumi.Input[str]]]
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
                f"{name}-{part}", role=role.id, policy_arn=self._policy(part, statements).arn, opts=self._child
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
        args = self._args
        brought = args.get("brought_arns", ())
        keys = [*args["key_arns"], *args.get("role_key_arns", ()), *(a for a in brought if ":kms:" in a)]
        others = [a for a in brought if ":kms:" not in a]
        buckets = list(args.get("brought_buckets", {}).values())
        return self._policy("boundary", boundary_statements(self._account, args["prefix"], keys, buckets, others)).arn

    def _policy(self, part: str, statements: Sequence[Statement]) -> aws.iam.Policy:
        return aws.iam.Policy(f"{self._name}-{part}", path=PATH, policy=document(statements), opts=self._child)

    def statements(self) -> dict[str, list[Statement]]:
        """What the role may do, by policy: what every stack needs, then what each of them does."""
        parts = {part: self._granted(part) for part in (EVERY, *self._args["stacks"]) if GRANTS.get(part)}
        account, prefix = self._account, self._args["prefix"]
        return parts | {
            "roles": bounded_roles(account, prefix, self.boundary_arn),
            "shared": self._shared(),
            "never": never(account, prefix, PATH),
        }

    def _granted(self, part: str) -> list[Statement]:
        prefix = self._args["prefix"]
        words = {"p": prefix, "p_": prefix.replace("-", "_"), "data": self._bucket("data")}
        return [_statement(grant, self._account, words) for grant in GRANTS[part]]

    def _bucket(self, part: str) -> str:
        """What a bucket's name is, or begins with where the foundation makes it: AWS's own naming adds to it."""
        return self._args.get("brought_buckets", {}).get(part) or f"{self._args['prefix']}-{part}-*"

    def _shared(self) -> list[Statement]:
        """What it uses of the foundation, and Pulumi's state."""
        args, account = self._args, self._account
        found: list[Statement] = [
            {
                "sid": "UseKeys",
                "why": "what it makes, and what it uploads, is encrypted with the foundation's keys",
                "actions": [
                    "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom",
                    "kms:ReEncryptTo", "kms:RetireGrant",
                ],
                "resources": list(args["key_arns"]),
            },
            {
                "sid": "LendKeys",
                "why": "AWS's services borrow the keys for repositories, endpoints, streams, functions and online stores; nobody else",
                "actions": ["kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"],
                "resources": list(args["key_arns"]),
                "conditions": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
            },
            {
                "sid": "PublishReleases",
                "why": "a release is a folder of the artifacts bucket",
                "actions": ["s3:GetObject", "s3:PutObject"],
                "resources": [account.named(f"s3:::{self._bucket('artifacts')}/releases/*")],
            },
        ]  # fmt: skip
        projects = [f"{args['project']}-{stack}" for stack in ("foundation", *args["stacks"])]
        found += keep_state(account, args.get("state", ""), projects, args["stage"])
        if args.get("state_key_arn"):
            found.append(open_state(args.get("state_key_arn", "")))
        return found


def _statement(grant: Grant, account: Account, words: Mapping[str, str]) -> Statement:
    statement: Statement = {
        "sid": grant.sid,
        "why": grant.why,
        "actions": grant.actions,
        "resources": [r if r == "*" else account.named(r.format(**words)) for r in grant.resources],
    }
    if grant.conditions:
        statement["conditions"] = {
            operator: {key: value.format(**words) for key, value in keys.items()}
            for operator, keys in grant.conditions.items()
        }
    return statement


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
    _check_brought(problems, args)
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


def _check_brought(problems: Problems, args: DeployRoleArgs) -> None:
    """What the names of the project would mix up, and what the boundary or the state could not be bound to."""
    inside = stage_inside(args["project"])
    problems.unless(
        not inside,
        "project",
        f"got {args['project']!r}: whoever may change {inside} of the project before that word may change all of this one",
    )
    state = args.get("state", "")
    if state.startswith("s3:"):
        problems.matches("state", state, ADDRESS, "s3://BUCKET or s3://BUCKET/FOLDER")
    for i, arn in enumerate(args.get("brought_arns", ())):
        path = f"brought_arns[{i}]"
        if not re.fullmatch(ARN, arn):
            problems.add(path, f"got {arn!r}; allowed: the ARN of a thing, such as arn:aws:s3:::acme-lake")
        elif fits_no_ceiling(arn):
            problems.add(path, f"got {arn}; no role of the library uses things of that kind")
