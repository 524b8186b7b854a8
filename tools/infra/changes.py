"""What happens to a running stage, one change after the other, and what each must leave alone. The rig runs this with `--then`.

It stands in the folder of the programs, with `pulumi`, a local back end and the emulator's address in its environment. Each
change prints one line, `change NAME: …`; exit code 1 where one fell short.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import yaml
from life import FellShortError, Life, expect, first, moves, times

OTHER_ACCOUNT = "999999999999"
HALF_WAY = 12  # resources made, of the foundation's sixty or so, when it is killed


def image(life: Life) -> str:
    """A new image makes a new model and configuration, moves the endpoint in place, and keeps the old ones."""
    sagemaker = life.aws("sagemaker")
    before = {c["EndpointConfigName"] for c in sagemaker.list_endpoint_configs()["EndpointConfigs"]}
    life.set("serving", "image_tag", "v2")
    _, done = life.up("serving")
    after = {c["EndpointConfigName"] for c in sagemaker.list_endpoint_configs()["EndpointConfigs"]}
    expect(times(done, "created: aws_sagemaker_model ") >= 1, f"no new model: {done}")
    expect(times(done, "created: aws_sagemaker_endpoint_configuration ") == 1, f"no new configuration: {done}")
    moved = moves(done)
    expect(len(moved) == 1 and not done[moved[0]].startswith(("created", "deleted")), f"not moved in place: {done}")
    expect(
        times(done[moved[0] :], "created: aws_sagemaker_") == 0, f"the endpoint moved before there was where to: {done}"
    )
    expect(times(done, "deleted: aws_sagemaker_") == 0, f"something of the model was deleted: {done}")
    expect(before < after, f"configurations before {before}, after {after}")
    life.settled("serving")
    return f"{len(after - before)} new configuration, {len(before)} old kept, the endpoint moved in place"


def machines(life: Life) -> str:
    """Other machines for a scaled endpoint: AWS takes the update only while nothing scales it, so `make infra-up` sees to that."""
    life.set("serving", "instance_type", "ml.c5.xlarge")
    before = len(life.said())
    # The emulator moves no endpoint, and the command notices that what is live is not what was rolled out.
    life.our_own("up", "--stage", life.stage, "--stacks", "serving", "--yes", may_say="endpoint-rolled-back")
    done = life.said()[before:]
    gone = first(done, "deleted: aws_appautoscaling_target ")
    moved = next(iter(moves(done)), -1)
    back = first(done, "created: aws_appautoscaling_target ", "planned, not applied: aws_appautoscaling_target ")
    expect(0 <= gone < moved < back, f"not taken away, moved and brought back, in this order: {done}")
    expect(times(done, "created: aws_appautoscaling_policy ") == 1, f"nothing says when to scale: {done}")
    life.settled("serving")
    return "scaling taken away, the endpoint moved, scaling brought back"


def retention(life: Life) -> str:
    """Shorter retention changes rules and logs, and replaces nothing."""
    life.set("foundation", "capture_days", "3")
    life.set("foundation", "log_retention_days", "7")
    _, done = life.up("foundation")
    expect(times(done, "deleted:", "created:") == 0, f"something was made or deleted: {done}")
    changed = times(done, "updated:", "planned, not applied:")
    expect(changed >= 1, "nothing changed")
    life.settled("foundation")
    return f"{changed} changed in place, nothing replaced"


def rename(life: Life) -> str:
    """A use case that is called otherwise halfway is refused before anything happens; what it holds stays."""
    refused = []
    for stack in ("foundation", "registry"):
        life.set(stack, "project", "renamed")
        before = len(life.said())
        code, _ = life.up(stack, may_fail=True)
        done = [line for line in life.said()[before:] if not line.startswith("differs")]
        expect(code != 0, f"{stack} took the other name")
        expect(not done, f"{stack} was changed: {done}")
        life.pulumi(stack, "config", "rm", "project")
        life.settled(stack)
        refused.append(stack)
    return f"refused by {' and '.join(refused)}, nothing touched"


FEATURES = """
import pulumi
import pulumi_aws as aws
from ai_factory_infra.feature_store import FeatureStore

