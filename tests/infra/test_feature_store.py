"""The role of a feature store may do what an Iceberg offline store asks of it, also under the boundary, and no more."""

from __future__ import annotations

import functools

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra.feature_store import FeatureStore
from ai_factory_infra.testing import Registered, run_resources
from helpers_deploy import allows, bounds, foundation, granted, streaming

HERE = "eu-west-1:123456789012"
DATABASE = f"arn:aws:glue:{HERE}:database/sagemaker_featurestore"
OBJECT = "arn:aws:s3:::churn-prod-data-1a2b3c4/features/123456789012/sagemaker/data/part.parquet"


@functools.cache
def made() -> Registered:
    key = str(foundation("prod").outputs["data_key_arn"])

    def build() -> None:
        group = {"features": {"id": "String", "at": "Fractional"}, "record_id": "id", "event_time": "at"}
        FeatureStore(
            "churn-prod-features",
            {
                "groups": {"rows": group},  # type: ignore[dict-item]
                "offline": {"bucket": "churn-prod-data-1a2b3c4", "prefix": "features"},
                "kms_key_arn": key,
            },
            pulumi.ResourceOptions(provider=aws.Provider("aws", region="eu-west-1")),
        )

    return run_resources(build, stage="prod")


def table(name: str) -> str:
    return f"arn:aws:glue:{HERE}:table/sagemaker_featurestore/{name}"


NEEDED = [  # AmazonSageMakerFeatureStoreAccess, version 3
    *((action, OBJECT) for action in ("s3:PutObject", "s3:PutObjectAcl", "s3:GetObject")),
    ("s3:GetBucketAcl", "arn:aws:s3:::churn-prod-data-1a2b3c4"),
    *((action, f"arn:aws:glue:{HERE}:catalog") for action in ("glue:GetTable", "glue:UpdateTable")),
    *((action, DATABASE) for action in ("glue:GetTable", "glue:UpdateTable")),
    # The names that AWS has given such tables, at different times.
    *((action, table(name)) for action in ("glue:GetTable", "glue:UpdateTable") for name in (
        "churn-prod-features-rows-1611624059", "churn-prod-features-rows_1682629457", "churn_prod_features_rows_1682629457",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("action", "resource"), NEEDED)
def test_the_role_may_keep_an_iceberg_table(action: str, resource: str) -> None:
    role = [s for r, s in made().statements() if r.type == "aws:iam/rolePolicy:RolePolicy"]
    assert allows(role, action, resource)
    assert allows(bounds(foundation("prod")), action, resource)


def test_the_tables_of_another_store_are_not_its_own() -> None:
    role = [s for r, s in made().statements() if r.type == "aws:iam/rolePolicy:RolePolicy"]
    for name in ("churn_prod_other_rows_1682629457", "fraud_prod_features_rows_1682629457"):
        assert not allows(role, "glue:UpdateTable", table(name))


def test_continuous_integration_may_have_the_group_and_its_table_made() -> None:
    own = granted(streaming()["foundation"])
    group = made().only("aws:sagemaker/featureGroup:FeatureGroup").inputs["featureGroupName"]
    assert allows(own, "sagemaker:CreateFeatureGroup", f"arn:aws:sagemaker:{HERE}:feature-group/{group}")
    assert allows(own, "glue:CreateTable", table("churn_prod_features_rows_1682629457"))
    assert allows(own, "glue:CreateDatabase", DATABASE)
    assert not allows(own, "sagemaker:CreateFeatureGroup", f"arn:aws:sagemaker:{HERE}:feature-group/churn-production-x")
