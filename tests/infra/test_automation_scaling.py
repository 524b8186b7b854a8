"""A change that AWS refuses for a variant that is scaled automatically: its scaling goes first, and the same `up` brings it back."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ai_factory_infra.automation import commands
from ai_factory_infra.automation.progress import Screen
from ai_factory_infra.automation.scaled_variants import CONFIGURATION, TARGET, InTheWay, in_the_way
from ai_factory_infra.errors import NotConfirmed, UpdateFailed
from helpers_automation import ACCOUNT, emulated_endpoint, pulumi_that_acts, write_programs

REGION, ENDPOINT = "eu-west-1", "aws:sagemaker/endpoint:Endpoint"
PASSPHRASE = {"PULUMI_CONFIG_PASSPHRASE": "x"}
NAME = "churn-dev-endpoint"


def urn(kind: str, name: str = NAME) -> str:
    return f"urn:pulumi:dev::churn-serving::{kind}::{name}"


def variants(**machines: str) -> list[dict[str, Any]]:
    return [{"variantName": v, "instanceType": t, "modelName": "m"} for v, t in machines.items()]


def configured(**machines: str) -> dict[str, Any]:
    """The configuration that the endpoint runs, as the state has it."""
    inputs = {"productionVariants": variants(**machines)}
    return {"type": CONFIGURATION, "urn": urn(CONFIGURATION), "id": "config-1", "custom": True, "inputs": inputs}


def state(configuration: Mapping[str, Any], *scaled: str, endpoint: str = NAME) -> list[dict[str, Any]]:
    told = {"name": endpoint, "endpointConfigName": "config-1"}
    target = {"serviceNamespace": "sagemaker", "scalableDimension": "sagemaker:variant:DesiredInstanceCount"}
    return [
        dict(configuration),
        {"type": ENDPOINT, "urn": urn(ENDPOINT), "id": endpoint, "custom": True, "inputs": told},
        *(
            {
                "type": TARGET,
                "urn": urn(TARGET, v),
                "custom": True,
                "inputs": {**target, "resourceId": f"endpoint/{endpoint}/variant/{v}"},
            }
            for v in scaled
        ),
    ]


def plan(**machines: str) -> dict[str, Mapping[str, Any]]:
    """What a preview says when the configuration is replaced and the endpoint told to run the new one."""
    unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
    return {
        urn(CONFIGURATION): {"productionVariants": variants(**machines)},
        urn(ENDPOINT): {"name": NAME, "endpointConfigName": unknown},
    }


def why(resources: Sequence[Mapping[str, Any]], planned: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [str(found) for found in in_the_way(resources, planned, REGION)]


@pytest.fixture(scope="module", autouse=True)
def aws() -> Iterator[str]:
    with emulated_endpoint("rolled-back", "before") as address:
        yield address


# ------------------------------------------------------------------ what is in the way


def test_a_new_instance_type_of_a_scaled_variant_is_in_the_way() -> None:
    resources = state(configured(a="ml.m5.large"), "a")
    assert in_the_way(resources, plan(a="ml.m5.xlarge"), REGION) == (
        InTheWay(urn(TARGET, "a"), NAME, "a", "changes from ml.m5.large to ml.m5.xlarge"),
    )


def test_a_scaled_variant_that_is_taken_out_is_in_the_way_and_the_other_is_not() -> None:
    resources = state(configured(a="ml.m5.large", b="ml.m5.large"), "a", "b")
    assert why(resources, plan(a="ml.m5.large")) == [f"{NAME}: b is taken out"]


def test_another_model_on_the_same_machines_is_not_in_the_way() -> None:
    assert why(state(configured(a="ml.m5.large"), "a"), plan(a="ml.m5.large")) == []


def test_without_autoscaling_nothing_is_in_the_way() -> None:
    assert why(state(configured(a="ml.m5.large")), plan(a="ml.m5.xlarge")) == []


def test_an_endpoint_that_the_plan_leaves_alone_keeps_its_scaling() -> None:
    assert why(state(configured(a="ml.m5.large"), "a"), {}) == []
    untouched = {urn(ENDPOINT): {"name": NAME, "endpointConfigName": "config-1", "deploymentConfig": {}}}
    assert why(state(configured(a="ml.m5.large"), "a"), untouched) == []


def test_machines_that_the_plan_does_not_tell_are_taken_for_others() -> None:
    hidden = {**plan(a="ml.m5.large"), urn(CONFIGURATION): {"productionVariants": "[secret]"}}
    assert why(state(configured(a="ml.m5.large"), "a"), hidden) == [f"{NAME}: a may change its machines"]


def test_what_runs_after_a_rollback_counts_and_not_only_the_state() -> None:
    """AWS went back to ml.m5.large by itself; the state has had ml.m5.xlarge ever since."""
    resources = state(configured(a="ml.m5.xlarge"), "a", endpoint="rolled-back")
    assert why(resources, plan(a="ml.m5.xlarge")) == ["rolled-back: a changes from ml.m5.large to ml.m5.xlarge"]


# ------------------------------------------------------------------ the command


def steps(planned: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A plan as the engine's events tell it."""
    kinds = {urn(CONFIGURATION): ("create-replacement", CONFIGURATION), urn(ENDPOINT): ("update", ENDPOINT)}
    return [
        {"op": op, "urn": u, "type": kind, "new": {"type": kind, "urn": u, "custom": True, "inputs": planned[u]}}
        for u, (op, kind) in kinds.items()
    ]


