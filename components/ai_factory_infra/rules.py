"""The rules of the policy pack, as plain functions: what no stack of this factory may contain, and why.

They judge what a program registers, so they run under Pulumi's engine (`infra/policy`), in `make infra-check` without it,
and in a test by calling them. A value that is not known yet breaks no rule. AWS: "Security best practices" of each service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ai_factory_infra.limits import has_local_storage
from ai_factory_infra.pipeline_definition import jobs
from ai_factory_infra.statement_rules import is_wide_policy, listed, statements, too_wide

ADVISORY_STAGES = ("dev",)  # everywhere else a violation stops the update
UNKNOWN = object()  # a value that a resource still to be made will have

MODEL, CONFIGURATION = "aws:sagemaker/model:Model", "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ENDPOINT, ALARM = "aws:sagemaker/endpoint:Endpoint", "aws:cloudwatch/metricAlarm:MetricAlarm"
PIPELINE, GROUP = "aws:sagemaker/pipeline:Pipeline", "aws:sagemaker/modelPackageGroup:ModelPackageGroup"
RULE, MACHINE = "aws:cloudwatch/eventRule:EventRule", "aws:sfn/stateMachine:StateMachine"
BUCKET, KEY = "aws:s3/bucket:Bucket", "aws:kms/key:Key"

# What holds data: the engine must not delete it in passing.
KEPT = (BUCKET, KEY, GROUP, "aws:ecr/repository:Repository", "aws:sagemaker/featureGroup:FeatureGroup")
BUCKET_SETTINGS = (
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning",
    "aws:s3/bucketPolicy:BucketPolicy",
)
# Documents that hang on one resource, which is then what "*" means in them.
ON_A_RESOURCE = re.compile(
    r"kms/|s3/bucketPolicy|sns/topicPolicy|sqs/queuePolicy|sqs/queue:|ecr/repositoryPolicy|modelPackageGroupPolicy|"
    r"lambda/permission|secretsmanager/secretPolicy"
)
# Type -> the property that holds its name, and AWS's limit for it.
NAME_LIMITS: Mapping[str, tuple[str, int]] = {
    MODEL: ("name", 63),
    CONFIGURATION: ("name", 63),
    ENDPOINT: ("name", 63),
    GROUP: ("modelPackageGroupName", 63),
    PIPELINE: ("pipelineName", 256),
    "aws:sagemaker/featureGroup:FeatureGroup": ("featureGroupName", 64),
    "aws:iam/role:Role": ("name", 64),
    RULE: ("name", 64),
    "aws:scheduler/schedule:Schedule": ("name", 64),
    MACHINE: ("name", 80),
    "aws:budgets/budget:Budget": ("name", 100),
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": ("name", 64),
    BUCKET: ("bucket", 63),
}
SECRET = re.compile(r"secret|password|token|api_?key|private_key", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Governed:
    """One resource as a rule sees it: what the program asked for, with `UNKNOWN` for what is not known yet."""

    stage: str
    type: str
    name: str
    urn: str
    inputs: Mapping[str, Any]
    protect: bool = False
    tags: Mapping[str, Any] = field(default_factory=dict)
    dependencies: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Violation:
    """What one resource does against one rule."""

    rule: str
    urn: str
    says: str


Found = Iterator[tuple[Governed, str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its name, why it exists, and what it finds among the resources of one stack.

    `alone`: it judges each resource by itself, so the engine stops before that resource is made; else it looks at the
    whole stack, once that is made.
    """

    name: str
    why: str
    find: Callable[[Sequence[Governed]], Found]
    alone: bool = True


def judge(resources: Sequence[Governed]) -> list[Violation]:
    """Everything that the resources of one stack do against the rules, in the rules' order."""
    return [Violation(rule.name, r.urn, says) for rule in RULES for r, says in rule.find(resources)]


def is_mandatory(stage: str) -> bool:
    """Whether a violation stops the update. A stage that is not known is taken for one where it does."""
    return stage not in ADVISORY_STAGES


def _of(resources: Sequence[Governed], *types: str) -> Iterator[Governed]:
    return (r for r in resources if r.type in types)


def _variants(configuration: Governed) -> list[Mapping[str, Any]]:
    found = configuration.inputs.get("productionVariants")
    return [v for v in found if isinstance(v, Mapping)] if isinstance(found, Sequence) else []


def _is_serverless(configuration: Governed) -> bool:
    variants = _variants(configuration)
    return bool(variants) and all(v.get("serverlessConfig") for v in variants)


