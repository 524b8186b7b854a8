"""What every endpoint is made of, whoever keeps its machines: inputs, a role, a log, models that outlive their successors.

Real-time, serverless and asynchronous endpoints differ in what carries the model (`endpoint_machines`, or nothing at all) and
in how requests come; the rest is here once. AWS: "CreateModel", "CreateEndpointConfig", "Monitor SageMaker with CloudWatch".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.account import Account
from ai_factory_infra.endpoint_variants import Bounds, variant_alarms
from ai_factory_infra.execution_role import ExecutionRole, ExecutionRoleArgs
from ai_factory_infra.inputs import RoleInputs, RunbookInputs
from ai_factory_infra.limits import LOG_RETENTION_DAYS, LOGICAL_NAME, MODEL_ENVIRONMENT
from ai_factory_infra.metric_alarms import told
from ai_factory_infra.policies import Folder, Statement
from ai_factory_infra.problems import Problems
from ai_factory_infra.runbooks import SERVING

MODEL_FOLDER = "/opt/ml/model"
VARIANT = "AllTraffic"  # a deployment guardrail refuses a change of the variant's name
SECRET_WORDS = ("secret", "password", "token", "api_key", "apikey", "private_key")


class EndpointArgs(RoleInputs, RunbookInputs):
    """`model_data`: the model package in the bucket; None: no model yet, so no endpoint. `models`: where packages are, all the
    role may read. `max_error_rate`: the share of requests (0 to 1) that may fail, `p99_ms`: the milliseconds that one in a
    hundred may exceed. `log_retention_days`: one of `LOG_RETENTION_DAYS`, 30 by default. `region`: where it is to run, so
    that a region without the service is refused before anything is made. `environment`: what the container is told beside what
    it always is; no secrets, only their ARNs. `role_arns`: a role that exists, for the part `container`.
    """

    stage: str
    image: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    model_data: pulumi.Input[str] | None
    models: Folder
    kms_key_arn: pulumi.Input[str]
    logs_key_arn: pulumi.Input[str]
    alerts_topic_arn: pulumi.Input[str]
    p99_ms: float
    max_error_rate: NotRequired[float]
    environment: NotRequired[Mapping[str, str]]
    log_retention_days: NotRequired[int]
    region: NotRequired[str]


def endpoint_role(
    name: str, args: EndpointArgs, more: Sequence[Statement], *, parent: pulumi.Resource
) -> ExecutionRole:
    """The role of the container: its model, its image, its log and its metrics, and `more`."""
    account = Account.of(parent)
    statements: list[Statement] = [
        *policies.read_folders(account, [args["models"]]),
        policies.use_key(args["kms_key_arn"]),
        *policies.pull_image(args["repository_arn"]),
        policies.write_logs(account, _log_name(name)),
        policies.put_metrics("/aws/sagemaker/Endpoints", "AWS/SageMaker"),
        *more,
    ]
    wanted: ExecutionRoleArgs = {
        "service": "sagemaker.amazonaws.com",
        "statements": statements,
        "permissions_boundary_arn": args.get("permissions_boundary_arn"),
    }
    if "container" in args.get("role_arns", {}):
        wanted |= {"mode": "existing", "role_arn": args["role_arns"]["container"]}
    return ExecutionRole(name, wanted, opts=pulumi.ResourceOptions(parent=parent))


def endpoint_log(name: str, args: EndpointArgs, *, parent: pulumi.Resource) -> aws.cloudwatch.LogGroup:
    """The endpoint's log group. SageMaker makes one itself where there is none: without a key, kept for ever."""
    return aws.cloudwatch.LogGroup(
        name,
        name=_log_name(name),
        retention_in_days=args.get("log_retention_days", 30),
        kms_key_id=args["logs_key_arn"],
        opts=pulumi.ResourceOptions(parent=parent),
    )


def _log_name(name: str) -> str:
    return f"/aws/sagemaker/Endpoints/{name}"