names = pulumi.Config().require("features").split(",")
FeatureStore(
    "life-features",
    {
        "groups": {
            "rows": {
                "features": {"id": "String", "at": "String", **dict.fromkeys(names, "Fractional")},
                "record_id": "id",
                "event_time": "at",
            }
        },
        "offline": {"bucket": "lake", "prefix": "features"},
        "kms_key_arn": "arn:aws:kms:eu-west-1:123456789012:key/0a1b2c3d",
    },
    pulumi.ResourceOptions(provider=aws.Provider("features-aws", region="eu-west-1")),
)
"""


def schema(life: Life) -> str:
    """A feature group whose list of features changes is neither replaced nor deleted."""
    with life.program("features", FEATURES):
        life.pulumi("features", "stack", "init")
        life.set("features", "features", "age,income")
        life.up("features")
        life.set("features", "features", "age,income,tenure")
        _, done = life.up("features")
        touched = [line for line in done if not line.startswith("differs")]
        expect(not touched, f"the group was touched: {touched}")
        life.remove("features")
    return "a feature more, and the group as it was"


def by_hand(life: Life) -> str:
    """What somebody deleted in the console is found by a refresh and made again."""
    watch = life.aws("cloudwatch")
    alarms = [a["AlarmName"] for a in watch.describe_alarms()["MetricAlarms"] if a["AlarmName"].endswith("-errors")]
    expect(bool(alarms), "there is no alarm to delete")
    watch.delete_alarms(AlarmNames=alarms[:1])
    code, _ = life.pulumi("serving", "preview", "--refresh", "--expect-no-changes", may_fail=True)
    expect(code != 0, "the refresh did not see it")
    life.pulumi("serving", "refresh", "--yes", "--skip-preview")
    _, done = life.up("serving")
    expect(times(done, "created: aws_cloudwatch_metric_alarm ") == 1, f"not made again: {done}")
    expect(bool(watch.describe_alarms(AlarmNames=alarms[:1])["MetricAlarms"]), "not there again")
    life.settled("serving")
    return f"{alarms[0]} found missing and made again"


def account(life: Life) -> str:
    """In another account than the one that is named nothing is made."""
    stage = life.other_stage
    life.pulumi("foundation", "stack", "init", "--no-select", stage=stage)
    life.set("foundation", "account", OTHER_ACCOUNT, stage)
    before = len(life.said())
    code, _ = life.up("foundation", stage, may_fail=True)
    done = life.said()[before:]
    expect(code != 0 and times(done, "created:", "planned, not applied:") == 0, f"made in the wrong account: {done}")
    life.set("foundation", "account", "", stage)
    life.pulumi("foundation", "stack", "rm", "--yes", "--force", "--preserve-config", stage=stage)
    return "refused before anything was made"


OPEN = """
import pulumi
import pulumi_aws as aws

