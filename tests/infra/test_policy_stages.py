"""The engine names the stage only with each resource: in dev a rule advises, in every other stage it binds."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ai_factory_infra.policy_pack import policies, stage_of
from pulumi_policy import EnforcementLevel, PolicyResourceOptions, ResourceValidationArgs

BUCKET = "aws:s3/bucket:Bucket"


def spoken(stage: str, *, advice: bool) -> list[str]:
    """The policies that report a bucket of the stage that is not protected."""
    timeouts = SimpleNamespace(create_seconds=0.0, update_seconds=0.0, delete_seconds=0.0)
    options = PolicyResourceOptions(False, [], None, [], timeouts, [], None)  # type: ignore[arg-type]
    urn = f"urn:pulumi:{stage}::churn-foundation::{BUCKET}::data"
    provider = SimpleNamespace(props={"defaultTags": {"tags": {"project": "churn", "stage": stage, "stack": "x", "risk-tier": "low", "managed-by": "pulumi"}}})  # fmt: skip
    args = ResourceValidationArgs(BUCKET, {}, urn, "data", options, provider, {}, {})  # type: ignore[arg-type]
    found: list[str] = []
    for each in policies(advice=advice):
        if not type(each).__name__.startswith("Stack"):
            each.validate(args, lambda says, urn=None, name=each.name: found.append(name))  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("stage", ["staging", "prod", "production"])
def test_a_rule_binds_in_every_stage_but_dev(stage: str) -> None:
    assert spoken(stage, advice=False) == ["kept"]
    assert spoken(stage, advice=True) == []


def test_a_rule_advises_in_dev() -> None:
    assert spoken("dev", advice=False) == []
    assert spoken("dev", advice=True) == ["kept-advice"]


def test_what_binds_is_mandatory_and_what_advises_is_not() -> None:
    assert {p.enforcement_level for p in policies()} == {EnforcementLevel.MANDATORY}
    assert {p.enforcement_level for p in policies(advice=True)} == {EnforcementLevel.ADVISORY}
    assert len({p.name for p in (*policies(), *policies(advice=True))}) == 2 * len(policies())


def test_the_stage_is_the_stack_of_the_urn() -> None:
    assert stage_of("urn:pulumi:staging::churn-serving::a:b:C$aws:s3/bucket:Bucket::x::y") == "staging"
