"""A stack's configuration: every problem at once, with what is allowed; nothing is registered before it is right."""

from __future__ import annotations

import gc
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path

import pytest
from ai_factory_infra.config import ConfigError
from ai_factory_infra.testing import Registered, run_program, run_resources
from helpers_infra import registered, rendered

FOUNDATION = "foundation"
ROLE = "arn:aws:iam::123456789012:role/mine"


def run(stack: str, config: Mapping[str, str], stage: str = "dev", architecture: str = "realtime") -> Registered:
    exports = {r.project: r.outputs for r in registered(architecture, "dev").values()}
    return run_program(rendered(architecture=architecture) / "infra" / stack, stage, exports=exports, config=config)


def test_all_problems_are_said_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        run(
            FOUNDATION,
            {"account": "12345", "monthly_budget": "-1", "network": "internet", "protect": "yes", "project": "X y"},
        )
    said = str(caught.value)
    assert said.startswith("The configuration of churn-foundation, stack dev, is not valid:")
    for part in (
        "account: got '12345'; allowed: twelve digits",
        "monthly_budget: got '-1'; allowed: a number from",
        "network: got 'internet'; allowed: create, existing, skip",
        "protect: got 'yes'; allowed: true, false",
        "project: got 'X y'; allowed: 1 to 40 lower-case letters",
    ):
        assert part in said


def test_a_stage_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    program = shutil.copytree(rendered(architecture="realtime") / "infra" / FOUNDATION, tmp_path / FOUNDATION)
    (program / "Pulumi.production.yaml").write_text((program / "Pulumi.prod.yaml").read_text(encoding="utf-8"))
    with pytest.raises(ConfigError, match="the stack 'production' is no stage; allowed: dev, staging, prod"):
        run_program(program, "production")


def test_a_missing_key_is_named_with_the_command_that_sets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import ai_factory_infra.testing as testing

    whole = testing.settings

    def without_budget(program: object, stage: str) -> tuple[str, dict[str, str]]:
        name, values = whole(program, stage)  # type: ignore[arg-type]
        return name, {k: v for k, v in values.items() if not k.endswith(":monthly_budget")}

    monkeypatch.setattr(testing, "settings", without_budget)
    with pytest.raises(
        ConfigError, match="monthly_budget: missing; set it with `pulumi config set monthly_budget VALUE`"
    ):
        run(FOUNDATION, {})


@pytest.mark.parametrize(
    ("stack", "config", "said"),
    [
        ("serving", {"release": "../other"}, "a folder under releases/"),
        ("serving", {"instances": "0"}, "a whole number from 1 to 100"),
        ("serving", {"instances": "1.5"}, "a whole number from 1 to 100"),
        ("serving", {"rollout_strategy": "slowly"}, "all-at-once, shadow, canary, linear, ab"),
        ("training", {"image_tag": "v 1"}, "1 to 128 letters, digits, dots, hyphens and underscores"),
        ("monitoring", {"command": "churn; rm -rf /"}, "the project command"),
        ("monitoring", {"region": "europe"}, "an AWS region"),
        ("registry", {"permissions_boundary_arn": "boundary"}, "the ARN of an IAM policy"),
        ("foundation", {"subnet_ids": "subnet-1, vpc-2"}, "ids such as subnet-0a1b2c3d"),
    ],
)
def test_a_bad_value_is_refused_with_what_is_allowed(stack: str, config: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(stack, config)
    assert said in str(caught.value)


def test_a_stack_that_reads_what_another_does_not_export_stops() -> None:
    program = rendered(architecture="realtime") / "infra" / "registry"
    with pytest.raises(KeyError, match="data_key_arn"):
        run_program(program, "dev", exports={"churn-foundation": {"alerts_topic_arn": "arn"}})


def test_a_program_that_stops_leaves_nothing_that_warns_of_its_end_in_another() -> None:
    with pytest.raises(KeyError):
        run_program(rendered(architecture="batch") / "infra" / "monitoring", "dev")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run_resources(lambda: None)  # until then Pulumi holds some of it
        gc.collect()
    assert [str(w.message) for w in said if "never awaited" in str(w.message)] == []


def test_the_organization_of_the_references_can_be_set() -> None:
    assert run("registry", {"organization": "acme"}).reads == ["acme/churn-foundation/dev"]


# ------------------------------------------------------------------ keys that nobody reads


def test_a_misspelt_key_is_refused_with_the_one_that_was_meant() -> None:
    with pytest.raises(ConfigError) as caught:
        run(FOUNDATION, {"acount": "111111111111", "databucket": "mine", "zebra": "1", "alert_email": "nobody"})
    said = str(caught.value)
    assert "acount: no setting of this stack; did you mean 'account'?" in said
    assert "databucket: no setting of this stack; did you mean 'data_bucket'?" in said
    assert "zebra: no setting of this stack\n" in said + "\n"
    assert "alert_email: got 'nobody'" in said


def test_a_misspelt_key_is_found_where_pulumi_hands_settings_on_by_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", '{"churn-foundation:acount": "111111111111", "other:acount": "1"}')
    with pytest.raises(ConfigError, match=r"acount: no setting of this stack") as caught:
        run(FOUNDATION, {})
    assert str(caught.value).count("no setting of this stack") == 1


@pytest.mark.parametrize("architecture", ["realtime", "batch"])
def test_a_role_for_a_part_that_a_stack_has_not_is_refused(architecture: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run("training", {"role_arns": f"jobb={ROLE}, run={ROLE}"}, architecture=architecture)
    assert "allowed: roles that exist, by the part that assumes them: job=ARN, run=ARN" in str(caught.value)
    assert "did you mean 'job'?" in str(caught.value)


# ------------------------------------------------------------------ where the stacks may be

STACKS = ("foundation", "registry", "serving", "training", "monitoring")


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("region", ["xx-moon-1", "us-east-9"])
def test_a_region_without_the_services_is_refused_by_every_stack(stack: str, region: str) -> None:
    with pytest.raises(ConfigError, match=f"AWS has no SageMaker in {region}; nearest: "):
        run(stack, {"region": region}, architecture="batch")


@pytest.mark.parametrize(("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_a_region_of_another_partition_is_refused_with_the_reason(region: str, partition: str) -> None:
    with pytest.raises(ConfigError, match=rf"{region} is of the partition {partition} .*written for the partition aws"):
        run(FOUNDATION, {"region": region})
