"""Tracking: where experiments are written down: SageMaker's MLflow, as an app that costs nothing while nobody asks, or a server.

A repository without it keeps its runs in a file (`tracking.address` of the use case); with it that address becomes `arn`.
Costs when idle: an app nothing; a server its size by the hour, day and night; both what is stored. Limits: one app or server
name a region and account; 256 characters for a server's name; a server takes up to 25 minutes to start.
AWS: "Accelerate generative AI development using managed MLflow on Amazon SageMaker AI".
"""

from __future__ import annotations

from typing import NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.account import Account
from ai_factory_infra.inputs import RoleInputs
from ai_factory_infra.limits import LOGICAL_NAME
from ai_factory_infra.pipeline_parts import role
from ai_factory_infra.policies import Folder, Statement, uri
from ai_factory_infra.problems import Problems

KINDS = ("app", "server")
SIZES = ("Small", "Medium", "Large")


class TrackingArgs(RoleInputs):
    """`kind`: app (the default) or server. `artifacts`: the folder that models and plots are written under.

    `size`: of a server: Small for up to 25 people, Medium for 50, Large for 100. `version`: MLflow's, of a server; absent: the
    newest. `maintenance`: when it may be restarted, such as Sun:03:00 (UTC). `group_prefix`: model package groups whose names
    begin so may be written to, when `register_models` is true. `role_arns`: a role that exists, for the part `server`.
    """

    artifacts: Folder
    kms_key_arn: pulumi.Input[str]
    kind: NotRequired[str]
    size: NotRequired[str]
    version: NotRequired[str]
    maintenance: NotRequired[str]
    register_models: NotRequired[bool]
    group_prefix: NotRequired[str]


class Tracking(pulumi.ComponentResource):
    """`arn`: what `mlflow.set_tracking_uri` takes. Experiments are kept: it is protected."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: TrackingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:Tracking", name, {}, opts)
        registers = args.get("register_models", False)
        kept = pulumi.ResourceOptions(parent=self, protect=True)
        may = role(self, name, "server", self._may(name, args), args)
        made: aws.sagemaker.MlflowApp | aws.sagemaker.MlflowTrackingServer
        if args.get("kind", "app") == "app":
            made = aws.sagemaker.MlflowApp(
                name,
                name=name,
                role_arn=may.arn,
                artifact_store_uri=uri(args["artifacts"]).apply(lambda u: u.rstrip("/")),
                model_registration_mode=f"AutoModelRegistration{'Enabled' if registers else 'Disabled'}",
                weekly_maintenance_window_start=args.get("maintenance"),
                opts=kept,
            )
        else:
            made = aws.sagemaker.MlflowTrackingServer(
                name,
                tracking_server_name=name,
                role_arn=may.arn,
                artifact_store_uri=uri(args["artifacts"]).apply(lambda u: u.rstrip("/")),
                tracking_server_size=args.get("size", "Small"),
                mlflow_version=args.get("version"),
                automatic_model_registration=registers,
                weekly_maintenance_window_start=args.get("maintenance"),
                opts=kept,
            )
        self.arn = made.arn
        self.register_outputs({"arn": self.arn})

    def _may(self, name: str, args: TrackingArgs) -> list[Statement]:
        account = Account.of(self)
        statements = [
            *policies.read_folders(account, [args["artifacts"]]),
            *policies.write_folders(account, [args["artifacts"]]),
            policies.use_key(args["kms_key_arn"]),
        ]
        if args.get("register_models", False):
            groups = args.get("group_prefix", name)
            statements.append(
                {
                    "sid": "RegisterModels",
                    "why": "a model that is registered in MLflow becomes a model package, in groups of this name only",
                    "actions": [
                        "sagemaker:AddTags", "sagemaker:CreateModelPackage", "sagemaker:CreateModelPackageGroup",
                        "sagemaker:DescribeModelPackageGroup", "sagemaker:UpdateModelPackage",
                    ],
                    "resources": [
                        account.arn("sagemaker", f"model-package-group/{groups}*"),
                        account.arn("sagemaker", f"model-package/{groups}*"),
                    ],
                }
            )  # fmt: skip
        return statements


def check(name: str, args: TrackingArgs) -> None:
    """Refuse what AWS would refuse. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"Tracking {name}")
    problems.fits("name", name, LOGICAL_NAME - len("-server"), "a tracking server with its role")
    kind = args.get("kind", "app")
    problems.unless(kind in KINDS, "kind", f"got {kind!r}; allowed: {', '.join(KINDS)}")
    size = args.get("size", "Small")
    problems.unless(size in SIZES, "size", f"got {size!r}; AWS allows {', '.join(SIZES)}")
    for only in ("size", "version"):
        problems.unless(kind == "server" or only not in args, only, "belongs to the kind server; an app has none")
    problems.matches(
        "maintenance",
        args.get("maintenance"),
        r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun):([01]\d|2[0-3]):[0-5]\d",
        "a day and a time, UTC, such as Sun:03:00",
    )
    problems.stop()