aws.sns.Topic("open", opts=pulumi.ResourceOptions(provider=aws.Provider("open-aws", region="eu-west-1")))
"""
BROKEN = "encrypted-messages"  # the rule that a topic without a key breaks


def policy(life: Life) -> str:
    """What breaks a rule of the policy pack is stopped in prod before it is made, and only told of in dev."""
    pack, made = ["--policy-pack", str(life.repository / "infra" / "policy")], {}
    with life.program("open", OPEN):
        for stage in ("prod", "dev"):
            life.pulumi("open", "stack", "init", "--no-select", stage=stage)
            before = len(life.said())
            code, said = life.pulumi("open", "up", "--yes", "--skip-preview", *pack, stage=stage, may_fail=True)
            made[stage] = times(life.said()[before:], "created: aws_sns_topic ")
            expect(BROKEN in said, f"{stage} was not told of {BROKEN}:\n{said[-3000:]}")
            expect((code == 0) is (stage == "dev"), f"{stage} ended with {code}:\n{said[-3000:]}")
            life.remove("open", stage)
    expect(made == {"prod": 0, "dev": 1}, f"topics made: {made}")
    return "a topic without a key is stopped in prod and told of in dev"


def interrupted(life: Life) -> str:
    """An `up` that is killed half-way is finished by the next `make infra-up`, lock and half-made resources and all."""
    stage = life.other_stage
    life.pulumi("foundation", "stack", "init", "--no-select", stage=stage)
    before, running = len(life.said()), life.start_up("foundation", stage)
    while times(life.said()[before:], "created:") < HALF_WAY and running.poll() is None:
        time.sleep(0.05)
    expect(running.poll() is None, "it ended before it could be killed")
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    made = times(life.said()[before:], "created:", "planned, not applied:")
    before = len(life.said())
    life.our_own("up", "--stage", stage, "--stacks", "foundation", "--yes")
    done = life.said()[before:]
    life.settled("foundation", stage)
    life.remove("foundation", stage)
    return f"killed after {made}, finished with {times(done, 'created:', 'planned, not applied:')} more"


READ_BACK = ("foundation", "registry")  # the emulator tells of an endpoint and its model less than it was told


def half_made(life: Life) -> str:
    """The worst kill: everything was made and nothing noted. The next `make infra-up` finds it again and makes nothing twice."""
    from ai_factory_infra.automation import (
        half_made as tables,
    )  # not in the last release, whose components `upgrade` begins with

    told = []
    for stack in READ_BACK:
        ids = life.forget(stack, tables.NAMED_BY_AWS)
        before = len(life.said())
        life.our_own("up", "--stage", life.stage, "--stacks", stack, "--yes")
        made = {urn.rsplit("::", 1)[-1] for urn in ids}
        gone = [x for x in life.said()[before:] if x.startswith("deleted: ") and x.rsplit(" ", 1)[-1] in made]
        expect(not gone, f"deleted in {stack}: {gone}")
        now = life.ids(stack)
        other = {urn: (was, now.get(urn)) for urn, was in ids.items() if now.get(urn) != was}
        made_again = {urn for urn in other if urn.split("::")[2].split("$")[-1] in tables.MADE_TWICE_IS_MADE_ONCE}
        expect(other.keys() <= made_again, f"another one in {stack}: {other}")
        life.settled(stack)
        told.append(f"{len(ids)} of {stack}")
    return f"found again: {', '.join(told)}"


def upgrade(life: Life) -> str:
    """Programs of the last release become today's: nothing that is protected or holds data is deleted or replaced."""
    told = []
    for new in sorted((life.repository / "infra").glob("*/Pulumi.yaml"), key=_order):
        stack = new.parent.name
        old = life.programs / stack
        if not old.exists():
            continue
        _take_over(new.parent, old, life.stage)
        _, done = life.up(stack)
        life.settled(stack)
        made, gone = times(done, "created:", "planned, not applied:"), times(done, "deleted:")
        told.append(f"{stack} +{made} -{gone}")
    return ", ".join(told)


def _order(project: Path) -> int:
    known = ("foundation", "registry", "ingestion", "training", "serving", "monitoring")
    return known.index(project.parent.name) if project.parent.name in known else len(known)


def _take_over(new: Path, old: Path, stage: str) -> None:
    """Put a newer program in the place of an older one; what the back end noted in the configuration stays."""
    file = f"Pulumi.{stage}.yaml"
    noted = yaml.safe_load((old / file).read_text(encoding="utf-8"))
    shutil.copytree(new, old, dirs_exist_ok=True)
    document = yaml.safe_load((new / file).read_text(encoding="utf-8"))
    kept = {key: value for key, value in noted.items() if key != "config"}
    (old / file).write_text(yaml.safe_dump({**kept, **document}, sort_keys=False), encoding="utf-8")


CHANGES: dict[str, Callable[[Life], str]] = {
    "image": image,
    "machines": machines,
    "retention": retention,
    "rename": rename,
    "schema": schema,
    "by_hand": by_hand,
    "account": account,
    "policy": policy,
    "half_made": half_made,
    "interrupted": interrupted,
}


def main() -> int:
    """Make the changes that are asked for, each in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("change", nargs="+", choices=[*CHANGES, "upgrade"])
    asked = parser.parse_args()
    life, failed = Life(Path.cwd(), asked.repository, asked.stage), False
    for name in asked.change:
        started = time.monotonic()
        try:
            said = {**CHANGES, "upgrade": upgrade}[name](life)
        except FellShortError as reason:
            failed, said = True, f"FELL SHORT, {reason}"
        except Exception:  # noqa: BLE001 - the changes after it still tell something
            failed, said = True, f"FELL SHORT, {traceback.format_exc()}"
        print(f"change {name} ({time.monotonic() - started:.0f} s): {said}", flush=True)
    life.pulumi("foundation", "stack", "select")  # removing another stack leaves none selected, and the rig names none
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
