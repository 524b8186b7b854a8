"""What bounds continuous integration in every stack: the roles that it makes, and what stays refused to it for ever.

AWS: "Permissions boundaries for IAM entities", "Policy evaluation logic".
"""

from __future__ import annotations

import pulumi

from ai_factory_infra.account import Account
from ai_factory_infra.deploy_grants import PASSED_TO
from ai_factory_infra.policies import Statement


def bounded_roles(account: Account, prefix: str, boundary_arn: pulumi.Input[str]) -> list[Statement]:
    """Roles of this stage: made and given rights under the boundary only, and handed to services only."""
    roles = [account.named(f"iam::role/{prefix}-*")]
    services = [f"{s}.amazonaws.com" for s in PASSED_TO]
    scaling = "sagemaker.application-autoscaling.amazonaws.com"
    return [
        {
            "sid": "BoundedRoles",
            "why": "pipelines, schedules and endpoints run under roles; each carries the boundary",
            "actions": ["iam:CreateRole", "iam:DeleteRolePolicy", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"],
            "resources": roles,
            "conditions": {"StringEquals": {"iam:PermissionsBoundary": boundary_arn}},
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
            "resources": [account.named(f"iam::role/aws-service-role/{scaling}/*")],
            "conditions": {"StringEquals": {"iam:AWSServiceName": scaling}},
        },
    ]  # fmt: skip


def never(account: Account, prefix: str, path: str) -> list[Statement]:
    """What stays refused even where somebody attaches a wide policy to the role later: a Deny always wins.

    `path`: where the deploy role and its policies are.
    """
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
            "resources": [account.named(f"iam::{kind}{path}*") for kind in ("role", "policy")],
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
            "resources": [account.named(f"sagemaker:model-package/{prefix}/*")],
        },
        {
            "sid": "NeverLoseData",
            "why": "keys and buckets are the foundation's, which a person changes",
            "effect": "Deny",
            "actions": ["s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:PutBucketPolicy"],
            "resources": [account.named(f"s3:::{prefix}-*")],
        },
    ]  # fmt: skip
