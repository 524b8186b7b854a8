"""RealtimeEndpoint: a model behind HTTPS, with alarms that take a bad version back.

It stands up without a model: role, logs and alarms come first, and the endpoint follows once `model_data` names a model.
A second version may run beside it: as a shadow, which sees a copy of each request and answers none, or for a share of the
requests. One that answers badly loses its share by itself (`ChallengerGuard`).
Costs when idle: its machines, by the hour, asked or not, and as many again for a challenger; nothing while there is no model.
Limits: 63 characters for an endpoint's name, 100 entries of environment, 1 to 10 rollback alarms; traffic must have moved
before the provider's waiter of 60 minutes ends. AWS: "Deployment guardrails", "CreateEndpointConfig".
"""

from __future__ import annotations

from typing import NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.account import Account
from ai_factory_infra.challenger_guard import ChallengerGuard
from ai_factory_infra.endpoint_machines import (
    MachineEndpointArgs,
    check_machines,
    deployment,
    isolated_model,
    machine_statements,
    machines,
    volume_key,
    watch_idle,
)
from ai_factory_infra.endpoint_parts import (
    VARIANT,
    check_endpoint,
    deployed,
    endpoint_alarms,
    endpoint_log,
    endpoint_role,
    outlives,
    unhealthy,
)
from ai_factory_infra.policies import Folder, uri
from ai_factory_infra.problems import Problems
from ai_factory_infra.rollout import SIDE_BY_SIDE, Rollout
from ai_factory_infra.runbooks import DOCS
from ai_factory_infra.variant_scaling import scale_with_requests

CHALLENGER = "Challenger"


class RealtimeEndpointArgs(MachineEndpointArgs):
    """`challenger_data`: a second version, as `model_data`; it takes the strategy `shadow` or `ab`.

    `captures`: where requests are kept, for the monitor. `capture_percent`: how many of them, 100 by default; 0 keeps none.
    `requests_per_instance`: a minute, before another machine is started. `role_arns`: beside `container` the parts `hand` and
    `ear` of the challenger's guard.
    """

    captures: Folder
    challenger_data: NotRequired[pulumi.Input[str] | None]
    requests_per_instance: NotRequired[int]
    capture_percent: NotRequired[int]


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
        writes = policies.write_folders(Account.of(self), [args["captures"]])
        role = endpoint_role(name, args, [*writes, *machine_statements(args, parent=self)], parent=self)
        log = endpoint_log(name, args, parent=self)
        alarms = endpoint_alarms(name, args, "A rollout under way goes back.", parent=self)
        unhealthy(name, args, alarms, parent=self)
        watch_idle(name, args, ("Invocations", "Sum"), parent=self)
        self.endpoint_name = pulumi.Output.from_input(name)
        self.configuration_name = pulumi.Output.from_input("")
        if args["model_data"] is not None:
            first, second = isolated_model(name, args, role, args["model_data"], parent=self), None
            if (data := args.get("challenger_data")) is not None:
                second = isolated_model(f"{name}-new", args, role, data, parent=self)
            configuration = self._configuration(first, second)
            endpoint = deployed(
                name, configuration, deployment=deployment(args, alarms), after=[log, *alarms], parent=self
            )
            self.configuration_name = configuration.name
            self._scale(endpoint)
            if second is not None:
                self._challenge(endpoint)
        self.register_outputs({"endpoint_name": self.endpoint_name, "configuration_name": self.configuration_name})

    def _configuration(
        self, model: aws.sagemaker.Model, challenger: aws.sagemaker.Model | None
    ) -> aws.sagemaker.EndpointConfiguration:
        args = self._args
        rollout = args.get("rollout", Rollout())
        variants, shadows = [machines(args, model)], None
        if challenger is not None and rollout.strategy == "shadow":
            # As many machines as the champion's: it gets a copy of every request.
            shadows = [machines(args, challenger, variant=CHALLENGER)]
        elif challenger is not None:
            share = rollout.step_percent
            second = machines(args, challenger, variant=CHALLENGER, weight=share)
            variants = [machines(args, model, weight=100 - share), second]
        return aws.sagemaker.EndpointConfiguration(
            self._name,
            kms_key_arn=volume_key(args),
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
            opts=outlives(self),
        )

    def _challenge(self, endpoint: aws.sagemaker.Endpoint) -> None:
        """Watch the second version; one that answers callers loses its share when an alarm is raised."""
        answers = self._args.get("rollout", Rollout()).strategy == "ab"
        then = "Its share of the requests becomes 0." if answers else "It answers nobody; look before it does."
        alarms = endpoint_alarms(self._name, self._args, then, parent=self, variant=CHALLENGER, part="-new")
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
                    "role_arns": self._args.get("role_arns", {}),
                    "runbooks": self._args.get("runbooks", DOCS),
                },
                opts=pulumi.ResourceOptions(parent=self, depends_on=alarms),
            )

    def _scale(self, endpoint: aws.sagemaker.Endpoint, variant: str = VARIANT, part: str = "") -> None:
        low = self._args.get("instances", 1)
        high = self._args.get("max_instances", low)
        if high > low:
            scale_with_requests(
                f"{self._name}{part}", endpoint.name, variant, (low, high), self._args.get("requests_per_instance", 600),
                parent=self,
            )  # fmt: skip


def check(name: str, args: RealtimeEndpointArgs) -> None:
    """Refuse what AWS would refuse. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"RealtimeEndpoint {name}")
    check_endpoint(problems, name, args, "-new-latency")
    problems.matches(
        "challenger_data", args.get("challenger_data"), r"s3://[a-z0-9.-]{3,63}/.+/", "a folder: s3://bucket/prefix/"
    )
    _check_challenger(problems, args)
    problems.between("capture_percent", args.get("capture_percent", 100), 0, 100, unit="%")
    check_machines(problems, args, fewest=1, kind="a real-time endpoint", mode="realtime")
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
