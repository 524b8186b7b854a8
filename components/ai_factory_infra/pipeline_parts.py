"""What every SageMaker pipeline of ours has beside its definition: roles of its own, and a voice when it fails."""

from __future__ import annotations

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.account import Account
from ai_factory_infra.execution_role import ExecutionRole, ExecutionRoleArgs
from ai_factory_infra.inputs import RoleInputs
from ai_factory_infra.policies import Folder, NetworkRef, Statement

PROCESSING_LOGS, TRAINING_LOGS = "/aws/sagemaker/ProcessingJobs", "/aws/sagemaker/TrainingJobs"


def role(
    parent: pulumi.Resource,
    name: str,
    part: str,
    statements: list[Statement],
    inputs: RoleInputs,
    service: str = "sagemaker.amazonaws.com",
) -> ExecutionRole:
    """The role `<name>-<part>` that one service assumes for this account, or the one that the inputs bring for the part."""
    wanted: ExecutionRoleArgs = {
        "service": service,
        "statements": statements,
        "permissions_boundary_arn": inputs.get("permissions_boundary_arn"),
    }
    brought = inputs.get("role_arns", {})
    if part in brought:
        wanted |= {"mode": "existing", "role_arn": brought[part]}
    return ExecutionRole(f"{name}-{part}", wanted, opts=pulumi.ResourceOptions(parent=parent))


def touch_data(
    account: Account,
    *,
    reads: list[Folder],
    writes: list[Folder],
    key_arn: pulumi.Input[str],
    repository_arn: pulumi.Input[str],
    network: NetworkRef | None,
    logs: tuple[str, ...] = (PROCESSING_LOGS,),
) -> list[Statement]:
    """What a job may do: these folders, this key, this image, its log, this network, and nothing else."""
    named = [policies.write_logs(account, group) for group in logs]
    for statement, group in zip(named[1:], logs[1:], strict=True):
        statement["sid"] += group.rsplit("/", 1)[-1]
    return [
        *policies.read_folders(account, reads),
        *policies.write_folders(account, writes),
        policies.use_key(key_arn),
        policies.lend_key(key_arn),
        *policies.pull_image(repository_arn),
        *named,
        policies.put_metrics(*logs),
        *(policies.join_network(account, network) if network else []),
    ]


def tell_failures(parent: pulumi.Resource, name: str, arn: pulumi.Input[str], topic_arn: pulumi.Input[str]) -> None:
    """Say a failed execution to the alert topic."""
    child = pulumi.ResourceOptions(parent=parent)
    rule = aws.cloudwatch.EventRule(
        f"{name}-failed",
        description=f"An execution of {name} failed.",
        event_pattern=pulumi.Output.json_dumps(
            {
                "source": ["aws.sagemaker"],
                "detail-type": ["SageMaker Model Building Pipeline Execution Status Change"],
                "detail": {"pipelineArn": [arn], "currentPipelineExecutionStatus": ["Failed"]},
            }
        ),
        opts=child,
    )
    aws.cloudwatch.EventTarget(f"{name}-failed", rule=rule.name, arn=topic_arn, opts=child)
