"""What the roles of the training pipeline may do, beside what every pipeline's may (`policies`)."""

from __future__ import annotations

import pulumi

from ai_factory_infra.account import Account
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
    """Add versions to one model package group; not approve them."""
    return {
        "sid": "AnnounceModels",
        "why": "a model that passed its gates waits for approval in SageMaker's registry",
        "actions": [
            "sagemaker:AddTags",
            "sagemaker:CreateModelPackage",
            "sagemaker:DescribeModelPackage",
            "sagemaker:DescribeModelPackageGroup",
        ],
        "resources": [
            pulumi.Output.concat(account.arn("sagemaker", "model-package-group/"), group),
            pulumi.Output.concat(account.arn("sagemaker", "model-package/"), group, "/*"),
        ],
    }


def never_approve(account: Account, group: pulumi.Input[str]) -> Statement:
    """Training may never approve what it made, whatever else its role is given later."""
    return {
        "sid": "NeverApprove",
        "why": "a model is approved by persons, not by what made it",
        "effect": "Deny",
        "actions": ["sagemaker:UpdateModelPackage"],
        "resources": [pulumi.Output.concat(account.arn("sagemaker", "model-package/"), group, "/*")],
    }