def endpoint_alarms(
    name: str, args: EndpointArgs, then: str, *, parent: pulumi.Resource, variant: str = VARIANT, part: str = ""
) -> list[aws.cloudwatch.MetricAlarm]:
    """The alarms on failed and slow requests of one variant; `then` says what follows when one is raised."""
    bounds = Bounds(args.get("max_error_rate", 0.01), args["p99_ms"], told(args, SERVING))
    return variant_alarms(f"{name}{part}", name, variant, bounds, then, parent=parent)


def unhealthy(
    name: str, args: EndpointArgs, alarms: Sequence[aws.cloudwatch.MetricAlarm], *, parent: pulumi.Resource
) -> aws.cloudwatch.CompositeAlarm:
    """`<name>-unhealthy`: any of the alarms is raised. Page on this one; the others say what it is.

    It is made with them, and not where the dashboard is: AWS refuses to delete an alarm that another one is made of.
    """
    whom = told(args, SERVING)
    rule = pulumi.Output.all(*(a.name for a in alarms)).apply(lambda names: " OR ".join(f'ALARM("{n}")' for n in names))
    return aws.cloudwatch.CompositeAlarm(
        f"{name}-unhealthy",
        alarm_name=f"{name}-unhealthy",
        alarm_description=whom.words(f"{name} does not serve as it should: see which of its alarms is raised."),
        alarm_rule=rule,
        alarm_actions=[whom.topic_arn],
        ok_actions=[whom.topic_arn],
        opts=pulumi.ResourceOptions(parent=parent),
    )


def deployed(
    name: str,
    configuration: aws.sagemaker.EndpointConfiguration,
    *,
    deployment: Any,
    after: Sequence[pulumi.Resource],
    parent: pulumi.Resource,
) -> aws.sagemaker.Endpoint:
    """The endpoint itself, under a name known before it is, because its alarms name it and must exist first."""
    return aws.sagemaker.Endpoint(
        name,
        name=name,
        endpoint_config_name=configuration.name,
        deployment_config=deployment,
        opts=pulumi.ResourceOptions(parent=parent, depends_on=list(after)),
    )


def outlives(parent: pulumi.Resource) -> pulumi.ResourceOptions:
    """For a model and its configuration, which have no name of their own: the next is made first, and the old one stays.

    After an automatic rollback the endpoint runs the old configuration while the provider reports success; deleting it
    then would delete what is live. An explicit name would have it deleted before its successor exists.
    """
    return pulumi.ResourceOptions(parent=parent, retain_on_delete=True, delete_before_replace=False)


def container_environment(args: EndpointArgs) -> dict[str, str]:
    """What the serving container is told: its stage, where SageMaker puts the model package, and not to keep requests itself."""
    given = {"AI_FACTORY_STAGE": args["stage"], "AI_FACTORY_MODEL": MODEL_FOLDER, "AI_FACTORY_CAPTURE_RATE": "0"}
    return given | dict(args.get("environment", {}))


def check_endpoint(problems: Problems, name: str, args: EndpointArgs, longest: str) -> None:
    """Note what AWS would refuse of any endpoint. `longest`: the longest ending that an alarm's name gets."""
    problems.fits("name", name, LOGICAL_NAME - len(longest), "an endpoint with its alarms")
    rate = args.get("max_error_rate", 0.01)
    problems.unless(0 < rate <= 1, "max_error_rate", f"got {rate:g}; more than 0, at most 1")
    problems.unless(args["p99_ms"] > 0, "p99_ms", f"got {args['p99_ms']}; more than 0 ms")
    days = args.get("log_retention_days", 30)
    problems.unless(days in LOG_RETENTION_DAYS, "log_retention_days", f"got {days}; AWS allows {LOG_RETENTION_DAYS}")
    environment = container_environment(args)
    problems.unless(
        len(environment) <= MODEL_ENVIRONMENT,
        "environment",
        f"got {len(environment)} entries; AWS allows {MODEL_ENVIRONMENT}",
    )
    for key, value in environment.items():
        secret = any(w in key.lower() for w in SECRET_WORDS) and ":secretsmanager:" not in value
        problems.unless(
            not secret, f"environment.{key}", "anyone who may describe the model reads it; pass the ARN of a secret"
        )
