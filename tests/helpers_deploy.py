"""The deploy role and the boundary as the foundation makes them, and what IAM would say to an action on a resource."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pulumi
import pulumi_aws as aws
from ai_factory_infra.deploy_role import DeployRole
from ai_factory_infra.statement_rules import statements
from ai_factory_infra.testing import Registered, run_program, run_resources, run_stage
from helpers_infra import bake, registered, render, rendered

GITHUB_REPOSITORY, GITLAB_REPOSITORY = "github.com/acme/churn", "gitlab.com/acme/ml/churn"
STATE = "s3://acme-state/churn"
ROLE, POLICY = "aws:iam/role:Role", "aws:iam/policy:Policy"
ARGS: Mapping[str, Any] = {
    "repository": GITHUB_REPOSITORY,
    "project": "churn",
    "stage": "prod",
    "prefix": "churn-prod",
    "stacks": ["serving"],
    "key_arns": ["k"],
}


def infra(repository: str = GITHUB_REPOSITORY) -> Path:
    """The programs of a project whose repository is named, with its state in a bucket."""
    return rendered(architecture="realtime", repository=repository, state_backend=STATE) / "infra"


@functools.cache
def stacks(stage: str) -> Mapping[str, Registered]:
    """Every stack of such a project, live."""
    return run_stage(
        infra(), stage, config={"serving": {"release": "7-abc123", "instances": "2", "max_instances": "4"}}
    )


@functools.cache
def foundation(stage: str, repository: str = GITHUB_REPOSITORY) -> Registered:
    """The foundation alone, which takes a tenth of the time."""
    return run_program(infra(repository) / "foundation", stage)


@functools.cache
def _streaming_infra() -> Path:
    out = Path(tempfile.mkdtemp(prefix="streaming-"))
    atexit.register(shutil.rmtree, out, ignore_errors=True)
    facts = {"architecture": "streaming", "repository": GITHUB_REPOSITORY, "state_backend": STATE}
    facts["stacks"] = "foundation registry training serving monitoring ingestion"
    project = render(out, **facts)
    bake(out, "ingestion", **facts)
    return project / "infra"


@functools.cache
def streaming() -> Mapping[str, Registered]:
    """Every stack there is, the stream's too, with a release and a deploy role."""
    return run_stage(_streaming_infra(), "prod", config={"serving": {"release": "7-abc123"}})


@functools.cache
def brought_along(*, told: bool = True) -> Mapping[str, Registered]:
    """The same with buckets, keys and a registry that exist; the registry in another account. `told`: the foundation knows."""
    key = "arn:aws:kms:eu-west-1:123456789012:key/acme-{}"
    repository = "arn:aws:ecr:eu-west-1:210987654321:repository/acme/images"
    group = "arn:aws:sagemaker:eu-west-1:123456789012:model-package-group/acme-models"
    brought = {
        "data_bucket": "acme-lake",
        "artifacts_bucket": "acme-artifacts",
        "captures_bucket": "acme-captures",
        "key_arns": ",".join(f"{k}={key.format(k)}" for k in ("data", "alerts", "logs")),
    }
    if not told:  # no other stack is told
        return {**brought_along(), "foundation": run_program(_streaming_infra() / "foundation", "prod", config=brought)}
    return run_stage(
        _streaming_infra(),
        "prod",
        config={
            "serving": {"release": "7-abc123"},
            "foundation": brought | {"brought_arns": f"{repository}, {group}"},
            "registry": {
                "group_name": "acme-models",
                "repository_url": "210987654321.dkr.ecr.eu-west-1.amazonaws.com/acme/images",
                "repository_arn": repository,
            },
        },
    )


def every_stack(architecture: str) -> Mapping[str, Registered]:
    """Every stack of an architecture in prod, with every option switched on."""
    if architecture == "brought along":
        return brought_along()
    return streaming() if architecture == "streaming" else registered(architecture, "prod", live=True)


def made(**changes: Any) -> Registered:
    """A deploy role alone."""

    def build() -> None:
        opts = pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1"))
        DeployRole(f"{ARGS['project']}-{ARGS['stage']}-deploy", {**ARGS, **changes}, opts)  # type: ignore[typeddict-item]

    return run_resources(build, stage="prod")


def deploy_role(found: Registered) -> Mapping[str, Any]:
    """The inputs of the role that continuous integration assumes."""
    return next(r.inputs for r in found.of(ROLE) if r.inputs.get("path") == "/ci/")


def granted(found: Registered) -> list[Mapping[str, Any]]:
    """Every statement of the deploy role's own policies."""
    own = [r for r in found.of(POLICY) if not r.name.endswith("-boundary")]
    return [s for r in own for s in statements(r.inputs["policy"])]


def bounds(found: Registered) -> list[Mapping[str, Any]]:
    """Every statement of the boundary."""
    return list(statements(found.named(POLICY, "-deploy-boundary").inputs["policy"]))


def allows(
    policy: Iterable[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """What IAM would say: an Allow that matches, and no Deny. Conditions are looked at where a context is given: each key must
    be in it, and match."""
    said = {
        s["Effect"]
        for s in policy
        if action in s["Action"]
        and any(fnmatchcase(resource, pattern) for pattern in s["Resource"])
        and (context is None or _holds(s.get("Condition", {}), context))
    }
    return said == {"Allow"}


def _holds(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    asked = [(key, value) for keys in conditions.values() for key, value in keys.items()]
    return all(
        any(fnmatchcase(context.get(key, ""), v) for v in (value if isinstance(value, list) else [value]))
        for key, value in asked
    )
