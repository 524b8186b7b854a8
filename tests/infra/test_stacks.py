"""The five stacks, for every architecture and stage, as the engine would be asked to make them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ai_factory_infra.cost.items import items_of
from ai_factory_infra.cost.price_table import SHIPPED, price_table
from ai_factory_infra.network_doors import INTERFACES
from ai_factory_infra.pipeline_definition import jobs
from ai_factory_infra.policies import WITHOUT_RESOURCE
from ai_factory_infra.policy_check import violations
from ai_factory_infra.statement_rules import listed
from ai_factory_infra.testing import ACCOUNT, Registered, Registration, run_program, run_stage
from botocore.session import get_session
from helpers_infra import ARCHITECTURES, STAGES, registered, rendered

EVERY = [(a, s, live) for a in ARCHITECTURES for s in STAGES for live in (False, True)]
ROLE, ROLE_POLICY = "aws:iam/role:Role", "aws:iam/rolePolicy:RolePolicy"
ENDPOINT = "aws:sagemaker/endpoint:Endpoint"
CONFIGURATION = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
MODEL, PIPELINE = "aws:sagemaker/model:Model", "aws:sagemaker/pipeline:Pipeline"
ALARM, RULE, TARGET = (
    "aws:cloudwatch/metricAlarm:MetricAlarm",
    "aws:cloudwatch/eventRule:EventRule",
    "aws:cloudwatch/eventTarget:EventTarget",
)
SCHEDULE, BUCKET, KEY = "aws:scheduler/schedule:Schedule", "aws:s3/bucket:Bucket", "aws:kms/key:Key"


@pytest.fixture(params=EVERY, ids=lambda c: f"{c[0]}-{c[1]}-{'live' if c[2] else 'new'}")
def stacks(request: pytest.FixtureRequest) -> Mapping[str, Registered]:
    architecture, stage, live = request.param
    return registered(architecture, stage, live=live)


@pytest.fixture
def serving() -> Registered:
    return registered("realtime", "prod", live=True)["serving"]


def each(stacks: Mapping[str, Registered]) -> Iterator[Registration]:
    return (r for stack in stacks.values() for r in stack.resources)


def aws_resources(stacks: Mapping[str, Registered]) -> list[Registration]:
    return [r for r in each(stacks) if r.type.startswith("aws:")]


# ---------------------------------------------------------------- every stack
def test_every_resource_is_made_by_the_programs_own_provider(stacks: Mapping[str, Registered]) -> None:
    assert len(aws_resources(stacks)) > 80
    assert [r.urn for r in aws_resources(stacks) if "-aws::" not in r.provider] == []


def test_every_provider_tags_what_it_makes(stacks: Mapping[str, Registered]) -> None:
    providers = [r for r in each(stacks) if r.type == "pulumi:providers:aws"]
    assert len(providers) == 5
    for provider in providers:
        tags = json.loads(provider.inputs["defaultTags"])["tags"]
        assert {"project", "stage", "stack", "risk-tier", "managed-by"} == set(tags)


def test_a_wrong_account_is_refused_where_the_use_case_names_one() -> None:
    found = run_stage(rendered(architecture="realtime", account_dev=ACCOUNT) / "infra", "dev")
    for provider in (r for r in each(found) if r.type == "pulumi:providers:aws"):
        assert json.loads(provider.inputs["allowedAccountIds"]) == [ACCOUNT]
    unnamed = registered("realtime", "dev")["foundation"].only("pulumi:providers:aws")
    assert "allowedAccountIds" not in unnamed.inputs


def test_every_logical_name_is_short_enough_to_be_named_automatically(stacks: Mapping[str, Registered]) -> None:
    assert [r.name for r in aws_resources(stacks) if len(r.name) > 55] == []


def test_the_longest_project_name_fits_every_limit_and_collides_with_no_other() -> None:
    slugs = ("a" * 40, "a" * 39 + "b")
    found = [
        registered_names(
            run_stage(rendered(architecture="realtime", project_slug=s, command=s) / "infra", "staging", config=LIVE)
        )
        for s in slugs
    ]
    for names in found:
        assert max(map(len, names)) <= 55
    assert found[0] & found[1] == set()


LIVE = {"serving": {"release": "1", "max_instances": "3"}, "training": {"retrain_schedule": "0 3 * * *"}}


def registered_names(stacks: Mapping[str, Registered]) -> set[str]:
    return {r.name for r in aws_resources(stacks)} | {str(r.inputs["name"]) for r in aws_resources(stacks) if "name" in r.inputs and r.type != "aws:cloudwatch/logGroup:LogGroup"}  # fmt: skip


def test_a_preview_of_nothing_made_yet_registers_the_same() -> None:
    """Nothing is made inside `apply`: an output that is not known yet must not hide a resource."""
    infra = rendered(architecture="realtime") / "infra"
    done = registered("realtime", "dev", live=True)
    exports = {r.project: r.outputs for r in done.values()}
    config = {"foundation": {"network": "create"}} | LIVE | {"serving": {"release": "7-abc123", "max_instances": "4"}}
    for stack, made in done.items():
        planned = run_program(infra / stack, "dev", exports=exports, config=config.get(stack), preview=True)
        assert sorted((r.type, r.name) for r in planned.resources) == sorted((r.type, r.name) for r in made.resources)


# ---------------------------------------------------------------- who may do what
def allowed(stacks: Mapping[str, Registered]) -> Iterator[tuple[Registration, dict[str, Any]]]:
    for stack in stacks.values():
        yield from ((r, s) for r, s in stack.statements() if s["Effect"] == "Allow")


def test_no_policy_allows_more_than_it_names(stacks: Mapping[str, Registered]) -> None:
    seen = 0
    for resource, statement in allowed(stacks):
        seen += 1
        actions, resources = listed(statement["Action"]), listed(statement.get("Resource", []))
        if resource.type == KEY:  # in a key's own policy "*" is that key, and the account decides by IAM
            assert resources == ["*"]
            assert statement["Principal"].keys() == {"AWS"} or "Condition" in statement or "Events" in statement["Sid"]
            continue
        assert [a for a in actions if "*" in a] == [], resource.urn
        if "*" in resources:
            assert set(actions) <= WITHOUT_RESOURCE, resource.urn
            if "cloudwatch:PutMetricData" in actions:
                assert "cloudwatch:namespace" in statement["Condition"]["StringLike"]
    assert seen > 40


def test_a_wildcard_in_a_policy_would_be_noticed() -> None:
    """The test above has teeth: the same walk over a policy that allows too much."""
    bad = Registered("x")
    policy = json.dumps({"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
    bad.resources.append(
        Registration(
            "aws:iam/rolePolicy:RolePolicy", "r", "urn", {"policy": policy}, "", "", False, False, None, (), frozenset()
        )
    )
    with pytest.raises(AssertionError):
        test_no_policy_allows_more_than_it_names({"x": bad})


def test_no_role_has_a_managed_policy(stacks: Mapping[str, Registered]) -> None:
    attached = [r.type for r in each(stacks) if "attachment" in r.type.lower() and ":iam/" in r.type]
    assert attached == []
    assert all("managedPolicyArns" not in r.inputs and "inlinePolicies" not in r.inputs for r in each(stacks))


def test_every_role_trusts_one_service_and_only_for_this_account(stacks: Mapping[str, Registered]) -> None:
    roles = [r for r in each(stacks) if r.type == ROLE]
    assert len(roles) >= 5
    for role in roles:
        (statement,) = json.loads(role.inputs["assumeRolePolicy"])["Statement"]
        assert statement["Principal"].keys() == {"Service"}
        assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}


def test_passing_a_role_is_bound_to_the_service_that_gets_it(stacks: Mapping[str, Registered]) -> None:
    passes = [s for _, s in allowed(stacks) if "iam:PassRole" in listed(s["Action"])]
    assert passes
    assert all(s["Condition"]["StringEquals"]["iam:PassedToService"] == "sagemaker.amazonaws.com" for s in passes)


def test_every_role_takes_a_permissions_boundary() -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/boundary"
    setting = {stack: {"permissions_boundary_arn": boundary} for stack in registered("realtime", "dev")}
    setting["foundation"] |= {"network": "create"}
    setting["training"] |= {"retrain_schedule": "0 3 * * *"}
    found = run_stage(rendered(architecture="realtime") / "infra", "dev", config=setting)
    roles = [r for r in each(found) if r.type == ROLE]
    assert len(roles) == 10
    assert {r.inputs.get("permissionsBoundary") for r in roles} == {boundary}


def test_what_uses_a_role_waits_for_its_policy(stacks: Mapping[str, Registered]) -> None:
    """A role exists before it may do anything: what is made with it in between fails."""
    users = (PIPELINE, MODEL, SCHEDULE, "aws:sfn/stateMachine:StateMachine", "aws:ec2/flowLog:FlowLog")
    waiting = [r for r in each(stacks) if r.type in users]
    assert waiting
    for user in waiting:
        assert any("RolePolicy::" in d for d in user.dependencies), user.urn


def test_no_statement_about_a_network_is_left_where_there_is_none() -> None:
    skipped = [s.get("Sid") for _, s in allowed(registered("realtime", "dev"))]
    created = [s.get("Sid") for _, s in allowed(registered("realtime", "prod"))]
    assert "JoinNetwork" not in skipped
    assert "JoinNetwork" in created


def test_a_job_may_write_only_where_its_results_go() -> None:
    found = registered("batch", "prod")["serving"]
    writes = [s for r, s in found.statements() if "s3:PutObject" in listed(s["Action"])]
    assert [listed(s["Resource"]) for s in writes] == [["arn:aws:s3:::churn-prod-artifacts-1a2b3c4/scores/*"]]


# ---------------------------------------------------------------- foundation
def test_every_bucket_is_closed_versioned_encrypted_and_kept(stacks: Mapping[str, Registered]) -> None:
    foundation = stacks["foundation"]
    buckets = [b.name for b in foundation.of(BUCKET)]
    assert len(buckets) == 4
    for bucket in foundation.of(BUCKET):
        assert bucket.protect
        assert bucket.inputs["forceDestroy"] is False
    for block in foundation.of("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"):
        assert [v for k, v in block.inputs.items() if k.startswith(("block", "ignore", "restrict"))] == [True] * 4
    for kind in ("bucketVersioning:BucketVersioning", "bucketPublicAccessBlock:BucketPublicAccessBlock", "bucketPolicy:BucketPolicy",
                 "bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration", "bucketOwnershipControls:BucketOwnershipControls",
                 "bucketLifecycleConfiguration:BucketLifecycleConfiguration"):  # fmt: skip
        assert sorted(r.name for r in foundation.of(f"aws:s3/{kind}")) == sorted(buckets)
    denied = [s for r, s in foundation.statements() if s.get("Sid") == "RefuseWithoutTls" and s["Effect"] == "Deny"]
    assert len(denied) == 4


def test_a_bucket_refuses_another_key_but_not_an_upload_that_names_none(stacks: Mapping[str, Registered]) -> None:
    refusals = [s for _, s in stacks["foundation"].statements() if s.get("Sid") == "RefuseOtherKeys"]
    assert len(refusals) == 3
    for statement in refusals:
        (name,) = statement["Condition"]["StringNotEquals"]
        assert statement["Condition"]["Null"] == {name: "false"}


def test_keys_rotate_are_kept_and_name_no_role(stacks: Mapping[str, Registered]) -> None:
    keys = stacks["foundation"].of(KEY)
    assert len(keys) == 3
    for key in keys:
        assert key.protect
        assert key.inputs["enableKeyRotation"] is True
        assert ":role/" not in key.inputs["policy"]


def test_rules_reach_the_encrypted_topic_without_a_condition_that_drops_them_silently(
    stacks: Mapping[str, Registered],
) -> None:
    """EventBridge names no account when it delivers to an encrypted topic; alarms and budgets do, and are bound to it."""
    policies = [s for r, s in stacks["foundation"].statements() if r.type in (KEY, "aws:sns/topicPolicy:TopicPolicy")]
    bound = {
        service: statement.get("Condition")
        for statement in policies
        for service in listed(statement["Principal"].get("Service", []))
        if not service.startswith("logs.")
    }
    assert bound.pop("events.amazonaws.com") is None
    assert set(bound) == {"budgets.amazonaws.com", "cloudwatch.amazonaws.com", "costalerts.amazonaws.com"}
    assert all(c == {"StringEquals": {"aws:SourceAccount": ACCOUNT}} for c in bound.values())


def test_a_private_network_has_no_way_out_but_to_the_buckets() -> None:
    foundation = registered("realtime", "prod")["foundation"]
    kinds = {r.type for r in foundation.resources}
    assert kinds.isdisjoint(
        {"aws:ec2/internetGateway:InternetGateway", "aws:ec2/natGateway:NatGateway", "aws:ec2/route:Route"}
    )
    egress = foundation.only("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule").inputs
    assert "prefixListId" in egress
    assert "cidrIpv4" not in egress
    policy = json.loads(foundation.only("aws:ec2/vpcEndpoint:VpcEndpoint").inputs["policy"])
    assert len(policy["Statement"][0]["Resource"]) == 6
    assert "aws:ec2/flowLog:FlowLog" in kinds


def test_interfaces_are_a_setting_break_no_rule_and_are_counted_in_the_estimate() -> None:
    program = rendered(architecture="realtime") / "infra" / "foundation"
    found = run_program(program, "prod", config={"interfaces": ", ".join(INTERFACES)})
    doors = [d for d in found.of("aws:ec2/vpcEndpoint:VpcEndpoint") if d.inputs["vpcEndpointType"] == "Interface"]
    assert len(doors) == len(INTERFACES) == 8
    assert max(len(d.name) for d in doors) <= 55
    assert violations({"foundation": found}, "prod") == []
    items, unknown = items_of([(r.type, r.name, r.inputs) for r in found.resources], price_table(SHIPPED, "eu-west-1"))
    assert {d.name for d in doors} <= {i.what for i in items if i.by.startswith("2 × 730 h")}
    assert not [u for u in unknown if u.startswith("aws:")]


def test_interfaces_let_through_actions_that_aws_has() -> None:
    session = get_session()
    for endpoint, (service, actions) in INTERFACES.items():
        clients = {"sagemaker.runtime": "sagemaker-runtime"}.get(endpoint, service)
        assert set(actions) <= set(session.get_service_model(clients).operation_names), endpoint


def test_the_budget_counts_the_whole_account_unless_told_otherwise() -> None:
    budget = registered("realtime", "dev")["foundation"].only("aws:budgets/budget:Budget").inputs
    assert budget["limitAmount"] == "200.00"
    assert "costFilters" not in budget
    program = rendered(architecture="realtime") / "infra" / "foundation"
    tagged = run_program(program, "dev", config={"budget_scope": "tag"}).only("aws:budgets/budget:Budget").inputs
    assert tagged["costFilters"] == [{"name": "TagKeyValue", "values": ["user:project$churn"]}]


# ---------------------------------------------------------------- registry
def test_only_an_approval_is_told_and_never_a_rejection(stacks: Mapping[str, Registered]) -> None:
    patterns = [json.loads(rule.inputs["eventPattern"]) for rule in stacks["registry"].of(RULE)]
    heard = [p["detail"] for p in patterns if p["source"] == ["aws.sagemaker"]]
    assert heard
    for detail in heard:
        assert detail["ModelApprovalStatus"] == ["Approved"]
        assert detail["ModelPackageGroupName"] == [stacks["registry"].outputs["model_package_group"]]


@pytest.mark.parametrize("stage", STAGES)
def test_a_second_person_is_asked_wherever_an_approval_counts(stage: str) -> None:
    flows = [r for r in registered("realtime", stage)["registry"].resources if r.type.endswith(":ApprovalFlow")]
    assert len(flows) == (stage != "dev")


def test_models_are_kept_and_tags_never_move(stacks: Mapping[str, Registered]) -> None:
    registry = stacks["registry"]
    assert registry.only("aws:sagemaker/modelPackageGroup:ModelPackageGroup").protect
    repository = registry.only("aws:ecr/repository:Repository")
    assert repository.protect
    assert repository.inputs["imageTagMutability"] == "IMMUTABLE"
    assert repository.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
    assert repository.inputs["encryptionConfigurations"][0]["encryptionType"] == "KMS"


def test_model_packages_outlive_even_an_unprotected_registry() -> None:
    program = rendered(architecture="realtime") / "infra" / "registry"
    exports = {"churn-foundation": registered("realtime", "dev")["foundation"].outputs}
    found = run_program(program, "dev", exports=exports, config={"protect": "false"})
    assert found.only("aws:sagemaker/modelPackageGroup:ModelPackageGroup").protect
    assert not found.only("aws:ecr/repository:Repository").protect


# ---------------------------------------------------------------- jobs
def test_every_job_is_isolated_and_encrypted(stacks: Mapping[str, Registered]) -> None:
    asked = [
        step["Arguments"]
        for stack in stacks.values()
        for pipeline in stack.of(PIPELINE)
        for step in jobs(json.loads(pipeline.inputs["pipelineDefinition"])["Steps"])
    ]
    assert len(asked) >= 5
    key = stacks["foundation"].outputs["data_key_arn"]
    for job in asked:
        network = job.get("NetworkConfig", job)  # a training job has it all on one level
        cluster = job.get("ResourceConfig") or job["ProcessingResources"]["ClusterConfig"]
        results = job.get("OutputDataConfig") or job["ProcessingOutputConfig"]
        assert network["EnableNetworkIsolation"] is True
        assert ("VpcConfig" in network) == bool(stacks["foundation"].outputs["subnet_ids"])
        assert results["KmsKeyId"] == key
        assert cluster["VolumeKmsKeyId"] == key


def test_a_failed_run_of_any_pipeline_is_told(stacks: Mapping[str, Registered]) -> None:
    topic = stacks["foundation"].outputs["alerts_topic_arn"]
    for stack in stacks.values():
        for pipeline in stack.of(PIPELINE):
            rule = stack.named(RULE, f"{pipeline.name}-failed")
            detail = json.loads(rule.inputs["eventPattern"])["detail"]
            assert detail["currentPipelineExecutionStatus"] == ["Failed"]
            assert pipeline.urn in rule.dependencies
            assert stack.named(TARGET, f"{pipeline.name}-failed").inputs["arn"] == topic


def test_the_training_pipeline_has_one_door(stacks: Mapping[str, Registered]) -> None:
    training = stacks["training"]
    pipeline = training.only(PIPELINE)
    starters = [r for r, s in training.statements() if "sagemaker:StartPipelineExecution" in listed(s["Action"])]
    assert [r.name for r in starters] == [f"{pipeline.name.replace('training', 'retrain')}-door"]
    door = training.outputs["retrain_door_arn"]
    for schedule in training.of(SCHEDULE):
        assert schedule.inputs["target"]["arn"] == door
    target = training.named(TARGET, "-retrain-drift").inputs
    assert target["arn"] == door
    assert "deadLetterConfig" in target


def test_the_door_listens_for_the_alarm_that_the_monitor_raises(stacks: Mapping[str, Registered]) -> None:
    pattern = json.loads(stacks["training"].named(RULE, "-retrain-drift").inputs["eventPattern"])
    assert pattern["detail"]["alarmName"] == [stacks["monitoring"].outputs["drift_alarm"]]
    assert pattern["detail"]["state"] == {"value": ["ALARM"]}


def test_without_drift_and_schedule_nothing_starts_training() -> None:
    program = rendered(architecture="realtime") / "infra" / "training"
    exports = {r.project: r.outputs for r in registered("realtime", "dev").values()}
    found = run_program(program, "dev", exports=exports, config={"retrain_on_drift": "false", "retrain_schedule": ""})
    assert "aws:sfn/stateMachine:StateMachine" not in found
    assert "retrain_door_arn" not in found.outputs


# ---------------------------------------------------------------- serving
@pytest.mark.parametrize("stage", STAGES)
def test_serving_stands_up_before_there_is_a_model(stage: str) -> None:
    serving = registered("realtime", stage)["serving"]
    assert not {ENDPOINT, CONFIGURATION, MODEL} & {r.type for r in serving.resources}
    assert sorted(a.name.rpartition("-")[2] for a in serving.of(ALARM)) == ["errors", "idle", "latency"]
    assert len(serving.of(ROLE)) == 1
    assert serving.outputs["release"] == ""
    (schedule,) = registered("batch", stage)["serving"].of(SCHEDULE)
    assert schedule.inputs["state"] == "DISABLED"
    assert registered("batch", stage, live=True)["serving"].only(SCHEDULE).inputs["state"] == "ENABLED"


def test_a_model_and_its_configuration_have_no_name_and_outlive_their_successor(serving: Registered) -> None:
    for kind in (MODEL, CONFIGURATION):
        resource = serving.only(kind)
        assert "name" not in resource.inputs
        assert resource.delete_before_replace is False
        assert resource.retain_on_delete


def test_the_alarms_that_take_a_version_back_exist_before_the_endpoint(serving: Registered) -> None:
    endpoint = serving.only(ENDPOINT)
    alarms = [a for a in serving.of(ALARM) if not a.name.endswith("-idle")]  # that is no reason to take a version back
    assert {a.urn for a in alarms} <= endpoint.dependencies
    rollback = endpoint.inputs["deploymentConfig"]["autoRollbackConfiguration"]["alarms"]
    assert sorted(a["alarmName"] for a in rollback) == sorted(a.inputs["name"] for a in alarms)
    for alarm in alarms:
        assert alarm.inputs["dimensions"] == {"EndpointName": endpoint.inputs["name"], "VariantName": "AllTraffic"}
        assert not any("endpoint:Endpoint" in d for d in alarm.dependencies)


def test_an_update_starts_with_as_many_machines_as_autoscaling_keeps(serving: Registered) -> None:
    (variant,) = serving.only(CONFIGURATION).inputs["productionVariants"]
    target = serving.only("aws:appautoscaling/target:Target")
    assert variant["initialInstanceCount"] == target.inputs["minCapacity"] == 2
    assert serving.only(ENDPOINT).urn in target.dependencies


@pytest.mark.parametrize(("strategy", "key"), [("canary", "canarySize"), ("linear", "linearStepSize")])
def test_the_rollout_of_the_use_case_is_the_endpoints(strategy: str, key: str) -> None:
    facts = {"rollout_strategy": strategy, "rollout_step_percent": "20", "rollout_wait_minutes": "7"}
    infra = rendered(architecture="realtime", **facts) / "infra"
    exports = {r.project: r.outputs for r in registered("realtime", "prod").values()}
    found = run_program(infra / "serving", "prod", exports=exports, config={"release": "1"})
    policy = found.only(ENDPOINT).inputs["deploymentConfig"]["blueGreenUpdatePolicy"]
    routing = policy["trafficRoutingConfiguration"]
    assert routing == {
        "type": strategy.upper(), "waitIntervalInSeconds": 420, key: {"type": "CAPACITY_PERCENT", "value": 20},
    }  # fmt: skip
    dev = run_program(
        infra / "serving",
        "dev",
        exports={k.replace("prod", "dev"): v for k, v in exports.items()},
        config={"release": "1"},
    )
    kind = dev.only(ENDPOINT).inputs["deploymentConfig"]["blueGreenUpdatePolicy"]["trafficRoutingConfiguration"]["type"]
    assert kind == "ALL_AT_ONCE"


def test_the_serving_container_is_isolated_and_told_its_stage_and_model(serving: Registered) -> None:
    model = serving.only(MODEL).inputs
    assert model["enableNetworkIsolation"] is True
    assert model["vpcConfig"]["subnets"]
    assert model["primaryContainer"]["environment"] == {
        "AI_FACTORY_STAGE": "prod", "AI_FACTORY_MODEL": "/opt/ml/model", "AI_FACTORY_CAPTURE_RATE": "0",
    }  # fmt: skip
    (source,) = model["primaryContainer"]["modelDataSource"]["s3DataSources"]
    assert source["s3Uri"] == "s3://churn-prod-artifacts-1a2b3c4/releases/7-abc123/"


def test_requests_are_kept_where_the_monitor_looks(serving: Registered) -> None:
    capture = serving.only(CONFIGURATION).inputs["dataCaptureConfig"]
    step = json.loads(
        registered("realtime", "prod", live=True)["monitoring"].only(PIPELINE).inputs["pipelineDefinition"]
    )
    inputs = {i["InputName"]: i["S3Input"]["S3Uri"] for i in step["Steps"][0]["Arguments"]["ProcessingInputs"]}
    assert inputs["rows"] == capture["destinationS3Uri"] + "/"
    assert inputs["model"] == "s3://churn-prod-artifacts-1a2b3c4/releases/7-abc123/"


# ---------------------------------------------------------------- monitoring
def test_the_monitor_needs_no_model_monitor_and_runs_once_there_is_a_release(stacks: Mapping[str, Registered]) -> None:
    kinds = {r.type for r in each(stacks)}
    assert not [k for k in kinds if "monitoringSchedule" in k or "JobDefinition" in k]
    schedule = stacks["monitoring"].only(SCHEDULE).inputs
    assert schedule["scheduleExpression"] == "cron(0 6 * * ? *)"
    assert schedule["state"] == ("ENABLED" if stacks["serving"].outputs["release"] else "DISABLED")


def test_true_values_are_joined_where_the_stack_says_that_there_are_some(stacks: Mapping[str, Registered]) -> None:
    (step,) = json.loads(stacks["monitoring"].only(PIPELINE).inputs["pipelineDefinition"])["Steps"]
    inputs = {i["InputName"]: i["S3Input"]["S3Uri"] for i in step["Arguments"]["ProcessingInputs"]}
    script = " ".join(step["Arguments"]["AppSpecification"]["ContainerArguments"])
    live = bool(stacks["serving"].outputs["release"])
    assert ("labels" in inputs, "--labels" in script) == (live, live)
    assert not live or inputs["labels"] == f"s3://{stacks['foundation'].outputs['data_bucket']}/labels/"


def test_the_drift_alarm_keeps_its_state_between_two_looks(stacks: Mapping[str, Registered]) -> None:
    alarm = stacks["monitoring"].named(ALARM, "-drift").inputs
    shift = stacks["monitoring"].named(ALARM, "-shift").inputs
    schema = stacks["monitoring"].named(ALARM, "-break").inputs
    assert alarm["treatMissingData"] == shift["treatMissingData"] == schema["treatMissingData"] == "ignore"
    assert [(a["namespace"], a["metricName"]) for a in (alarm, shift, schema)] == [
        ("AIFactory", "drift"),
        ("AIFactory", "prediction_shift"),
        ("AIFactory", "schema_break"),
    ]
    script = json.loads(stacks["monitoring"].only(PIPELINE).inputs["pipelineDefinition"])["Steps"][0]["Arguments"]
    text = " ".join(script["AppSpecification"]["ContainerArguments"])
    assert '"Namespace":"AIFactory"' in text
    assert all(f'"{k}":"{v}"' in text for k, v in alarm["dimensions"].items())


def test_the_dashboard_shows_alarms_and_pipelines_that_exist(stacks: Mapping[str, Registered]) -> None:
    body = json.loads(stacks["monitoring"].only("aws:cloudwatch/dashboard:Dashboard").inputs["dashboardBody"])
    shown = next(w["properties"]["alarms"] for w in body["widgets"] if w["type"] == "alarm")
    alarms = {str(r.inputs["name"]) for r in each(stacks) if r.type == ALARM}
    alarms |= {
        str(r.inputs["alarmName"]) for r in each(stacks) if r.type == "aws:cloudwatch/compositeAlarm:CompositeAlarm"
    }
    assert shown
    assert {a.rsplit(":", 1)[1] for a in shown} <= alarms
    pipelines = {r.name for r in each(stacks) if r.type == PIPELINE}
    metrics = [m for w in body["widgets"] if w["type"] == "metric" for m in w["properties"]["metrics"]]
    drawn = {m[m.index("PipelineName") + 1] for m in metrics if "PipelineName" in m}
    assert drawn == pipelines


def test_every_alarm_of_every_stack_reaches_people(stacks: Mapping[str, Registered]) -> None:
    topic = stacks["foundation"].outputs["alerts_topic_arn"]
    alarms = [r for r in each(stacks) if r.type == ALARM]
    assert len(alarms) >= 3
    assert all(a.inputs["alarmActions"] == [topic] for a in alarms)