@pytest.fixture
def session(tmp_path: Path, aws: str, monkeypatch: pytest.MonkeyPatch) -> commands.Session:
    """`up` of one stack on a stand-in for pulumi whose AWS refuses an update while there is a scalable target."""
    infra = write_programs(tmp_path / "infra", account=ACCOUNT, reads={"serving": ()})
    resources, planned = state(configured(a="ml.m5.large"), "a"), plan(a="ml.m5.xlarge")
    pulumi_that_acts(tmp_path / "bin", resources, steps(planned))
    for name, value in {"PATH": str(tmp_path / "bin"), "PULUMI_BACKEND_URL": "file:///x", **PASSPHRASE}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(commands.live_endpoint, "check", lambda *_: [])  # there is no such endpoint on the emulator
    return commands.Session(infra, "dev", yes=True, screen=Screen(io.StringIO()))


def said(session: commands.Session) -> str:
    return str(session.screen._console.file.getvalue())  # type: ignore[attr-defined]


def asked(tmp_path: Path) -> list[str]:
    lines = (tmp_path / "bin" / "calls").read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line.split()[0] in ("preview", "destroy", "up")]


def test_up_takes_the_scaling_away_first_and_the_update_brings_it_back(
    session: commands.Session, tmp_path: Path
) -> None:
    commands.up(session)
    assert asked(tmp_path) == ["preview", "destroy", "up"]
    calls = (tmp_path / "bin" / "calls").read_text(encoding="utf-8")
    (destroyed,) = [line for line in calls.splitlines() if line.startswith("destroy ")]
    assert f"--target {urn(TARGET, 'a')}" in destroyed
    assert "--target-dependents" in destroyed
    assert TARGET in (tmp_path / "bin" / "state").read_text(encoding="utf-8")
    assert f"{NAME}: a changes from ml.m5.large to ml.m5.xlarge: AWS refuses that" in said(session)


def test_nothing_is_taken_away_before_somebody_said_yes(session: commands.Session, tmp_path: Path) -> None:
    with pytest.raises(NotConfirmed):
        commands.up(commands.Session(session.infra, "dev", screen=session.screen))
    assert asked(tmp_path) == ["preview"]
    assert "its scaling is taken away first" in said(session)


@pytest.mark.parametrize("typed", ["", "n\n"], ids=["end of input", "no"])
def test_whoever_does_not_say_yes_is_not_taken_at_it(
    session: commands.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    with pytest.raises(NotConfirmed, match="because you did not say yes"):
        commands.up(commands.Session(session.infra, "dev", screen=session.screen))
    assert asked(tmp_path) == ["preview"]


@pytest.mark.matrix
def test_without_it_the_update_is_refused_as_aws_would(
    session: commands.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "in_the_way", lambda *_: ())
    with pytest.raises(UpdateFailed, match="a scalable target is registered"):
        commands.up(session)


@pytest.mark.matrix
def test_an_update_that_fails_says_what_is_not_scaled(session: commands.Session, tmp_path: Path) -> None:
    (tmp_path / "bin" / "after").unlink()
    with pytest.raises(UpdateFailed):
        commands.up(session)
    assert f"{NAME}: a is not scaled until an `up` goes through." in said(session)


def test_an_update_that_fails_once_scaling_is_back_says_nothing_of_it(
    session: commands.Session, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "fails").touch()
    with pytest.raises(UpdateFailed, match="the last resource failed"):
        commands.up(session)
    assert TARGET in (tmp_path / "bin" / "state").read_text(encoding="utf-8")
    assert "is not scaled" not in said(session)


@pytest.mark.matrix
def test_an_update_that_leaves_no_readable_state_still_tells_why_it_failed(
    session: commands.Session, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "breaks").touch()
    with pytest.raises(UpdateFailed, match="the disk is full"):
        commands.up(session)
    assert f"{NAME}: a may not be scaled until an `up` goes through." in said(session)
