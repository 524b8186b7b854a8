"""One registry for stages in two accounts: what a pipeline over there asks for is what is granted here, and nothing approves."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import pulumi
import pytest
from ai_factory_infra.config import ConfigError
from ai_factory_infra.shared_registry import PACKAGES, RegistryPlace
from ai_factory_infra.statement_rules import listed, statements
from ai_factory_infra.testing import Registered, run_program
from helpers_infra import bake, rendered

DEV, PROD, ELSEWHERE = "111122223333", "777788889999", "999900001111"
ACCOUNTS = {"dev": DEV, "prod": PROD}
SHARED = {
    "account_dev": DEV,
    "account_prod": PROD,
    "registry_account": PROD,
    "registry_stage": "prod",
    "stage_accounts": f"dev={DEV},prod={PROD}",
    "repository": "github.com/acme/churn",
}
GROUP = f"arn:aws:sagemaker:eu-west-1:{PROD}:model-package-group/churn-prod"
VERSION = f"arn:aws:sagemaker:eu-west-1:{PROD}:model-package/churn-prod/7"
REPOSITORY = f"arn:aws:ecr:eu-west-1:{PROD}:repository/churn-prod"
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
PIPELINE, FLOW = "aws:sagemaker/pipeline:Pipeline", "aws:sfn/stateMachine:StateMachine"
GROUP_POLICY, REPOSITORY_POLICY = (
    "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy",
    "aws:ecr/repositoryPolicy:RepositoryPolicy",
)


@functools.cache
def stage(name: str, **facts: str) -> Mapping[str, Registered]:
    """Foundation, registry and training of one stage, in that stage's own account."""
    infra = rendered(architecture="realtime", **(facts or SHARED)) / "infra"
    done = dict[str, Registered]()
    for stack in ("foundation", "registry", "training"):
        exports = {r.project: r.outputs for r in done.values()}
        done[stack] = run_program(infra / stack, name, exports=exports, account=ACCOUNTS[name])
    return done


def said(policy: list[Mapping[str, Any]], action: str, resource: str, account: str | None = None) -> set[str]:
    """The effects of the statements that meet a request, those with conditions aside; `account`: whose principal asks."""
    return {
        s["Effect"]
        for s in policy
        if any(fnmatchcase(action, a) for a in listed(s["Action"]))
        and any(fnmatchcase(resource, r) for r in listed(s.get("Resource", resource)))
        and (account is None or f"arn:aws:iam::{account}:root" in listed(s["Principal"]["AWS"]))
    }


def policy_of(found: Registered, role: str) -> list[Mapping[str, Any]]:
    return statements(found.named("aws:iam/rolePolicy:RolePolicy", role).inputs["policy"])


def boundary() -> list[Mapping[str, Any]]:
    found = stage("dev")["foundation"].named("aws:iam/policy:Policy", "-deploy-boundary")
    return statements(found.inputs["policy"])


def shared(kind: str) -> list[Mapping[str, Any]]:
    found = stage("prod")["registry"].only(kind).inputs
    return statements(found.get("resourcePolicy") or found["policy"])


def registration() -> Mapping[str, Any]:
    """What the pipeline of dev asks of CreateModelPackage."""
    document = json.loads(stage("dev")["training"].only(PIPELINE).inputs["pipelineDefinition"])
    (passed,) = [s for s in document["Steps"] if s["Type"] == "Condition"]
    (step,) = [s for s in passed["Arguments"]["IfSteps"] if s["Type"] == "RegisterModel"]
    arguments: Mapping[str, Any] = step["Arguments"]
    return arguments


def test_the_stage_in_the_registrys_account_makes_it_and_the_other_brings_it_along() -> None:
    made = {r.type for r in stage("dev")["registry"].resources}
    assert made == {"pulumi:providers:aws", "ai-factory:index:ModelRegistry"}
    assert stage("dev")["registry"].outputs == {
        "model_package_group": GROUP,
        "repository_arn": REPOSITORY,
        "repository_url": f"{PROD}.dkr.ecr.eu-west-1.amazonaws.com/churn-prod",
    }
    assert FLOW in stage("prod")["registry"]
    assert stage("prod")["registry"].outputs["model_package_group"] == "churn-prod"


