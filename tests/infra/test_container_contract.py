"""What the stacks tell a container, and what the runtime in it listens to, are the same words."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer.main
from ai_factory_infra.endpoint_parts import container_environment
from ai_factory_infra.steps import DRIFT_EXIT, monitoring, scoring
from ai_factory_runtime.base.project import PROJECT_VARIABLE, Hooks
from ai_factory_runtime.cli import build_app
from ai_factory_runtime.releases import stages
from ai_factory_runtime.serving import settings
from ai_factory_spec.errors import EXIT_DRIFT
from helpers_infra import ROOT

DOCKERFILE = ROOT / "blueprints" / "project" / "base" / "{{cookiecutter.project_slug}}" / "Dockerfile"
ENVIRONMENT = container_environment({"stage": "prod"})  # type: ignore[typeddict-item]


def commands() -> Mapping[str, Any]:
    """Every command of a project."""
    nothing = Hooks(load=lambda *_: None, features=lambda *_: None, candidates=lambda *_: {})  # type: ignore[arg-type, return-value]
    return typer.main.get_command(build_app("churn", nothing)).commands  # type: ignore[attr-defined, no-any-return]


def options(command: str) -> dict[str, str | None]:
    """Option -> environment variable, of a command of the project."""
    return {p.name: p.envvar for p in commands()[command].params}


def test_the_service_listens_where_sagemaker_knocks_and_knows_its_stage() -> None:
    assert options("serve")["stage"] == "AI_FACTORY_STAGE"
    assert options("serve")["host"] == "AI_FACTORY_HOST"
    assert ENVIRONMENT["AI_FACTORY_STAGE"] == "prod"
    assert "AI_FACTORY_HOST=0.0.0.0" in DOCKERFILE.read_text(encoding="utf-8")


def test_the_model_is_handed_over_under_the_name_that_the_runtime_reads() -> None:
    source = Path(str(stages.__file__)).read_text(encoding="utf-8")
    assert '"AI_FACTORY_MODEL"' in source
    assert ENVIRONMENT["AI_FACTORY_MODEL"] == "/opt/ml/model"
    for script in (scoring("churn", "dev"), monitoring("churn", "dev", project="p", namespace="N", captured=True)):
        assert "export AI_FACTORY_MODEL=/opt/ml/processing/input/model;" in script.statements


def test_the_endpoint_keeps_requests_and_the_container_does_not() -> None:
    assert ENVIRONMENT[settings.CAPTURE_VARIABLE] == "0"


def test_every_job_begins_in_the_images_repository() -> None:
    assert scoring("churn", "dev").statements[0] == f'cd "${PROJECT_VARIABLE}";'
    assert f"{PROJECT_VARIABLE}=/opt/program" in DOCKERFILE.read_text(encoding="utf-8")


def test_the_container_may_write_where_sagemaker_takes_results_from() -> None:
    """SageMaker's folders belong to root: an image with another USER fails on every job and every endpoint."""
    instructions = [line.split()[0] for line in DOCKERFILE.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert "USER" not in instructions


def test_drift_has_one_exit_code() -> None:
    assert DRIFT_EXIT == EXIT_DRIFT


def test_the_module_that_the_monitor_starts_exists() -> None:
    assert importlib.util.find_spec("ai_factory_runtime.serving.endpoint_capture") is not None


def test_the_commands_that_the_jobs_start_exist_with_their_options() -> None:
    assert {"stage", "out", "source"} <= set(options("score"))
    assert {"stage", "source", "labels", "tell"} <= set(options("monitor"))
    assert {"run", "step"} <= set(commands())
