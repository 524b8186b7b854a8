"""RealtimeEndpoint: a model behind HTTPS, with alarms that take a bad version back.

It stands up without a model: role, logs and alarms come first, and the endpoint follows once `model_data` names a model.
Costs when idle: its machines, by the hour, asked or not; nothing while there is no model.
Limits: 63 characters for an endpoint's name, 100 entries of environment, 1 to 10 rollback alarms; traffic must have moved
before the provider's waiter of 60 minutes ends. AWS: "Deployment guardrails", "CreateEndpointConfig".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.account import Account
from ai_factory_infra.execution_role import ExecutionRole
from ai_factory_infra.limits import LOG_RETENTION_DAYS, LOGICAL_NAME, MODEL_ENVIRONMENT, has_local_storage
from ai_factory_infra.policies import Folder, NetworkRef, Statement, uri
from ai_factory_infra.problems import Problems
from ai_factory_infra.rollout import Rollout

MODEL_FOLDER = "/opt/ml/model"
VARIANT = "AllTraffic"  # a deployment guardrail refuses a change of the variant's name
SECRET_WORDS = ("secret", "password", "token", "api_key", "apikey", "private_key")


class RealtimeEndpointArgs(TypedDict):
    """`model_data`: the folder of a model package, `s3://bucket/prefix/`; None: no model yet, so no endpoint.

    `models`: where model packages are, all the role may read. `captures`: where requests are kept, for the monitor.
    `instances` and `max_instances`: the range of autoscaling; equal for none. `requests_per_instance`: a minute.
    `local_storage_waiver`: why machines with their own disks, which take no volume key, are fine.
    """

    stage: str
    image: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    model_data: pulumi.Input[str] | None
    models: Folder
    captures: Folder
    kms_key_arn: pulumi.Input[str]
    logs_key_arn: pulumi.Input[str]
    alerts_topic_arn: pulumi.Input[str]
    p99_ms: float
    rollout: NotRequired[Rollout]
    instance_type: NotRequired[str]
    instances: NotRequired[int]
    max_instances: NotRequired[int]
    requests_per_instance: NotRequired[int]
    capture_percent: NotRequired[int]
    environment: NotRequired[Mapping[str, str]]
    log_retention_days: NotRequired[int]
    local_storage_waiver: NotRequired[str]
    network: NotRequired[NetworkRef | None]
    permissions_boundary_arn: NotRequired[pulumi.Input[str] | None]


class RealtimeEndpoint(pulumi.ComponentResource):
    """`endpoint_name` is the component's own name, known before the endpoint is, because its alarms must exist first.

    `configuration_name` is the configuration the endpoint was told to run; empty while there is none. AWS takes a bad
    version back without an error, so compare it with what the endpoint runs after every update.
    """

    endpoint_name: pulumi.Output[str]
    configuration_name: pulumi.Output[str]

    def __init__(self, name: str, args: RealtimeEndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:RealtimeEndpoint", name, {}, opts)
        self._name, self._args = name, args
        role = ExecutionRole(
            name,
            {
                "service": "sagemaker.amazonaws.com",
                "statements": self._may(),
                "permissions_boundary_arn": args.get("permissions_boundary_arn"),
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        logs = aws.cloudwatch.LogGroup(
            name,
            name=f"/aws/sagemaker/Endpoints/{name}",
            retention_in_days=args.get("log_retention_days", 30),
            kms_key_id=args["logs_key_arn"],
            opts=pulumi.ResourceOptions(parent=self),
        )
        alarms = self._alarms()
        self.endpoint_name = pulumi.Output.from_input(name)
        self.configuration_name = pulumi.Output.from_input("")
        if args["model_data"] is not None:
            configuration = self._configuration(self._model(role, args["model_data"]))
            endpoint = self._endpoint(configuration, alarms, logs)
            self.configuration_name = configuration.name
            self._scale(endpoint)
        self.register_outputs({"endpoint_name": self.endpoint_name, "configuration_name": self.configuration_name})

    def _may(self) -> list[Statement]:
        args, account = self._args, Account.of(self)
        network = args.get("network")
        return [
            *policies.read_folders(account, [args["models"]]),
            *policies.write_folders(account, [args["captures"]]),
            policies.use_key(args["kms_key_arn"]),
            policies.lend_key(args["kms_key_arn"]),
            *policies.pull_image(args["repository_arn"]),
            policies.write_logs(account, f"/aws/sagemaker/Endpoints/{self._name}"),
            policies.put_metrics("/aws/sagemaker/Endpoints", "AWS/SageMaker"),
            *(policies.join_network(account, network) if network else []),
        ]

    def _alarms(self) -> list[aws.cloudwatch.MetricAlarm]:
        """What sends a version back: one request in a hundred fails, or the slowest one in a hundred is too slow."""
        metrics: Sequence[tuple[str, str, dict[str, Any]]] = (
            ("errors", "Invocation5XXErrors", {"statistic": "Average", "threshold": 0.01}),
            (
                "latency",
                "ModelLatency",
                {"extended_statistic": "p99", "threshold": self._args["p99_ms"] * 1000},  # AWS reports microseconds
            ),
        )
        return [
            aws.cloudwatch.MetricAlarm(
                f"{self._name}-{what}",
                name=f"{self._name}-{what}",
                alarm_description=f"{self._name}: {metric} over its bound. A rollout under way goes back.",
                namespace="AWS/SageMaker",
                metric_name=metric,
                dimensions={"EndpointName": self._name, "VariantName": VARIANT},
                period=60,
                evaluation_periods=3,
                datapoints_to_alarm=2,
                comparison_operator="GreaterThanThreshold",
                treat_missing_data="notBreaching",
                alarm_actions=[self._args["alerts_topic_arn"]],
                ok_actions=[self._args["alerts_topic_arn"]],
                opts=pulumi.ResourceOptions(parent=self),
                **bound,
            )
            for what, metric, bound in metrics
        ]

    def _model(self, role: ExecutionRole, data: pulumi.Input[str]) -> aws.sagemaker.Model:
        args = self._args
        network = args.get("network")
        vpc: Any = None
        if network:
            vpc = pulumi.Output.all(network["subnet_ids"], network["security_group_ids"]).apply(
                lambda a: {"subnets": a[0], "security_group_ids": a[1]} if a[0] else None
            )
        return aws.sagemaker.Model(
            self._name,  # no name of its own: an explicit one is deleted before its successor exists
            execution_role_arn=role.arn,
            enable_network_isolation=True,
            vpc_config=vpc,
            primary_container={
                "image": args["image"],
                "environment": container_environment(args),
                "model_data_source": {
                    "s3_data_sources": [{"s3_uri": data, "s3_data_type": "S3Prefix", "compression_type": "None"}]
                },
            },
            opts=_outlives(self),
        )

    def _configuration(self, model: aws.sagemaker.Model) -> aws.sagemaker.EndpointConfiguration:
        args = self._args
        kind = args.get("instance_type", "ml.m5.large")
        return aws.sagemaker.EndpointConfiguration(
            self._name,
            kms_key_arn=None if has_local_storage(kind) else args["kms_key_arn"],
            production_variants=[
                {
                    "variant_name": VARIANT,
                    "model_name": model.name,
                    "instance_type": kind,
                    "initial_instance_count": args.get("instances", 1),
                    "initial_variant_weight": 1,
                }
            ],
            data_capture_config={
                "enable_capture": args.get("capture_percent", 100) > 0,
                "initial_sampling_percentage": args.get("capture_percent", 100),
                "destination_s3_uri": uri(args["captures"]).apply(lambda u: u.rstrip("/")),
                "kms_key_id": args["kms_key_arn"],
                "capture_options": [{"capture_mode": "Input"}, {"capture_mode": "Output"}],
                "capture_content_type_header": {
                    "json_content_types": ["application/json"],
                    "csv_content_types": ["text/csv"],
                },
            },
            opts=_outlives(self),
        )

    def _endpoint(
        self,
        configuration: aws.sagemaker.EndpointConfiguration,
        alarms: Sequence[aws.cloudwatch.MetricAlarm],
        logs: aws.cloudwatch.LogGroup,
    ) -> aws.sagemaker.Endpoint:
        return aws.sagemaker.Endpoint(
            self._name,
            name=self._name,
            endpoint_config_name=configuration.name,
            deployment_config=self._args.get("rollout", Rollout()).deployment([a.name for a in alarms]),
            # SageMaker makes the log group itself where there is none: without a key, kept for ever.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[logs]),
        )

    def _scale(self, endpoint: aws.sagemaker.Endpoint) -> None:
        low = self._args.get("instances", 1)
        high = self._args.get("max_instances", low)
        if high == low:
            return
        target = aws.appautoscaling.Target(
            self._name,
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=endpoint.name.apply(lambda name: f"endpoint/{name}/variant/{VARIANT}"),
            min_capacity=low,
            max_capacity=high,
            opts=pulumi.ResourceOptions(parent=self),
        )
        aws.appautoscaling.Policy(
            self._name,
            policy_type="TargetTrackingScaling",
            service_namespace=target.service_namespace,
            scalable_dimension=target.scalable_dimension,
            resource_id=target.resource_id,
            target_tracking_scaling_policy_configuration={
                "predefined_metric_specification": {"predefined_metric_type": "SageMakerVariantInvocationsPerInstance"},
                "target_value": self._args.get("requests_per_instance", 600),
                "scale_in_cooldown": 300,
                "scale_out_cooldown": 60,
            },
            opts=pulumi.ResourceOptions(parent=self),
        )


def container_environment(args: RealtimeEndpointArgs) -> dict[str, str]:
    """What the serving container is told: its stage, where SageMaker puts the model package, and not to keep requests itself."""
    given = {"AI_FACTORY_STAGE": args["stage"], "AI_FACTORY_MODEL": MODEL_FOLDER, "AI_FACTORY_CAPTURE_RATE": "0"}
    return given | dict(args.get("environment", {}))


def _outlives(parent: pulumi.Resource) -> pulumi.ResourceOptions:
    """For a model and its configuration: the next is made first, and the old one stays.

    After an automatic rollback the endpoint runs the old configuration while the provider reports success; deleting it
    then would delete what is live.
    """
    return pulumi.ResourceOptions(parent=parent, retain_on_delete=True, delete_before_replace=False)


def check(name: str, args: RealtimeEndpointArgs) -> None:
    """Refuse what AWS would refuse. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"RealtimeEndpoint {name}")
    problems.fits("name", name, LOGICAL_NAME - len("-latency"), "an endpoint whose models are named automatically")
    problems.matches("model_data", args["model_data"], r"s3://[a-z0-9.-]{3,63}/.+/", "a folder: s3://bucket/prefix/")
    kind, low = args.get("instance_type", "ml.m5.large"), args.get("instances", 1)
    high, percent = args.get("max_instances", low), args.get("capture_percent", 100)
    problems.matches("instance_type", kind, r"ml\.[a-z0-9-]+\.[a-z0-9]+", "a type such as ml.m5.large")
    problems.unless(
        not has_local_storage(kind) or bool(args.get("local_storage_waiver")),
        "instance_type",
        f"{kind} has disks of its own, for which AWS refuses a volume key; choose another type, or say in "
        "local_storage_waiver why their own encryption is enough",
    )
    problems.unless(low >= 1, "instances", f"got {low}; AWS allows 1 or more for a real-time endpoint")
    problems.unless(
        high >= low, "max_instances", f"got {high}; at least instances ({low}): each update starts with those"
    )
    problems.between("capture_percent", percent, 0, 100, unit="%")
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
    args.get("rollout", Rollout()).check(problems, "rollout", low)
    problems.stop()
