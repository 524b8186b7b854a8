"""A stage that is up, as `changes.py` finds it: what can be done to it, and what the AWS provider did for it, line by line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

# What may be neither deleted nor replaced, whatever changes.
HOLDS_DATA = (
    "aws_s3_bucket ",
    "aws_kms_key ",
    "aws_ecr_repository ",
    "aws_sagemaker_model_package_group ",
    "aws_sagemaker_feature_group ",
    "aws_kinesis_stream ",
    "aws_glue_catalog_database ",
)


class FellShortError(Exception):
    """A change did what it must not, or did not do what it must."""


class Life:
    """A stage that is up. `programs`: where the stacks' folders are; `repository`: where they were generated."""

    def __init__(self, programs: Path, repository: Path, stage: str) -> None:
        self.programs, self.repository, self.stage = programs, repository, stage
        self._log = Path(os.environ["AWS_STANDIN_LOG"])
        self._environment = {**os.environ, "PYTHONPATH": str(repository / "components")}

    def pulumi(self, stack: str, *arguments: str, stage: str = "", may_fail: bool = False) -> tuple[int, str]:
        """Run the program on one stack: its exit code and what it said. Raises FellShortError where it must not fail and does."""
        process = subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive", "--stack", self.full_name(stack, stage)],
            cwd=self.programs / stack,
            env=self._environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        said, _ = process.communicate()
        _end_session(process.pid)
        if process.returncode and not may_fail:
            raise FellShortError(
                f"pulumi {' '.join(arguments)} of {stack} ended with {process.returncode}:\n{said[-3000:]}"
            )
        return process.returncode, said

    def full_name(self, stack: str, stage: str = "") -> str:
        """How the back end calls a stack."""
        project = yaml.safe_load((self.programs / stack / "Pulumi.yaml").read_text(encoding="utf-8"))["name"]
        return f"organization/{project}/{stage or self.stage}"

    def ids(self, stack: str) -> dict[str, str]:
        """URN -> id of everything that was made for a stack."""
        return {r["urn"]: r["id"] for r in self._state(stack)["checkpoint"]["latest"].get("resources", ()) if _made(r)}

    def forget(self, stack: str, kept: Container[str]) -> dict[str, str]:
        """As if `up` had been killed when everything was made and nothing noted, but for the types `kept`. Returns URN -> id of what was made and is forgotten."""
        state = self._state(stack)
        latest = state["checkpoint"]["latest"]
        forgotten = [r for r in latest["resources"] if _of_aws(r) and r["type"] not in kept]
        latest["resources"] = [r for r in latest["resources"] if r not in forgotten]
        # What is begun depends on nothing that is not noted.
        unknown = ("id", "outputs", "dependencies", "propertyDependencies")
        begun = [{k: v for k, v in r.items() if k not in unknown} for r in forgotten]
        latest["pending_operations"] = [{"resource": resource, "type": "creating"} for resource in begun]
        # Written where the back end reads it: `pulumi stack import` takes no such operations.
        self._file(stack).write_text(json.dumps(state), encoding="utf-8")
        return {r["urn"]: r["id"] for r in forgotten if _made(r)}

    def _state(self, stack: str) -> Any:
        return json.loads(self._file(stack).read_text(encoding="utf-8"))

    def _file(self, stack: str) -> Path:
        """Where the back end, a folder, keeps a stack."""
        folder = Path(os.environ["PULUMI_BACKEND_URL"].removeprefix("file://"))
        _, project, stage = self.full_name(stack).split("/")
        return folder / ".pulumi" / "stacks" / project / f"{stage}.json"

    @contextmanager
    def program(self, name: str, text: str) -> Iterator[None]:
        """A stack more, for a while only: the repository's own commands take every folder for a stack."""
        folder = self.programs / name
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n", encoding="utf-8")
        (folder / "__main__.py").write_text(text, encoding="utf-8")
        try:
            yield
        finally:
            shutil.rmtree(folder)

    def set(self, stack: str, key: str, value: str, stage: str = "") -> None:
        """Set one key of a stack's configuration."""
        self.pulumi(stack, "config", "set", key, value, stage=stage)

    def said(self) -> list[str]:
        """Everything that the provider has done so far, a line each."""
        return self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []

    def up(self, stack: str, stage: str = "", *, may_fail: bool = False) -> tuple[int, list[str]]:
        """Bring a stack up: the exit code, and what the provider did for it. Raises FellShortError where data was deleted."""
        before = len(self.said())
        code, _ = self.pulumi(stack, "up", "--yes", "--skip-preview", stage=stage, may_fail=may_fail)
        done = self.said()[before:]
        lost = [line for line in done if line.startswith(tuple(f"deleted: {kind}" for kind in HOLDS_DATA))]
        expect(not lost, f"data was deleted: {lost}")
        return code, done

    def start_up(self, stack: str, stage: str) -> subprocess.Popen[bytes]:
        """Begin to bring a stack up, in a process group of its own."""
        return subprocess.Popen(
            ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack", self.full_name(stack, stage)],
            cwd=self.programs / stack,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def settled(self, stack: str, stage: str = "") -> None:
        """Another preview finds nothing to do."""
        self.pulumi(stack, "preview", "--expect-no-changes", stage=stage)

    def remove(self, stack: str, stage: str = "") -> None:
        """Destroy a stack and what was protected in it, and forget it; its settings stay."""
        self.pulumi(stack, "state", "unprotect", "--all", "--yes", stage=stage)
        self.pulumi(stack, "destroy", "--yes", "--skip-preview", stage=stage)
        self.pulumi(stack, "stack", "rm", "--yes", "--force", "--preserve-config", stage=stage)

    def our_own(self, *arguments: str, may_say: str = "") -> None:
        """Run the repository's own command, as `make infra-*` does. Raises FellShortError where it fails, unless it says `may_say`."""
        command = [sys.executable, "-m", "ai_factory_infra", *arguments, "--infra", str(self.programs)]
        done = subprocess.run(
            command, env=self._environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        fine = done.returncode == 0 or bool(may_say and may_say in done.stdout)
        expect(fine, f"{' '.join(command[1:])} ended with {done.returncode}:\n{done.stdout[-3000:]}")

    @property
    def other_stage(self) -> str:
        """A stage that is not up."""
        return next(s for s in ("prod", "staging", "dev") if s != self.stage)

    def aws(self, service: str) -> Any:
        """A client of the emulator."""
        import boto3

        return boto3.client(service, region_name="eu-west-1")


def _end_session(leader: int) -> None:
    """Kill what an ended program left running: the judges' provider starts one process more for each thing that a wrong account refuses."""
    for process in (int(folder.name) for folder in Path("/proc").glob("[0-9]*")):
        with suppress(ProcessLookupError):
            if os.getsid(process) == leader:
                os.kill(process, signal.SIGKILL)


def _of_aws(resource: Mapping[str, Any]) -> bool:
    return bool(resource.get("custom")) and resource["type"].startswith("aws:")


def _made(resource: Mapping[str, Any]) -> bool:
    """Whether the emulator really made it: what it lacks is only planned, as the judges' provider notes."""
    return _of_aws(resource) and not json.loads(resource["outputs"].get("__tf", "{}")).get("only_planned", True)


def expect(fine: bool, otherwise: str) -> None:
    """Raise FellShortError unless it holds."""
    if not fine:
        raise FellShortError(otherwise)


def times(lines: Sequence[str], *beginnings: str) -> int:
    """How many lines begin with one of these."""
    return sum(line.startswith(beginnings) for line in lines)


def moves(lines: Sequence[str]) -> list[int]:
    """Where in the provider's lines the endpoint was touched."""
    return [i for i, line in enumerate(lines) if "aws_sagemaker_endpoint " in line and not line.startswith("differs")]


def first(lines: Sequence[str], *beginnings: str) -> int:
    """The place of the first line that begins with one of these; -1 where none does."""
    return next((i for i, line in enumerate(lines) if line.startswith(beginnings)), -1)
