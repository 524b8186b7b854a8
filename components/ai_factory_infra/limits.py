"""AWS's own limits, as tables. pulumi_aws checks none of them, and mocks accept anything."""

from __future__ import annotations

LOGICAL_NAME = 55  # auto-naming appends a dash and seven characters; the tightest services stop at 63
SAGEMAKER_NAME = 63  # Model, EndpointConfig, Endpoint, ModelPackageGroup, variant
PIPELINE_NAME = 256
PIPELINE_DEFINITION_BYTES = 1024 * 1024
CONTAINER_ARGUMENT = 256  # characters in one entry of ContainerEntrypoint or ContainerArguments
CONTAINER_ARGUMENTS = 100
MODEL_ENVIRONMENT = 100
SUBNETS = 16
SECURITY_GROUPS = 5
ENDPOINT_WAITER_MINUTES = 60  # pulumi_aws stops waiting for an endpoint after this, whatever the rollout does
PROCESSING_RUNTIME_SECONDS = 432_000
LOG_RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip

NVME_FAMILIES = frozenset(
    (
        "c5d", "c6id", "c7gd", "g4dn", "g5", "g6", "g6e", "i3", "i3en", "i4i", "m5d", "m5dn", "m6id", "m6idn",
        "m7gd", "p3dn", "p4d", "p4de", "p5", "p5e", "p5en", "r5d", "r5dn", "r6id", "r7gd", "trn1", "trn1n", "trn2",
    )
)  # fmt: skip


def has_local_storage(instance_type: str) -> bool:
    """Whether an instance type such as `ml.g5.xlarge` has NVMe disks: SageMaker refuses a volume key on these."""
    parts = instance_type.split(".")
    return len(parts) == 3 and parts[1] in NVME_FAMILIES
