"""The registry as Pulumi would be asked to make it, in each stage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ai_factory_infra.testing import Registered, run_stage_once, stages

INFRA = Path(__file__).resolve().parents[2] / "infra"


@pytest.fixture(params=stages(INFRA))
def registry(request: pytest.FixtureRequest) -> Registered:
    found = run_stage_once(INFRA, request.param)["registry"]
    if "aws:ecr/repository:Repository" not in found:
        pytest.skip("this stage brings its registry along")
    return found


def test_only_an_approval_is_told_and_never_a_rejection(registry: Registered) -> None:
    patterns = [json.loads(rule.inputs["eventPattern"]) for rule in registry.of("aws:cloudwatch/eventRule:EventRule")]
    heard = [p["detail"]["ModelApprovalStatus"] for p in patterns if p["source"] == ["aws.sagemaker"]]
    assert heard
    assert all(statuses == ["Approved"] for statuses in heard)


@pytest.mark.parametrize("stage", stages(INFRA))
def test_images_and_versions_have_a_place_whoever_keeps_it(stage: str) -> None:
    outputs = run_stage_once(INFRA, stage)["registry"].outputs
    assert all(outputs[name] for name in ("model_package_group", "repository_url", "repository_arn"))


def test_model_versions_are_kept(registry: Registered) -> None:
    assert registry.only("aws:sagemaker/modelPackageGroup:ModelPackageGroup").protect


def test_an_images_tag_never_moves_and_every_image_is_scanned(registry: Registered) -> None:
    repository = registry.only("aws:ecr/repository:Repository").inputs
    assert repository["imageTagMutability"] == "IMMUTABLE"
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
