"""Continuous integration keeps the state of its own project and stage, and can neither read nor write another's."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pulumi
import pytest
from ai_factory_infra.deploy_state import state_place
from helpers_deploy import allows, foundation, granted, made
from helpers_infra import ORDER

BUCKET = "arn:aws:s3:::acme-state"
READ, WRITE, DELETE = "s3:GetObject", "s3:PutObject", "s3:DeleteObject"


def of_stack(project: str, stage: str) -> list[str]:
    """What Pulumi keeps of one stack (pkg/backend/diy of pulumi/pulumi: state.go, lock.go, stack_tags.go)."""
    return [
        f"stacks/{project}/{stage}.json",
        f"stacks/{project}/{stage}.json.bak",
        f"stacks/{project}/{stage}.json.gz",
        f"stacks/{project}/{stage}.pulumi-tags",
        f"history/{project}/{stage}/{stage}-1700000000.history.json",
        f"history/{project}/{stage}/{stage}-1700000000.checkpoint.json",
        f"backups/{project}/{stage}/{stage}.1700000000.json",
        f"journal/{project}/{stage}/1.json",
        f"locks/organization/{project}/{stage}/0a1b2c3d.json",
    ]


def test_it_keeps_the_state_of_every_stack_of_its_stage() -> None:
    own = granted(foundation("dev"))
    for stack in ORDER:
        for path in of_stack(f"churn-{stack}", "dev"):
            for action in (READ, WRITE, DELETE):
                assert allows(own, action, f"{BUCKET}/churn/.pulumi/{path}"), path
    assert allows(own, "s3:ListBucket", BUCKET)


@pytest.mark.parametrize(
    ("project", "stage"),
    [
        ("churn-serving", "prod"),
        ("churn-foundation", "staging"),
        ("fraud-serving", "dev"),
        ("churn-eu-serving", "dev"),
        ("churn-servings", "dev"),
        ("churn-serving", "dev2"),
    ],
)
def test_nothing_of_another_stage_or_project_can_be_read_written_or_deleted(project: str, stage: str) -> None:
    own = granted(foundation("dev"))
    for path in of_stack(project, stage):
        for action in (READ, WRITE, DELETE):
            assert not allows(own, action, f"{BUCKET}/churn/.pulumi/{path}"), path


def test_another_folder_or_bucket_and_the_layout_itself_are_out_of_reach() -> None:
    own = granted(foundation("dev"))
    path = of_stack("churn-serving", "dev")[0]
    for place in (f"{BUCKET}/.pulumi/", f"{BUCKET}/fraud/.pulumi/", f"{BUCKET}-2/churn/.pulumi/"):
        assert not allows(own, WRITE, f"{place}{path}"), place
    assert allows(own, READ, f"{BUCKET}/churn/.pulumi/meta.yaml")
    assert not allows(own, WRITE, f"{BUCKET}/churn/.pulumi/meta.yaml")


def test_what_its_wildcards_reach_beside_that_is_never_a_checkpoint() -> None:
    """`*` in a policy spans folders, so a key may hide below another's folder; Pulumi looks only right below it."""
    own = granted(foundation("dev"))
    hidden = "stacks/churn-serving/prod.json/churn-serving/dev/x.json"
    assert allows(own, WRITE, f"{BUCKET}/churn/.pulumi/{hidden}")
    assert len(PurePosixPath(hidden).relative_to("stacks").parts) != 2


def test_state_elsewhere_needs_no_rights_in_a_bucket() -> None:
    assert "KeepState" not in {s["Sid"] for s in granted(made())}
    assert "KeepState" not in {s["Sid"] for s in granted(made(state="https://api.pulumi.com"))}


def test_the_key_of_the_state_is_used_where_it_is_named() -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/state"
    for action in ("kms:Decrypt", "kms:Encrypt"):
        assert allows(granted(made(state="s3://acme-state", state_key_arn=key)), action, key)
        assert not allows(granted(made(state="s3://acme-state")), action, key)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("s3://acme-state", ("acme-state", "")),
        ("s3://acme-state/", ("acme-state", "")),
        ("s3://acme-state/churn?region=x", ("acme-state", "churn/")),
        ("s3://acme-state/ml/churn/?awssdk=v2", ("acme-state", "ml/churn/")),
        ("file://~", ("", "")),
        ("", ("", "")),
    ],
)
def test_the_state_is_read_from_its_address(address: str, place: tuple[str, str]) -> None:
    assert state_place(address) == place


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"state": "s3://acme-state/*"}, "state"),
        ({"state": "s3://ACME"}, "state"),
        ({"project": "churn-dev"}, "project"),
    ],
)
def test_what_rights_could_not_be_bound_to_is_refused(change: dict[str, Any], path: str) -> None:
    with pytest.raises(pulumi.InputPropertiesError) as caught:
        made(**change)
    assert [e["property_path"] for e in caught.value.errors or []] == [path]
