"""`make infra-up` and its siblings: the stacks in order, back in reverse, and the endpoint asked what it runs."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from helpers_infra import STACKS

FRAGMENT = STACKS / "foundation" / "{{cookiecutter.project_slug}}" / "Makefile"
ORDER = "foundation registry serving monitoring training"
NEEDED = ("sh", "make", "mkdir", "touch")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The fragment as the engine joins it, an environment that is ready, and nothing on PATH but a shell and make."""
    text = FRAGMENT.read_text(encoding="utf-8").replace("{{ cookiecutter.stacks }}", ORDER)
    text = text.replace('{{ cookiecutter.stacks.split() | reverse | join(" ") }}', " ".join(reversed(ORDER.split())))
    assert "{{" not in text
    (tmp_path / "Makefile").write_text(
        f"VENV := .venv\nPY := $(VENV)/bin/python\nSTAGE ?= dev\n{text}", encoding="utf-8"
    )
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".ready").touch()
    (tmp_path / "infra" / "serving").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    for name in NEEDED:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    return tmp_path


def with_pulumi(project: Path, script: str = "") -> None:
    """A stand-in that writes down how it is called."""
    program = project / "bin" / "pulumi"
    program.write_text(f'#!/bin/sh\necho "$*" >> {project}/calls\n{script}\n', encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def make(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(project / "bin"), "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        ["make", *arguments], cwd=project, env=environment, text=True, capture_output=True, check=False
    )


def calls(project: Path) -> list[str]:
    return (project / "calls").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("target", ["infra-preview", "infra-up", "infra-destroy"])
def test_without_pulumi_it_says_how_to_get_it(project: Path, target: str) -> None:
    done = make(project, target)
    assert done.returncode != 0
    assert "The program pulumi is missing. https://www.pulumi.com/docs/install/ says how" in done.stderr


def test_up_goes_in_order_and_then_asks_what_the_endpoint_runs(project: Path) -> None:
    with_pulumi(project)
    assert make(project, "infra-up", "STAGE=prod").returncode == 0
    ups = [c.split()[1] for c in calls(project) if " up " in c]
    assert ups == [f"infra/{s}" for s in ORDER.split()]
    assert calls(project)[-1] == (
        "-C infra/serving refresh --stack prod --preview-only --expect-no-changes --target **aws:sagemaker/endpoint:Endpoint::**"
    )


def test_an_endpoint_that_runs_something_else_fails_the_update(project: Path) -> None:
    with_pulumi(project, 'case "$*" in *refresh*) exit 7;; esac')
    done = make(project, "infra-up")
    assert done.returncode != 0
    assert "The endpoint does not run what was rolled out" in done.stderr


def test_up_stops_at_the_first_stack_that_fails(project: Path) -> None:
    with_pulumi(project, 'case "$*" in *registry\\ up*) exit 1;; esac')
    assert make(project, "infra-up").returncode != 0
    assert [c.split()[1] for c in calls(project) if " up " in c] == ["infra/foundation", "infra/registry"]


def test_destroy_goes_backwards(project: Path) -> None:
    with_pulumi(project)
    assert make(project, "infra-destroy").returncode == 0
    assert [c.split()[1] for c in calls(project)] == [f"infra/{s}" for s in reversed(ORDER.split())]


def test_a_preview_says_where_it_stopped(project: Path) -> None:
    with_pulumi(project, 'case "$*" in *registry\\ preview*) exit 1;; esac')
    done = make(project, "infra-preview")
    assert done.returncode != 0
    assert "Stopped at registry. A stack can be previewed once those before it are up" in done.stderr
