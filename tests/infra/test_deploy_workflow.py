"""What deploys, on GitHub and on GitLab, holds a token of AWS's only where it deploys, and no key anywhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ai_factory_infra.deploy_trust import TIERS, trust_of
from cookiecutter.generate import generate_files
from helpers_infra import ROOT

CI = ROOT / "blueprints" / "ci"


def baked(host: str, out: Path, **facts: str) -> Path:
    """One CI blueprint of a use case that runs in dev and prod."""
    context = json.loads((CI / host / "cookiecutter.json").read_text(encoding="utf-8"))
    context |= {"stages": "dev prod", "region": "eu-central-1", **facts}
    generate_files(repo_dir=str(CI / host), context={"cookiecutter": context}, output_dir=str(out), accept_hooks=False)
    return out / str(context["project_slug"])


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = baked("github", tmp_path_factory.mktemp("github")) / ".github" / "workflows" / "deploy.yml"
    return file.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return baked("gitlab", tmp_path_factory.mktemp("gitlab")) / ".gitlab-ci.yml"


def job(workflow: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(workflow)["jobs"]["deploy"]
    return found


def test_without_a_foundation_there_is_nothing_to_deploy(tmp_path: Path) -> None:
    written = yaml.safe_load((baked("gitlab", tmp_path, stacks="") / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    assert written["stages"] == ["test"]
    assert {"test", "default", "workflow", "stages"} == set(written)


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


# ---------------------------------------------------------------- GitLab
def test_gitlabs_pipeline_is_one_that_gitlab_takes(pipeline: Path) -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    command = [str(program), "--builtin-schema", "vendor.gitlab-ci", str(pipeline)]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_gitlabs_environments_are_those_that_aws_trusts(pipeline: Path) -> None:
    jobs = yaml.safe_load(pipeline.read_text(encoding="utf-8"))
    assert {name for name in jobs if name.startswith("deploy-")} == {"deploy-dev", "deploy-prod"}
    for stage in ("dev", "prod"):
        environment = jobs[f"deploy-{stage}"]["environment"]
        assert environment == {"name": stage, "deployment_tier": TIERS[stage]}
        subjects = trust_of("gitlab.com/acme/churn", stage).subjects
        assert all(s.endswith(f":deployment_tier:{environment['deployment_tier']}") for s in subjects)
    assert jobs[".deploy"]["id_tokens"] == {"AWS_TOKEN": {"aud": "$CI_SERVER_URL"}}
    assert trust_of("gitlab.com/acme/churn", "prod").audience == "https://gitlab.com"


def test_a_person_starts_gitlabs_deployment_on_main_and_nothing_cuts_it_short(pipeline: Path) -> None:
    jobs = yaml.safe_load(pipeline.read_text(encoding="utf-8"))
    (rule,) = jobs[".deploy"]["rules"]
    assert (rule["if"], rule["when"]) == ("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH", "manual")
    assert jobs[".deploy"]["interruptible"] is False
    assert "id_tokens" not in jobs["test"]
    script = jobs[".deploy"]["script"]
    role = next(i for i, line in enumerate(script) if "AWS_ROLE_ARN" in line)
    assert [line.split()[0] for line in script[role + 1 :]] == ["printf", "make", "make"]
