"""The pages about generating hold: their commands run, in order, as they stand; their manifest is a valid one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml
from ai_factory.loading import load_catalog
from helpers_generator import ROOT, write_blueprint

PAGES = ROOT / "playbooks"


def blocks(page: str, language: str) -> list[str]:
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def shell(script: str, folder: Path) -> str:
    """Run a block of a page with `set -e`; returns what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-ec", script], cwd=folder, env={**os.environ, "PATH": path}, text=True, capture_output=True
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_command_of_generate_a_project_runs(tmp_path: Path) -> None:
    ran = 0
    for block in blocks("generate-a-project.md", "sh"):
        # An environment takes minutes; that its targets exist is enough here, the stories run them.
        shell(re.sub(r"^make ", "make -n ", block, flags=re.MULTILINE), tmp_path)
        ran += block.count("ai-factory ")
    assert ran >= 8
    assert (tmp_path / "churn" / ".ai-factory" / "lock.yaml").is_file()
    assert (tmp_path / "churn-agreed" / "usecase.yaml").is_file()
    assert yaml.safe_load((tmp_path / "usecase.yaml").read_text(encoding="utf-8"))["data"]["target"] == "churned"


def test_the_table_of_blueprints_is_complete() -> None:
    listed = re.findall(
        r"^\| `([a-z]+/[a-z-]+)` \|", (PAGES / "generate-a-project.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(b.id for b in load_catalog())


def test_the_manifest_of_write_a_blueprint_is_valid_and_uses_every_field(tmp_path: Path) -> None:
    from ai_factory.manifest import Manifest

    (text,) = blocks("write-a-blueprint.md", "yaml")
    home = write_blueprint(tmp_path, "stacks/alarms")
    (home / "blueprint.yaml").write_text(text, encoding="utf-8")
    assert [b.id for b in load_catalog(tmp_path)] == ["stacks/alarms"]
    assert set(yaml.safe_load(text)) == set(Manifest.model_fields)
