"""Every rule of the policy pack stops the thing it is there to stop, lets its right form through, and holds for every stack."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ai_factory_infra.policy_check import governed, main, report, violations
from ai_factory_infra.policy_pack import default_tags, policies
from ai_factory_infra.rules import RULES, UNKNOWN, Governed, is_mandatory, judge
from ai_factory_infra.testing import stages
from ai_factory_spec.errors import EXIT_USAGE
from helpers_automation import write_programs
from helpers_infra import ARCHITECTURES, STAGES, registered, rendered
from pulumi_policy import PolicyResourceOptions, ResourceValidationArgs, StackValidationArgs
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, unknown_checking_proxy

TAGS = {"project": "churn", "stage": "prod"}
KEY_ARN = "arn:aws:kms:eu-west-1:123456789012:key/1"
MACHINES = {"productionVariants": [{"instanceType": "ml.m5.large"}]}


def thing(kind: str, *, depends: tuple[str, ...] = (), **inputs: Any) -> Governed:
    """A resource of a short type such as `sagemaker/model:Model`, protected and tagged."""
    return Governed("prod", f"aws:{kind}", "churn-x", f"urn::{kind}::churn-x", inputs, True, TAGS, frozenset(depends))


def policy(action: str, resource: str = "*", **more: Any) -> str:
    return json.dumps({"Statement": [{"Sid": "S", "Effect": "Allow", "Action": action, "Resource": resource, **more}]})


def job(**changes: Any) -> str:
    arguments: dict[str, Any] = {
        "NetworkConfig": {"EnableNetworkIsolation": True},
        "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.m5.large", "VolumeKmsKeyId": KEY_ARN}},
    }
    return json.dumps({"Steps": [{"Name": "s", "Type": "Processing", "Arguments": arguments | changes}]})


MODEL, CONFIGURATION, ENDPOINT = (
    "sagemaker/model:Model",
    "sagemaker/endpointConfiguration:EndpointConfiguration",
    "sagemaker/endpoint:Endpoint",
)
ROLE_POLICY, ALARM = "iam/rolePolicy:RolePolicy", "cloudwatch/metricAlarm:MetricAlarm"
PIPELINE, RULE, BUCKET = "sagemaker/pipeline:Pipeline", "cloudwatch/eventRule:EventRule", "s3/bucket:Bucket"
GROUP, MACHINE = "sagemaker/modelPackageGroup:ModelPackageGroup", "sfn/stateMachine:StateMachine"
PROD = {"environment": {"AI_FACTORY_STAGE": "prod"}}
CHANGE = "SageMaker Model Package State Change"


def heard(*statuses: str) -> str:
    return json.dumps({"detail-type": [CHANGE], "detail": {"ModelApprovalStatus": list(statuses)}})


Case = tuple[str, list[Governed], list[Governed]]
SETTINGS = (
    "s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "s3/bucketVersioning:BucketVersioning",
    "s3/bucketPolicy:BucketPolicy",
)
A_BUCKET = thing(BUCKET)
AN_ENDPOINT = thing(ENDPOINT, name="e")
A_MODEL = thing(MODEL, primaryContainer=PROD)
SERVERLESS = {"productionVariants": [{"serverlessConfig": {"memorySizeInMb": 1024}}], "kmsKeyArn": KEY_ARN}
# rule -> what breaks it, and the same thing as it should be
CASES: list[Case] = [
    ("configuration-key", [thing(CONFIGURATION, **MACHINES)], [thing(CONFIGURATION, **MACHINES, kmsKeyArn=UNKNOWN)]),
    ("configuration-key", [thing(CONFIGURATION, **(SERVERLESS | {"kmsKeyArn": None}))], [thing(CONFIGURATION, **SERVERLESS)]),
    ("isolation", [A_MODEL], [thing(MODEL, primaryContainer=PROD, enableNetworkIsolation=True)]),
    ("isolation", [A_MODEL, thing(CONFIGURATION, depends=(A_MODEL.urn,), **MACHINES, kmsKeyArn=KEY_ARN)],
     [A_MODEL, thing(CONFIGURATION, depends=(A_MODEL.urn,), **SERVERLESS)]),
    ("job-isolation", [thing(PIPELINE, pipelineDefinition=job(NetworkConfig={}))], [thing(PIPELINE, pipelineDefinition=job())]),
    ("job-isolation", [thing(PIPELINE, pipelineDefinition=job(ProcessingResources={"ClusterConfig": {"InstanceType": "ml.m5.large"}}))],
     [thing(PIPELINE, pipelineDefinition=job(ProcessingResources={"ClusterConfig": {"InstanceType": "ml.g5.xlarge"}}))]),
    ("no-wide-policy", [thing("iam/rolePolicyAttachment:RolePolicyAttachment", policyArn="arn:aws:iam::aws:policy/AmazonSageMakerFullAccess")],
     [thing("iam/rolePolicyAttachment:RolePolicyAttachment", policyArn="arn:aws:iam::123456789012:policy/churn")]),
    ("no-wide-policy", [thing("iam/role:Role", managedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"])], [thing("iam/role:Role")]),
    ("narrow-statements", [thing(ROLE_POLICY, policy=policy("s3:*", "arn:aws:s3:::b/*"))], [thing(ROLE_POLICY, policy=policy("s3:GetObject", "arn:aws:s3:::b/*"))]),
    ("narrow-statements", [thing(ROLE_POLICY, policy=policy("s3:GetObject"))], [thing(ROLE_POLICY, policy=policy("ecr:GetAuthorizationToken"))]),
    ("narrow-statements", [thing(ROLE_POLICY, policy=policy("iam:PassRole", "arn:aws:iam::1:role/r"))],
     [thing(ROLE_POLICY, policy=policy("iam:PassRole", "arn:aws:iam::1:role/r", Condition={"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}))]),
    ("narrow-statements", [thing("kms/key:Key", policy=policy("kms:Decrypt", Principal="*"))], [thing("kms/key:Key", policy=policy("kms:Decrypt", Principal={"AWS": "arn"}))]),
    ("narrow-statements", [thing("iam/role:Role", assumeRolePolicy=policy("sts:AssumeRole", Principal={"AWS": "*"}))],
     [thing("iam/role:Role", assumeRolePolicy=policy("sts:AssumeRole", Principal={"Service": "sagemaker.amazonaws.com"}))]),
    ("narrow-statements", [thing(ROLE_POLICY, policy=json.dumps({"Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}}))],
     [thing(ROLE_POLICY, policy=json.dumps({"Statement": {"Effect": "Deny", "NotAction": "iam:*", "Resource": "*"}}))]),
    ("endpoint-alarms", [AN_ENDPOINT], [AN_ENDPOINT, *(thing(ALARM, dimensions={"EndpointName": "e"}, metricName=m) for m in ("Invocation5XXErrors", "ModelLatency"))]),
    ("no-fixed-name", [thing(CONFIGURATION, name="mine", **SERVERLESS)], [thing(CONFIGURATION, name="churn-x-0a1b2c3", **SERVERLESS)]),
    ("name-length", [thing("budgets/budget:Budget", name="n" * 101)], [thing("budgets/budget:Budget", name="n" * 100)]),
    ("tags", [replace(thing("sfn/activity:Activity"), tags={"project": "churn"})], [thing("sfn/activity:Activity")]),
    ("approved-only", [thing(RULE, eventPattern=heard("Approved", "Rejected"))], [thing(RULE, eventPattern=heard("Approved"))]),
    ("approved-only", [thing(RULE, eventPattern=json.dumps({"detail-type": [CHANGE]}))], [thing(RULE, eventPattern=json.dumps({"detail-type": ["x"]}))]),
    ("approval-present", [thing(GROUP)], [thing(GROUP), replace(thing(MACHINE), urn="urn::ai-factory:index:ApprovalFlow$aws:x::y")]),
    ("stage-told", [thing(MODEL, enableNetworkIsolation=True, primaryContainer={"environment": {"AI_FACTORY_STAGE": "dev"}})],
     [thing(MODEL, enableNetworkIsolation=True, primaryContainer=PROD)]),
    ("no-secret", [thing("lambda/function:Function", environment={"variables": {"DB_PASSWORD": "hunter2"}})],
     [thing("lambda/function:Function", environment={"variables": {"DB_PASSWORD": "arn:aws:secretsmanager:eu-west-1:1:secret:x"}})]),
    ("closed-buckets", [A_BUCKET], [A_BUCKET, *(thing(s, depends=(A_BUCKET.urn,)) for s in SETTINGS)]),
    ("kept", [replace(thing("kms/key:Key"), protect=False)], [thing("kms/key:Key")]),
    ("encrypted-messages", [thing("sns/topic:Topic")], [thing("sns/topic:Topic", kmsMasterKeyId=UNKNOWN)]),
    ("encrypted-messages", [thing("sqs/queue:Queue")], [thing("sqs/queue:Queue", sqsManagedSseEnabled=True)]),
    ("logs-end", [thing("cloudwatch/logGroup:LogGroup")], [thing("cloudwatch/logGroup:LogGroup", retentionInDays=30)]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "wrong", "right"), CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_rule_stops_what_it_is_there_for_and_nothing_else(
    rule: str, wrong: list[Governed], right: list[Governed]
) -> None:
    assert {v.rule for v in judge(wrong)} == {rule}, judge(wrong)
    assert judge(right) == []


def test_every_rule_has_something_that_it_stops() -> None:
    assert {rule for rule, _, _ in CASES} == {rule.name for rule in RULES}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("stage", STAGES)
def test_no_stack_of_this_factory_breaks_a_rule(architecture: str, stage: str) -> None:
    assert violations(registered(architecture, stage, live=True), stage) == []


def test_a_stack_that_breaks_a_rule_is_said_and_fails_where_it_is_mandatory(monkeypatch: pytest.MonkeyPatch) -> None:
    infra = rendered(architecture="realtime") / "infra"
    assert "dev: 17 rules, advisory; 0 violations" in report(infra)[0]
    monkeypatch.setattr("ai_factory_infra.rules.KEPT", ("aws:sns/topic:Topic",))
    text, broken = report(infra)
    assert broken
    assert "  kept: churn-prod-alerts holds data and is not protected" in text


def test_a_folder_without_programs_is_no_folder_without_violations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "infra")]) == EXIT_USAGE
    assert "holds no Pulumi program" in capsys.readouterr().err


def test_stacks_that_share_no_stage_are_said_to_and_a_folder_without_settings_is_no_stack(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    infra = write_programs(tmp_path / "infra", reads={"ant": (), "bee": (), "half": ()})
    (infra / "half" / "Pulumi.dev.yaml").unlink()
    assert stages(infra) == ["dev"]
    (infra / "bee" / "Pulumi.dev.yaml").rename(infra / "bee" / "Pulumi.prod.yaml")
    assert main([str(infra)]) == EXIT_USAGE
    assert "bee/Pulumi.dev.yaml: no such stage there." in capsys.readouterr().err


def test_a_stack_of_the_users_own_is_held_against_the_rules(tmp_path: Path) -> None:
    infra = shutil.copytree(rendered(architecture="realtime") / "infra", tmp_path / "infra")
    own = shutil.copytree(infra / "registry", infra / "reports")
    program = own / "__main__.py"
    program.write_text(
        program.read_text(encoding="utf-8") + '\nimport pulumi_aws\n\npulumi_aws.sns.Topic("open")\n', encoding="utf-8"
    )
    for file in (*infra.rglob("Pulumi.staging.yaml"), *infra.rglob("Pulumi.prod.yaml")):
        file.unlink()  # one stage says it
    assert "encrypted-messages: open" in report(infra)[0]


def test_rules_advise_in_dev_and_bind_everywhere_else() -> None:
    assert not is_mandatory("dev")
    assert all(is_mandatory(stage) for stage in ("staging", "prod", "", "production"))


# ---------------------------------------------------------------- as the engine calls them
def engine_args(kind: str, props: Mapping[str, Any], *, protect: bool = True) -> ResourceValidationArgs:
    """What Pulumi's engine hands to a policy: inputs behind a proxy that raises on what is not known yet."""
    timeouts = SimpleNamespace(create_seconds=0.0, update_seconds=0.0, delete_seconds=0.0)
    options = PolicyResourceOptions(protect, [], None, [], timeouts, [], None)  # type: ignore[arg-type]
    provider = SimpleNamespace(props={"defaultTags": json.dumps({"tags": TAGS})})
    return ResourceValidationArgs(f"aws:{kind}", unknown_checking_proxy(dict(props)), "urn", "x", options, provider, {}, {})  # type: ignore[arg-type]  # fmt: skip


