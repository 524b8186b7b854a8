"""ExecutionRole: a role for one AWS service, with exactly the statements given; or one that exists.

Costs when idle: nothing. Limits: 10,240 characters of inline policy. AWS: "SageMaker execution roles".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.dependency import Mode, check_mode
from ai_factory_infra.limits import LOGICAL_NAME
from ai_factory_infra.policies import WITHOUT_RESOURCE, Statement, document, trust
from ai_factory_infra.problems import Problems, is_known


class ExecutionRoleArgs(TypedDict):
    """`service`: who assumes it, such as `sagemaker.amazonaws.com`. `statements`: what it may do, each with its reason.

    `mode`: create (the default) or existing, which takes `role_arn`; never skip, for a service must run as somebody.
    """

    service: str
    statements: Sequence[Statement]
    mode: NotRequired[Mode | str]
    role_arn: NotRequired[pulumi.Input[str]]
    permissions_boundary_arn: NotRequired[pulumi.Input[str] | None]


class ExecutionRole(pulumi.ComponentResource):
    """A role whose `arn` is resolved once its policy stands: what uses the role waits for the policy, not for the role.

    No managed policy is attached. A statement without a resource, or with a wildcard action, is refused. `policy`: what the
    role may do, as JSON; for a role that exists, what whoever keeps it must allow.
    """

    arn: pulumi.Output[str]
    name: pulumi.Output[str]
    policy: pulumi.Output[str]

    def __init__(self, name: str, args: ExecutionRoleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        _check(name, args)
        super().__init__("ai-factory:index:ExecutionRole", name, {}, opts)
        self.policy = document(args["statements"])
        if args.get("mode", "create") == "existing":
            self.arn = pulumi.Output.from_input(args["role_arn"])
            self.name = self.arn.apply(lambda arn: arn.rsplit("/", 1)[-1])
        else:
            self.arn, self.name = self._create(name, args)
        reasons = {s["sid"]: s["why"] for s in args["statements"]}  # for the report of who may do what (`permissions`)
        self.register_outputs({"arn": self.arn, "name": self.name, "policy": self.policy, "reasons": reasons})

    def _create(self, name: str, args: ExecutionRoleArgs) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        child = pulumi.ResourceOptions(parent=self)
        role = aws.iam.Role(
            name,
            assume_role_policy=trust(args["service"], Account.of(self).id),
            permissions_boundary=args.get("permissions_boundary_arn") or None,
            opts=child,
        )
        policy = aws.iam.RolePolicy(name, role=role.name, policy=self.policy, opts=child)
        ready = pulumi.Output.all(role.arn, role.name, policy.id)
        return ready.apply(lambda a: str(a[0])), ready.apply(lambda a: str(a[1]))


def _check(name: str, args: ExecutionRoleArgs) -> None:
    problems = Problems(f"ExecutionRole {name}")
    problems.fits("name", name, LOGICAL_NAME, "a role that is named automatically (64 with the suffix)")
    check_mode(
        problems,
        args.get("mode", "create"),
        {"role_arn": args.get("role_arn")},
        allowed=("create", "existing"),
        because="a service must run as somebody",
    )
    problems.matches("role_arn", args.get("role_arn"), r"|arn:[\w-]+:iam::\d{12}:role/.+", "the ARN of an IAM role")
    problems.matches(
        "service", args["service"], r"[a-z0-9.-]+\.amazonaws\.com", "a service such as sagemaker.amazonaws.com"
    )
    problems.unless(bool(args["statements"]), "statements", "got none; a role that may do nothing is not needed")
    for i, statement in enumerate(args["statements"]):
        path = f"statements[{i}] ({statement['sid']})"
        for action in statement["actions"]:
            problems.unless("*" not in action, f"{path}.actions", f"got {action!r}; name each action")
        resources = statement["resources"]
        if (
            is_known(resources)
            and isinstance(resources, Sequence)
            and "*" in [r for r in resources if isinstance(r, str)]
        ):
            loose = sorted(set(statement["actions"]) - WITHOUT_RESOURCE)
            problems.unless(
                not loose, f"{path}.resources", f"got '*', but {', '.join(loose)} can be bound to resources"
            )
        problems.unless(bool(statement["why"].strip()), f"{path}.why", "a statement says why the role needs it")
        if "iam:PassRole" in statement["actions"]:
            bound = any("iam:PassedToService" in keys for keys in _conditions(statement).values())
            problems.unless(bound, f"{path}.conditions", "iam:PassRole needs the condition iam:PassedToService")
    problems.stop()


def _conditions(statement: Statement) -> Mapping[str, Mapping[str, object]]:
    return statement.get("conditions", {})
