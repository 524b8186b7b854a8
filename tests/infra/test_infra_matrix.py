"""What `.ci/infra` holds against the AWS provider: every choice in the whole matrix, every pair of choices in the quick one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

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


SHORT, FINE, MISSING = (
    (1, "change image: FELL SHORT, no new model", 1.0),
    (0, "created: 3", 1.0),
    (3, "no terraform", 1.0),
)
DROPPED = (1, "error: use of closed network connection", 1.0)
Answer = tuple[int, str, float]


def judged(monkeypatch: pytest.MonkeyPatch, *answers: Answer) -> tuple[Any, list[Answer]]:
    """What becomes of a life whose judge answers so, and which answers nobody asked for."""
    judge, left = the_judge(), iter(answers)
    monkeypatch.setattr(judge, "ask", lambda *_: next(left))
    verdicts = judge.Verdicts()
    verdicts.add("life", *judge.ask_again(verdicts, "life", Path()))
    return verdicts, list(left)


def test_what_falls_short_twice_fell_short_and_the_reasons_come_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts, left = judged(monkeypatch, SHORT, SHORT, FINE)
    assert (len(verdicts.failed), left) == (1, [FINE])
    assert "FELL SHORT, no new model" in verdicts.failed[0]
    assert "no new model" in capsys.readouterr().out.split("All that was said")[0]


def test_what_falls_short_once_is_counted_and_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts, _ = judged(monkeypatch, SHORT, FINE)
    assert (verdicts.failed, verdicts.again, verdicts.made) == ([], ["life"], 3)
    assert "no new model" in capsys.readouterr().out


def test_a_dropped_connection_is_tried_thrice_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(monkeypatch, DROPPED, DROPPED, FINE)[0].failed == []
    verdicts, left = judged(monkeypatch, DROPPED, DROPPED, DROPPED, FINE)
    assert (len(verdicts.failed), left) == (1, [FINE])


def test_what_is_missing_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts, left = judged(monkeypatch, MISSING, FINE)
    assert (verdicts.unable, verdicts.again, left) == (1, [], [FINE])


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


def a_life(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> tuple[ModuleType, Any]:
    """A stage with one stack and a `pulumi` that does this."""
    monkeypatch.setenv("AWS_STANDIN_LOG", str(folder / "aws.log"))
    (folder / "foundation").mkdir()
    (folder / "foundation" / "Pulumi.yaml").write_text("name: churn-foundation\n")
    pulumi = folder / "pulumi"
    pulumi.write_text(f"#!/bin/sh\n{does}\n")
    pulumi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    life = tool("life")
    return life, life.Life(folder, folder, "dev")


def test_a_change_that_deletes_what_holds_data_falls_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    life, stage = a_life(
        tmp_path, monkeypatch, f'echo "deleted: aws_s3_bucket churn-dev-data" >> {tmp_path / "aws.log"}'
    )
    with pytest.raises(life.FellShortError, match=r"data was deleted: .*churn-dev-data"):
        stage.up("foundation")


def test_what_an_ended_program_left_running_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = tmp_path / "left"
    _, stage = a_life(tmp_path, monkeypatch, f"sleep 600 >/dev/null 2>&1 & echo $! > {left}")
    stage.up("foundation")
    process = Path("/proc") / left.read_text().strip() / "stat"
    deadline = time.monotonic() + 60
    while _runs(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(process)


def _runs(stat: Path) -> bool:
    """Whether a process does more than wait for somebody to ask how it ended."""
    try:
        return stat.read_text(encoding="utf-8").split()[2] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False
