"""A registry that several accounts share: the others pull images and use versions, and change neither."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra.model_registry import ModelRegistry
from ai_factory_infra.policy_check import violations
from ai_factory_infra.statement_rules import statements
from ai_factory_infra.testing import Registered, run_resources

ARN = "arn:aws:x:eu-west-1:123456789012:y"
IMAGES, VERSIONS = (
    "aws:ecr/repositoryPolicy:RepositoryPolicy",
    "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
)
OTHERS = ["210987654321", "345678901234"]


def registry(**changes: Any) -> Registered:
    def build() -> None:
        tags = {"tags": {"project": "churn", "stage": "dev"}}
        opts = pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1", default_tags=tags))
        ModelRegistry("churn-dev", {"kms_key_arn": ARN, "alerts_topic_arn": ARN, **changes}, opts)  # type: ignore[typeddict-item]  # fmt: skip

    return run_resources(build)


def test_nobody_else_reads_it_until_they_are_named() -> None:
    kinds = {r.type for r in registry().resources}
    assert kinds.isdisjoint({IMAGES, VERSIONS})


def test_the_accounts_that_are_named_read_and_change_nothing() -> None:
    found = registry(reader_accounts=OTHERS)
    allowed = [
        *statements(found.only(IMAGES).inputs["policy"]),
        *statements(found.only(VERSIONS).inputs["resourcePolicy"]),
    ]
    assert len(allowed) == 3
    for statement in allowed:
        assert statement["Principal"] == {"AWS": [f"arn:aws:iam::{a}:root" for a in OTHERS]}
    actions = {a for s in allowed for a in s["Action"]}
    assert {"ecr:BatchGetImage", "sagemaker:DescribeModelPackage"} <= actions
    assert not {a for a in actions if a.split(":")[1].startswith(("Put", "Update", "Delete", "CreateModelPackage"))}
    assert violations({"registry": found}, "dev") == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"reader_accounts": ["*"]}, "reader_accounts[0]"),
        ({"reader_accounts": OTHERS, "mode": "skip"}, "reader_accounts"),
    ],
)
def test_everybody_is_no_reader(change: dict[str, Any], path: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        registry(**change)
    assert [e["property_path"] for e in caught.value.errors or []] == [path]
