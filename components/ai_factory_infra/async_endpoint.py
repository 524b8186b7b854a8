"""AsyncEndpoint: a model behind a queue: requests and answers are objects in S3, machines come with requests and go to none.

Whoever asks puts a request under `requests` and names it to InvokeEndpointAsync; the answer, or why there is none, appears
under `results`, and one of two topics says so. A version that answers badly is taken back, as with a real-time endpoint.
What SageMaker does not do here: a second version beside the first, capture of requests (they lie in S3 anyway).
Costs when idle: nothing where `instances` is 0, else its machines, by the hour; what is stored.
Limits: 1 GB and an hour for a request (100 MiB and 15 minutes unless `environment` says more), 63 characters for a name, 1 to
10 rollback alarms; from zero machines the first answer takes minutes. AWS: "Asynchronous inference", "Autoscale an asynchronous endpoint".
"""

from __future__ import annotations

from typing import Any, NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.account import Account
from ai_factory_infra.async_scaling import scale_with_backlog
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
from ai_factory_infra.endpoint_variants import over_for_minutes
from ai_factory_infra.metric_alarms import metric_alarm, told
from ai_factory_infra.policies import Folder, Statement, uri
from ai_factory_infra.problems import Problems, is_known
from ai_factory_infra.runbooks import SERVING

# What the container may be sent and how long it may take. SageMaker would send 1 GB, which no machine should read twice at
# once without having been chosen for it, and waits 15 minutes for an answer unless the caller says otherwise.
LARGE = {"AI_FACTORY_MAX_BODY_MB": "100", "AI_FACTORY_REQUEST_SECONDS": "900"}
REQUESTS_AT_ONCE = 4
ANSWERS, FAILURES = "answers/", "failures/"
# Each of these loses a request or an answer while the model itself is well, so no 5XX tells.
LOST = ("RequestDownloadFailures", "ResponseUploadFailures", "NotificationFailures", "ExpiredRequests")


class AsyncEndpointArgs(MachineEndpointArgs):
    """`requests`: where requests are put, all the role may read of them. `results`: where answers and failures go.

    `instances` 0 (the default) lets all machines go while nobody asks. `backlog_per_instance`: requests waiting for each
    machine before another comes. `max_wait_seconds`: the age of the oldest request from which people are told.
    `requests_at_once`: sent to a machine's container together, 4 by default: of large ones it reads two and lets three wait.
    `success_topic_arn`, `error_topic_arn`: topics that exist, two different ones; one is made for each that is absent.
    """

    requests: Folder
    results: Folder
    backlog_per_instance: NotRequired[int]
    max_wait_seconds: NotRequired[int]
    requests_at_once: NotRequired[int]
    success_topic_arn: NotRequired[pulumi.Input[str]]
    error_topic_arn: NotRequired[pulumi.Input[str]]


