"""A folder of programs as the commands on stacks read it, an AWS emulator, and a `pulumi` that only says its version."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

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
