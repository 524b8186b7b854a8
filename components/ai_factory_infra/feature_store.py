"""FeatureStore: SageMaker feature groups that no update can empty.

To the provider a changed list of features is a new group, so a column more would delete every row (hashicorp/
terraform-provider-aws #36784). A group is therefore protected, and its features are fixed when it is made: a later change of the
code changes nothing in AWS. Add a feature with `aws sagemaker update-feature-group --feature-additions`, then here, so that the
next stage gets it from the start.
Costs when idle: what is stored; an online store by the hour of its storage as well. Limits: 64 characters for a group's name and
for a feature's, 2500 features a group. AWS: "Create, store, and share features with Feature Store", "CreateFeatureGroup",
"AmazonSageMakerFeatureStoreAccess".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.account import Account
from ai_factory_infra.grant import FEATURE_TABLES
from ai_factory_infra.inputs import RoleInputs
from ai_factory_infra.limits import LOGICAL_NAME
from ai_factory_infra.pipeline_parts import role
from ai_factory_infra.policies import Folder, Statement, uri
from ai_factory_infra.problems import Problems

TYPES = ("String", "Fractional", "Integral")
RESERVED = frozenset({"is_deleted", "write_time", "api_invocation_time"})  # columns that the offline store adds itself
MOST_FEATURES = 2500
NAME = r"[a-zA-Z0-9]([-_]*[a-zA-Z0-9]){0,63}"


class FeatureGroupArgs(TypedDict):
    """`features`: name to String, Fractional or Integral. `record_id` and `event_time` are two of them.

    `online`: rows can also be read one by one, in milliseconds. `keep_days`: how long online; absent: for ever.
    """

    features: Mapping[str, str]
    record_id: str
    event_time: str
    online: NotRequired[bool]
    keep_days: NotRequired[int]


class FeatureStoreArgs(RoleInputs):
    """`groups`: part of the name to what is in it. `offline`: the folder that every group's rows are written under.

    `role_arns`: a role that exists, for the part `store`.
    """

    groups: Mapping[str, FeatureGroupArgs]
    offline: Folder
    kms_key_arn: pulumi.Input[str]


class FeatureStore(pulumi.ComponentResource):
    """`groups`: part of the name to the group's name."""

    groups: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: FeatureStoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:FeatureStore", name, {}, opts)
        account, self.groups = Account.of(self), {}
        may: list[Statement] = [
            *policies.read_folders(account, [args["offline"]]),
            *policies.write_folders(account, [args["offline"]]),
            {
                "sid": "FindBucket",
                "why": "the offline store looks its bucket up",
                "actions": ["s3:GetBucketAcl", "s3:GetBucketLocation"],
                "resources": [account.bucket(args["offline"]["bucket"])],
            },
            {
                "sid": "KeepObjectsOurs",
                "why": "Feature Store writes each object with the list of who owns it",
                "actions": ["s3:PutObjectAcl"],
                "resources": [account.bucket(args["offline"]["bucket"], f"{args['offline']['prefix']}/*")],
            },
            {
                "sid": "KeepTables",
                "why": "each write to an Iceberg table moves the table, which SageMaker made in this database, to its newest version",
                "actions": ["glue:GetTable", "glue:UpdateTable"],
                "resources": [
                    account.named(resource.format(p=name, p_=name.replace("-", "_")))
                    for resource in ("glue:catalog", "glue:database/sagemaker_featurestore", *FEATURE_TABLES)
                ],
            },
            policies.use_key(args["kms_key_arn"]),
        ]
        writer = role(self, name, "store", may, args)
        for part, group in args["groups"].items():
            made = aws.sagemaker.FeatureGroup(
                f"{name}-{part}",
                feature_group_name=f"{name}-{part}",
                record_identifier_feature_name=group["record_id"],
                event_time_feature_name=group["event_time"],
                role_arn=writer.arn,
                feature_definitions=[{"feature_name": f, "feature_type": t} for f, t in group["features"].items()],
                online_store_config=_online(group, args["kms_key_arn"]),
                offline_store_config={
                    "s3_storage_config": {"s3_uri": uri(args["offline"]), "kms_key_id": args["kms_key_arn"]},
                    "table_format": "Iceberg",
                },
                opts=pulumi.ResourceOptions(parent=self, protect=True, ignore_changes=["feature_definitions"]),
            )
            self.groups[part] = made.feature_group_name
        self.register_outputs({"groups": self.groups})


def _online(group: FeatureGroupArgs, key_arn: pulumi.Input[str]) -> Any:
    if not group.get("online", False):
        return None
    config: dict[str, Any] = {"enable_online_store": True, "security_config": {"kms_key_id": key_arn}}
    if "keep_days" in group:
        config["ttl_duration"] = {"unit": "Days", "value": group["keep_days"]}
    return config


def check(name: str, args: FeatureStoreArgs) -> None:
    """Refuse what AWS would refuse. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"FeatureStore {name}")
    problems.fits("name", name, LOGICAL_NAME - len("-store"), "a feature store with its role")
    problems.unless(bool(args["groups"]), "groups", "got none; a store without a group is not needed")
    for part, group in args["groups"].items():
        path, features = f"groups.{part}", group["features"]
        problems.fits(path, f"{name}-{part}", LOGICAL_NAME, "a feature group")
        problems.between(f"{path}.features", len(features), 1, MOST_FEATURES, unit="features")
        for feature, kind in features.items():
            problems.matches(f"{path}.features", feature, NAME, "1 to 64 letters, digits, hyphens and underscores")
            problems.unless(
                feature not in RESERVED, f"{path}.features", f"got {feature!r}, which the offline store adds itself"
            )
            problems.unless(kind in TYPES, f"{path}.features.{feature}", f"got {kind!r}; AWS allows {', '.join(TYPES)}")
        for key in ("record_id", "event_time"):
            problems.unless(
                group[key] in features, f"{path}.{key}", f"got {group[key]!r}, which is none of its features"
            )
        problems.unless(
            features.get(group["event_time"], "String") in ("String", "Fractional"),
            f"{path}.event_time",
            "AWS allows String (ISO 8601) or Fractional (seconds since 1970)",
        )
        problems.unless(
            "keep_days" not in group or group.get("online", False),
            f"{path}.keep_days",
            "only an online store forgets; switch online on, or leave it out",
        )
    problems.stop()
