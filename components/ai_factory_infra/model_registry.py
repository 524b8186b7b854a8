"""ModelRegistry: where images and model versions are kept, and who is told when a version is approved; or one that exists.

Costs when idle: stored images. Limits: 63 characters for a model package group. AWS: "Register and deploy models with
Model Registry", "Amazon ECR image tag immutability".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra.account import Account
from ai_factory_infra.dependency import Mode, check_mode
from ai_factory_infra.inputs import ProtectInputs
from ai_factory_infra.limits import LOGICAL_NAME, SAGEMAKER_NAME
from ai_factory_infra.model_groups import ARN, NAME, group_arn
from ai_factory_infra.problems import Problems
from ai_factory_infra.registry_readers import share


class ModelRegistryArgs(ProtectInputs):
    """`kept_untagged_days`: images that no tag points to are deleted after so many days, 14 by default.

    `mode`: create (the default); existing, which takes `group_name`, `repository_url` and `repository_arn`; or skip: neither
    images nor versions, and empty names. `group_name`: with existing, the group's name, or its ARN where it is another account's.
    `reader_accounts`: accounts that may pull images and use versions, none by default. `writer_accounts`: accounts that may also
    add versions, none by default; adding one approves nothing.
    """

    kms_key_arn: pulumi.Input[str]
    alerts_topic_arn: pulumi.Input[str]
    mode: NotRequired[Mode | str]
    group_name: NotRequired[pulumi.Input[str]]
    repository_url: NotRequired[pulumi.Input[str]]
    repository_arn: NotRequired[pulumi.Input[str]]
    kept_untagged_days: NotRequired[int]
    reader_accounts: NotRequired[Sequence[str]]
    writer_accounts: NotRequired[Sequence[str]]


class ModelRegistry(pulumi.ComponentResource):
    """A model package group, always protected, an image repository whose tags never move, and a rule on approvals.

    The rule matches `Approved` and nothing else: a rejected version must start nothing. `group`: the group's name, or its ARN
    where it is another account's; SageMaker takes either.
    """

    group: pulumi.Output[str]
    group_arn: pulumi.Output[str]
    repository_url: pulumi.Output[str]
    repository_arn: pulumi.Output[str]

    def __init__(self, name: str, args: ModelRegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        _check(name, args)
        super().__init__("ai-factory:index:ModelRegistry", name, {}, opts)
        if args.get("mode", "create") == "create":
            self._create(name, args)
        else:
            self._take(args)
        self.register_outputs(
            {
                "group": self.group,
                "group_arn": self.group_arn,
                "repository_url": self.repository_url,
                "repository_arn": self.repository_arn,
            }
        )

    def _take(self, args: ModelRegistryArgs) -> None:
        """What exists, or nothing: whoever keeps it says who hears of an approval."""
        self.group = pulumi.Output.from_input(args.get("group_name", ""))
        self.group_arn = group_arn(Account.of(self), self.group)
        self.repository_url = pulumi.Output.from_input(args.get("repository_url", ""))
        self.repository_arn = pulumi.Output.from_input(args.get("repository_arn", ""))

    def _create(self, name: str, args: ModelRegistryArgs) -> None:
        group = aws.sagemaker.ModelPackageGroup(
            name,
            model_package_group_name=name,
            model_package_group_description="Versions of the project's model; a version is used once it is approved.",
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        self._tell_approvals(name, group, args["alerts_topic_arn"])
        repository = self._repository(name, args)
        readers, writers = args.get("reader_accounts", ()), args.get("writer_accounts", ())
        if readers or writers:
            share(name, group, repository, readers=readers, writers=writers, parent=self)
        self.group, self.group_arn = group.model_package_group_name, group.arn
        self.repository_url, self.repository_arn = repository.repository_url, repository.arn

    def _tell_approvals(self, name: str, group: aws.sagemaker.ModelPackageGroup, topic: pulumi.Input[str]) -> None:
        child = pulumi.ResourceOptions(parent=self)
        rule = aws.cloudwatch.EventRule(
            f"{name}-approved",
            description="A model version was approved.",
            event_pattern=pulumi.Output.json_dumps(
                {
                    "source": ["aws.sagemaker"],
                    "detail-type": ["SageMaker Model Package State Change"],
                    "detail": {
                        "ModelPackageGroupName": [group.model_package_group_name],
                        "ModelApprovalStatus": ["Approved"],
                    },
                }
            ),
            opts=child,
        )
        aws.cloudwatch.EventTarget(f"{name}-approved", rule=rule.name, arn=topic, opts=child)

    def _repository(self, name: str, args: ModelRegistryArgs) -> aws.ecr.Repository:
        repository = aws.ecr.Repository(
            name,
            name=name,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": args["kms_key_arn"]}],
            force_delete=False,
            opts=pulumi.ResourceOptions(parent=self, protect=args.get("protect", True)),
        )
        rule = {
            "rulePriority": 1,
            "description": "Images that no tag points to",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": args.get("kept_untagged_days", 14),
            },
            "action": {"type": "expire"},
        }
        aws.ecr.LifecyclePolicy(
            name,
            repository=repository.id,
            policy=json.dumps({"rules": [rule]}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        return repository


def _check(name: str, args: ModelRegistryArgs) -> None:
    problems = Problems("ModelRegistry")
    problems.fits("name", name, min(SAGEMAKER_NAME, LOGICAL_NAME - len("-approved")), "a registry with its rule")
    problems.unless(name == name.lower(), "name", f"got {name!r}; ECR allows lower-case letters only")
    brought = {key: args.get(key) for key in ("group_name", "repository_url", "repository_arn")}
    check_mode(problems, args.get("mode", "create"), brought)
    problems.matches(
        "group_name",
        brought["group_name"],
        f"|{NAME}|{ARN}",
        "a group's name, or its ARN where it is another account's",
    )
    problems.matches(
        "repository_arn", brought["repository_arn"], r"|arn:[\w-]+:ecr:.+:repository/.+", "the ARN of a repository"
    )
    problems.matches(
        "repository_url",
        brought["repository_url"],
        r"|\d{12}\.dkr\.ecr\..+/.+[^:]",
        "ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME",
    )
    for path in ("reader_accounts", "writer_accounts"):
        accounts: Sequence[str] = args.get(path, ())  # type: ignore[assignment]
        for i, account in enumerate(accounts):
            problems.matches(f"{path}[{i}]", account, r"\d{12}", "twelve digits")
        problems.unless(
            not accounts or args.get("mode", "create") == "create",
            path,
            "who reads and writes a registry that exists is said where it is made",
        )
    days = args.get("kept_untagged_days", 14)
    problems.unless(days >= 1, "kept_untagged_days", f"got {days}; ECR allows 1 day or more")
    problems.stop()
