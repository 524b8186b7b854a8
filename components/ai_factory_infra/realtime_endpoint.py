"""RealtimeEndpoint: a model behind HTTPS, with alarms that take a bad version back.

It stands up without a model: role, logs and alarms come first, and the endpoint follows once `model_data` names a model.
A second version may run beside it: as a shadow, which sees a copy of each request and answers none, or for a share of the
requests. One that answers badly loses its share by itself (`ChallengerGuard`).
Costs when idle: its machines, by the hour, asked or not, and as many again for a challenger; nothing while there is no model.
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
from ai_factory_infra.challenger_guard import ChallengerGuard
from ai_factory_infra.endpoint_variants import Bounds, scale_variant, variant_alarms
from ai_factory_infra.execution_role import ExecutionRole
from ai_factory_infra.limits import LOG_RETENTION_DAYS, LOGICAL_NAME, MODEL_ENVIRONMENT, has_local_storage
from ai_factory_infra.policies import Folder, NetworkRef, Statement, uri
from ai_factory_infra.problems import Problems
from ai_factory_infra.rollout import SIDE_BY_SIDE, Rollout

MODEL_FOLDER = "/opt/ml/model"
VARIANT = "AllTraffic"  # a deployment guardrail refuses a change of the variant's name
CHALLENGER = "Challenger"
SECRET_WORDS = ("secret", "password", "token", "api_key", "apikey", "private_key")


class RealtimeEndpointArgs(TypedDict):
    """`model_data`: the folder of a model package, `s3://bucket/prefix/`; None: no model yet, so no endpoint.

    `challenger_data`: a second version, as `model_data`; it takes the strategy `shadow` or `ab`. `max_error_rate`: the share
    of requests (0 to 1) that may fail, `p99_ms` the milliseconds that one in a hundred may exceed.
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
    challenger_data: NotRequired[pulumi.Input[str] | None]
    max_error_rate: NotRequired[float]
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
        alarms = self._alarms(VARIANT, "", "A rollout under way goes back.")
        self.endpoint_name = pulumi.Output.from_input(name)
        self.configuration_name = pulumi.Output.from_input("")
        if args["model_data"] is not None:
            challenger = args.get("challenger_data")
            second = self._model(role, challenger, "-new") if challenger is not None else None
            configuration = self._configuration(self._model(role, args["model_data"]), second)
            endpoint = self._endpoint(configuration, alarms, logs)
            self.configuration_name = configuration.name
            self._scale(endpoint)
            if second is not None:
                self._challenge(endpoint)
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

    def _alarms(self, variant: str, part: str, then: str) -> list[aws.cloudwatch.MetricAlarm]:
        bounds = Bounds(self._args.get("max_error_rate", 0.01), self._args["p99_ms"], self._args["alerts_topic_arn"])
        return variant_alarms(f"{self._name}{part}", self._name, variant, bounds, then, parent=self)

    def _model(self, role: ExecutionRole, data: pulumi.Input[str], part: str = "") -> aws.sagemaker.Model:
        args = self._args
        network = args.get("network")
        vpc: Any = None
        if network:
            vpc = pulumi.Output.all(network["subnet_ids"], network["security_group_ids"]).apply(
                lambda a: {"subnets": a[0], "security_group_ids": a[1]} if a[0] else None
            )
        return aws.sagemaker.Model(
            f"{self._name}{part}",  # no name of its own: an explicit one is deleted before its successor exists
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

    def _configuration(
        self, model: aws.sagemaker.Model, challenger: aws.sagemaker.Model | None
    ) -> aws.sagemaker.EndpointConfiguration:
        args = self._args
        kind = args.get("instance_type", "ml.m5.large")
        rollout = args.get("rollout", Rollout())
        variants, shadows = [self._variant(VARIANT, model, 1)], None
        if challenger is not None and rollout.strategy == "shadow":
            shadows = [self._variant(CHALLENGER, challenger, 1)]  # as much as the champion's: a copy of every request
        elif challenger is not None:
            share = rollout.step_percent
            variants = [self._variant(VARIANT, model, 100 - share), self._variant(CHALLENGER, challenger, share)]
        return aws.sagemaker.EndpointConfiguration(
            self._name,
            kms_key_arn=None if has_local_storage(kind) else args["kms_key_arn"],
            production_variants=variants,
            shadow_production_variants=shadows,
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

    def _variant(self, name: str, model: aws.sagemaker.Model, weight: int) -> Any:
        return {
            "variant_name": name,
            "model_name": model.name,
            "instance_type": self._args.get("instance_type", "ml.m5.large"),
            "initial_instance_count": self._args.get("instances", 1),
            "initial_variant_weight": weight,
        }

    def _challenge(self, endpoint: aws.sagemaker.Endpoint) -> None:
        """Watch the second version; one that answers callers loses its share when an alarm is raised."""
        answers = self._args.get("rollout", Rollout()).strategy == "ab"
        then = "Its share of the requests becomes 0." if answers else "It answers nobody; look before it does."
        alarms = self._alarms(CHALLENGER, "-new", then)
        if answers:
            self._scale(endpoint, CHALLENGER, "-new")
            ChallengerGuard(
                f"{self._name}-guard",
                {
                    "endpoint_name": endpoint.name,
                    "variant": CHALLENGER,
                    "alarms": [f"{self._name}-new-{what}" for what in ("errors", "latency")],
                    "alerts_topic_arn": self._args["alerts_topic_arn"],
                    "permissions_boundary_arn": self._args.get("permissions_boundary_arn"),
                },
                opts=pulumi.ResourceOptions(parent=self, depends_on=alarms),
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

    def _scale(self, endpoint: aws.sagemaker.Endpoint, variant: str = VARIANT, part: str = "") -> None:
        low = self._args.get("instances", 1)
        high = self._args.get("max_instances", low)
        if high > low:
            scale_variant(
                f"{self._name}{part}", endpoint.name, variant, (low, high), self._args.get("requests_per_instance", 600),
                parent=self,
            )  # fmt: skip


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
    problems.fits("name", name, LOGICAL_NAME - len("-new-latency"), "an endpoint with its alarms")
    problems.matches("model_data", args["model_data"], r"s3://[a-z0-9.-]{3,63}/.+/", "a folder: s3://bucket/prefix/")
    problems.matches(
        "challenger_data", args.get("challenger_data"), r"s3://[a-z0-9.-]{3,63}/.+/", "a folder: s3://bucket/prefix/"
    )
    _check_challenger(problems, args)
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
    args.get("rollout", Rollout()).check(problems, "rollout", low)
    problems.stop()


def _check_challenger(problems: Problems, args: RealtimeEndpointArgs) -> None:
    strategy = args.get("rollout", Rollout()).strategy
    if args.get("challenger_data") is None:
        return
    problems.unless(
        strategy in SIDE_BY_SIDE,
        "challenger_data",
        f"a second version runs with the strategy {' or '.join(SIDE_BY_SIDE)}; {strategy} replaces the one there is",
    )
    problems.unless(args["model_data"] is not None, "challenger_data", "there is no model that it could challenge")
