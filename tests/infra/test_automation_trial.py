"""Before the first stack is touched every program is run without a cloud: what one refuses comes before anything is made."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ai_factory_infra.__main__ import main
from ai_factory_infra.automation.programs import programs
from ai_factory_infra.automation.trial import refuse, tried
from ai_factory_infra.errors import ProgramRefused
from ai_factory_infra.testing import run_stage
from helpers_automation import ACCOUNT, command, emulator, pulumi_that_counts, signed_in, write_programs
from helpers_infra import render

STATE = {"PULUMI_BACKEND_URL": "file:///nowhere", "PULUMI_CONFIG_PASSPHRASE": "x"}


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with emulator() as address:
        yield address


def setting(infra: Path, stack: str, **values: str) -> None:
    file = infra / stack / "Pulumi.dev.yaml"
    whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    whole["config"] |= {f"churn-{stack}:{key}": value for key, value in values.items()}
    file.write_text(yaml.safe_dump(whole), encoding="utf-8")


WRONG = {
    "batch-region": ("batch", "foundation", {"region": "xx-moon-1"}, "AWS has no SageMaker in xx-moon-1"),
    "canary-one-machine": (
        "realtime",
        "serving",
        {"release": "1", "rollout_strategy": "canary", "instances": "1", "max_instances": "1"},
        "half of the machines",
    ),
    "disks": ("realtime", "serving", {"instance_type": "ml.g5.xlarge"}, "AWS refuses a volume key"),
    "no-machine": ("realtime", "serving", {"instances": "0"}, "a whole number from 1 to 100"),
    "misspelt": ("realtime", "monitoring", {"acount": "1"}, "did you mean 'account'?"),
}


@pytest.mark.parametrize(("architecture", "stack", "config", "said"), WRONG.values(), ids=WRONG)
def test_what_a_late_stack_refuses_is_known_before_the_first_is_made(
    tmp_path: Path, architecture: str, stack: str, config: dict[str, str], said: str
) -> None:
    infra = render(tmp_path, architecture=architecture) / "infra"
    setting(infra, stack, **config)
    found = {t.stack: t for t in tried(programs(infra, "dev"))}
    assert [t.stack for t in found.values() if t.refused] == [stack]
    assert said in found[stack].refused


REFUSES = "from ai_factory_infra.config import ConfigError\nraise ConfigError('acount: no setting of this stack')\n"


@pytest.fixture
def infra(tmp_path: Path) -> Path:
    """Two stacks; the later one refuses what it is told."""
    folder = write_programs(tmp_path / "infra", account=ACCOUNT, reads={"ant": (), "bee": ()})
    (folder / "ant" / "__main__.py").write_text("import pulumi\n", encoding="utf-8")
    (folder / "bee" / "__main__.py").write_text(REFUSES, encoding="utf-8")
    return folder


@pytest.mark.parametrize("verb", ["preview", "up", "check"])
def test_nothing_is_touched_once_a_program_refuses(infra: Path, tmp_path: Path, aws: str, verb: str) -> None:
    calls = pulumi_that_counts(tmp_path / "bin")
    done = command(verb, cwd=tmp_path, path=str(tmp_path / "bin"), **signed_in(aws), **STATE)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Nothing was made or changed, because of what the programs refuse:" in done.stderr
    assert "  bee: acount: no setting of this stack" in done.stderr
    assert "never retrieved" not in done.stderr
    assert calls.read_text(encoding="utf-8").split() == ["version"], "a stack was opened"


def test_a_stack_that_is_not_asked_for_may_be_wrong(infra: Path, tmp_path: Path, aws: str) -> None:
    pulumi_that_counts(tmp_path / "bin")
    arguments = ("check", "--stacks", "ant")
    done = command(*arguments, cwd=tmp_path, path=str(tmp_path / "bin"), **signed_in(aws), **STATE)
    assert done.returncode == 0, done.stderr
    assert "In order: ant." in done.stdout


def test_a_wrong_setting_keeps_nobody_from_destroying(infra: Path, tmp_path: Path, aws: str) -> None:
    calls = pulumi_that_counts(tmp_path / "bin")
    done = command("destroy", cwd=tmp_path, path=str(tmp_path / "bin"), **signed_in(aws), **STATE)
    assert "what the programs refuse" not in done.stderr
    assert "stack" in calls.read_text(encoding="utf-8"), "no stack was opened"


def test_the_estimate_says_what_a_program_refuses(infra: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost", "--infra", str(infra)]) == 1
    assert "  bee: acount: no setting of this stack" in capsys.readouterr().err


def test_what_lies_beside_a_program_is_imported_by_that_program_only(tmp_path: Path) -> None:
    """As Pulumi runs it; two stacks may each have a module of the same name."""
    infra = write_programs(tmp_path, reads={"ant": (), "bee": ()})
    for stack in ("ant", "bee"):
        (infra / stack / "called.py").write_text(f"NAME = {stack!r}\n", encoding="utf-8")
        program = "import pulumi\nfrom called import NAME\npulumi.export('name', NAME)\n"
        (infra / stack / "__main__.py").write_text(program, encoding="utf-8")
    done = run_stage(infra, "dev")
    assert (done["ant"].outputs["name"], done["bee"].outputs["name"]) == ("ant", "bee")
    assert "called" not in sys.modules


def test_a_program_that_cannot_be_tried_is_not_judged_and_says_so(tmp_path: Path) -> None:
    infra = write_programs(
        tmp_path / "others", account=ACCOUNT, reads={"plain": (), "looks": (), "hidden": (), "borrows": ()}
    )
    for name in ("plain", "looks", "hidden", "borrows"):
        (infra / name / "__main__.py").write_text("import pulumi\n", encoding="utf-8")
    (infra / "looks" / "__main__.py").write_text("raise OSError('no answer')\n", encoding="utf-8")
    file = infra / "hidden" / "Pulumi.dev.yaml"
    file.write_text("config:\n  churn-hidden:token:\n    secure: v1:abc\n", encoding="utf-8")
    (infra / "borrows" / "Pulumi.dev.yaml").write_text("environment: [acme/prod]\n", encoding="utf-8")
    found = {t.stack: t for t in tried(programs(infra, "dev"))}
    assert found["plain"].unsure == found["plain"].refused == ""
    assert found["looks"].unsure == "OSError: no answer"
    assert found["hidden"].unsure == "only Pulumi can decrypt token"
    assert found["borrows"].unsure == "it takes settings from a Pulumi environment"
    refuse(found.values())


def test_what_several_programs_refuse_is_said_at_once(tmp_path: Path) -> None:
    infra = render(tmp_path, architecture="batch") / "infra"
    for stack in ("foundation", "registry", "serving", "training", "monitoring"):
        setting(infra, stack, region="us-east-9")
    with pytest.raises(ProgramRefused) as caught:
        refuse(tried(programs(infra, "dev")))
    assert str(caught.value).count("AWS has no SageMaker in us-east-9") == 5