@pytest.mark.parametrize("action", ["sagemaker:CreateModelPackage", "sagemaker:DescribeModelPackage"])
def test_a_pipeline_over_there_may_add_a_version_as_far_as_both_accounts_are_asked(action: str) -> None:
    """Across accounts IAM wants both sides: the role's policy, under its boundary, and the group's."""
    assert registration()["ModelPackageGroupName"] == GROUP
    assert registration()["ModelApprovalStatus"] == "PendingManualApproval"
    run = [s for s in policy_of(stage("dev")["training"], "-training-run") if not s.get("Condition")]
    for policy, account in ((run, None), (boundary(), None), (shared(GROUP_POLICY), DEV)):
        assert said(policy, action, VERSION, account) == {"Allow"}
    assert said(shared(GROUP_POLICY), "sagemaker:CreateModelPackage", GROUP, DEV) == {"Allow"}
    assert said(shared(GROUP_POLICY), "sagemaker:DescribeModelPackageGroup", GROUP, DEV) == {"Allow"}


def test_nobody_over_there_approves_or_pushes_and_training_makes_no_approved_version() -> None:
    assert said(shared(GROUP_POLICY), "sagemaker:UpdateModelPackage", VERSION, DEV) == set()
    assert said(shared(GROUP_POLICY), "sagemaker:DeleteModelPackage", VERSION, DEV) == set()
    assert said(shared(REPOSITORY_POLICY), "ecr:PutImage", REPOSITORY, DEV) == set()
    run = policy_of(stage("dev")["training"], "-training-run")
    assert said(run, "sagemaker:UpdateModelPackage", VERSION) == {"Deny"}
    approved = [s for s in run if s["Effect"] == "Deny" and "sagemaker:CreateModelPackage" in s["Action"]]
    assert [s["Condition"] for s in approved] == [{"StringEquals": {"sagemaker:ModelApprovalStatus": "Approved"}}]
    assert set(approved[0]["Resource"]) == {GROUP, VERSION.replace("/7", "/*")}


@pytest.mark.parametrize("role", ["-training-run", "-training-job"])
def test_containers_over_there_are_pulled_from_the_shared_repository(role: str) -> None:
    image = registration()["InferenceSpecification"]["Containers"][0]["Image"]
    assert image == f"{PROD}.dkr.ecr.eu-west-1.amazonaws.com/churn-prod:v1"
    for action in PULL:
        assert said(policy_of(stage("dev")["training"], role), action, REPOSITORY) == {"Allow"}
        assert said(boundary(), action, REPOSITORY) == {"Allow"}
        assert said(shared(REPOSITORY_POLICY), action, REPOSITORY, DEV) == {"Allow"}


@pytest.mark.parametrize(("name", "other"), [("dev", PROD), ("prod", DEV)])
def test_the_files_of_a_version_are_read_and_opened_by_the_account_that_shares_the_registry(
    name: str, other: str
) -> None:
    foundation = stage(name)["foundation"]
    bucket = foundation.named("aws:s3/bucketPolicy:BucketPolicy", "-artifacts")
    arn = f"arn:aws:s3:::{bucket.inputs['bucket']}"
    policy = [s for s in statements(bucket.inputs["policy"]) if s["Effect"] == "Allow"]
    policy = json.loads(json.dumps(policy).replace(policy[0]["Resource"].split("/pipelines")[0], arn))
    uri = f"{arn}/pipelines/run/package/model/model.bin"
    assert said(policy, "s3:GetObject", uri, other) == {"Allow"}
    assert said(policy, "s3:ListBucket", arn, other) == {"Allow"}
    assert said(policy, "s3:GetObject", f"{arn}/project/registry.db", other) == set()
    assert said(policy, "s3:PutObject", uri, other) == set()
    key = foundation.named("aws:kms/key:Key", "-key-data").inputs["policy"]
    assert said(statements(key), "kms:Decrypt", "key", other) == {"Allow"}
    assert said(statements(key), "kms:CreateGrant", "key", other) == set()
    for part in ("-key-alerts", "-key-logs"):
        assert other not in foundation.named("aws:kms/key:Key", part).inputs["policy"]


