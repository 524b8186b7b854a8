"""What a component refuses: each of AWS's limits that it guards, all problems at once, before anything is registered."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pulumi
import pulumi_aws as aws
import pytest
from ai_factory_infra.alert_topic import AlertTopic
from ai_factory_infra.container_pipeline import ContainerPipeline
from ai_factory_infra.cost_guard import CostGuard
from ai_factory_infra.execution_role import ExecutionRole
from ai_factory_infra.key_set import KeySet
from ai_factory_infra.model_registry import ModelRegistry
from ai_factory_infra.network import Network, split
from ai_factory_infra.observability import Observability
from ai_factory_infra.realtime_endpoint import RealtimeEndpoint
from ai_factory_infra.retrain_trigger import RetrainTrigger
from ai_factory_infra.rollout import Rollout
from ai_factory_infra.secure_bucket import SecureBucket
from ai_factory_infra.steps import Machine, Script
from ai_factory_infra.testing import Registered, run_resources

ARN = "arn:aws:x:eu-west-1:123456789012:y"
FOLDER = {"bucket": "bucket", "prefix": "folder"}
PLACE = {"kms_key_arn": ARN, "alerts_topic_arn": ARN, "repository_arn": ARN, "image": "image:v1"}
ENDPOINT = {
    **PLACE, "stage": "dev", "logs_key_arn": ARN, "model_data": "s3://bucket/releases/1/", "models": FOLDER, "captures": FOLDER, "p99_ms": 200.0,
}  # fmt: skip
PIPELINE = {
    **PLACE,
    "script": Script(("true;",), ("data", "artifacts"), ("artifacts",)),
    "inputs": {"data": FOLDER, "artifacts": FOLDER},
    "outputs": {"artifacts": FOLDER},
}
TRIGGER = {"pipeline_name": "p", "pipeline_arn": ARN, "alerts_topic_arn": ARN, "schedule": "0 3 * * *"}
DOOR = "aws:ec2/vpcEndpoint:VpcEndpoint"
STATEMENT = {"sid": "S", "why": "it must", "actions": ["s3:GetObject"], "resources": [ARN]}


def made(component: Any, name: str, args: Mapping[str, Any]) -> Registered:
    """The component, made with a provider of its own."""

    def build() -> None:
        provider = aws.Provider("aws", region="eu-west-1")
        component(name, dict(args), pulumi.ResourceOptions(provider=provider))

    return run_resources(build)


def refusal(component: Any, name: str, args: Mapping[str, Any]) -> dict[str, str]:
    """Property path -> reason, of what the component refuses."""
    seen: list[Registered] = []
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        seen.append(made(component, name, args))
    assert seen == []
    assert all(e["reason"] in str(caught.value) for e in caught.value.errors or [])
    return {e["property_path"]: e["reason"] for e in caught.value.errors or []}


Case = tuple[Any, Mapping[str, Any], Mapping[str, Any], str, str]
CASES: list[Case] = [
    (RealtimeEndpoint, ENDPOINT, {"instance_type": "ml.g5.xlarge"}, "instance_type", "AWS refuses a volume key"),
    (RealtimeEndpoint, ENDPOINT, {"instance_type": "m5.large"}, "instance_type", "a type such as ml.m5.large"),
    (RealtimeEndpoint, ENDPOINT, {"instances": 0}, "instances", "AWS allows 1 or more"),
    (RealtimeEndpoint, ENDPOINT, {"instances": 3, "max_instances": 2}, "max_instances", "at least instances (3)"),
    (RealtimeEndpoint, ENDPOINT, {"capture_percent": 101}, "capture_percent", "AWS allows 0 to 100 %"),
    (RealtimeEndpoint, ENDPOINT, {"log_retention_days": 31}, "log_retention_days", "AWS allows (1, 3, 5"),
    (RealtimeEndpoint, ENDPOINT, {"model_data": "s3://bucket/model.tar.gz"}, "model_data", "a folder"),
    (RealtimeEndpoint, ENDPOINT, {"environment": {"DB_PASSWORD": "hunter2"}}, "environment.DB_PASSWORD", "the ARN of a secret"),
    (RealtimeEndpoint, ENDPOINT, {"environment": {f"V{i}": "x" for i in range(98)}}, "environment", "AWS allows 100"),
    (RealtimeEndpoint, ENDPOINT, {"rollout": Rollout("slowly")}, "rollout.strategy", "all-at-once, shadow, canary, linear, ab"),
    (RealtimeEndpoint, ENDPOINT, {"rollout": Rollout("canary")}, "rollout.strategy", "needs 2 or more; got 1"),
    (RealtimeEndpoint, ENDPOINT, {"instances": 2, "rollout": Rollout("linear", 10, 6)}, "rollout.wait_minutes", "59 minutes; pulumi_aws waits 60"),
    (RealtimeEndpoint, ENDPOINT, {"instances": 2, "rollout": Rollout("linear", 5, 1)}, "rollout.step_percent", "AWS allows 10 to 50 %"),
    (RealtimeEndpoint, ENDPOINT, {"instances": 2, "rollout": Rollout("canary", 60)}, "rollout.step_percent", "AWS allows 1 to 50 %"),
    (ContainerPipeline, PIPELINE, {"schedule": "0 6 1 * 1"}, "schedule", "not both"),
    (ContainerPipeline, PIPELINE, {"inputs": {"data": FOLDER}}, "inputs", "needs ['artifacts', 'data']"),
    (ContainerPipeline, PIPELINE, {"script": Script(("x" * 300,), (), ()), "inputs": {}, "outputs": {}}, "script", "256 characters"),
    (ContainerPipeline, PIPELINE, {"machine": Machine(volume_gb=0)}, "machine.volume_gb", "AWS allows 1 to 16384 GB"),
    (ContainerPipeline, PIPELINE, {"machine": Machine(max_runtime_seconds=500_000)}, "machine.max_runtime_seconds", "432000 s"),
    (RetrainTrigger, TRIGGER, {"schedule": ""}, "schedule", "nothing would start it"),
    (RetrainTrigger, TRIGGER, {"max_runs_per_day": 0}, "max_runs_per_day", "AWS allows 1 to 100"),
    (KeySet, {}, {"classes": ["data", "gold"]}, "classes", "allowed: data, alerts, logs"),
    (KeySet, {}, {"deletion_window_days": 3}, "deletion_window_days", "AWS allows 7 to 30 days"),
    (SecureBucket, {"kms_key_arn": ARN}, {"expire_days": 0}, "expire_days", "1 day or more"),
    (SecureBucket, {"kms_key_arn": ARN}, {"receives_logs": True}, "kms_key_arn", "S3 cannot write those with a KMS key"),
    (SecureBucket, {}, {}, "kms_key_arn", "a bucket needs a key"),
    (Network, {"mode": "create"}, {"buckets": []}, "buckets", "reach nothing"),
    (Network, {"mode": "create", "buckets": ["b"]}, {"cidr": "8.8.0.0/16"}, "cidr", "a private /16 to /24"),
    (Network, {"mode": "existing", "security_group_ids": ["sg-0a1b2c3d"]}, {"subnet_ids": [f"subnet-{i:08x}" for i in range(17)]}, "subnet_ids", "AWS allows 1 to 16"),
    (Network, {}, {"mode": "skip", "subnet_ids": ["subnet-0a1b2c3d"]}, "subnet_ids", "fits the mode existing, not skip"),
    (Network, {}, {"mode": "public"}, "mode", "create, existing, skip"),
    (Network, {"mode": "create", "buckets": ["b"]}, {"interfaces": ["sagemaker.runtme"]}, "interfaces", "did you mean 'sagemaker.runtime'?"),
    (Network, {"mode": "create", "buckets": ["b"]}, {"interfaces": ["sts", "sts"]}, "interfaces", "the same service twice"),
    (Network, {"mode": "skip"}, {"interfaces": ["sts"]}, "interfaces", "fits the mode create, not skip"),
    (AlertTopic, {"kms_key_arn": ARN}, {"email": "everyone"}, "email", "one e-mail address"),
    (CostGuard, {"project": "p", "alerts_topic_arn": ARN}, {"monthly_budget": 0.0}, "monthly_budget", "more than 0"),
    (ModelRegistry, {"kms_key_arn": ARN, "alerts_topic_arn": ARN}, {"kept_untagged_days": 0}, "kept_untagged_days", "1 day or more"),
    (ExecutionRole, {"service": "sagemaker.amazonaws.com"}, {"statements": []}, "statements", "got none"),
    (ExecutionRole, {"statements": [STATEMENT]}, {"service": "sagemaker"}, "service", "sagemaker.amazonaws.com"),
]  # fmt: skip


@pytest.mark.parametrize(("component", "args", "change", "path", "said"), CASES, ids=lambda v: str(v)[:40])
def test_what_aws_would_refuse_is_refused_first(
    component: Any, args: Mapping[str, Any], change: Mapping[str, Any], path: str, said: str
) -> None:
    found = refusal(component, "churn-dev", {**args, **change})
    assert list(found) == [path]
    assert said in found[path]


@pytest.mark.parametrize(
    ("component", "args", "limit"),
    [
        (RealtimeEndpoint, ENDPOINT, 43),
        (ContainerPipeline, PIPELINE, 48),
        (RetrainTrigger, TRIGGER, 43),
        (SecureBucket, {"kms_key_arn": ARN}, 55),
        (ModelRegistry, {"kms_key_arn": ARN, "alerts_topic_arn": ARN}, 46),
        (ExecutionRole, {"service": "sagemaker.amazonaws.com", "statements": [STATEMENT]}, 55),
    ],
    ids=lambda v: str(v)[:40],
)
def test_a_name_may_be_as_long_as_aws_allows_and_no_longer(component: Any, args: Mapping[str, Any], limit: int) -> None:
    found = made(component, "n" * limit, args)
    assert max(len(r.name) for r in found.resources if r.type != "pulumi:providers:aws") <= 55
    assert f"AWS allows 1 to {limit} letters" in refusal(component, "n" * (limit + 1), args)["name"]
    assert "name" in refusal(component, "n_n", args)


def test_a_dashboard_has_no_spaces_in_its_name() -> None:
    assert "name" in refusal(Observability, "my dashboard", {"title": "t", "project": "p", "stage": "dev"})


def test_all_problems_of_a_component_are_said_at_once() -> None:
    found = refusal(RealtimeEndpoint, "n" * 60, {**ENDPOINT, "instances": 0, "capture_percent": -1, "p99_ms": 0.0})
    assert {"name", "instances", "capture_percent", "p99_ms"} <= set(found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"actions": ["s3:*"]}, "name each action"),
        ({"resources": ["*"]}, "s3:GetObject can be bound to resources"),
        ({"why": " "}, "why the role needs it"),
        ({"actions": ["iam:PassRole"]}, "iam:PassRole needs the condition iam:PassedToService"),
    ],
)
def test_a_role_takes_no_statement_wider_than_it_must_be(change: Mapping[str, Any], said: str) -> None:
    args = {"service": "sagemaker.amazonaws.com", "statements": [STATEMENT | dict(change)]}
    (reason,) = refusal(ExecutionRole, "role", args).values()
    assert said in reason


def test_machines_with_disks_of_their_own_need_a_waiver_and_get_no_key() -> None:
    args = {**ENDPOINT, "instance_type": "ml.g5.xlarge", "local_storage_waiver": "the disks encrypt themselves"}
    kind = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    assert "kmsKeyArn" not in made(RealtimeEndpoint, "e", args).only(kind).inputs
    assert made(RealtimeEndpoint, "e", ENDPOINT).only(kind).inputs["kmsKeyArn"] == ARN


@pytest.mark.parametrize("strategy", ["all-at-once", "canary", "linear"])
def test_the_defaults_of_every_rollout_fit_the_waiter(strategy: str) -> None:
    made(RealtimeEndpoint, "e", {**ENDPOINT, "instances": 2, "rollout": Rollout(strategy)})


@pytest.mark.parametrize(
    ("rollout", "minutes"),
    [(Rollout("all-at-once", 10, 30, 5), 5), (Rollout("canary", 10, 30, 5), 35), (Rollout("linear", 30, 10, 5), 35)],
)
def test_a_rollout_knows_how_long_it_takes(rollout: Rollout, minutes: int) -> None:
    assert rollout.minutes == minutes


def test_a_network_is_split_into_equal_parts() -> None:
    assert split("10.60.0.0/20", 2) == ["10.60.0.0/21", "10.60.8.0/21"]


def test_a_security_group_is_never_named_as_aws_names_its_own() -> None:
    found = made(Network, "sg-dev-net", {"mode": "create", "buckets": ["b"]})
    assert not found.only("aws:ec2/securityGroup:SecurityGroup").name.startswith("sg")


def test_subnets_lie_in_the_regions_own_zones_and_stay_where_they_are() -> None:
    found = made(Network, "net", {"mode": "create", "buckets": ["b"]}).of("aws:ec2/subnet:Subnet")
    assert [s.inputs["availabilityZone"] for s in found] == ["eu-west-1a", "eu-west-1b"]
    assert {s.ignore_changes for s in found} == {("availabilityZone",)}


def test_a_network_has_an_interface_for_each_service_that_is_asked_for_and_no_other() -> None:
    bare = made(Network, "net", {"mode": "create", "buckets": ["b"]})
    assert [d.inputs["vpcEndpointType"] for d in bare.of(DOOR)] == ["Gateway"]
    args = {"mode": "create", "buckets": ["b"], "interfaces": ["sagemaker.runtime", "ecr.dkr"]}
    found = made(Network, "net", args)
    by_service = {str(d.inputs["serviceName"]).partition("eu-west-1.")[2]: d for d in found.of(DOOR)}
    gateway = by_service.pop("s3")
    assert set(by_service) == {"sagemaker.runtime", "ecr.dkr"}
    doors = list(by_service.values())
    assert {(d.inputs["vpcEndpointType"], d.inputs["privateDnsEnabled"]) for d in doors} == {("Interface", True)}
    assert {len(d.inputs["subnetIds"]) for d in doors} == {2}
    for service, action in (("sagemaker.runtime", "sagemaker:InvokeEndpoint"), ("ecr.dkr", "ecr:BatchGetImage")):
        (statement,) = json.loads(by_service[service].inputs["policy"])["Statement"]
        assert action in statement["Action"]
        assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}
    assert "prod-eu-west-1-starport-layer-bucket" in gateway.inputs["policy"]
    assert "starport" not in bare.of(DOOR)[0].inputs["policy"]


def test_only_the_containers_reach_the_interfaces_and_they_reach_nothing_else() -> None:
    args = {"mode": "create", "buckets": ["b"], "interfaces": ["sts"]}
    found = made(Network, "net", args)
    rules = [*found.of("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule")]
    (entry,) = found.of("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    assert "doors" in entry.inputs["securityGroupId"]
    assert "jobs" in entry.inputs["referencedSecurityGroupId"]
    assert all("cidrIpv4" not in r.inputs for r in [entry, *rules])
    assert {r.inputs["toPort"] for r in [entry, *rules]} == {443}


def test_an_existing_network_is_used_and_nothing_is_made() -> None:
    args = {"mode": "existing", "subnet_ids": ["subnet-0a1b2c3d"], "security_group_ids": ["sg-0a1b2c3d"]}
    assert [r.type for r in made(Network, "net", args).resources if r.type.startswith("aws:")] == []


@pytest.mark.parametrize("build", [lambda: None], ids=["nothing"])
def test_a_program_that_makes_nothing_registers_nothing(build: Callable[[], None]) -> None:
    assert run_resources(build).resources == []
