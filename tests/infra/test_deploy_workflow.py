"""The workflow that deploys holds a token of AWS's only where it deploys, and no key anywhere."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.generate import generate_files
from helpers_infra import ROOT

CI = ROOT / "blueprints" / "ci" / "github"


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> str:
    context = json.loads((CI / "cookiecutter.json").read_text(encoding="utf-8"))
    context |= {"stages": "dev prod", "region": "eu-central-1"}
    out = tmp_path_factory.mktemp("ci")
    generate_files(repo_dir=str(CI), context={"cookiecutter": context}, output_dir=str(out), accept_hooks=False)
    file: Path = out / str(context["project_slug"]) / ".github" / "workflows" / "deploy.yml"
    return file.read_text(encoding="utf-8")


def job(workflow: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(workflow)["jobs"]["deploy"]
    return found


def test_a_person_starts_it_for_a_stage_of_the_use_case(workflow: str) -> None:
    started = yaml.safe_load(workflow)[True]  # YAML 1.1 reads the key `on` as true
    assert list(started) == ["workflow_dispatch"]
    inputs = started["workflow_dispatch"]["inputs"]
    assert inputs["stage"]["options"] == ["dev", "prod"]
    assert inputs["apply"]["default"] is False


def test_the_environment_that_aws_trusts_is_the_stage(workflow: str) -> None:
    assert job(workflow)["environment"] == "${{ inputs.stage }}"


def test_the_token_is_only_where_it_is_needed(workflow: str) -> None:
    assert yaml.safe_load(workflow)["permissions"] == {}
    assert job(workflow)["permissions"] == {"contents": "read", "id-token": "write"}


def test_no_key_is_stored_and_every_action_is_pinned(workflow: str) -> None:
    assert not re.search(r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY)|aws-access-key-id", workflow)
    assert set(re.findall(r"secrets\.(\w+)", workflow)) == {"PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE"}
    used = [s["uses"] for s in job(workflow)["steps"] if "uses" in s]
    assert len(used) == 4
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", u) for u in used)


def test_nothing_but_the_deployment_runs_with_the_role(workflow: str) -> None:
    steps = [s.get("uses", s.get("run", "")) for s in job(workflow)["steps"]]
    role = next(i for i, s in enumerate(steps) if "configure-aws-credentials" in s)
    assert [s.split()[1] for s in steps[role + 1 :]] == ["infra-preview", "infra-up"]
    assert all(s.startswith(("make", "actions/", "pulumi/")) for s in steps[:role])


def test_an_update_under_way_is_never_cut_short(workflow: str) -> None:
    assert yaml.safe_load(workflow)["concurrency"]["cancel-in-progress"] is False
    assert job(workflow)["steps"][-1]["if"] == "${{ inputs.apply }}"
