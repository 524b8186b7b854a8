"""StreamScoring: every record of a stream is answered by the endpoint; the answers go to another stream.

A Lambda function of our own (`stream_consumer`, no package to install) reads the stream in batches and asks the endpoint. What
breaks the data contract is kept with its reason under `<refused>` of the lake; what cannot be answered now is tried again from
the first such record, so nothing is skipped. After `attempts`, or when a record is older than `max_age_hours`, the place of the
batch goes to a dead-letter queue, and the stream goes on: one bad batch stops nothing for ever. The records themselves are in
the lake, whatever became of their answers.
Costs when idle: four alarms; the function is asked once a second and shard, unpaid. Limits: 10 batches a shard at once, 10,000
records a batch, 6 MiB a batch, 15 minutes a batch, 10,000 attempts, a week of age.
AWS: "Using Lambda to process records from Amazon Kinesis Data Streams", "Configuring partial batch response".
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies, stream_consumer
from ai_factory_infra.account import Account
from ai_factory_infra.inputs import RoleInputs, RunbookInputs
from ai_factory_infra.limits import LOG_RETENTION_DAYS, LOGICAL_NAME
from ai_factory_infra.metric_alarms import Condition, letters_waiting, metric_alarm, told
from ai_factory_infra.pipeline_parts import role
from ai_factory_infra.policies import Folder, Statement
from ai_factory_infra.problems import Problems
from ai_factory_infra.runbooks import STREAMS
from ai_factory_infra.stream_policies import leave_letters, read_stream, use_stream_key, write_log_group, write_stream

with warnings.catch_warnings():
    # This module of pulumi_aws warns about a deprecated class of its own while it is imported, used or not.
    warnings.simplefilter("ignore", DeprecationWarning)
    _ = aws.lambda_.Function

RUNTIME = "python3.13"
CODE = Path(stream_consumer.__file__)
HOUR = 3600


class StreamScoringArgs(RoleInputs, RunbookInputs):
    """`project` and `stage`: what its metrics are published under. `endpoint_name`: a real-time or serverless endpoint.

    `enabled`: whether records are read, decided later where it depends on another stack; until then they wait on the stream,
    as long as it keeps them.

    `stream_arn`: what to answer. `answers_name`, `answers_arn`: where answers go. `refused`: the folder for what broke the
    contract. `rows`: in one request to the endpoint; `batch`: in one call of the function; `wait_seconds`: how long a batch may
    be collected. `attempts` and `max_age_hours`: when a batch is given up, whichever comes first. `timeout_seconds` and
    `memory_mb`: of one call. `at_once`: batches of one shard side by side; the records of one key stay in order.
    `behind_minutes`: an alarm when the newest answer is so far behind. `refused_share`: an alarm when more than this share
    (0 to 1) of an hour's records breaks the contract. `role_arns`: a role that exists, for the part `function`.
    """

    project: str
    stage: str
    endpoint_name: pulumi.Input[str]
    stream_arn: pulumi.Input[str]
    answers_name: pulumi.Input[str]
    answers_arn: pulumi.Input[str]
    refused: Folder
    kms_key_arn: pulumi.Input[str]
    logs_key_arn: pulumi.Input[str]
    alerts_topic_arn: pulumi.Input[str]
    enabled: NotRequired[pulumi.Input[bool]]
    rows: NotRequired[int]
    batch: NotRequired[int]
    wait_seconds: NotRequired[int]
    at_once: NotRequired[int]
    attempts: NotRequired[int]
    max_age_hours: NotRequired[int]
    behind_minutes: NotRequired[int]
    refused_share: NotRequired[float]
    memory_mb: NotRequired[int]
    timeout_seconds: NotRequired[int]
    log_retention_days: NotRequired[int]


class StreamScoring(pulumi.ComponentResource):
    """`function_name`, and `letters_url`: the queue of batches that were given up. `alarms`: their names."""

    function_name: pulumi.Output[str]
    letters_url: pulumi.Output[str]
    alarms: tuple[str, ...]

    def __init__(self, name: str, args: StreamScoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:StreamScoring", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        letters = aws.sqs.Queue(
            f"{name}-letters", sqs_managed_sse_enabled=True, message_retention_seconds=14 * 86_400, opts=self._child
        )
        function = self._function(letters)
        self._read(function, letters)
        self.function_name, self.letters_url = function.name, letters.url
        self.alarms = self._alarms(function, letters)
        self.register_outputs({"function_name": self.function_name, "letters_url": self.letters_url})

    def _may(self, letters: aws.sqs.Queue, logs: aws.cloudwatch.LogGroup) -> list[Statement]:
        args, account = self._args, Account.of(self)
        endpoint = pulumi.Output.from_input(args["endpoint_name"])
        return [
            read_stream(args["stream_arn"]),
            write_stream(args["answers_arn"]),
            {
                "sid": "AskEndpoint",
                "why": "it asks this one endpoint",
                "actions": ["sagemaker:InvokeEndpoint"],
                "resources": [endpoint.apply(lambda n: account.arn("sagemaker", f"endpoint/{n.lower()}"))],
            },
            *policies.write_folders(account, [args["refused"]]),
            use_stream_key(args["kms_key_arn"]),
            leave_letters(letters.arn),
            write_log_group(logs.arn),
        ]

    def _function(self, letters: aws.sqs.Queue) -> aws.lambda_.Function:
        args = self._args
        logs = aws.cloudwatch.LogGroup(
            self._name,
            name=f"/aws/lambda/{self._name}",
            retention_in_days=args.get("log_retention_days", 30),
            kms_key_id=args["logs_key_arn"],
            opts=self._child,
        )
        runs_as = role(self, self._name, "function", self._may(letters, logs), args, "lambda.amazonaws.com")
        return aws.lambda_.Function(
            self._name,
            description="Answers the records of a stream by the endpoint.",
            role=runs_as.arn,
            runtime=RUNTIME,
            architectures=["arm64"],
            handler=f"{CODE.stem}.handler",
            code=pulumi.AssetArchive({CODE.name: pulumi.FileAsset(str(CODE))}),
            memory_size=args.get("memory_mb", 512),
            timeout=args.get("timeout_seconds", 300),
            kms_key_arn=args["kms_key_arn"],
            environment={"variables": self._environment()},
            logging_config={"log_format": "Text", "log_group": logs.name},
            opts=self._child,
        )

    def _environment(self) -> dict[str, pulumi.Input[str]]:
        args = self._args
        return {
            "AI_FACTORY_PROJECT": args["project"],
            "AI_FACTORY_STAGE": args["stage"],
            "AI_FACTORY_ENDPOINT": args["endpoint_name"],
            "AI_FACTORY_ANSWERS": args["answers_name"],
            "AI_FACTORY_LAKE": args["refused"]["bucket"],
            "AI_FACTORY_REFUSED": args["refused"]["prefix"],
            "AI_FACTORY_ROWS": str(args.get("rows", 100)),
        }

    def _read(self, function: aws.lambda_.Function, letters: aws.sqs.Queue) -> None:
        args = self._args
        aws.lambda_.EventSourceMapping(
            self._name,
            event_source_arn=args["stream_arn"],
            function_name=function.arn,
            enabled=args.get("enabled", True),
            starting_position="TRIM_HORIZON",
            batch_size=args.get("batch", 500),
            maximum_batching_window_in_seconds=args.get("wait_seconds", 1),
            parallelization_factor=args.get("at_once", 1),
            bisect_batch_on_function_error=True,
            function_response_types=["ReportBatchItemFailures"],
            maximum_retry_attempts=args.get("attempts", 20),
            maximum_record_age_in_seconds=args.get("max_age_hours", 23) * HOUR,
            destination_config={"on_failure": {"destination_arn": letters.arn}},
            opts=self._child,
        )

    def _alarms(self, function: aws.lambda_.Function, letters: aws.sqs.Queue) -> tuple[str, ...]:
        behind, of_function = self._args.get("behind_minutes", 10), {"FunctionName": function.name}
        wanted = {
            "behind": (
                f"Answers are more than {behind} minutes behind the stream.",
                Condition("AWS/Lambda", "IteratorAge", of_function, "Maximum", behind * 60_000, seconds=60, periods=3),
            ),
            "failing": (
                "The function itself failed: see its log.",
                Condition("AWS/Lambda", "Errors", of_function, "Sum", 0),
            ),
            "given-up": (
                "Records were given up after every attempt: the queue holds their place, the lake the records.",
                letters_waiting(letters),
            ),
        }
        for what, (said, condition) in wanted.items():
            metric_alarm(f"{self._name}-{what}", said, condition, told(self._args, STREAMS), parent=self)
        return (*(f"{self._name}-{what}" for what in wanted), self._alarm_on_refused())

    def _alarm_on_refused(self) -> str:
        """The name of the alarm on the share of an hour's records that break the contract, which no metric says by itself."""
        name, share, whom = f"{self._name}-refused", self._args.get("refused_share", 0.05), told(self._args, STREAMS)
        aws.cloudwatch.MetricAlarm(
            name,
            name=name,
            alarm_description=whom.words(
                f"More than {share:.0%} of an hour's records break the data contract: see the refused folder."
            ),
            metric_queries=self._share_refused(),
            evaluation_periods=1,
            threshold=share,
            comparison_operator="GreaterThanThreshold",
            treat_missing_data="notBreaching",
            alarm_actions=[whom.topic_arn],
            ok_actions=[whom.topic_arn],
            opts=self._child,
        )
        return name

    def _share_refused(self) -> list[Any]:
        own = {"project": self._args["project"], "stage": self._args["stage"]}
        counted: list[Any] = [
            {
                "id": word,
                "metric": {
                    "namespace": stream_consumer.NAMESPACE,
                    "metric_name": f"stream_{word}",
                    "dimensions": own,
                    "period": HOUR,
                    "stat": "Sum",
                },
            }
            for word in ("answered", "refused")
        ]
        share = {
            "id": "share",
            "expression": "refused / (answered + refused)",
            "label": "Share refused",
            "return_data": True,
        }
        return [*counted, share]