def _key_on_configuration(resources: Sequence[Governed]) -> Found:
    for r in _of(resources, CONFIGURATION):
        kinds = [str(v.get("instanceType", "")) for v in _variants(r)]
        what = "the copy of its image has" if _is_serverless(r) else "its machines' disks have"
        if not any(has_local_storage(k) for k in kinds) and not r.inputs.get("kmsKeyArn"):
            yield r, f"{what} no key of yours: set kms_key_arn"


def _isolation(resources: Sequence[Governed]) -> Found:
    serverless = set().union(*(c.dependencies for c in _of(resources, CONFIGURATION) if _is_serverless(c)))
    for r in _of(resources, MODEL):
        vpc = r.inputs.get("vpcConfig")
        if not (r.inputs.get("enableNetworkIsolation") or vpc or r.urn in serverless):
            yield r, "its container reaches the internet: set enable_network_isolation, or vpc_config"


def _job_isolation(resources: Sequence[Governed]) -> Found:
    for r in _of(resources, PIPELINE):
        text = r.inputs.get("pipelineDefinition")
        for step in jobs(json.loads(text).get("Steps", [])) if isinstance(text, str) else ():
            job = step["Arguments"]
            network = job.get("NetworkConfig", job)
            cluster = job.get("ResourceConfig") or job.get("ProcessingResources", {}).get("ClusterConfig", {})
            if not (network.get("EnableNetworkIsolation") or network.get("VpcConfig")):
                yield r, f"the job {step['Name']} reaches the internet: set EnableNetworkIsolation"
            if not (cluster.get("VolumeKmsKeyId") or has_local_storage(str(cluster.get("InstanceType", "")))):
                yield r, f"the disks of the job {step['Name']} have no key of yours: set VolumeKmsKeyId"


def _no_wide_policy(resources: Sequence[Governed]) -> Found:
    for r in resources:
        arns = [*listed(r.inputs.get("policyArn")), *listed(r.inputs.get("managedPolicyArns"))]
        for arn in (a for a in arns if isinstance(a, str) and is_wide_policy(a)):
            yield r, f"{arn.rsplit('/', 1)[-1]} allows far more than one role needs: name the actions"


def _narrow_statements(resources: Sequence[Governed]) -> Found:
    for r in resources:
        for key, value in r.inputs.items():
            hangs = bool(ON_A_RESOURCE.search(r.type)) or key == "assumeRolePolicy"
            for statement in statements(value):
                for says in too_wide(statement, of_resource=hangs):
                    yield r, f"the statement {statement.get('Sid', 'without a name')} {says}"


def _alarms(resources: Sequence[Governed]) -> Found:
    watched = [json.dumps(a.inputs, default=str) for a in _of(resources, ALARM)]
    for r in _of(resources, ENDPOINT):
        name = r.inputs.get("name")
        mine = [w for w in watched if isinstance(name, str) and f'"{name}"' in w]
        if isinstance(name, str) and not any("5XXErrors" in w for w in mine):
            yield r, "no alarm watches its failed requests (Invocation5XXErrors)"
        if isinstance(name, str) and not any("Latency" in w for w in mine):
            yield r, "no alarm watches how long it takes (ModelLatency)"


def _no_fixed_name(resources: Sequence[Governed]) -> Found:
    for r in _of(resources, MODEL, CONFIGURATION):
        name = r.inputs.get("name")
        given = isinstance(name, str) and not re.fullmatch(re.escape(r.name) + "-[0-9a-f]{7}", name)
        if given and "name" not in listed(r.inputs.get("__defaults")):
            yield (
                r,
                f"has the fixed name {name!r}: it is deleted before its successor exists, while the endpoint uses it",
            )


def _name_lengths(resources: Sequence[Governed]) -> Found:
    for r in resources:
        key, limit = NAME_LIMITS.get(r.type, ("", 0))
        name = r.inputs.get(key)
        if isinstance(name, str) and len(name) > limit:
            yield r, f"its name has {len(name)} characters; AWS allows {limit}"


def _tags(resources: Sequence[Governed]) -> Found:
    for r in (r for r in resources if r.type.startswith("aws:")):
        lacking = sorted({"project", "stage"} - set(r.tags))
        if lacking:
            yield r, f"carries no tag {', '.join(lacking)}: make it with the stage's provider (Stage.options)"


