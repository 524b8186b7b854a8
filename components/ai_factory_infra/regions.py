"""Where AWS has what a use case asks for: tables, because neither the provider nor a preview knows, and an update half-way does.

Regions of September 2025. Where AWS has come to a region since, add it here; a component names this file when it refuses.
AWS: "Amazon SageMaker AI endpoints and quotas", "Serverless Inference".
"""

from __future__ import annotations

from ai_factory_infra.problems import Problems

SAGEMAKER = frozenset(
    (
        "af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1",
        "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5",
        "ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "cn-north-1", "cn-northwest-1", "eu-central-1",
        "eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "eusc-de-east-1",
        "il-central-1", "me-central-1", "me-south-1", "mx-central-1", "sa-east-1", "us-east-1", "us-east-2",
        "us-gov-east-1", "us-gov-west-1", "us-west-1", "us-west-2",
    )
)  # fmt: skip
SERVERLESS = frozenset(
    (
        "af-south-1", "ap-east-1", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1",
        "ap-southeast-2", "ca-central-1", "eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1", "eu-west-2",
        "eu-west-3", "me-south-1", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
    )
)  # fmt: skip


def check_region(problems: Problems, region: str | None, having: frozenset[str], what: str) -> None:
    """Note that a region lacks a service. A region that is not told is not judged."""
    if region is None or region in having:
        return
    near = sorted(r for r in having if r.split("-")[0] == region.split("-")[0]) or sorted(having)
    problems.add(
        "region",
        f"got {region!r}, where AWS has no {what}; nearest: {', '.join(near)}; where it has by now, add it to "
        "ai_factory_infra/regions.py",
    )
