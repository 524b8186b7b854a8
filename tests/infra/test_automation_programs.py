"""The order of the stacks comes from what they read; stages and stacks that are not there are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_factory_infra.automation.backend import state_url
from ai_factory_infra.automation.programs import chosen, programs
from ai_factory_infra.errors import ProgramRefused, StackNotFound, StackOrderError
from helpers_automation import write_programs
from helpers_infra import rendered


def test_stacks_come_after_those_they_read(tmp_path: Path) -> None:
    found = programs(write_programs(tmp_path), "dev")
    assert [p.stack for p in found] == ["foundation", "registry", "serving", "monitoring"]


def test_the_stacks_of_a_real_repository_have_an_order() -> None:
    order = [p.stack for p in programs(rendered() / "infra", "prod")]
    assert order[:2] == ["foundation", "registry"]
    assert {"serving", "training", "monitoring"} <= set(order)


def test_a_stack_of_ones_own_takes_its_place(tmp_path: Path) -> None:
    infra = write_programs(tmp_path, reads={"zebra": (), "ant": ("zebra",), "foundation": ()})
    assert [p.stack for p in programs(infra, "dev")] == ["foundation", "zebra", "ant"]


def test_settings_are_read_with_the_stages_own_winning(tmp_path: Path) -> None:
    serving = programs(write_programs(tmp_path, account="111122223333"), "dev")[2]
    assert (serving.project, serving.account, serving.region) == ("churn-serving", "111122223333", "eu-west-1")


def test_a_circle_is_refused_by_its_names(tmp_path: Path) -> None:
    infra = write_programs(tmp_path, reads={"a": ("b",), "b": ("a",)})
    with pytest.raises(StackOrderError, match=r"in a circle: a reads b reads a|in a circle: b reads a reads b"):
        programs(infra, "dev")


def test_reading_what_is_not_there_is_refused_all_at_once(tmp_path: Path) -> None:
    infra = write_programs(tmp_path, reads={"a": ("x",), "b": ("y",)})
    with pytest.raises(StackOrderError) as refused:
        programs(infra, "dev")
    assert "a reads x, which is not there" in str(refused.value)
    assert "b reads y, which is not there" in str(refused.value)


def test_a_stage_that_no_stack_has_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(StackNotFound, match=r"serving/Pulumi\.staging\.yaml") as refused:
        programs(write_programs(tmp_path, stages=("dev", "prod")), "staging")
    assert refused.value.hint == "Stages that every stack has: dev, prod."


def test_a_folder_without_a_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackNotFound, match="holds no Pulumi program"):
        programs(tmp_path, "dev")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("Pulumi.yaml", b"name: [\n", "registry/Pulumi.yaml cannot be read: "),
        ("Pulumi.dev.yaml", b"config: {a: \xff}\n", "registry/Pulumi.dev.yaml cannot be read: "),
        ("Pulumi.dev.yaml", b"- 1\n", "registry/Pulumi.dev.yaml holds no mapping of settings"),
        ("Pulumi.dev.yaml", b"config: [a]\n", "registry/Pulumi.dev.yaml holds no mapping of settings"),
        ("__main__.py", b"def (\n", "__main__.py, line 1"),
    ],
)
def test_files_that_cannot_be_read_are_refused_all_at_once(tmp_path: Path, file: str, text: bytes, said: str) -> None:
    infra = write_programs(tmp_path)
    for stack in ("registry", "serving"):
        (infra / stack / file).write_bytes(text)
    with pytest.raises(ProgramRefused) as refused:
        programs(infra, "dev")
    assert all(f"  {stack}: " in str(refused.value) for stack in ("registry", "serving"))
    assert said in str(refused.value)


@pytest.mark.parametrize("state", ["", "s3://acme-pulumi-state", "file://~"])
def test_one_setting_says_where_every_stack_keeps_its_state(state: str) -> None:
    found = programs(rendered(state_backend=state) / "infra", "dev")
    assert {p.backend for p in found} == {state}


def test_the_environment_wins_over_the_setting() -> None:
    serving = programs(rendered(state_backend="s3://acme-pulumi-state") / "infra", "dev")[-1]
    assert state_url(serving, {}) == "s3://acme-pulumi-state"
    assert state_url(serving, {"PULUMI_BACKEND_URL": "file://~"}) == "file://~"


def test_only_the_stacks_that_are_named_are_taken_in_order(tmp_path: Path) -> None:
    found = programs(write_programs(tmp_path), "dev")
    assert [p.stack for p in chosen(found, ("monitoring", "registry"), tmp_path)] == ["registry", "monitoring"]
    assert chosen(found, (), tmp_path) == found


def test_a_stack_that_is_not_there_is_refused_with_those_there_are(tmp_path: Path) -> None:
    found = programs(write_programs(tmp_path), "dev")
    with pytest.raises(StackNotFound, match="has no stack servin") as refused:
        chosen(found, ("servin",), tmp_path)
    assert refused.value.hint == "There are: foundation, registry, serving, monitoring."
