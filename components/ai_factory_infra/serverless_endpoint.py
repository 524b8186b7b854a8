"""ServerlessEndpoint: a model behind HTTPS without machines of its own: it starts when somebody asks, and is paid by the request.

It stands up without a model: role, log and alarms come first, and the endpoint follows once `model_data` names one.
What SageMaker does not do here: gradual rollouts and a second version (the alarms tell people, they take nothing back), capture
of requests for the monitor, a network of the project's, network isolation, GPUs, packages that are not one archive. An endpoint
with machines cannot be updated into a serverless one: give each its own name. There are no disks to encrypt; the key of its
configuration is for the copy of the image that SageMaker keeps.
Costs when idle: nothing; with `provisioned_concurrency` its memory, by the hour.
Limits: 1024 to 6144 MB in steps of 1024, 1 to 200 requests at once, 63 characters for a name, an image of 10 GB.
AWS: "Deploy models with Amazon SageMaker Serverless Inference", "Create an endpoint configuration" (serverless; KmsKeyId).
"""

from __future__ import annotations

from typing import Any, NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.endpoint_parts import (
    VARIANT,
    EndpointArgs,
    check_endpoint,
    container_environment,
    deployed,
    endpoint_alarms,
    endpoint_log,
    endpoint_role,
    outlives,
    unhealthy,
)
from ai_factory_infra.endpoint_variants import over_for_minutes
from ai_factory_infra.metric_alarms import metric_alarm, told
from ai_factory_infra.problems import Problems
from ai_factory_infra.regions import SERVERLESS, check_region
from ai_factory_infra.rollout import Rollout
from ai_factory_infra.runbooks import SERVING

MEMORY_MB = range(1024, 6144 + 1, 1024)
MOST_AT_ONCE = 200
NEARLY_ALL = 0.9  # of `max_concurrency`, from where people are told that more would be refused


class ServerlessEndpointArgs(EndpointArgs):
    """`model_data` is an archive, `s3://bucket/prefix.tar.gz`: SageMaker unpacks no folder here.

    `memory_mb`: 2048 by default; processors come with it. `max_concurrency`: requests answered at once, 20 by default; more
    are refused. `provisioned_concurrency`: so many are kept warm; none by default. `rollout`: all-at-once, nothing else.
    """

    memory_mb: NotRequired[int]
    max_concurrency: NotRequired[int]
    provisioned_concurrency: NotRequired[int]
    rollout: NotRequired[Rollout]


class ServerlessEndpoint(pulumi.ComponentResource):
    """`endpoint_name` is the component's own name, known before the endpoint is, because its alarms name it.

    `configuration_name` is the configuration the endpoint was told to run; empty while there is none.
    """

    endpoint_name: pulumi.Output[str]
    configuration_name: pulumi.Output[str]

    def __init__(self, name: str, args: ServerlessEndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:ServerlessEndpoint", name, {}, opts)
        self._name, self._args = name, args
        copied = policies.lend_key(args["kms_key_arn"], "ImageCopy", "SageMaker keeps an encrypted copy of its image")
        role = endpoint_role(name, args, [copied], parent=self)
        log = endpoint_log(name, args, parent=self)
        alarms = [*endpoint_alarms(name, args, "Go back by hand: name the release before.", parent=self), self._full()]
        unhealthy(name, args, alarms, parent=self)
        self.endpoint_name = pulumi.Output.from_input(name)
        self.configuration_name = pulumi.Output.from_input("")
        if args["model_data"] is not None:
            model = aws.sagemaker.Model(
                name,
                execution_role_arn=role.arn,
                primary_container={
                    "image": args["image"],
                    "environment": container_environment(args),
                    "model_data_url": args["model_data"],
                },
                opts=outlives(self),
            )
            configuration = self._configuration(model)
            deployed(name, configuration, deployment=None, after=[log, *alarms], parent=self)
            self.configuration_name = configuration.name
        self.register_outputs({"endpoint_name": self.endpoint_name, "configuration_name": self.configuration_name})

    def _full(self) -> aws.cloudwatch.MetricAlarm:
        of_variant = {"EndpointName": self._name, "VariantName": VARIANT}
        return metric_alarm(
            f"{self._name}-concurrency",
            f"{self._name}: nearly as many requests at once as max_concurrency allows; more are refused (429).",
            over_for_minutes("ServerlessConcurrentExecutionsUtilization", of_variant, "Maximum", NEARLY_ALL),
            told(self._args, SERVING),
            parent=self,
        )

    def _configuration(self, model: aws.sagemaker.Model) -> aws.sagemaker.EndpointConfiguration:
        serverless = {
            "memory_size_in_mb": self._args.get("memory_mb", 2048),
            "max_concurrency": self._args.get("max_concurrency", 20),
            "provisioned_concurrency": self._args.get("provisioned_concurrency") or None,
        }
        variant: Any = {"variant_name": VARIANT, "model_name": model.name, "serverless_config": serverless}
        return aws.sagemaker.EndpointConfiguration(
            self._name, kms_key_arn=self._args["kms_key_arn"], production_variants=[variant], opts=outlives(self)
        )


def check(name: str, args: ServerlessEndpointArgs) -> None:
    """Refuse what AWS would refuse. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"ServerlessEndpoint {name}")
    check_endpoint(problems, name, args, "-concurrency")
    problems.matches(
        "model_data",
        args["model_data"],
        r"s3://[a-z0-9.-]{3,63}/.+\.tar\.gz",
        "an archive: s3://bucket/prefix.tar.gz; a serverless endpoint takes no folder",
    )
    memory, at_once = args.get("memory_mb", 2048), args.get("max_concurrency", 20)
    problems.unless(memory in MEMORY_MB, "memory_mb", f"got {memory}; AWS allows {', '.join(map(str, MEMORY_MB))} MB")
    problems.between("max_concurrency", at_once, 1, MOST_AT_ONCE, unit="requests")
    warm = args.get("provisioned_concurrency", 0)
    problems.unless(
        0 <= warm <= at_once,
        "provisioned_concurrency",
        f"got {warm}; AWS allows 1 to max_concurrency ({at_once}), 0 for none",
    )
    args.get("rollout", Rollout()).check_mode(problems, "rollout", "serverless")
    check_region(problems, args.get("region"), SERVERLESS, "serverless inference")
    problems.stop()
