"""Who reads a shared registry from other accounts: the policies on its image repository and its model package group.

They may pull images and use versions; they may neither push, nor add a version, nor approve one.
AWS: "Private repository policies in Amazon ECR", "Deploy a model version from a different account".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account

PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
USE_VERSIONS = ("sagemaker:CreateModel", "sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages")


def let_read(
    name: str,
    accounts: Sequence[str],
    group: aws.sagemaker.ModelPackageGroup,
    repository: aws.ecr.Repository,
    *,
    parent: pulumi.Resource,
) -> None:
    """Let accounts read one repository and one group. What their own roles may do is theirs to say."""
    child, account = pulumi.ResourceOptions(parent=parent), Account.of(parent)
    principals = {"AWS": [pulumi.Output.format("arn:{0}:iam::{1}:root", account.partition, a) for a in accounts]}
    aws.ecr.RepositoryPolicy(
        name,
        repository=repository.name,
        policy=_document({"Sid": "OtherAccountsPull", "Principal": principals, "Action": list(PULL)}),
        opts=child,
    )
    versions = pulumi.Output.concat(account.arn("sagemaker", "model-package/"), group.model_package_group_name, "/*")
    aws.sagemaker.ModelPackageGroupPolicy(
        name,
        model_package_group_name=group.model_package_group_name,
        resource_policy=_document(
            {
                "Sid": "OtherAccountsSeeGroup",
                "Principal": principals,
                "Action": ["sagemaker:DescribeModelPackageGroup"],
                "Resource": group.arn,
            },
            {
                "Sid": "OtherAccountsUseVersions",
                "Principal": principals,
                "Action": list(USE_VERSIONS),
                "Resource": versions,
            },
        ),
        opts=child,
    )


def _document(*statements: Mapping[str, Any]) -> pulumi.Output[str]:
    allowed = [{"Effect": "Allow", **statement} for statement in statements]
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": allowed})
