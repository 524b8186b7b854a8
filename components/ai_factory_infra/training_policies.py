"""What the roles of the training pipeline may do, beside what every pipeline's may (`policies`)."""

from __future__ import annotations

import pulumi

from ai_factory_infra.account import Account
from ai_factory_infra.model_groups import group_arn, versions_arn
from ai_factory_infra.policies import Statement


def run_training(account: Account) -> Statement:
    """Run the training jobs of a pipeline. SageMaker names them `pipelines-<execution>-…`."""
    return {
        "sid": "RunTraining",
        "why": "the step `train` is a training job",
        "actions": [
            "sagemaker:AddTags",
            "sagemaker:CreateTrainingJob",
            "sagemaker:DescribeTrainingJob",
            "sagemaker:StopTrainingJob",
        ],
        "resources": [account.arn("sagemaker", "training-job/pipelines-*")],
    }


def announce_models(account: Account, group: pulumi.Input[str]) -> Statement:
    """Add versions to one model package group, given by its name, or by its ARN where it is another account's; not approve them."""
    return {
        "sid": "AnnounceModels",
        "why": "a model that passed its gates waits for approval in SageMaker's registry",
        "actions": [
            "sagemaker:AddTags",
            "sagemaker:CreateModelPackage",
            "sagemaker:DescribeModelPackage",
            "sagemaker:DescribeModelPackageGroup",
        ],
        "resources": [group_arn(account, group), versions_arn(account, group)],
    }


def never_approve(account: Account, group: pulumi.Input[str]) -> list[Statement]:
    """Training may never approve what it made, nor make it approved, whatever else its role is given later."""
    return [
        {
            "sid": "NeverApprove",
            "why": "a model is approved by persons, not by what made it",
            "effect": "Deny",
            "actions": ["sagemaker:UpdateModelPackage"],
            "resources": [versions_arn(account, group)],
        },
        {
            "sid": "NeverMakeApproved",
            "why": "a version that is approved from its first moment was approved by nobody",
            "effect": "Deny",
            "actions": ["sagemaker:CreateModelPackage"],
            "resources": [group_arn(account, group), versions_arn(account, group)],
            "conditions": {"StringEquals": {"sagemaker:ModelApprovalStatus": "Approved"}},
        },
    ]
