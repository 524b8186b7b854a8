"""What became of a resource that was being made when its update was killed: found again by its name, by its tag, or not.

Every type that the library makes is in one of these tables (a test holds them against it):

- `IDENTIFIED_BY`: the inputs tell the id that it has if it came to be. Ids are those that the provider imports by.
- `TAGGED`, `ASKED_FOR`: AWS gives the id, and knows the resource by its tag `Name`, or by what it connects.
- `MADE_TWICE_IS_MADE_ONCE`: AWS's call sets something, or answers with what is there; the next update just makes it again.
- `NAMED_BY_AWS`: nothing tells. It is said to be lost, for a person to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

IDENTIFIED_BY: Mapping[str, str] = {
    "aws:accessanalyzer/analyzer:Analyzer": "{analyzerName}",
    "aws:budgets/budget:Budget": "{account}:{name}",
    "aws:cloudtrail/trail:Trail": "arn:{partition}:cloudtrail:{region}:{account}:trail/{name}",
    "aws:cloudwatch/logGroup:LogGroup": "{name}",
    "aws:cloudwatch/logStream:LogStream": "{logGroupName}:{name}",
    "aws:ecr/repository:Repository": "{name}",
    "aws:glue/catalogDatabase:CatalogDatabase": "{account}:{name}",
    "aws:glue/crawler:Crawler": "{name}",
    "aws:glue/job:Job": "{name}",
    "aws:glue/securityConfiguration:SecurityConfiguration": "{name}",
    "aws:glue/trigger:Trigger": "{name}",
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": "arn:{partition}:iam::{account}:oidc-provider/{url}",
    "aws:iam/policy:Policy": "arn:{partition}:iam::{account}:policy{path}{name}",
    "aws:iam/role:Role": "{name}",
    "aws:kinesis/firehoseDeliveryStream:FirehoseDeliveryStream": "arn:{partition}:firehose:{region}:{account}:deliverystream/{name}",
    "aws:kinesis/stream:Stream": "{name}",
    "aws:kms/alias:Alias": "{name}",
    "aws:lambda/function:Function": "{name}",
    "aws:s3/bucket:Bucket": "{bucket}",
    "aws:sagemaker/endpoint:Endpoint": "{name}",
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": "{name}",
    "aws:sagemaker/featureGroup:FeatureGroup": "{featureGroupName}",
    "aws:sagemaker/mlflowTrackingServer:MlflowTrackingServer": "{trackingServerName}",
    "aws:sagemaker/model:Model": "{name}",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "{modelPackageGroupName}",
    "aws:sagemaker/pipeline:Pipeline": "{pipelineName}",
    "aws:scheduler/schedule:Schedule": "{groupName}/{name}",
    "aws:securityhub/account:Account": "{account}",
    "aws:sfn/stateMachine:StateMachine": "arn:{partition}:states:{region}:{account}:stateMachine:{name}",
    "aws:sns/topic:Topic": "arn:{partition}:sns:{region}:{account}:{name}",
}
LEFT_OUT = {"path": "/", "groupName": "default"}  # what AWS takes where the program names none

# Type -> how EC2's ids of it begin.
TAGGED: Mapping[str, str] = {
    "aws:ec2/flowLog:FlowLog": "fl-",
    "aws:ec2/routeTable:RouteTable": "rtb-",
    "aws:ec2/securityGroup:SecurityGroup": "sg-",
    "aws:ec2/subnet:Subnet": "subnet-",
    "aws:ec2/vpc:Vpc": "vpc-",
    "aws:ec2/vpcEndpoint:VpcEndpoint": "vpce-",
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": "sgr-",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": "sgr-",
}

MADE_TWICE_IS_MADE_ONCE = frozenset(
    {
        "aws:appautoscaling/policy:Policy",
        "aws:appautoscaling/target:Target",
        "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        "aws:cloudwatch/dashboard:Dashboard",
        "aws:cloudwatch/eventRule:EventRule",
        "aws:cloudwatch/eventTarget:EventTarget",
        "aws:cloudwatch/metricAlarm:MetricAlarm",
        "aws:costexplorer/costAllocationTag:CostAllocationTag",
        "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        "aws:ecr/repositoryPolicy:RepositoryPolicy",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        "aws:inspector2/enabler:Enabler",
        "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
        "aws:s3/bucketLogging:BucketLogging",
        "aws:s3/bucketObjectv2:BucketObjectv2",
        "aws:s3/bucketOwnershipControls:BucketOwnershipControls",
        "aws:s3/bucketPolicy:BucketPolicy",
        "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
        "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
        "aws:s3/bucketVersioning:BucketVersioning",
        "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
        "aws:securityhub/standardsSubscription:StandardsSubscription",
        "aws:sns/topicPolicy:TopicPolicy",
        "aws:sns/topicSubscription:TopicSubscription",
        "aws:sqs/queue:Queue",  # with the attributes that it has; else AWS refuses, and names it
        "aws:sqs/queuePolicy:QueuePolicy",
    }
)
NAMED_BY_AWS = frozenset(
    {
        "aws:costexplorer/anomalyMonitor:AnomalyMonitor",
        "aws:costexplorer/anomalySubscription:AnomalySubscription",
        "aws:guardduty/detector:Detector",
        "aws:kms/key:Key",
        "aws:sagemaker/mlflowApp:MlflowApp",
    }
)

Inputs = Mapping[str, Any]


class Creation(Protocol):
    """A creation that was begun and never noted as done."""

    @property
    def urn(self) -> str:
        """What Pulumi calls the resource."""

    @property
    def type(self) -> str:
        """`aws:s3/bucket:Bucket`."""

    @property
    def inputs(self) -> Inputs:
        """What the program asked for, in Pulumi's names."""


