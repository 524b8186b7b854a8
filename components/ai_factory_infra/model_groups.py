"""A model package group by its name, where it is this account's, or by its ARN, where it is another's. So SageMaker takes it, too.

AWS: "CreateModelPackage" (ModelPackageGroupName), "Resource types defined by Amazon SageMaker AI".
"""

from __future__ import annotations

import pulumi

from ai_factory_infra.account import Account

NAME = r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}"
ARN = rf"arn:[\w-]+:sagemaker:[\w-]+:\d{{12}}:model-package-group/{NAME}"


def group_arn(account: Account, group: pulumi.Input[str]) -> pulumi.Output[str]:
    """The group's ARN; empty for no group."""
    own = account.arn("sagemaker", "model-package-group/")
    return pulumi.Output.all(own, group).apply(lambda a: a[1] if not a[1] or is_arn(a[1]) else f"{a[0]}{a[1]}")


def versions_arn(account: Account, group: pulumi.Input[str]) -> pulumi.Output[str]:
    """All versions of the group."""
    return group_arn(account, group).apply(lambda arn: arn.replace(":model-package-group/", ":model-package/") + "/*")


def is_arn(group: str) -> bool:
    """Whether a group is given by its ARN."""
    return group.startswith("arn:")
