"""Who shares a registry from other accounts: the policies on its image repository and its model package group.

Readers pull images and use versions. Writers may also add versions, so that a pipeline of theirs can register. Nobody outside
pushes images or approves a version: approving is changing one, which is given to no other account. Images are encrypted with
a key of the registry's account: ECR opens them for whoever may pull, by a grant of its own.
AWS: "Private repository policies in Amazon ECR", "Register a Model Version from a Different Account", "Deploy a Model Version
from a Different Account", "Encryption at rest" (Amazon ECR).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.model_groups import group_arn, versions_arn

PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
USE_VERSIONS = ("sagemaker:CreateModel", "sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages")


def share(
    name: str,
    group: aws.sagemaker.ModelPackageGroup,
    repository: aws.ecr.Repository,
    *,
    readers: Sequence[str],
    writers: Sequence[str],
    parent: pulumi.Resource,
) -> None:
    """Let accounts use one repository and one group; writers read, too. What their own roles may do is theirs to say."""
    child, account = pulumi.ResourceOptions(parent=parent), Account.of(parent)
    everybody = _principals(account, [*readers, *writers])
    aws.ecr.RepositoryPolicy(
        name,
        repository=repository.name,
        policy=_document({"Sid": "OtherAccountsPull", "Principal": everybody, "Action": list(PULL)}),
        opts=child,
    )
    named = group.model_package_group_name
    itself, versions = group_arn(account, named), versions_arn(account, named)
    statements: list[Mapping[str, Any]] = [
        {
            "Sid": "OtherAccountsSeeGroup",
            "Principal": everybody,
            "Action": ["sagemaker:DescribeModelPackageGroup"],
            "Resource": itself,
        },
        {
            "Sid": "OtherAccountsUseVersions",
            "Principal": everybody,
            "Action": list(USE_VERSIONS),
            "Resource": versions,
        },
    ]
    if writers:
        statements.append(
            {
                "Sid": "OtherAccountsAddVersions",
                "Principal": _principals(account, writers),
                "Action": ["sagemaker:CreateModelPackage"],
                "Resource": [itself, versions],
            }
        )
    aws.sagemaker.ModelPackageGroupPolicy(
        name,
        model_package_group_name=named,
        resource_policy=_document(*statements),
        opts=child,
    )


def _principals(account: Account, accounts: Sequence[str]) -> Mapping[str, Any]:
    return {"AWS": [pulumi.Output.format("arn:{0}:iam::{1}:root", account.partition, a) for a in sorted(set(accounts))]}


def _document(*statements: Mapping[str, Any]) -> pulumi.Output[str]:
    allowed = [{"Effect": "Allow", **statement} for statement in statements]
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": allowed})
