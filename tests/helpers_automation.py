"""A folder of programs as the commands on stacks read it, an AWS emulator, and a `pulumi` that only says its version."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

ACCOUNT = "123456789012"  # moto's
READS = {"foundation": (), "registry": (), "serving": ("foundation", "registry"), "monitoring": ("serving",)}


def write_programs(
    infra: Path, *, account: str = "", stages: tuple[str, ...] = ("dev",), reads: Mapping[str, tuple[str, ...]] = READS
) -> Path:
    """Programs that make nothing and name what they read."""
    for stack, names in reads.items():
        folder = infra / stack
        folder.mkdir(parents=True, exist_ok=True)
        project = {"name": f"churn-{stack}", "runtime": "python", "config": {"region": "eu-west-1"}}
        (folder / "Pulumi.yaml").write_text(yaml.safe_dump(project), encoding="utf-8")
        for stage in stages:
            settings = {"config": {f"churn-{stack}:account": account}}
            (folder / f"Pulumi.{stage}.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        (folder / "__main__.py").write_text("".join(f"stage.reads({n!r})\n" for n in names), encoding="utf-8")
    return infra


@contextmanager
def emulator() -> Iterator[str]:
    """AWS on this machine; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def signed_in(endpoint: str) -> dict[str, str]:
    """The environment of somebody signed in to the emulator's account."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }


@contextmanager
def emulated_endpoint(name: str, configuration: str) -> Iterator[str]:
    """An emulator, signed in to, whose account has one endpoint that runs this configuration. Yields the emulator's address."""
    with emulator() as address, pytest.MonkeyPatch.context() as patch:
        for key, value in signed_in(address).items():
            patch.setenv(key, value)
        client = boto3.client("sagemaker")
        client.create_model(
            ModelName="m", PrimaryContainer={"Image": "i"}, ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/sagemaker"
        )
        variant = {"VariantName": "a", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        client.create_endpoint_config(EndpointConfigName=configuration, ProductionVariants=[variant])
        client.create_endpoint(EndpointName=name, EndpointConfigName=configuration)
        yield address


def pulumi_that_counts(folder: Path) -> Path:
    """A `pulumi` that writes down how it is called and knows nothing but its version; returns what it writes to."""
    folder.mkdir(parents=True, exist_ok=True)
    program, calls = folder / "pulumi", folder / "calls"
    program.write_text(f'#!/bin/sh\necho "$*" >> {calls}\n[ "$1" = version ] && echo v3.999.0\n', encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return calls


def command(*arguments: str, cwd: Path, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m ai_factory_infra` with nothing in its environment but what is given."""
    kept = {k: v for k, v in os.environ.items() if k in ("HOME", "PYTHONPATH", "LANG")}
    return subprocess.run(
        [sys.executable, "-m", "ai_factory_infra", *arguments],
        cwd=cwd,
        env={**kept, "PATH": path, "AWS_EC2_METADATA_DISABLED": "true", **environment},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        check=False,
    )


A_PULUMI = """
import atexit, json, signal, sys, time
from pathlib import Path

here = Path(__file__).parent
asked = [a for a in sys.argv[1:] if a != "--non-interactive"]
state = json.loads((here / "state").read_text())
targets = [r for r in state if r["type"] == "aws:appautoscaling/target:Target"]

def ended():
    # Who listens for events waits for this one, up to five seconds.
    with Path(asked[asked.index("--event-log") + 1]).open("a") as events:
        events.write('{"cancelEvent": {}}\\n')

if "--event-log" in asked:
    atexit.register(ended)
with (here / "calls").open("a") as calls:
    calls.write(" ".join(a for a in asked if not a.startswith("/")) + "\\n")
if asked[0] == "version":
    print("v3.150.0")
elif asked[:2] == ["stack", "export"]:
    pending = json.loads((here / "pending").read_text())
    print(json.dumps({"version": 3, "deployment": {"resources": state, "pending_operations": pending}}))
elif asked[:2] == ["stack", "import"] and (here / "refuses").exists():
    sys.exit("error: state file contains errors: a dependency refers to missing resource")
elif asked[:2] == ["stack", "import"]:
    given = json.loads(Path(asked[asked.index("--file") + 1]).read_text())["deployment"]
    (here / "state").write_text(json.dumps(given["resources"]))
    (here / "pending").write_text(json.dumps(given["pending_operations"]))
elif asked[:2] == ["stack", "output"]:
    print("{}")
elif asked[:2] == ["stack", "history"]:
    done = {"kind": "update", "startTime": "2026-01-01T00:00:00.000Z", "message": "", "environment": {}, "config": {}}
    print(json.dumps([done | {"result": "succeeded"}]))
elif asked[0] == "preview":
    events = Path(asked[asked.index("--event-log") + 1])
    steps = json.loads((here / "plan").read_text())
    said = [{"resourcePreEvent": {"metadata": s, "planning": True}} for s in steps]
    said.append({"summaryEvent": {"maybeCorrupt": False, "durationSeconds": 1, "resourceChanges": {}, "PolicyPacks": {}}})
    events.write_text("".join(json.dumps(s) + "\\n" for s in said))
elif asked[0] == "destroy" and "--target" in asked:
    gone = asked[asked.index("--target") + 1]
    (here / "state").write_text(json.dumps([r for r in state if r["urn"] != gone]))
elif asked[0] == "up" and (here / "sleeps").exists():
    signal.signal(signal.SIGINT, lambda *_: sys.exit(255))
    time.sleep(60)
elif asked[0] == "up" and targets:
    sys.exit("ValidationException: UpdateEndpoint: a scalable target is registered for the variant")
elif asked[0] == "up" and (here / "breaks").exists():
    (here / "state").write_text("{")
    sys.exit("the disk is full")
elif asked[0] == "up":
    (here / "state").write_text((here / "after").read_text())
    sys.exit("the last resource failed" if (here / "fails").exists() else 0)
"""


def pulumi_that_acts(
    folder: Path,
    state: Sequence[Mapping[str, object]] = (),
    plan: Sequence[Mapping[str, object]] = (),
    pending: Sequence[Mapping[str, object]] = (),
) -> Path:
    """A `pulumi` with a state and a plan, whose AWS refuses `up` while the state has a scalable target.

    `up` puts the state back as it was given. With a file `sleeps` beside it, `up` waits for Ctrl-C; with `fails` it fails at
    the end, with `breaks` it leaves a state that cannot be read; with `refuses` it takes no state. `pending`: what an update
    that was killed was busy with. Returns what it was asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in {"state": state, "after": state, "plan": plan, "pending": pending}.items():
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    program = folder / "pulumi"
    program.write_text(f"#!{sys.executable}\n{A_PULUMI}", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder / "calls"
