"""Render the stack blueprints alone, with cookiecutter itself, and run their programs under mocks, once for each case."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ai_factory_infra.testing import Registered, run_stage, run_stage_once
from cookiecutter.generate import generate_files

ROOT = Path(__file__).resolve().parents[1]
STACKS = ROOT / "blueprints" / "stacks"
ARCHITECTURES = ("realtime", "batch")
ORDER = ("foundation", "registry", "serving", "training", "monitoring")  # what a use case has unless it asks for more
STAGES = ("dev", "staging", "prod")
SLUG = "churn"
ONE_FILE_EACH = ("Makefile", "README.md", "pyproject.toml")  # joined by the engine, not by cookiecutter


def render(out: Path, **facts: str) -> Path:
    """Bake every stack blueprint into one folder; returns the project. What is not given has the manifest's default."""
    slug = facts.get("project_slug", SLUG)
    for stack in ORDER:
        bake(out, stack, **facts)
    return out / slug


def bake(out: Path, stack: str, **facts: str) -> None:
    """Bake one stack blueprint into the folder that the others are in."""
    context = json.loads((STACKS / stack / "cookiecutter.json").read_text(encoding="utf-8"))
    context |= {k: v for k, v in facts.items() if k in context}
    generate_files(
        repo_dir=str(STACKS / stack),
        context={"cookiecutter": context},
        output_dir=str(out),
        overwrite_if_exists=True,
        accept_hooks=False,
    )
    for name in ONE_FILE_EACH:
        (out / context["project_slug"] / name).unlink(missing_ok=True)


@functools.cache
def rendered(**facts: str) -> Path:
    """A project rendered once for these facts, kept until the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="stacks-"))
    import atexit

    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return render(folder, **facts)


@functools.cache
def registered(architecture: str, stage: str, *, live: bool = False) -> Mapping[str, Registered]:
    """What all five programs register. `live`: with a release to serve and every option switched on."""
    infra = rendered(architecture=architecture) / "infra"
    if not live:
        return run_stage_once(infra, stage)
    serving = {"release": "7-abc123"} | ({"max_instances": "4"} if architecture == "realtime" else {})
    config = {
        "serving": serving,
        "training": {"retrain_schedule": "0 3 1 * *"},
        "foundation": {"network": "create"},
        "monitoring": {"labels": "true"},
    }
    return run_stage(infra, stage, config=config)