def check(name: str, args: StreamScoringArgs) -> None:
    """Refuse what AWS would refuse. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"StreamScoring {name}")
    problems.fits("name", name, LOGICAL_NAME - len("-given-up"), "a function with its queue and alarms")
    rows, batch = args.get("rows", 100), args.get("batch", 500)
    problems.between("batch", batch, 1, 10_000, unit="records")
    problems.between("rows", rows, 1, 10_000, unit="rows")
    problems.unless(rows <= batch, "rows", f"got {rows}; at most a batch ({batch})")
    problems.between("wait_seconds", args.get("wait_seconds", 1), 0, 300, unit="s")
    problems.unless(
        batch <= 10 or args.get("wait_seconds", 1) >= 1,
        "wait_seconds",
        f"got 0; a batch of more than 10 ({batch}) waits for 1 s or more",
    )
    problems.between("at_once", args.get("at_once", 1), 1, 10, unit="batches of a shard")
    problems.between("attempts", args.get("attempts", 20), 0, 10_000)
    problems.between("max_age_hours", args.get("max_age_hours", 23), 1, 168, unit="hours")
    problems.between("memory_mb", args.get("memory_mb", 512), 128, 10_240, unit="MB")
    problems.between("timeout_seconds", args.get("timeout_seconds", 300), 1, 900, unit="s")
    problems.between("behind_minutes", args.get("behind_minutes", 10), 1, 1440, unit="minutes")
    share = args.get("refused_share", 0.05)
    problems.unless(0 <= share < 1, "refused_share", f"got {share:g}; 0 or more, less than 1")
    days = args.get("log_retention_days", 30)
    problems.unless(days in LOG_RETENTION_DAYS, "log_retention_days", f"got {days}; AWS allows {LOG_RETENTION_DAYS}")
    problems.stop()
