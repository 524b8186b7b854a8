"""What `.ci/infra` holds against the AWS provider: every choice in the whole matrix, every pair of choices in the quick one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from helpers_infra import ROOT, rendered

TOOLS = ROOT / "tools" / "infra"


def tool(name: str) -> ModuleType:
    """A module of tools/infra, which is no package."""
    spec = importlib.util.spec_from_file_location(f"infra_{name}", TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def the_judge() -> ModuleType:
    sys.path[:0] = [str(TOOLS), str(ROOT / "tests" / "stories")]
    try:
        return tool("judge")
    finally:
        del sys.path[:2]


matrix = tool("matrix")
ARCHITECTURES = {"realtime": ("realtime", "serverless", "async"), "batch": ("jobs",)}


def test_the_matrix_has_every_choice_that_aws_can_carry_and_no_other() -> None:
    cases = matrix.every(ARCHITECTURES)
    assert len(cases) == len(set(cases)) == (5 + 1 + 3 + 1) * 3 * 3 + 4 * 3
    assert not [c for c in cases if c.mode == "serverless" and c.rollout != "all-at-once"]
    assert not [c for c in cases if c.mode == "async" and c.rollout in ("shadow", "ab")]


def test_few_cases_show_every_pair_of_choices() -> None:
    cases = matrix.every(ARCHITECTURES)
    few = matrix.covering(cases)
    assert len(few) < len(cases) / 4
    assert {p for c in few for p in matrix.pairs(c)} == {p for c in cases for p in matrix.pairs(c)}
    assert few == matrix.covering(cases)


@pytest.mark.parametrize(("said", "asked"), [("use of closed network connection", 3), ("AccessDenied", 1)])
def test_a_broken_connection_is_asked_again_and_a_refusal_is_not(tmp_path: Path, said: str, asked: int) -> None:
    judge = the_judge()
    program = tmp_path / "rig.py"
    program.write_text(f"import sys; open('asked', 'a').write('x'); print({said!r}); sys.exit(1)\n", encoding="utf-8")
    code, told, _ = judge.ask_again(
        tmp_path, "-c", f"import os; os.chdir({str(tmp_path)!r}); exec(open('rig.py').read())"
    )
    assert (code, said in told) == (1, True)
    assert (tmp_path / "asked").read_text(encoding="utf-8") == "x" * asked


@pytest.mark.parametrize("mode", ["realtime", "serverless"])
def test_a_case_becomes_configuration_that_the_programs_read(mode: str, tmp_path: Path) -> None:
    judge = the_judge()
    from ai_factory_infra.testing import run_stage

    infra = tmp_path / "infra"
    subprocess.run(["cp", "-r", rendered(architecture="realtime", serving_mode=mode) / "infra", infra], check=True)
    case = matrix.Case("realtime", "dev", mode, matrix.ROLLOUTS[mode][-1], "existing")
    for stack, values in case.settings().items():
        judge.configure(infra / stack / "Pulumi.dev.yaml", values)
    found = run_stage(infra, "dev")
    assert found["foundation"].outputs["subnet_ids"] == ["subnet-0a1b2c3d", "subnet-1a2b3c4d"]
    assert found["serving"].outputs["release"] == "1"
    assert "aws:sagemaker/endpoint:Endpoint" in found["serving"]


def test_where_the_judges_are_missing_that_is_said_and_nothing_fails(tmp_path: Path) -> None:
    environment = {**os.environ, "AWS_RIG_TOOLS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, TOOLS / "judge.py"], text=True, capture_output=True, env=environment, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"infra: not judged, no aws_oracle.py in {tmp_path}\n")


def test_a_word_that_chooses_nothing_is_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "aws_oracle.py").write_text("raise SystemExit(0)\n")
    environment = {**os.environ, "AWS_RIG_TOOLS": str(tmp_path)}
    command = [sys.executable, TOOLS / "judge.py", "--only", "no such case"]
    done = subprocess.run(command, text=True, capture_output=True, env=environment, check=False)
    assert done.returncode == 2
    assert "no line has 'no such case'" in done.stdout


def test_a_change_that_deletes_what_holds_data_falls_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "aws.log"
    monkeypatch.setenv("AWS_STANDIN_LOG", str(log))
    life = tool("life")
    (tmp_path / "foundation").mkdir()
    (tmp_path / "foundation" / "Pulumi.yaml").write_text("name: churn-foundation\n")
    pulumi = tmp_path / "pulumi"
    pulumi.write_text(f'#!/bin/sh\necho "deleted: aws_s3_bucket churn-dev-data" >> {log}\n')
    pulumi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    stage = life.Life(tmp_path, tmp_path, "dev")
    with pytest.raises(life.FellShortError, match=r"data was deleted: .*churn-dev-data"):
        stage.up("foundation")