class AsyncEndpoint(pulumi.ComponentResource):
    """`endpoint_name` is the component's own name, known before the endpoint is, because its alarms must exist first.

    `configuration_name` is the configuration the endpoint was told to run; empty while there is none. AWS takes a bad
    version back without an error, so compare it with what the endpoint runs after every update.
    """

    endpoint_name: pulumi.Output[str]
    configuration_name: pulumi.Output[str]
    success_topic_arn: pulumi.Output[str]
    error_topic_arn: pulumi.Output[str]

    def __init__(self, name: str, args: AsyncEndpointArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        args = with_defaults(args)
        check(name, args)
        super().__init__("ai-factory:index:AsyncEndpoint", name, {}, opts)
        self._name, self._args = name, args
        self.success_topic_arn = self._topic("done", args.get("success_topic_arn"))
        self.error_topic_arn = self._topic("failed", args.get("error_topic_arn"))
        role = endpoint_role(name, args, self._may(), parent=self)
        log = endpoint_log(name, args, parent=self)
        alarms = endpoint_alarms(name, args, "A rollout under way goes back.", parent=self)
        unhealthy(name, args, [*alarms, *self._watch_queue()], parent=self)
        watch_idle(name, args, ("ModelLatency", "SampleCount"), parent=self)  # a queue publishes no Invocations
        self.endpoint_name = pulumi.Output.from_input(name)
        self.configuration_name = pulumi.Output.from_input("")
        if args["model_data"] is not None:
            configuration = self._configuration(isolated_model(name, args, role, args["model_data"], parent=self))
            endpoint = deployed(
                name, configuration, deployment=deployment(args, alarms), after=[log, *alarms], parent=self
            )
            self.configuration_name = configuration.name
            low, high = args["instances"], args["max_instances"]
            if high > low:
                scale_with_backlog(
                    name, endpoint, (low, high), args.get("backlog_per_instance", 5), told(args, SERVING), parent=self
                )
        self.register_outputs(
            {
                "endpoint_name": self.endpoint_name,
                "configuration_name": self.configuration_name,
                "success_topic_arn": self.success_topic_arn,
                "error_topic_arn": self.error_topic_arn,
            }
        )

    def _topic(self, part: str, existing: pulumi.Input[str] | None) -> pulumi.Output[str]:
        """The topic that is brought along, or one of our own. Its default policy lets only this account publish."""
        if existing is not None:
            return pulumi.Output.from_input(existing)
        return aws.sns.Topic(
            f"{self._name}-{part}",
            kms_master_key_id=self._args["kms_key_arn"],
            opts=pulumi.ResourceOptions(parent=self),
        ).arn

    def _may(self) -> list[Statement]:
        args, account = self._args, Account.of(self)
        read, found = policies.read_folders(account, [args["requests"]])
        read |= {"sid": "ReadRequests", "why": "requests are objects in S3"}
        found |= {"sid": "ListRequests", "why": "a request that is not there is told apart from one it may not read"}
        return [
            read,
            found,
            *policies.write_folders(account, [args["results"]]),
            {
                "sid": "TellOutcome",
                "why": "one topic hears of each answer, the other of each failure",
                "actions": ["sns:Publish"],
                "resources": [self.success_topic_arn, self.error_topic_arn],
            },
            *machine_statements(args, parent=self),
        ]

    def _watch_queue(self) -> list[aws.cloudwatch.MetricAlarm]:
        """Requests that wait too long, and requests or answers that are lost beside a model that is well."""
        name, whom, where = self._name, told(self._args, SERVING), {"EndpointName": self._name}
        patience = self._args.get("max_wait_seconds", 900)
        waiting = metric_alarm(
            f"{name}-waiting",
            f"{name}: the oldest request waits longer than it should: too few machines, or none that starts.",
            over_for_minutes("ApproximateAgeOfOldestRequest", where, "Maximum", patience),
            whom,
            parent=self,
        )
        queries: list[Any] = [
            {
                "id": f"m{i}",
                "metric": {
                    "namespace": "AWS/SageMaker",
                    "metric_name": metric,
                    "dimensions": where | {"VariantName": VARIANT},
                    "period": 60,
                    "stat": "Sum",
                },
            }
            for i, metric in enumerate(LOST)
        ]
        total = " + ".join(f"FILL(m{i}, 0)" for i in range(len(LOST)))
        lost = aws.cloudwatch.MetricAlarm(
            f"{name}-lost",
            name=f"{name}-lost",
            alarm_description=whom.words(
                f"{name}: requests or answers are lost ({', '.join(LOST)}): see its log's data-log streams."
            ),
            metric_queries=[*queries, {"id": "lost", "expression": total, "label": "lost", "return_data": True}],
            evaluation_periods=1,
            threshold=0,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",
            alarm_actions=[whom.topic_arn],
            ok_actions=[whom.topic_arn],
            opts=pulumi.ResourceOptions(parent=self),
        )
        return [waiting, lost]

    def _configuration(self, model: aws.sagemaker.Model) -> aws.sagemaker.EndpointConfiguration:
        args = self._args
        results = uri(args["results"])
        return aws.sagemaker.EndpointConfiguration(
            self._name,
            kms_key_arn=volume_key(args),
            production_variants=[machines(args, model)],
            async_inference_config={
                "client_config": {"max_concurrent_invocations_per_instance": args["requests_at_once"]},
                "output_config": {
                    "s3_output_path": results.apply(lambda u: u + ANSWERS),
                    "s3_failure_path": results.apply(lambda u: u + FAILURES),
                    "kms_key_id": args["kms_key_arn"],
                    "notification_config": {
                        "success_topic": self.success_topic_arn,
                        "error_topic": self.error_topic_arn,
                    },
                },
            },
            opts=outlives(self),
        )


def with_defaults(args: AsyncEndpointArgs) -> AsyncEndpointArgs:
    """The inputs with what is not said: no machine while idle, one while asked, and a container told of large requests."""
    low = args.get("instances", 0)
    return args | {
        "instances": low,
        "max_instances": args.get("max_instances", max(1, low)),
        "requests_at_once": args.get("requests_at_once", REQUESTS_AT_ONCE),
        "environment": LARGE | dict(args.get("environment", {})),
    }


def check(name: str, args: AsyncEndpointArgs) -> None:
    """Refuse what AWS would refuse. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"AsyncEndpoint {name}")
    check_endpoint(problems, name, args, "-new-latency")
    check_machines(problems, args, fewest=0, kind="an asynchronous endpoint", mode="async")
    topics = [args.get("success_topic_arn"), args.get("error_topic_arn")]
    problems.unless(
        not all(map(is_known, topics)) or topics[0] != topics[1],
        "error_topic_arn",
        "the same topic as success_topic_arn; who waits for failures would have to read every success",
    )
    problems.between("backlog_per_instance", args.get("backlog_per_instance", 5), 1, 10_000, unit="requests")
    problems.between("max_wait_seconds", args.get("max_wait_seconds", 900), 60, 6 * 3600, unit="s")
    problems.between("requests_at_once", args.get("requests_at_once", REQUESTS_AT_ONCE), 1, 1000, unit="requests")
    problems.stop()
