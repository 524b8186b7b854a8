"""BatchIngestion: files land in a folder; on a schedule they become the parts of one table, in a catalogue that can be queried.

The work is `landing_job`, a Glue Python shell job: what it cannot read it refuses with a reason, and the alert topic hears of
it. A crawler then writes the parts' columns into a Glue database, so that Athena reads them by name. Training reads the folder
itself (`data.source: s3://bucket/curated/`). A start that cannot be delivered waits in a dead-letter queue.
Costs when idle: one alarm; a run by the second of one data processing unit, a crawl likewise. Limits: 255 characters for a
job's name, one run at a time, 48 hours a run. AWS: "Configuring job properties for Python shell jobs in AWS Glue".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NotRequired

import pulumi
import pulumi_aws as aws

from ai_factory_infra import policies
from ai_factory_infra.account import Account
from ai_factory_infra.execution_role import ExecutionRole
from ai_factory_infra.inputs import RoleInputs, RunbookInputs
from ai_factory_infra.limits import LOGICAL_NAME
from ai_factory_infra.metric_alarms import letters_waiting, metric_alarm, told
from ai_factory_infra.pipeline_parts import role
from ai_factory_infra.policies import Statement
from ai_factory_infra.problems import Problems, is_known
from ai_factory_infra.runbooks import STREAMS
from ai_factory_infra.schedules import ScheduleError, eventbridge
from ai_factory_infra.stream_policies import leave_letters

CODE = Path(__file__).with_name("landing_job.py")  # not imported: it needs what Glue has, not what a program has
LOGS = "/aws-glue/"  # Glue names the groups itself: by the job, and by the security configuration's name
CAPACITY = (0.0625, 1.0)  # data processing units that a Python shell job may have: 1 GB or 16 GB of memory


class BatchIngestionArgs(RoleInputs, RunbookInputs):
    """`lake`: the bucket with the three folders. `landing`: where files arrive. `curated`: the parts. `refused`: what became none.

    `schedule`: five cron fields, UTC; empty: only by hand. `enabled`: whether the schedule runs. `small`: 1 GB of memory
    instead of 16. `timeout_minutes`: a run that takes longer is stopped. `role_arns`: roles that exist, for the parts `job`,
    `crawler` and `clock` (the schedule).
    """

    lake: pulumi.Input[str]
    kms_key_arn: pulumi.Input[str]
    logs_key_arn: pulumi.Input[str]
    alerts_topic_arn: pulumi.Input[str]
    landing: NotRequired[str]
    curated: NotRequired[str]
    refused: NotRequired[str]
    schedule: NotRequired[str]
    enabled: NotRequired[pulumi.Input[bool]]
    small: NotRequired[bool]
    timeout_minutes: NotRequired[int]


class BatchIngestion(pulumi.ComponentResource):
    """`job_name`: start it by hand with `aws glue start-job-run`. `database`: what Athena reads. `alarms`: their names."""

    job_name: pulumi.Output[str]
    database: pulumi.Output[str]
    alarms: tuple[str, ...]

    def __init__(self, name: str, args: BatchIngestionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        check(name, args)
        super().__init__("ai-factory:index:BatchIngestion", name, {}, opts)
        self._name, self._args, self._child = name, args, pulumi.ResourceOptions(parent=self)
        self._account, self.alarms = Account.of(self), ()
        self._folders = {f: str(args.get(f, f)) for f in ("landing", "curated", "refused")}
        secured = self._secured()
        job = self._job(secured)
        database = aws.glue.CatalogDatabase(name, name=name.replace("-", "_"), opts=self._child)
        self._crawl(job, database, secured)
        self._tell(job)
        if args.get("schedule"):
            self._start_on_schedule(job, str(args.get("schedule")))
        self.job_name, self.database = job.name, database.name
        self.register_outputs({"job_name": self.job_name, "database": self.database})

    def _secured(self) -> aws.glue.SecurityConfiguration:
        """What Glue writes by itself, to S3, to its logs and its bookmarks, is encrypted."""
        args = self._args
        return aws.glue.SecurityConfiguration(
            self._name,
            encryption_configuration={
                "cloudwatch_encryption": {"cloudwatch_encryption_mode": "SSE-KMS", "kms_key_arn": args["logs_key_arn"]},
                "job_bookmarks_encryption": {
                    "job_bookmarks_encryption_mode": "CSE-KMS",
                    "kms_key_arn": args["kms_key_arn"],
                },
                "s3_encryption": {"s3_encryption_mode": "SSE-KMS", "kms_key_arn": args["kms_key_arn"]},
            },
            opts=self._child,
        )

    def _job(self, secured: aws.glue.SecurityConfiguration) -> aws.glue.Job:
        args, lake, folders = self._args, self._args["lake"], self._folders
        script = aws.s3.BucketObjectv2(
            f"{self._name}-script",
            bucket=lake,
            key=f"scripts/{self._name}/{CODE.name}",
            source=pulumi.FileAsset(str(CODE)),
            opts=self._child,
        )
        may = role(self, self._name, "job", self._job_may(), args, "glue.amazonaws.com")
        return aws.glue.Job(
            self._name,
            description="New files of the landing folder become parts of one table.",
            role_arn=may.arn,
            command={
                "name": "pythonshell",
                "python_version": "3.9",
                "script_location": pulumi.Output.format("s3://{0}/{1}", lake, script.key),
            },
            glue_version="3.0",
            max_capacity=CAPACITY[0 if args.get("small", False) else 1],
            max_retries=0,
            timeout=args.get("timeout_minutes", 120),
            execution_property={"max_concurrent_runs": 1},
            security_configuration=secured.name,
            default_arguments={
                "library-set": "analytics",
                "--lake": lake,
                **{f"--{folder}": prefix for folder, prefix in folders.items()},
            },
            opts=self._child,
        )

    def _job_may(self) -> list[Statement]:
        account, lake, folders = self._account, self._args["lake"], self._folders
        own = [{"bucket": lake, "prefix": prefix} for prefix in folders.values()]
        script = {"bucket": lake, "prefix": f"scripts/{self._name}"}
        return [
            *policies.read_folders(account, [*own, script]),  # type: ignore[list-item]
            *policies.write_folders(account, own[1:]),  # type: ignore[arg-type]
            policies.use_key(self._args["kms_key_arn"]),
            *self._logs(),
        ]

    def _logs(self) -> list[Statement]:
        return [
            policies.write_logs(self._account, LOGS),
            {
                "sid": "EncryptLogs",
                "why": "Glue makes its log groups itself and gives each the key of the security configuration",
                "actions": ["logs:AssociateKmsKey"],
                "resources": [self._account.arn("logs", f"log-group:{LOGS}*")],
            },
        ]

    def _crawl(
        self, job: aws.glue.Job, database: aws.glue.CatalogDatabase, secured: aws.glue.SecurityConfiguration
    ) -> None:
        may = role(self, self._name, "crawler", self._may_crawl(database), self._args, "glue.amazonaws.com")
        parts = pulumi.Output.format("s3://{0}/{1}/", self._args["lake"], self._folders["curated"])
        crawler = aws.glue.Crawler(
            self._name,
            role=may.arn,
            database_name=database.name,
            s3_targets=[{"path": parts, "exclusions": ["_*"]}],
            schema_change_policy={"update_behavior": "UPDATE_IN_DATABASE", "delete_behavior": "LOG"},
            security_configuration=secured.name,
            opts=self._child,
        )
        aws.glue.Trigger(
            self._name,
            type="CONDITIONAL",
            description="After a run, also one that refused a file: the others became parts.",
            predicate={
                "logical": "ANY",
                "conditions": [{"job_name": job.name, "state": state} for state in ("SUCCEEDED", "FAILED")],
            },
            actions=[{"crawler_name": crawler.name}],
            opts=self._child,
        )

    def _may_crawl(self, database: aws.glue.CatalogDatabase) -> list[Statement]:
        account, lake, curated = self._account, self._args["lake"], self._folders["curated"]
        tables = database.name.apply(
            lambda d: [account.arn("glue", p) for p in ("catalog", f"database/{d}", f"table/{d}/*")]
        )
        write: Statement = {
            "sid": "WriteCatalogue",
            "why": "it writes the parts' columns into the tables of this one database",
            "actions": [
                "glue:BatchCreatePartition", "glue:BatchGetPartition", "glue:CreateTable", "glue:GetDatabase",
                "glue:GetPartition", "glue:GetPartitions", "glue:GetTable", "glue:GetTables", "glue:UpdatePartition",
                "glue:UpdateTable",
            ],
            "resources": tables,
        }  # fmt: skip
        return [
            *policies.read_folders(account, [{"bucket": lake, "prefix": curated}]),
            policies.use_key(self._args["kms_key_arn"]),
            write,
            *self._logs(),
        ]

    def _tell(self, job: aws.glue.Job) -> None:
        rule = aws.cloudwatch.EventRule(
            f"{self._name}-failed",
            description="A run failed, or refused a file.",
            event_pattern=pulumi.Output.json_dumps(
                {
                    "source": ["aws.glue"],
                    "detail-type": ["Glue Job State Change"],
                    "detail": {"jobName": [job.name], "state": ["ERROR", "FAILED", "TIMEOUT"]},
                }
            ),
            opts=self._child,
        )
        aws.cloudwatch.EventTarget(
            f"{self._name}-failed", rule=rule.name, arn=self._args["alerts_topic_arn"], opts=self._child
        )

    def _start_on_schedule(self, job: aws.glue.Job, cron: str) -> None:
        queue = aws.sqs.Queue(
            f"{self._name}-letters",
            sqs_managed_sse_enabled=True,
            message_retention_seconds=14 * 86_400,
            opts=self._child,
        )
        start: Statement = {
            "sid": "StartJob",
            "why": "it starts this one job",
            "actions": ["glue:StartJobRun"],
            "resources": [job.arn],
        }
        may: ExecutionRole = role(
            self, self._name, "clock", [start, leave_letters(queue.arn)], self._args, "scheduler.amazonaws.com"
        )
        enabled = pulumi.Output.from_input(self._args.get("enabled", True))
        aws.scheduler.Schedule(
            self._name,
            schedule_expression=eventbridge(cron),
            schedule_expression_timezone="UTC",
            state=enabled.apply(lambda on: "ENABLED" if on else "DISABLED"),
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": pulumi.Output.format("arn:{0}:scheduler:::aws-sdk:glue:startJobRun", self._account.partition),
                "role_arn": may.arn,
                "input": job.name.apply(lambda n: json.dumps({"JobName": n})),
                "retry_policy": {"maximum_retry_attempts": 3, "maximum_event_age_in_seconds": 3600},
                "dead_letter_config": {"arn": queue.arn},
            },
            opts=self._child,
        )
        self._alarm_of(queue)

    def _alarm_of(self, queue: aws.sqs.Queue) -> None:
        name = f"{self._name}-undelivered"
        metric_alarm(
            name,
            "A run was due and could not be started: the queue holds why.",
            letters_waiting(queue),
            told(self._args, STREAMS),
            parent=self,
        )
        self.alarms = (name,)


def check(name: str, args: BatchIngestionArgs) -> None:
    """Refuse what AWS would refuse. Raises `pulumi.InputPropertiesError` with all problems."""
    problems = Problems(f"BatchIngestion {name}")
    problems.unless(name == name.lower(), "name", f"got {name!r}; a Glue database has a name of lower-case letters")
    problems.fits("name", name, LOGICAL_NAME - len("-undelivered"), "a job with its roles, queue and alarm")
    folders = {f: args.get(f, f) for f in ("landing", "curated", "refused")}
    for folder, prefix in folders.items():
        problems.unless(
            is_known(prefix) and bool(prefix) and str(prefix) == str(prefix).strip("/"),
            folder,
            f"got {prefix!r}; a folder without slashes at its ends",
        )
    nested = [(a, b) for a, x in folders.items() for b, y in folders.items() if a != b and f"{y}/".startswith(f"{x}/")]
    for outer, inner in nested:
        problems.add(inner, f"got {folders[inner]!r}, which lies in {outer} ({folders[outer]!r}); three folders apart")
    problems.between("timeout_minutes", args.get("timeout_minutes", 120), 1, 2880, unit="minutes")
    try:
        _ = eventbridge(args.get("schedule") or "0 0 * * *")
    except ScheduleError as reason:
        problems.add("schedule", str(reason))
    problems.stop()