def said(kind: str, props: Mapping[str, Any], stage: str = "prod", **options: bool) -> dict[str, str]:
    """Rule -> what it reports of one resource."""
    found: dict[str, str] = {}
    for each in policies(stage):
        if hasattr(each, "validate") and not type(each).__name__.startswith("Stack"):
            name = each.name
            each.validate(engine_args(kind, props, **options), lambda says, urn=None, name=name: found.update({name: says}))  # type: ignore[misc]  # fmt: skip
    return found


def test_the_engines_policies_are_the_rules() -> None:
    assert [p.name for p in policies("prod")] == [r.name for r in RULES]
    assert list(said(BUCKET, {}, protect=False)) == ["kept"]
    assert said(BUCKET, {}) == {}


def test_what_is_not_known_yet_breaks_no_rule() -> None:
    unknown = {"policy": UNKNOWN_STRING_VALUE, "eventPattern": UNKNOWN_STRING_VALUE, "pipelineDefinition": UNKNOWN_STRING_VALUE,
               "name": UNKNOWN_STRING_VALUE, "kmsKeyArn": UNKNOWN_STRING_VALUE, "kmsMasterKeyId": UNKNOWN_STRING_VALUE}  # fmt: skip
    for kind in (RULE, PIPELINE, ROLE_POLICY, CONFIGURATION, "sns/topic:Topic"):
        assert said(kind, unknown) == {}, kind


def test_a_rule_over_a_whole_stack_is_called_with_all_of_it() -> None:
    stack = StackValidationArgs([], {}, {})
    resource = engine_args(ENDPOINT, {"name": "e"})
    stack.resources = [resource]
    found: list[tuple[str, str | None]] = []
    (alarms,) = [p for p in policies("prod") if p.name == "endpoint-alarms"]
    alarms.validate(stack, lambda says, urn=None: found.append((says, urn)))  # type: ignore[attr-defined]
    assert [urn for _, urn in found] == ["urn", "urn"]


def test_tags_of_a_provider_count_wherever_they_are_written() -> None:
    assert default_tags({"defaultTags": {"tags": TAGS}}) == TAGS
    assert default_tags({"defaultTags": json.dumps({"tags": TAGS})}) == TAGS
    assert default_tags({}) == {}


def test_what_mocks_register_is_judged_as_what_the_engine_hands_over() -> None:
    stack = registered("realtime", "prod", live=True)["serving"]
    (endpoint,) = [r for r in governed(stack, "prod") if r.type == f"aws:{ENDPOINT}"]
    assert endpoint.tags["project"] == "churn"
    assert endpoint.inputs["name"] == "churn-prod-endpoint"
