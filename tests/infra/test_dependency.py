"""What a component stands on is made, brought along or done without; what is brought is never registered or changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra.config import ConfigError
from ai_factory_infra.container_pipeline import ContainerPipeline
from ai_factory_infra.execution_role import ExecutionRole
from ai_factory_infra.key_set import KeySet
from ai_factory_infra.model_registry import ModelRegistry
from ai_factory_infra.secure_bucket import SecureBucket
from ai_factory_infra.steps import Script
from ai_factory_infra.testing import Registered, run_program, run_resources, run_stage
from helpers_infra import rendered

ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/0a1b"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/team/jobs"
STATEMENT = {"sid": "S", "why": "it must", "actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::b/*"]}
REGISTRY = {"kms_key_arn": KEY, "alerts_topic_arn": "arn:aws:sns:x"}
IMAGES = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com/team/churn"
BROUGHT_REGISTRY = {
    "mode": "existing", "group_name": "churn", "repository_url": IMAGES, "repository_arn": f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/team/churn",
}  # fmt: skip
EXISTING: list[tuple[Any, Mapping[str, Any], Mapping[str, Any]]] = [
    (KeySet, {"classes": ["data"], "mode": "existing", "key_arns": {"data": KEY}}, {"arns": {"data": KEY}}),
    (KeySet, {"mode": "skip"}, {"arns": {}}),
    (SecureBucket, {"mode": "existing", "bucket_name": "lake"}, {"bucket": "lake", "arn": "arn:aws:s3:::lake"}),
    (SecureBucket, {"mode": "skip"}, {"bucket": "", "arn": ""}),
    (
        ModelRegistry,
        REGISTRY | BROUGHT_REGISTRY,
        {
            "group": "churn",
            "group_arn": f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:model-package-group/churn",
            "repository_url": IMAGES,
        },
    ),
    (
        ModelRegistry,
        REGISTRY | {"mode": "skip"},
        {"group": "", "group_arn": "", "repository_url": "", "repository_arn": ""},
    ),
    (
        ExecutionRole,
        {"service": "sagemaker.amazonaws.com", "statements": [STATEMENT], "mode": "existing", "role_arn": ROLE},
        {"arn": ROLE, "name": "jobs"},
    ),
]


def made(component: Any, args: Mapping[str, Any], outputs: Callable[[Any], Any] = lambda found: {}) -> Registered:
    """The component `churn-dev`, made with a provider of its own; what `outputs` picks from it is exported."""

    def build() -> None:
        provider = aws.Provider("aws", region="eu-west-1")
        found = component("churn-dev", dict(args), pulumi.ResourceOptions(provider=provider))
        for name, value in outputs(found).items():
            pulumi.export(name, value)

    return run_resources(build)


@pytest.mark.parametrize(("component", "args", "answer"), EXISTING, ids=lambda v: str(v)[:40])
def test_what_exists_or_is_skipped_is_named_and_not_registered(
    component: Any, args: Mapping[str, Any], answer: Mapping[str, Any]
) -> None:
    found = made(component, args, lambda c: {name: getattr(c, name) for name in answer})
    assert [r.type for r in found.resources if r.type.startswith("aws:")] == []
    assert found.outputs == answer


def test_a_role_that_exists_is_told_what_it_must_allow() -> None:
    args = {"service": "sagemaker.amazonaws.com", "statements": [STATEMENT], "mode": "existing", "role_arn": ROLE}
    assert '"s3:GetObject"' in made(ExecutionRole, args, lambda c: {"policy": c.policy}).outputs["policy"]


WRONG: list[tuple[Any, Mapping[str, Any], str, str]] = [
    (KeySet, {"mode": "maybe"}, "mode", "got 'maybe'; allowed: create, existing, skip"),
    (KeySet, {"mode": "existing"}, "key_arns", "missing"),
    (KeySet, {"mode": "existing", "key_arns": {"data": KEY}}, "key_arns", "one for each of data, alerts, logs"),
    (KeySet, {"key_arns": {"data": KEY}}, "key_arns", "fits the mode existing, not create"),
    (KeySet, {"classes": ["data"], "mode": "existing", "key_arns": {"data": "alias/data"}}, "key_arns.data", "the ARN of a KMS key"),
    (SecureBucket, {"mode": "existing"}, "bucket_name", "missing"),
    (SecureBucket, {"mode": "skip", "bucket_name": "lake"}, "bucket_name", "fits the mode existing, not skip"),
    (SecureBucket, {"mode": "existing", "bucket_name": "s3://lake"}, "bucket_name", "a bucket's name"),
    (ModelRegistry, REGISTRY | BROUGHT_REGISTRY | {"group_name": ""}, "group_name", "missing"),
    (ModelRegistry, REGISTRY | BROUGHT_REGISTRY | {"repository_url": f"{IMAGES}:"}, "repository_url", "ACCOUNT.dkr.ecr.REGION"),
    (ModelRegistry, REGISTRY | BROUGHT_REGISTRY | {"mode": "skip", "repository_url": "", "repository_arn": ""}, "group_name", "not skip"),
    (ExecutionRole, {"service": "sagemaker.amazonaws.com", "statements": [STATEMENT], "mode": "skip"}, "mode", "must run as somebody"),
    (ExecutionRole, {"service": "sagemaker.amazonaws.com", "statements": [STATEMENT], "mode": "existing", "role_arn": "jobs"}, "role_arn", "the ARN of an IAM role"),
]  # fmt: skip


@pytest.mark.parametrize(("component", "args", "path", "said"), WRONG, ids=lambda v: str(v)[:40])
def test_a_mode_without_what_belongs_to_it_is_refused(
    component: Any, args: Mapping[str, Any], path: str, said: str
) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        made(component, args)
    assert [e["property_path"] for e in caught.value.errors or []] == [path]
    assert said in str(caught.value)


def test_a_part_of_a_pipeline_takes_the_role_it_is_brought_and_the_others_get_their_own() -> None:
    folder = {"bucket": "bucket", "prefix": "folder"}
    args = {
        "image": "image:v1", "repository_arn": "arn:aws:ecr:eu-west-1:1:repository/x", "kms_key_arn": KEY, "alerts_topic_arn": "arn:aws:sns:x",
        "script": Script(("true;",), ("rows",), ("scores",)), "inputs": {"rows": folder}, "outputs": {"scores": folder},
        "schedule": "0 4 * * *", "role_arns": {"job": ROLE},
    }  # fmt: skip
    found = made(ContainerPipeline, args)
    assert {r.name for r in found.of("aws:iam/role:Role")} == {"churn-dev-run", "churn-dev-start"}
    assert ROLE in found.only("aws:sagemaker/pipeline:Pipeline").inputs["pipelineDefinition"]
    handed = [s for _, s in found.statements() if "iam:PassRole" in s["Action"]]
    assert [s["Resource"] for s in handed] == [[ROLE]]


# ---------------------------------------------------------------- the stacks
KEYS = ", ".join(f"{kind}={KEY}" for kind in ("data", "alerts", "logs"))
BROUGHT = {
    "foundation": {"key_arns": KEYS, "data_bucket": "lake", "artifacts_bucket": "models", "captures_bucket": "asked", "network": "skip"},
    "registry": {**{k: v for k, v in BROUGHT_REGISTRY.items() if k != "mode"}, "role_arns": f"flow={ROLE}, begin={ROLE}"},
    "training": {"role_arns": f"job={ROLE}, run={ROLE}, door={ROLE}, drift={ROLE}"},
    "serving": {"release": "1", "role_arns": f"container={ROLE}"},
    "monitoring": {"role_arns": f"job={ROLE}, run={ROLE}, start={ROLE}"},
}  # fmt: skip


def test_a_stage_stands_on_keys_buckets_network_and_roles_that_exist() -> None:
    found = run_stage(rendered(architecture="realtime") / "infra", "dev", config=BROUGHT)
    made_types = {r.type for stack in found.values() for r in stack.resources}
    assert not made_types & {"aws:kms/key:Key", "aws:ec2/vpc:Vpc", "aws:ecr/repository:Repository"}
    assert [r.name for stack in found.values() for r in stack.of("aws:iam/role:Role")] == []
    assert [b.name for b in found["foundation"].of("aws:s3/bucket:Bucket")] == ["churn-dev-accesses"]
    assert found["foundation"].outputs["data_bucket"] == "lake"
    assert found["serving"].only("aws:sagemaker/model:Model").inputs["executionRoleArn"] == ROLE
    assert "s3://models/" in found["training"].only("aws:sagemaker/pipeline:Pipeline").inputs["pipelineDefinition"]


@pytest.mark.parametrize(
    ("stack", "config", "said"),
    [
        ("foundation", {"key_arns": "data=alias/x"}, "keys that exist: data=ARN"),
        ("foundation", {"key_arns": f"gold={KEY}"}, "keys that exist: data=ARN"),
        ("foundation", {"data_bucket": "s3://lake"}, "the name of a bucket that exists"),
        ("training", {"role_arns": "job=jobs"}, "roles that exist, by the part"),
    ],
)
def test_what_is_brought_is_named_as_aws_names_it(stack: str, config: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        run_program(rendered(architecture="realtime") / "infra" / stack, "dev", config=config)


def test_a_use_case_that_is_called_otherwise_halfway_is_refused() -> None:
    """Names begin with the project: another one would make everything anew and delete what there is."""
    with pytest.raises(ConfigError, match=r"'renamed', but this is churn-foundation; .* stacks of its own"):
        run_program(rendered(architecture="realtime") / "infra" / "foundation", "dev", config={"project": "renamed"})