class Aws(Protocol):
    """What is asked of AWS."""

    def place(self) -> Mapping[str, str]:
        """`account`, `partition` and `region`; those only that are known."""

    def tagged(self, name: str) -> Collection[str]:
        """The ids of EC2's resources whose tag `Name` is this."""

    def subnet_tables(self, subnet_id: str) -> Collection[str]:
        """The ids of the route tables that a subnet is associated with."""

    def mappings(self, function: str, source: str) -> Collection[str]:
        """The ids of a function's mappings of an event source."""


class UnansweredError(Exception):
    """AWS was asked and did not tell."""


@dataclass(frozen=True, slots=True)
class Found:
    """What became of creations. `ids`: URN -> id to import by, of what is there if it came to be; `lost`: URNs that nothing tells of."""

    ids: Mapping[str, str] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()


def found(creations: Iterable[Creation], known: Collection[str], aws: Aws) -> Found:
    """Find each creation again. `known`: the ids of the state; what they are of was made before, and is another resource."""
    ids: dict[str, str] = {}
    lost: set[str] = set()
    for creation in creations:
        try:
            identifier = _identifier(creation, {*known, *ids.values()}, aws)
        except UnansweredError:
            lost.add(creation.urn)
        else:
            ids |= {creation.urn: identifier} if identifier else {}
    return Found(ids, frozenset(lost))


def _identifier(creation: Creation, known: Collection[str], aws: Aws) -> str:
    """The id that it may have; empty where it does not exist, or will just be made again. Raises UnansweredError."""
    kind, inputs = creation.type, creation.inputs
    if kind in MADE_TWICE_IS_MADE_ONCE:
        return ""
    if kind in IDENTIFIED_BY:
        return _filled(IDENTIFIED_BY[kind], inputs, aws.place)
    if kind in TAGGED:
        return _only_one(i for i in aws.tagged(_name(inputs)) if i.startswith(TAGGED[kind]) and i not in known)
    if kind in ASKED_FOR:
        return _only_one(i for i in ASKED_FOR[kind](inputs, aws) if i not in known)
    raise UnansweredError(kind)


def _filled(template: str, inputs: Inputs, place: Callable[[], Mapping[str, str]]) -> str:
    asked_aws = any(f"{{{part}}}" in template for part in ("account", "partition", "region"))
    texts = {key: value.removeprefix("https://") for key, value in inputs.items() if isinstance(value, str)}
    try:
        return template.format_map({**LEFT_OUT, **texts, **(place() if asked_aws else {})})
    except KeyError as missing:
        raise UnansweredError(str(missing)) from missing


def _name(inputs: Inputs) -> str:
    name = (inputs.get("tags") or {}).get("Name")
    if not isinstance(name, str) or not name:
        raise UnansweredError("it has no tag Name")
    return name


def _only_one(ids: Iterable[str]) -> str:
    """Raises UnansweredError for several: whose they are nobody can tell."""
    several = sorted(set(ids))
    if len(several) > 1:
        raise UnansweredError(f"{len(several)} have its tag")
    return "".join(several)


def _association(inputs: Inputs, aws: Aws) -> Iterable[str]:
    subnet, table = str(inputs.get("subnetId")), str(inputs.get("routeTableId"))
    return [f"{subnet}/{table}"] if table in aws.subnet_tables(subnet) else []


def _mapping(inputs: Inputs, aws: Aws) -> Iterable[str]:
    return aws.mappings(str(inputs.get("functionName")), str(inputs.get("eventSourceArn")))


ASKED_FOR: Mapping[str, Callable[[Inputs, Aws], Iterable[str]]] = {
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _association,
    "aws:lambda/eventSourceMapping:EventSourceMapping": _mapping,
}