def _approved_only(resources: Sequence[Governed]) -> Found:
    for r in _of(resources, RULE):
        text = r.inputs.get("eventPattern")
        pattern = json.loads(text) if isinstance(text, str) else {}
        statuses = pattern.get("detail", {}).get("ModelApprovalStatus")
        if "SageMaker Model Package State Change" in pattern.get("detail-type", []) and statuses != ["Approved"]:
            yield r, f"hears of {statuses or 'every status'}: a rejected model would start what an approved one starts"


def _approval_present(resources: Sequence[Governed]) -> Found:
    flow = [r for r in _of(resources, MACHINE) if "ApprovalFlow" in r.urn]
    for r in _of(resources, GROUP):
        if r.stage == "prod" and not flow:
            yield r, "no approval flow asks for a second person: add an ApprovalFlow"


def _knows_its_stage(resources: Sequence[Governed]) -> Found:
    for r in _of(resources, MODEL):
        environment = (r.inputs.get("primaryContainer") or {}).get("environment") or {}
        told = environment.get("AI_FACTORY_STAGE")
        if told is not UNKNOWN and told != r.stage:
            yield (
                r,
                f"its container is told the stage {told!r}, not {r.stage!r}: it would check another stage's approvals",
            )


def _no_secret(resources: Sequence[Governed]) -> Found:
    for r in _of(resources, MODEL, "aws:lambda/function:Function"):
        container = r.inputs.get("primaryContainer") or r.inputs.get("environment") or {}
        environment = container.get("environment") or container.get("variables") or {}
        for key, value in environment.items():
            if SECRET.search(key) and isinstance(value, str) and ":secretsmanager:" not in value:
                yield r, f"{key} is readable by anyone who may describe it: pass the ARN of a secret"


def _closed_buckets(resources: Sequence[Governed]) -> Found:
    for r in _of(resources, BUCKET):
        for kind in BUCKET_SETTINGS:
            if not any(r.urn in s.dependencies for s in _of(resources, kind)):
                yield r, f"has no {kind.rsplit(':', 1)[-1]}: make it with SecureBucket"


def _kept(resources: Sequence[Governed]) -> Found:
    for r in _of(resources, *KEPT):
        if not r.protect:
            yield r, "holds data and is not protected: a careless change would delete it"


def _encrypted_messages(resources: Sequence[Governed]) -> Found:
    for r in _of(resources, "aws:sns/topic:Topic"):
        if not r.inputs.get("kmsMasterKeyId"):
            yield r, "its messages are not encrypted: set kms_master_key_id"
    for r in _of(resources, "aws:sqs/queue:Queue"):
        if not (r.inputs.get("sqsManagedSseEnabled") or r.inputs.get("kmsMasterKeyId")):
            yield r, "its messages are not encrypted: set sqs_managed_sse_enabled, or kms_master_key_id"


def _logs_end(resources: Sequence[Governed]) -> Found:
    for r in _of(resources, "aws:cloudwatch/logGroup:LogGroup"):
        if not r.inputs.get("retentionInDays"):
            yield r, "keeps its lines for ever: set retention_in_days"


RULES: tuple[Rule, ...] = (
    Rule("configuration-key", "what a model loads and captures lies on its machines' disks", _key_on_configuration),
    Rule("job-isolation", "code that trains on your data must not be able to send it away", _job_isolation),
    Rule("no-wide-policy", "a role that may do everything in SageMaker reads every project's data", _no_wide_policy),
    Rule("narrow-statements", "a grant names what it is for", _narrow_statements),
    Rule("no-fixed-name", "a model and its configuration must outlive their successor's start", _no_fixed_name),
    Rule("name-length", "the provider does not check it, and AWS refuses half-way through", _name_lengths),
    Rule("tags", "costs and ownership are told by tags", _tags),
    Rule("approved-only", "only an approval may start a deployment", _approved_only),
    Rule("stage-told", "the container itself refuses a model that its stage did not approve", _knows_its_stage),
    Rule("no-secret", "environments are shown by Describe calls and kept in the state", _no_secret),
    Rule("kept", "data outlives mistakes", _kept),
    Rule("encrypted-messages", "alerts and letters name models and data", _encrypted_messages),
    Rule("logs-end", "log lines may hold personal data, and cost by the month", _logs_end),
    Rule("isolation", "a container that serves must not be able to send requests away", _isolation, alone=False),
    Rule("endpoint-alarms", "an endpoint that fails must be noticed, and taken back", _alarms, alone=False),
    Rule("approval-present", "in prod two persons agree", _approval_present, alone=False),
    Rule("closed-buckets", "the one way to make a bucket is SecureBucket", _closed_buckets, alone=False),
)
