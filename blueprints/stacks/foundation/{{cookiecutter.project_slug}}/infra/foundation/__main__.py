"""What every other stack of this stage stands on: keys, buckets, network, alerts, budget. Protected; rarely changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from ai_factory_infra.alert_topic import AlertTopic
from ai_factory_infra.config import BUCKET, choice, flag, load, names, number, pairs, roles, text, whole
from ai_factory_infra.cost_guard import CostGuard
from ai_factory_infra.dependency import MODES
from ai_factory_infra.deploy_role import PROVIDERS, DeployRole
from ai_factory_infra.key_set import CLASSES, KeySet
from ai_factory_infra.network import Network, NetworkArgs
from ai_factory_infra.network_doors import INTERFACES
from ai_factory_infra.runbooks import docs_of
from ai_factory_infra.secure_bucket import SecureBucket
from ai_factory_infra.security_baseline import SERVICES, SecurityBaseline
from ai_factory_infra.shared_registry import PACKAGES, RegistryPlace, SharedConfig
from ai_factory_infra.stage import Stage


@dataclass(frozen=True, slots=True)
class Config(SharedConfig):
    """Pulumi.yaml and Pulumi.<stage>.yaml."""

    monthly_budget: float = number(0.01, 100_000_000)
    budget_scope: str = choice("account", "tag")
    runbooks: str = text(r"|https?://\S+", "an address, or empty: the repository's own pages", default="")
    cost_anomalies: str = choice(*MODES, default="skip")
    cost_anomaly_monitor_arn: str = text(r"|arn:[\w-]+:ce::\d{12}:anomalymonitor/.+", "the monitor's ARN", default="")
    cost_anomaly_dollars: float = number(0.01, 1_000_000, default="20")
    cost_tags: tuple[str, ...] = names(r"[\w .:/=+@-]{1,128}", "keys of tags, commas between")
    alert_email: str = text(r"|[^@\s]+@[^@\s]+", "one e-mail address, or empty")
    network: str = choice(*MODES)
    network_cidr: str = text(r"[\d.]+/\d+", "a private network, /16 to /24", default="10.60.0.0/20")
    subnet_ids: tuple[str, ...] = names(r"subnet-[0-9a-f]{8,17}", "ids such as subnet-0a1b2c3d, commas between")
    security_group_ids: tuple[str, ...] = names(r"sg-[0-9a-f]{8,17}", "ids such as sg-0a1b2c3d, commas between")
    interfaces: tuple[str, ...] = names("|".join(INTERFACES), ", ".join(INTERFACES))
    key_arns: Mapping[str, str] = pairs(
        r"arn:[\w-]+:kms:.+", "keys that exist: data=ARN, alerts=ARN, logs=ARN", *CLASSES
    )
    data_bucket: str = text(*BUCKET, default="")
    artifacts_bucket: str = text(*BUCKET, default="")
    captures_bucket: str = text(*BUCKET, default="")
    capture_days: int = whole(1, 3650)
    log_retention_days: int = whole(1, 3653)
    protect: bool = flag()
    repository: str = text(r"|[a-z0-9.-]+(/[A-Za-z0-9_.-]+){2,}", "HOST/OWNER/NAME, or empty", default="")
    oidc_provider: str = choice(*PROVIDERS, default="create")
    deploy_branch: str = text(r"[A-Za-z0-9_./-]+", "one branch", default="main")
    deploy_boundary_arn: str = text(r"|arn:[\w-]+:iam::\d{12}:policy/.+", "the ARN of an IAM policy", default="")
    state: str = text(default="")
    state_key_arn: str = text(r"|arn:[\w-]+:kms:[\w-]+:\d{12}:key/.+", "the ARN of a KMS key, or empty", default="")
    brought_arns: tuple[str, ...] = names(
        r"arn:[\w-]+:[a-z0-9-]+:[\w-]*:\d*:.+", "ARNs of what other stacks bring along, commas between"
    )
    stacks: tuple[str, ...] = names(r"[a-z]+", "the stacks' names, commas between")
    security_baseline: tuple[str, ...] = names("|".join(SERVICES), ", ".join(SERVICES))
    role_arns: Mapping[str, str] = roles("flow")


config = load(Config)
stage = Stage(config)
place = RegistryPlace.of(config, stage.name)

keys = KeySet(
    stage.named("key"),
    {
        "mode": "existing" if config.key_arns else "create",
        "key_arns": config.key_arns,
        "protect": config.protect,
        "reader_accounts": place.other_accounts,
    },
    stage.options,
)
alerts = AlertTopic(
    stage.named("alerts"), {"kms_key_arn": keys.arns["alerts"], "email": config.alert_email}, stage.options
)
CostGuard(
    stage.named("budget"),
    {
        "monthly_budget": config.monthly_budget,
        "project": config.project,
        "scope": config.budget_scope,
        "alerts_topic_arn": alerts.arn,
        "anomalies": config.cost_anomalies,
        "anomaly_monitor_arn": config.cost_anomaly_monitor_arn,
        "anomaly_dollars": config.cost_anomaly_dollars,
        "cost_tags": config.cost_tags,
    },
    stage.options,
)

accesses = SecureBucket(
    stage.named("accesses"),
    {"receives_logs": True, "expire_days": config.log_retention_days, "protect": config.protect},
    stage.options,
)


def bucket(
    part: str,
    brought: str,
    *folders: str,
    expire_days: int | None = None,
    readers: Mapping[str, Sequence[str]] | None = None,
) -> SecureBucket:
    """A bucket under the data key, its accesses logged; or the one that is brought, as it is."""
    if brought:
        return SecureBucket(stage.named(part), {"mode": "existing", "bucket_name": brought}, stage.options)
    return SecureBucket(
        stage.named(part),
        {
            "kms_key_arn": keys.arns["data"],
            "log_bucket": accesses.bucket,
            "folders": folders,
            "readers": readers or {},
            "protect": config.protect,
            **({"expire_days": expire_days} if expire_days else {}),
        },
        stage.options,
    )


boundary: pulumi.Input[str] = config.permissions_boundary_arn
if config.repository:
    deploy = DeployRole(
        stage.named("deploy"),
        {
            "repository": config.repository,
            "project": config.project,
            "stage": stage.name,
            "prefix": stage.prefix,
            "stacks": [s for s in config.stacks if s != "foundation"],
            "key_arns": [keys.arns["data"], keys.arns["logs"]],
            "provider": config.oidc_provider,
            "branch": config.deploy_branch,
            "state": config.state,
            "state_key_arn": config.state_key_arn,
            "brought_buckets": {
                part: name
                for part, name in (
                    ("data", config.data_bucket),
                    ("artifacts", config.artifacts_bucket),
                    ("captures", config.captures_bucket),
                )
                if name
            },
            "brought_arns": (*place.brought_arns, *config.brought_arns),
            "role_key_arns": [keys.arns["alerts"]],
            "own_boundary_arn": config.deploy_boundary_arn,
            "permissions_boundary_arn": config.permissions_boundary_arn,
        },
        stage.options,
    )
    boundary = deploy.boundary_arn
    pulumi.export("deploy_role_arn", deploy.role_arn)

data = bucket("data", config.data_bucket, "training", "scoring")
# A version in a shared registry refers to files here, which whoever shares the registry reads.
artifacts = bucket(
    "artifacts",
    config.artifacts_bucket,
    *("project", "releases", "scores", "reports"),
    readers={PACKAGES: place.other_accounts},
)
captures = bucket("captures", config.captures_bucket, "requests", expire_days=config.capture_days)

wanted: NetworkArgs = {"mode": config.network, "interfaces": config.interfaces}
if config.network == "create":
    wanted |= {
        "cidr": config.network_cidr,
        "buckets": [data.bucket, artifacts.bucket, captures.bucket],
        "logs_key_arn": keys.arns["logs"],
        "log_retention_days": config.log_retention_days,
        "permissions_boundary_arn": boundary,
        "role_arns": config.role_arns,
    }
else:
    wanted |= {"subnet_ids": config.subnet_ids, "security_group_ids": config.security_group_ids}
network = Network(stage.named("net"), wanted, stage.options)

if config.security_baseline:
    SecurityBaseline(stage.named("baseline"), {"services": config.security_baseline}, stage.options)

pulumi.export("data_key_arn", keys.arns["data"])
pulumi.export("logs_key_arn", keys.arns["logs"])
pulumi.export("alerts_topic_arn", alerts.arn)
pulumi.export("runbooks", config.runbooks or docs_of(config.repository, config.deploy_branch))
pulumi.export("data_bucket", data.bucket)
pulumi.export("artifacts_bucket", artifacts.bucket)
pulumi.export("captures_bucket", captures.bucket)
pulumi.export("subnet_ids", network.subnet_ids)
pulumi.export("security_group_ids", network.security_group_ids)
# Every role of the stage carries it, or continuous integration could make itself a role that may do anything.
pulumi.export("permissions_boundary_arn", boundary)
