"""The stack blueprints render to clean Python and valid YAML whatever the use case leaves out, and to nothing that shadows Python."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ai_factory_infra.testing import run_stage
from helpers_infra import ARCHITECTURES, ORDER, ROOT, SLUG, STACKS, STAGES, render, rendered

BARE = {
    "account_dev": "", "account_staging": "", "account_prod": "", "retrain_schedule": "", "retrain_on_drift": "false",
    "cooldown_hours": "0", "project_slug": "1", "monthly_budget": "0.5", "region": "eu-north-1", "risk_tier": "high",
}  # fmt: skip
FULL = {
    "account_dev": "000000000001", "account_prod": "123456789012", "retrain_schedule": "0 3 1 * *", "project_slug": "0" * 40,
    "rollout_strategy": "linear", "rollout_step_percent": "50", "rollout_wait_minutes": "30",
}  # fmt: skip


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("facts", [BARE, FULL], ids=["bare", "full"])
def test_every_use_case_gives_programs_that_run(tmp_path: Path, architecture: str, facts: dict[str, str]) -> None:
    infra = render(tmp_path, architecture=architecture, **facts) / "infra"
    for stage in STAGES:
        found = run_stage(infra, stage)
        assert list(found) == list(ORDER)
        account = facts.get(f"account_{stage}")
        provider = found["foundation"].only("pulumi:providers:aws").inputs
        assert provider.get("allowedAccountIds") == (f'["{account}"]' if account else None)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_python_is_clean(architecture: str) -> None:
    project = rendered(architecture=architecture)
    rules = ["--isolated", "--line-length", "120", "--target-version", "py311"]
    checks = ["check", "--select", "B,E,F,I,UP,A,C4,N,PIE,PT,RET,SIM,W", "--ignore", "E501"]
    ruff = [sys.executable, "-m", "ruff"]
    for command in ([*ruff, *checks, *rules], [*ruff, "format", "--check", *rules]):
        done = subprocess.run([*command, str(project)], text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nothing_is_left_unrendered_and_every_program_is_there(architecture: str) -> None:
    project = rendered(architecture=architecture)
    files = [p for p in project.rglob("*") if p.is_file() and p.suffix in (".py", ".yaml", ".json")]
    assert not [p for p in files if "cookiecutter" in p.read_text(encoding="utf-8")]
    stage_files = {f"Pulumi.{s}.yaml" for s in STAGES}
    for stack in ORDER:
        assert {p.name for p in (project / "infra" / stack).iterdir()} == {
            "Pulumi.yaml",
            "__main__.py",
            *stage_files,
            *(["pipeline.json"] if stack == "training" else []),
        }
        assert (project / "tests" / "infra" / f"test_{stack}_stack.py").exists()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_no_program_or_folder_is_named_like_a_module_of_python(architecture: str) -> None:
    infra = rendered(architecture=architecture) / "infra"
    names = {p.stem for p in infra.rglob("*.py")} | {p.name for p in infra.iterdir()}
    assert names - {"__main__", "policy"} == set(ORDER)
    assert set(ORDER).isdisjoint(sys.stdlib_module_names)
    components = {p.stem for p in (ROOT / "components" / "ai_factory_infra").glob("*.py")}
    assert components.isdisjoint(sys.stdlib_module_names)


def test_every_stage_switches_the_default_provider_off() -> None:
    infra = rendered(architecture="realtime") / "infra"
    for stack in ORDER:
        for stage in STAGES:
            settings = yaml.safe_load((infra / stack / f"Pulumi.{stage}.yaml").read_text(encoding="utf-8"))["config"]
            assert settings["pulumi:disable-default-providers"] == ["aws"]
            keys = {k for k in settings if not k.startswith("pulumi:")}
            assert keys
            assert all(k.startswith(f"{SLUG}-{stack}:") for k in keys)


def test_every_setting_of_a_stage_is_one_that_its_program_reads() -> None:
    """A misspelt key in a file would otherwise be a setting without effect."""
    for architecture in ARCHITECTURES:
        infra = rendered(architecture=architecture) / "infra"
        shared = (ROOT / "components" / "ai_factory_infra" / "config.py").read_text(encoding="utf-8")
        for stack in ORDER:
            program = (infra / stack / "__main__.py").read_text(encoding="utf-8")
            read = set(
                re.findall(
                    r"^    (\w+): [\w\[\], .]+ = (?:text|choice|number|whole|flag|names|pairs|roles|aws_region)\(",
                    program + shared,
                    re.M,
                )
            )
            for file in (infra / stack).glob("Pulumi.*yaml"):
                settings = yaml.safe_load(file.read_text(encoding="utf-8"))["config"]
                keys = {k.split(":")[-1] for k in settings if not k.startswith("pulumi:")}
                assert keys <= read, (file, keys - read)


def test_every_stack_says_when_not_to_use_it_or_what_it_costs() -> None:
    for stack in ORDER:
        text = (STACKS / stack / "README.md").read_text(encoding="utf-8")
        assert text.startswith(f"# stacks/{stack}\n")
        assert "cost" in text


CLAIMS = {
    "foundation": "test_every_bucket_is_closed_versioned_encrypted_and_kept",
    "training": "test_the_jobs_are_this_repositorys_own_steps_without_a_network",
    "monitoring": "test_drift_is_told_and_heard_by_the_door_to_training[prod]",
}


@pytest.mark.slow
@pytest.mark.matrix
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_generated_tests_notice_a_broken_stack(tmp_path: Path, architecture: str) -> None:
    project = render(tmp_path, architecture=architecture)
    claims = [f"tests/infra/test_{stack}_stack.py::{claim}" for stack, claim in CLAIMS.items()]

    def own_tests() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", *claims]
        return subprocess.run(command, cwd=project, text=True, capture_output=True, check=False)

    done = own_tests()
    assert done.returncode == 0, done.stdout
    breaks = {
        "foundation": ('"protect": config.protect,\n            **', '"protect": False,\n            **'),
        "training": ('.read_text(encoding="utf-8")', '.read_text(encoding="utf-8").replace(\'"register"\', \'"run"\')'),
        "monitoring": ('"stage": stage.name,\n        "image"', '"stage": "dev",\n        "image"'),
    }
    for stack, (old, new) in breaks.items():
        program = project / "infra" / stack / "__main__.py"
        text = program.read_text(encoding="utf-8")
        assert old in text
        program.write_text(text.replace(old, new), encoding="utf-8")
    said = own_tests().stdout
    assert [claim for claim in claims if f"FAILED {claim}" not in said] == []