def test_the_files_that_a_version_refers_to_are_in_the_folder_that_is_shared() -> None:
    source = registration()["InferenceSpecification"]["Containers"][0]["ModelDataSource"]["S3DataSource"]["S3Uri"]
    assert source["Std:Join"]["Values"][0] == {
        "Get": "Steps.evaluate.ProcessingOutputConfig.Outputs['package'].S3Output.S3Uri"
    }
    document = stage("dev")["training"].only(PIPELINE).inputs["pipelineDefinition"]
    (evaluate,) = [s for s in json.loads(document)["Steps"] if s["Name"] == "evaluate"]
    outputs = {o["OutputName"]: o["S3Output"] for o in evaluate["Arguments"]["ProcessingOutputConfig"]["Outputs"]}
    assert outputs["package"]["S3Uri"]["Std:Join"]["Values"][0].endswith(f"/{PACKAGES}")


def test_the_flow_knows_the_trainers_of_every_stage() -> None:
    definition = stage("prod")["registry"].only(FLOW).inputs["definition"]
    for name in ("dev", "staging", "prod"):
        assert f":assumed-role/churn-{name}-training" in definition


def test_two_persons_in_a_stage_that_brings_the_registry_along_are_refused_with_the_reason() -> None:
    infra = rendered(architecture="realtime", **SHARED) / "infra"
    exports = {"churn-foundation": stage("dev")["foundation"].outputs}
    with pytest.raises(pulumi.InputPropertiesError, match=r"the flow stands where the group is.*two_persons") as caught:
        run_program(infra / "registry", "dev", exports=exports, config={"two_persons": "true"})
    assert [e["property_path"] for e in caught.value.errors or []] == ["group"]


def test_a_registry_that_another_stage_is_said_to_make_must_be_in_its_account() -> None:
    infra = rendered(architecture="realtime", **SHARED) / "infra"
    exports = {"churn-foundation": stage("dev")["foundation"].outputs}
    with pytest.raises(ConfigError, match=f"registry_stage: got 'dev', whose account is {DEV}"):
        run_program(infra / "registry", "dev", exports=exports, config={"registry_stage": "dev"})


def test_a_registry_that_somebody_else_keeps_is_brought_along_by_every_stage() -> None:
    place = RegistryPlace("churn", "prod", "eu-west-1", ELSEWHERE, "", ACCOUNTS)
    assert not place.is_made_here
    assert place.group_arn == f"arn:aws:sagemaker:eu-west-1:{ELSEWHERE}:model-package-group/churn"
    assert place.other_accounts == (DEV, ELSEWHERE)


def test_without_a_shared_registry_no_other_account_is_named_anywhere() -> None:
    place = RegistryPlace("churn", "prod", "eu-west-1", accounts=ACCOUNTS)
    assert (place.is_made_here, place.name, place.other_accounts, place.brought_arns) == (True, "churn-prod", (), ())
    assert place.trainers == ("churn-prod-training",)


def test_stages_in_one_account_share_a_registry_without_naming_anybody() -> None:
    place = RegistryPlace("churn", "dev", "eu-west-1", PROD, "prod", {"dev": PROD, "prod": PROD})
    assert (place.is_made_here, place.other_accounts) == (False, ())
    assert place.brought_arns == (GROUP, REPOSITORY)


def test_the_stage_files_ask_for_two_persons_only_where_the_registry_is_made(tmp_path: Any) -> None:
    bake(tmp_path, "registry", **SHARED)
    bake(tmp_path / "own", "registry")
    for folder, wanted in ((tmp_path, "false false true"), (tmp_path / "own", "false true true")):
        found = [
            (folder / f"churn/infra/registry/Pulumi.{s}.yaml").read_text(encoding="utf-8").partition("two_persons: ")[2]
            for s in ("dev", "staging", "prod")
        ]
        assert [text.splitlines()[0].strip('"') for text in found] == wanted.split()
