"""Where AWS has what a use case asks for: tables, because neither the provider nor a preview knows, and an update half-way does.

Regions of September 2025. Where AWS has come to a region since, add it here; a component names this file when it refuses.
AWS: "Amazon SageMaker AI endpoints and quotas", "Serverless Inference", "AWS Partitions".
"""

from __future__ import annotations

from ai_factory_infra.problems import Problems

SAGEMAKER = frozenset(
    (
        "af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1",
        "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5",
        "ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "eu-central-1",
        "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3",
        "il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2",
        "us-west-1", "us-west-2",
    )
)  # fmt: skip
SERVERLESS = frozenset(
    (
        "af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1",
        "ap-southeast-2", "ca-central-1", "eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-2",
        "eu-west-3", "me-south-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
    )
)  # fmt: skip


# Regions of other partitions, by what their names begin with. ARNs there begin otherwise, and several components name Step
# Functions' integrations as `arn:aws:states:::…`, so a stage there would fail half-way.
OTHER_PARTITIONS = {
    "cn-": "aws-cn (China)",
    "us-gov-": "aws-us-gov (GovCloud)",
    "eusc-": "aws-eusc (European Sovereign Cloud)",
}


def lacks(region: str, having: frozenset[str], what: str) -> str:
    """Why a region will not do, with where it would; empty where it will."""
    if region in having:
        return ""
    for begins, partition in OTHER_PARTITIONS.items():
        if region.startswith(begins):
            return f"{region} is of the partition {partition}, and the components are written for the partition aws"
    near = sorted(r for r in having if r.split("-")[0] == region.split("-")[0]) or sorted(having)
    return (
        f"AWS has no {what} in {region}; nearest: {', '.join(near)}; where it has by now, add it to "
        "ai_factory_infra/regions.py"
    )


def check_region(problems: Problems, region: str | None, having: frozenset[str], what: str) -> None:
    """Note that a region lacks a service. A region that is not told is not judged."""
    if region is not None and (why := lacks(region, having, what)):
        problems.add("region", f"got {region!r}; {why}")
